"""Write down every ending: answers, refusals, failures, and calls that died of a bug or were cancelled. Floods of refusals are counted.

The line is durable before the answer leaves. When it cannot be written, the caller gets no answer but that. A call that ran
has an intent already (`intent`), with its arguments; its outcome names the same call and does not repeat them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import orjson

from toolgate.audit import redact
from toolgate.audit.event import Type, about, ending, told, type_of, what, who
from toolgate.audit.line import canonical, writable
from toolgate.audit.redact import Redactor
from toolgate.calls import Binary, Call, Outcome, Principal, Problem, Tool
from toolgate.chain import Handler
from toolgate.errors import AuditUnavailable
from toolgate.gateway.flood import Floods
from toolgate.settings import Audit as Settings
from toolgate.stores import Hold, Journal, Shortage, Stores

log = logging.getLogger("toolgate")

STREAM = "audit"
WRITE_SECONDS = 2.0  # a guess; one SQLite append took 1-22 ms on 2 busy cores
KEPT = 4096  # callers; what is written of each takes about 300 bytes
NOTHING: Mapping[str, Any] = {}
UNSURE = frozenset({"invalid_arguments", "unknown_tool"})
"""Codes of calls whose arguments no schema has looked through: only their names are kept."""


class Proof:
    """What is written of calls, before they run and after: shared by the steps `audit` and `intent`."""

    def __init__(self, stores: Stores, settings: Settings, find: redact.Find = lambda name: None) -> None:
        """
        Args:
            find: tools by name, for calls that carry another.
        """
        self.journal = stores.journal
        self._ledger = stores.ledger
        self._begin_together = stores.begin
        self._keys = stores.keys
        self._redactor = Redactor(settings.redact, find)
        self._values = settings.arguments == "values"
        self._running: dict[str, tuple[orjson.Fragment, orjson.Fragment]] = {}
        """What is said of caller and tool, by the ids of calls."""
        self._callers: dict[Principal, orjson.Fragment] = {}
        self._tools: WeakKeyDictionary[Tool, orjson.Fragment] = WeakKeyDictionary()

    def has_begun(self, call: Call) -> bool:
        """Whether it is written down that `call` is about to run."""
        return call.id in self._running

    async def begin(self, call: Call, hold: Hold | None = None) -> Shortage | None:
        """Write down that `call` is about to run, once `hold` is reserved; in one commit where the stores can.

        Returns:
            None when that is done; else the budget that has no room, and nothing is written.

        Raises:
            AuditUnavailable: it could not be; the call must not run.
        """
        parties = self._parties(call)
        event = about("call.intent", call, self.journal.instance, *parties)
        event["decision"] = {"effect": "allow", "rule": call.rule, "policy": call.policy}
        event["arguments"] = self._arguments(call, sure=True)
        self._running[call.id] = parties  # before it is written: a call cancelled meanwhile has to be closed all the same
        short = None
        try:
            if hold is not None and self._begin_together is not None:
                short = await self._begin_together(STREAM, event, call.id, hold)
            else:
                short = await self._ledger.reserve(hold) if hold is not None else None
                if short is None:
                    await self.journal.append(STREAM, event, opens=call.id)
        except AuditUnavailable:
            self._running.pop(call.id, None)
            raise
        if short is not None:
            self._running.pop(call.id, None)
        return short

    def end(self, call: Call, began: int, outcome: Outcome) -> Awaitable[int]:
        """Write down how `call` ended.

        Args:
            began: on the clock of `time.perf_counter_ns`.

        Raises:
            AuditUnavailable: it could not be; nobody may hear of the outcome.
        """
        problem = outcome.problem
        notes = dict(outcome.notes)
        permit, spend = notes.pop("permit", NOTHING), notes.get("spend", NOTHING)
        event: dict[str, Any] = {
            "decision": {"effect": "deny" if outcome.refused else "allow", "rule": outcome.rule, "policy": permit.get("policy")},
            "money": {"reserved": spend.get("reserved"), "settled": outcome.cost},
            "result": self._result(call, outcome),
            "notes": notes,
        }
        return self._close(type_of(outcome), call, began, event, sure=problem is None or problem.code not in UNSURE)

    def broke(self, call: Call, began: int, error: BaseException) -> Awaitable[int]:
        """Write down that `call` ended by a bug or a cancellation."""
        result = {"ending": type(error).__name__, "code": None, "effect": "unknown" if call.id in self._running else "none"}
        return self._close("call.outcome", call, began, {"result": result}, sure=False)

    def _parties(self, call: Call) -> tuple[orjson.Fragment, orjson.Fragment]:
        """What is said of a call's caller and its tool: the same each time, and made once."""
        by, of = self._callers.get(call.principal), self._tools.get(call.tool)
        if by is None:
            if len(self._callers) >= KEPT:
                self._callers.clear()
            by = self._callers[call.principal] = orjson.Fragment(orjson.dumps(writable(who(call.principal))))
        if of is None:
            of = self._tools[call.tool] = orjson.Fragment(orjson.dumps(writable(what(call.tool))))
        return by, of

    def _close(self, type: Type, call: Call, began: int, ending: Mapping[str, Any], *, sure: bool) -> Awaitable[int]:
        running = self._running.pop(call.id, None)
        event = about(type, call, self.journal.instance, *(running or self._parties(call)))
        event |= ending
        event["ms"] = (time.perf_counter_ns() - began) // 1000 / 1000
        if running is not None:
            return self.journal.append(STREAM, event, closes=call.id)
        event["arguments"] = self._arguments(call, sure=sure)
        return self.journal.append(STREAM, event)

    def _arguments(self, call: Call, *, sure: bool) -> Mapping[str, Any]:
        """What is kept of the arguments.

        Args:
            sure: they fit the schema, which then knows what is secret in them.
        """
        text = canonical(call.arguments)
        digest = self._keys.digest(call.principal.tenant, text)
        if self._values and sure:
            return {"digest": digest, "values": self._redactor.arguments(call.tool, text)}
        return {"digest": digest, "names": redact.names(call.arguments)}

    def _result(self, call: Call, outcome: Outcome) -> dict[str, Any]:
        result = {
            "ending": ending(outcome),
            "code": outcome.problem.code if outcome.problem else None,
            "status": outcome.meta.get("status"),
            "effect": outcome.effect,
            "replayed": outcome.replayed,
        }
        if outcome.content:
            content = b"".join([each.data if isinstance(each, Binary) else each.text.encode(errors="replace") for each in outcome.content])
            result["bytes"] = len(content)
            result["digest"] = self._keys.digest(call.principal.tenant, content)
        return result


