"""What people may know of the language models: which there are, what they cost, how they do. Values for JSON; the faces show them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, cast, get_args

from toolgate.calls import Principal
from toolgate.errors import ModelFailed, UnknownRun
from toolgate.llm.breaker import ABOUT_THE_PROMPT
from toolgate.llm.classify import SAYS
from toolgate.llm.declared import Declared
from toolgate.llm.known import SERVICES
from toolgate.llm.local import tried
from toolgate.llm.messages import Errand, Prompt, TaskType, User
from toolgate.llm.model import OFF, Model
from toolgate.llm.models import Models
from toolgate.llm.series import BY, COSTS_BY, Batch, By, LastError, Of, costs, last_errors, stats, wins
from toolgate.policy.models import forbidden
from toolgate.times import span

MOST_SECONDS = 400 * 86_400.0
TASKS: tuple[str, ...] = get_args(TaskType)
LOOKED_BACK = 3600.0
"""Seconds in which errors that other processes met are shown."""


def seconds(text: str) -> float:
    """`15m`, `24h`, `7d` in seconds.

    Raises:
        ValueError: it is none of these; says what would be.
    """
    found = span(text)
    if found is None or not 0 < found <= MOST_SECONDS:
        raise ValueError("a time is a number and m, h or d, such as 15m, 24h or 7d, and at most 400d")
    return found


def told_apart(text: str, known: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """The names in `text`, separated by commas.

    Raises:
        ValueError: one is not known; says which are.
    """
    names = tuple(dict.fromkeys(name for name in text.split(",") if name)) or tuple(default)
    if not set(names) <= set(known):
        raise ValueError(f"by is one or several of {', '.join(known)}, separated by commas")
    return names


class Book(Protocol):
    """The agent's runs, as `agent.runs.Runs`."""

    async def judge(self, id: str, good: float, who: Principal) -> tuple[str, str, str] | None:
        """Whom it is put down to, model, task and session, the first time; raises UnknownRun where it is none of `who`'s."""


