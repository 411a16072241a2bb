"""What failures are to programs that speak OpenAI's words: a status, an error, and whether the same may be sent again.

    a provider's answer ──llm.classify──▶ a word ──FORMS, or whose doing it is──▶ status, code

OpenAI's clients go by the status: they send again what ended with 408, 409, 429 or 5xx, after `Retry-After`, unless `x-should-retry` says
that they should not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolgate.agent.events import Finished
from toolgate.api.answers import STATUSES, Json, coming_back
from toolgate.calls import Problem
from toolgate.errors import ModelFailed, ToolFailed, ToolgateError
from toolgate.llm.classify import REASONS
from toolgate.server.faces import KINDS

FORMS: Mapping[str, tuple[int, str]] = {
    "rate_limited": (429, "rate_limit_exceeded"),
    "overloaded": (503, "server_is_overloaded"),
    "unavailable": (503, "server_is_overloaded"),
    "timeout": (504, "timeout"),
    "context_exceeded": (400, "context_length_exceeded"),
    "refused": (400, "invalid_prompt"),
    "no_such_model": (404, "model_not_found"),
    "model_forbidden": (403, "no_model"),
    "no_vision": (400, "no_model"),
}
"""Status and `code` by the reason of a `ModelFailed` or `NoModel`; of others `WHOSE` has the status."""
WHOSE: Mapping[str, int] = {"transient": 503, "provider": 502, "request": 400}
"""By the kind of a reason. What is a provider's doing comes of how the server is set up: a key, a bill, an address."""
DECLINED = ("refusal", "filtered")
"""Codes of runs whose model declined to answer, which OpenAI's words have as an answer."""
A_BUG = Problem(ToolFailed.code, "the run failed by a bug; the operator of this server finds more in its log")


def problem_of(error: ToolgateError) -> Problem:
    return Problem(error.reason or error.code, str(error), error.retry_after)


def problem_in(end: Finished, *, anew: bool) -> Problem:
    """What failed in a run.

    Args:
        anew: it began with this request, so that another one like it begins another.
    """
    why = f": {end.reason or 'no reason is known'}"
    if _operators(end.code):
        why = (
            f" by how this server is set up and not by the request: the provider of a language model {REASONS[end.code][1]}. "
            f"Its operator finds more with `toolgate runs show {end.run}`"
        )
    # The whole run would be made again, and with it what it has called.
    again = anew and not end.calls and status_of(end.code) in (429, 503, 504)
    return Problem(end.code or ToolFailed.code, f"the run {end.run} {end.status}{why}", end.retry_after, {"again": again})


def status_of(code: str) -> int:
    return _form(code)[0]


def told(problem: Problem) -> dict[str, Any]:
    """The problem in OpenAI's words."""
    status, code = _form(problem.code)
    kind = "insufficient_quota" if code == "over_budget" else KINDS.get(status, "server_error")
    return {"message": problem.message, "type": kind, "param": None, "code": code}


def problem_answer(problem: Problem) -> Json:
    status = status_of(problem.code)
    again = problem.details.get("again", status in (429, 503))  # what was refused before a run began may be sent again
    return Json({"error": told(problem)}, status_code=status, headers=coming_back(problem) | ({} if again else {"x-should-retry": "false"}))


def _form(word: str) -> tuple[int, str]:
    """Status and `code`."""
    if word in FORMS:
        return FORMS[word]
    if word in REASONS:
        # Its own word, `authentication` for one, would look like the caller's key.
        return WHOSE[REASONS[word][0]], ModelFailed.code if _operators(word) else word
    return STATUSES.get(word, 502), word


def _operators(word: str) -> bool:
    """Whether it is the operator's to mend."""
    return word in REASONS and word not in FORMS and REASONS[word][0] == "provider"