class Audit:
    def __init__(self, proof: Proof, refusals: int) -> None:
        """
        Args:
            refusals: of one caller in a minute that are written down one by one.
        """
        self._proof = proof
        self._floods = Floods(self._flood, refusals)

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        began = time.perf_counter_ns()
        try:
            outcome = await call_next(call)
        except BaseException as error:  # a bug or a cancellation
            with anyio.move_on_after(WRITE_SECONDS, shield=True):
                await self._proof.broke(call, began, error)
            raise
        try:
            if not self._is_one_too_many(call, outcome):
                await self._proof.end(call, began, outcome)
            if self._floods.untold:
                await self._floods.tell()
        except AuditUnavailable as error:
            problem = Problem(error.code, "the call could not be written down, so its answer is withheld; tell the operator")
            return Outcome(problem=problem, effect="none" if outcome.effect == "none" else "unknown", cost=outcome.cost)
        return outcome

    async def close(self) -> None:
        """Write down the refusals that are counted and not told."""
        try:
            with anyio.move_on_after(WRITE_SECONDS, shield=True):
                await self._floods.tell(everything=True)
        except AuditUnavailable as error:
            log.error("refusals that were only counted are not in the audit: %s", error)  # noqa: TRY400  # it is expected

    def _is_one_too_many(self, call: Call, outcome: Outcome) -> bool:
        """Whether it is refused, and like so many before it that it is only counted. What has begun to run is always written."""
        if not outcome.refused or outcome.problem is None or self._proof.has_begun(call):
            return False
        return self._floods.take(call.principal, outcome.problem.code, "unknown" if call.tool.concealed else call.tool.name)

    async def _flood(self, principal: Principal, found: Mapping[str, Any]) -> int:
        return await record(self._proof.journal, "call.flood", principal=principal, **found)


async def record(journal: Journal, type: Type, *, principal: Principal | None = None, tenant: str | None = None, **details: Any) -> int:
    """Write down an event that is not the ending of a call: a login that failed, a policy that changed. Its `seq`.

    Args:
        principal: who did it, where that is known.
        tenant: whom it concerns; the principal's where it is not given.
        details: what there is to know, JSON-serialisable. What looks like a secret is taken out; do not put one in.

    Raises:
        AuditUnavailable: it could not be written down.
    """
    return await journal.append(STREAM, told(type, journal.instance, redact.details(details), principal, tenant))


async def write_down_change(stores: Stores, type: Type, name: str, digest: str, **details: Any) -> None:
    """Write an event if `digest` is not the one that was last in force under `name`.

    Args:
        digest: empty: nothing is in force, as at the very beginning.
    """
    before = await stores.records.get("in_force", f"{type}:{name}")
    known = before.body["digest"] if before else ""
    if digest != known:
        await record(stores.journal, type, digest=digest, before=known, **details)
        await stores.records.put("in_force", f"{type}:{name}", {"digest": digest}, replaces=before.version if before else 0)
