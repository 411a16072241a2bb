"""Give an answer again to who asks the same, for as long as the integration says.

Only answers to calls that read, and only good ones. They are kept by tool, arguments and caller, so that nobody is given
what another asked for, unless the integration says that its answers are the same for all (`defaults.cache_scope: public`).
Who asks what is being asked just now waits for that answer.

A call that is not a read makes this process forget the answers of its integration: who writes and then reads sees what was
written. Other processes notice when the seconds are over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from toolgate.audit.line import exact
from toolgate.calls import Call, Outcome, Principal, changed, key
from toolgate.chain import Coming, Handler
from toolgate.stores.local import LocalMemory
from toolgate.stores.outcome import dumps, loads
from toolgate.telemetry import Metrics

KEPT = 16_384  # callers whose names are remembered; each takes about 300 bytes


@dataclass(slots=True)
class Asking:
    """A read that is under way."""

    outcome: Outcome | None = None
    """For those who wait; None: there is none that may be shared."""
    ended: anyio.Event = field(default_factory=anyio.Event)


class Cache:
    def __init__(self, memory: LocalMemory, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._memory = memory
        self._clock = clock
        self._asking: dict[str, Asking] = {}
        self._writes: Counter[str] = Counter()
        """Calls other than reads, by integration; those of which answers may be kept."""
        self._names: dict[Principal, str] = {}
        self._count = metrics.counter("toolgate_cache_total", "Reads that may be answered from the cache.", "integration", "result")
        metrics.gauge("toolgate_cache_hit_rate", "Share of them that needed no call of their own, 0 to 1.", self.hit_rate)

    def __call__(self, call: Call, call_next: Handler) -> Coming:
        if not call.tool.annotations.read_only:
            return self._written(call, call_next)
        return self._read(call, call_next, self._name(call)) if call.tool.cache else call_next(call)

    def hit_rate(self) -> float:
        """The share of reads that were answered without a call, since this process began."""
        found: Counter[str] = Counter()
        for (_, result), times in self._count.values.items():
            found[result] += int(times)
        return (found["hit"] + found["waited"]) / (found.total() or 1)

    async def _written(self, call: Call, call_next: Handler) -> Outcome:
        try:
            return await call_next(call)
        finally:
            if call.tool.integration in self._writes:
                self._writes[call.tool.integration] += 1

    async def _read(self, call: Call, call_next: Handler, name: str) -> Outcome:
        kept = await self._memory.get(name)
        if kept is not None:
            at, _, text = kept.partition(b"\n")
            return self._told(call, _aged(loads(text), self._clock() - float(at)), "hit")
        if (asking := self._asking.get(name)) is not None:
            with anyio.move_on_after(call.seconds_left()):
                await asking.ended.wait()
            if asking.outcome is not None:
                return self._told(call, changed(asking.outcome, cost=0, metered=None, notes={}), "waited")
            # Nothing to share. Those who waited now ask at once, not one after the other.
            return self._told(call, await call_next(call), "miss")
        asking = self._asking[name] = Asking()
        try:
            outcome = await call_next(call)
            seconds = call.tool.cache if outcome.fresh is None else min(call.tool.cache, outcome.fresh)
            if outcome.ok and seconds > 0:
                asking.outcome = outcome
                await self._keep(name, outcome, seconds)
            return self._told(call, outcome, "miss")
        finally:
            del self._asking[name]
            asking.ended.set()

    async def _keep(self, name: str, outcome: Outcome, seconds: float) -> None:
        text = dumps(outcome)
        if text is not None:
            await self._memory.put(name, b"%d\n%s" % (self._clock(), text), seconds)

    def _told(self, call: Call, outcome: Outcome, how: str) -> Outcome:
        self._count.add(call.tool.integration, how)
        return changed(outcome, notes={**outcome.notes, "cache": how})

    def _name(self, call: Call) -> str:
        """What an answer is kept by; other whenever the answer might be."""
        tool = call.tool
        self._writes.setdefault(tool.integration, 0)
        writes = str(self._writes[tool.integration])
        who = "" if tool.public else self._name_of(call.principal)
        # Tools of ours are given longer answers than callers outside.
        depth = "inside" if call.depth else "outside"
        return key("cache", tool.integration, tool.name, tool.fingerprint, exact(call.arguments), who, depth, writes)

    def _name_of(self, principal: Principal) -> str:
        """Equal for one caller with the same roles, rights and credential."""
        name = self._names.get(principal)
        if name is None:
            if len(self._names) >= KEPT:
                self._names.clear()
            name = self._names[principal] = key(*_parts(principal))
        return name


def _parts(principal: Principal) -> list[str]:
    groups = (
        (principal.tenant, principal.id, principal.tier, principal.via),
        principal.roles,
        principal.acting_for,
        () if principal.credential is None else (principal.credential,),
        ("any",) if principal.scopes is None else ("only", *sorted(principal.scopes)),
    )
    return [part for group in groups for part in (str(len(group)), *group)]


def _aged(outcome: Outcome, seconds: float) -> Outcome:
    """As it was kept, with its age for programs, in whole seconds."""
    return changed(outcome, meta={**outcome.meta, "age": max(0, int(seconds))})