class Report:
    def __init__(self, models: Models, book: Book | None = None) -> None:
        """
        Args:
            book: runs that outlive the process; None: there are none.
        """
        self._models = models
        self._book = book

    async def providers(self, principal: Principal | None = None) -> dict[str, Any]:
        """Every provider with its models, and which variables would add others.

        Args:
            principal: only what the policy lets this one ask; None: everything.
        """
        await self._models.roster.ready("")
        policy = self._models.policy
        rules = policy.applying(principal, "other") if principal else ()
        declared = self._models.roster.declared
        shown, stored = [], await self._stored_errors() if principal is None else {}
        for provider in declared:
            known = [each for each in self._models.roster.of(provider) if not forbidden(rules, each.id, each.region, each.tags)]
            if known or principal is None:
                last = {"last_error": self._last_error(provider.name, stored)} if principal is None else {}
                shown.append({**self._provider(provider, known), **last})
        there = {provider.kind for provider in declared}
        more = [
            {"provider": kind, "variables": list(service.declaring)}
            for kind, service in SERVICES.items()
            if kind not in there and service.declaring
        ]
        return {"providers": shown, **({"more": more} if principal is None else {})}

    async def stats(self, since: str, by: str = "") -> dict[str, Any]:
        """Raises ValueError where `since` or `by` cannot be meant; as `wins` and `costs` do."""
        names = told_apart(by, BY, ("provider", "model"))
        return {"since": since, "stats": stats(await self._batch(since), cast("tuple[By, ...]", names))}

    async def wins(self, since: str, task: str = "") -> dict[str, Any]:
        return {"since": since, "wins": wins(await self._batch(since), task)}

    async def costs(self, since: str, by: str = "") -> dict[str, Any]:
        names = told_apart(by, COSTS_BY, ("provider", "task", "user", "tool", "phase"))
        return {"since": since, "costs": costs(await self._batch(since), cast("tuple[Of, ...]", names))}

    async def explain(
        self, text: str, principal: Principal, task: str = "other", model: str = "", *, high_risk: bool = False
    ) -> dict[str, Any]:
        """What would be decided for a prompt; nothing is asked and nothing remembered.

        Raises:
            NoModel: nobody would be asked.
            Misconfigured: nobody is set up who could be.
            ValueError: there is no such task type; says which there are.
        """
        if task not in TASKS:
            raise ValueError(f"a task type is one of {', '.join(TASKS)}")
        roster, routed = self._models.roster, self._models.provider
        await roster.ready(model)
        roster.check(model)
        await routed.memory.ready()
        prompt = Prompt([User(text)], model=roster.resolved(model))
        errand = Errand(principal, task=cast("TaskType", task), high_risk=high_risk)
        left = await routed.purse.left(errand)
        return routed.router.explain(prompt, errand, routed.count(prompt), left=left).to_json()

    async def feedback(self, run: str, good: float, principal: Principal) -> str | None:
        """Hear how good a run's answer was, of the agent's, or of others that this process remembers; the id of the model that it is put
        down to, None where the run is not known or was judged."""
        await self._models.provider.memory.ready()
        router = self._models.provider.router
        try:
            found = await self._book.judge(run, good, principal) if self._book else None
        except UnknownRun:
            return router.feedback(run, good, principal)
        if found is None:
            return None if self._book else router.feedback(run, good, principal)
        model, task, session = found
        router.learn(model, task, good, "feedback", run=session)
        return model

    async def _batch(self, since: str) -> Batch:
        now = time.time()
        begin = now - seconds(since)
        batch = await self._models.provider.memory.minutes.between(begin, now)
        batch.merge(self._models.provider.performance.unwritten(begin, now))
        return batch

    async def tried(self, name: str) -> Mapping[str, Any]:
        """Whether a provider answers and takes our key. No model is asked anything. Raises NoModel."""
        began, ok = time.perf_counter(), True
        try:
            sentence = await tried(self._models.roster.find(name), self._models.transport)
        except ModelFailed as error:
            ok, sentence = False, str(error)
        return {"ok": ok, "sentence": sentence, "ms": round((time.perf_counter() - began) * 1000, 1)}

    async def switch(self, name: str, on: bool, who: Principal) -> Mapping[str, Any]:
        """Ask a provider again, or no more; requests under way end as they began. Raises NoModel, AuditUnavailable."""
        await self._models.roster.switches.switch(self._models.roster.find(name).name, on, who)
        return {"enabled": on}

    async def _stored_errors(self) -> Mapping[str, LastError]:
        """By provider, the last of any process that shares the store, within `LOOKED_BACK`."""
        minutes = await self._models.provider.memory.minutes.lately(time.time() - LOOKED_BACK)
        return last_errors(minutes, SAYS.keys() - ABOUT_THE_PROMPT)

    def _last_error(self, provider: str, stored: Mapping[str, LastError]) -> Mapping[str, Any] | None:
        """The last in this process, in its own words; or a later one of another, in ours and to the minute."""
        own = [each.id for each in self._models.roster.models() if each.provider == provider]  # those too that prompts named
        failed = [(failure, id) for id in own if (failure := self._models.provider.breakers.failure(id))]  # noqa: A001
        last, model = max(failed, key=lambda each: each[0].at, default=(None, ""))
        other = stored.get(provider)
        if other is not None and (last is None or other.minute * 60 > last.at):  # what this process met is stored as well, in its minute
            said = f"{provider} {SAYS[other.reason]} (met by another process, or before a restart)"
            return {"at": _time(other.minute * 60), "model": other.model, "reason": other.reason, "message": said}
        return None if last is None else {"at": _time(last.at), "model": model, "reason": last.reason, "message": last.message}

    def _provider(self, provider: Declared, models: Sequence[Model]) -> dict[str, Any]:
        return {
            "name": provider.name,
            "kind": provider.kind,
            "by": provider.by,
            "region": provider.region or None,
            "default": provider.default or None,
            "enabled": provider.name not in self._models.roster.off,
            "credentials": _credentials(provider),
            "models": [self._model(model) for model in models],
        }

    def _model(self, model: Model) -> dict[str, Any]:
        read, written = self._models.provider.prices.per_token(model)
        return {
            "id": model.id,
            "window": model.window,
            "max_output": model.max_output,
            "tools": model.tools,
            "vision": model.vision,
            "strict": model.strict,
            "quality": model.quality,
            "tags": sorted(model.tags),
            "only_named": model.only_named,
            "usd_per_million": {"input": round(read, 6), "output": round(written, 6)},
            "unavailable": OFF if model.off else self._models.provider.breakers.available(model),
            "p95_seconds": speed.p95 if (speed := self._models.provider.performance.lately().get(model.id)) else None,
        }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _credentials(provider: Declared) -> Literal["none", "set", "missing"]:
    """Whether its key is there; never what it is."""
    if provider.api_key is not None:
        return "set"
    return "none" if provider.kind in ("scripted", "compatible") or SERVICES[provider.kind].local else "missing"
