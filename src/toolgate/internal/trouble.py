"""Why something was not done: what an inner call's problem, or one that we found ourselves, is to our caller."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from toolgate.calls import Outcome

EXHAUSTED = frozenset({"over_budget", "audit_unavailable"})
"""Codes after which further calls would fare alike, beside all that say when to come back."""
PASSED_ON = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


class Trouble(Exception):
    """Ends the request, unless it concerns one item of it, which then carries it as its error."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = HTTPStatus.UNPROCESSABLE_ENTITY,
        tool: str | None = None,
        retry_after: float | None = None,
        upstream: int | None = None,
        tried: bool = True,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        """Of our answer, when this ends the request."""
        self.tool = tool
        self.retry_after = retry_after
        """Seconds."""
        self.upstream = upstream
        """The status that GitHub answered with."""
        self.tried = tried
        """False: nothing was changed, because a limit, the budget or the time was used up; the same again may work."""

    @property
    def halts(self) -> bool:
        """Whether further calls would fare alike."""
        return not self.tried or self.retry_after is not None or self.code in EXHAUSTED

    @property
    def absent(self) -> bool:
        """Whether GitHub knows nothing of what was asked for (404), or no longer (410)."""
        return self.upstream in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)

    @property
    def invalid(self) -> bool:
        """Whether GitHub found the request wrong (422), which also means: already so."""
        return self.upstream == HTTPStatus.UNPROCESSABLE_ENTITY

    def as_json(self) -> dict[str, Any]:
        """The description's `Problem`."""
        said: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.retry_after is not None:
            said["retry_after"] = self.retry_after
        if self.tool is not None:
            said["tool"] = self.tool
        return said


def trouble_of(tool: str, outcome: Outcome) -> Trouble:
    """An outcome that has a problem, as our own."""
    problem = outcome.problem
    assert problem is not None
    upstream = problem.details.get("status")
    waits = problem.retry_after is not None or problem.code in EXHAUSTED
    return Trouble(
        problem.code,
        problem.message,
        status=_status(problem.code, outcome.refused, upstream),
        tool=tool,
        retry_after=problem.retry_after,
        upstream=upstream,
        tried=not (waits and outcome.effect == "none"),
    )


def _status(code: str, refused: bool, upstream: int | None) -> int:
    if code == "invalid_arguments":
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if refused:
        return HTTPStatus.FORBIDDEN
    if upstream == HTTPStatus.GONE:
        return HTTPStatus.NOT_FOUND
    return upstream if upstream in PASSED_ON else HTTPStatus.BAD_GATEWAY
