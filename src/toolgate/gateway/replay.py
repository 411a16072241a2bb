"""One effect for one idempotency key, however often and wherever the call is made.

The first call with a key claims a record in the store before anything happens, and leaves its outcome there. Whoever comes
with the same key meanwhile waits, in this process for the call itself, in another for the record; whoever comes later gets
what is in it. Two cases follow from that:

    the claim's process is gone         Nobody knows whether it happened. It is not made again, unless the tool says that
                                        twice is the same as once.
    a refusal, or a failure that        Nothing is remembered: the same key may try again, which is what keys are for.
    surely did nothing

So what is remembered is what must not be repeated, and nothing else. A key belongs to its caller and tool (`Call.once`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import anyio

from toolgate.audit.line import exact
from toolgate.calls import Call, Outcome, Problem, Text, Tool, changed, key
from toolgate.chain import Coming, Handler
from toolgate.errors import AuditUnavailable, KeyReused, OutcomeUnknown, TimedOut, ToolgateError
from toolgate.gateway.settle import settled
from toolgate.settings import Replay as Settings
from toolgate.stores import Lives, Record, Records
from toolgate.stores.outcome import dumps, loads
from toolgate.telemetry import Metrics

KIND = "replay"
FIRST, MOST = 0.02, 0.5
"""Seconds between looks at a record that another process will complete: at first, and at most. A guess: a look takes 1 ms."""
WRITE_SECONDS = 2.0  # a guess, as in `audit`


@dataclass(slots=True)
class UnderWay:
    """The first call with a key, in this process."""

    once: str
    arguments: str
    """Their digest."""
    outcome: Outcome | None = None
    """For those who wait; None: there is none to share, and one of them is the first now."""
    ended: anyio.Event = field(default_factory=anyio.Event)


class Replay:
    def __init__(
        self,
        records: Records,
        lives: Lives,
        settings: Settings,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._records = records
        self._lives = lives
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._under_way: dict[str, UnderWay] = {}
        self._count = metrics.counter("toolgate_replays_total", "Calls with an idempotency key, by what became of them.", "result")

    def __call__(self, call: Call, call_next: Handler) -> Coming:
        return call_next(call) if call.idempotency_key is None else self._once(call, call_next)

    async def _once(self, call: Call, call_next: Handler) -> Outcome:
        mine = UnderWay(call.once, sha256(exact(call.arguments)).hexdigest())
        until = time.monotonic() + call.seconds_left()
        while (first := self._under_way.get(mine.once)) is not None:
            _check(call, mine.arguments, first.arguments)
            with anyio.move_on_after(until - time.monotonic()) as waiting:
                await first.ended.wait()
            if waiting.cancelled_caught:
                raise _still_under_way(call)
            if first.outcome is not None:
                return self._replayed(first.outcome, "waited")
        self._under_way[mine.once] = mine
        try:
            claim = await self._claim(call, mine, until)
            if isinstance(claim, int):
                return await self._run(call, call_next, mine, claim)
            mine.outcome = claim
            return self._replayed(claim, "hit")
        finally:
            del self._under_way[mine.once]
            mine.ended.set()

    async def ended(self, call: Call) -> Outcome | None:
        """How the call with the key of `call` ended; None: there was none, it is under way, or it may be made again."""
        there = await self._records.get(KIND, call.once)
        if there is None or call.once in self._under_way:
            return None
        _check(call, sha256(exact(call.arguments)).hexdigest(), there.body["arguments"])
        if "outcome" in there.body:
            return self._replayed(loads(there.body["outcome"]), "hit")
        if _may_be_repeated(call.tool) or not await self._is_gone(there):
            return None
        return Outcome(problem=Problem(OutcomeUnknown.code, _unknown(call)), effect="unknown")

    async def _claim(self, call: Call, mine: UnderWay, until: float) -> int | Outcome:
        """The version of the record that is now ours, or the outcome that there is already.

        Raises:
            KeyReused, OutcomeUnknown: see there.
            TimedOut: another process had not ended by `until`, on the clock of `time.monotonic`.
        """
        await self._lives.join()  # before the first claim, so that others see whose it is
        body = {"arguments": mine.arguments, "instance": self._lives.instance}
        replaces, wait = 0, FIRST
        while not await self._put(mine, body, replaces):
            replaces = 0
            there = await self._records.get(KIND, mine.once)
            if there is None:
                continue
            _check(call, mine.arguments, there.body["arguments"])
            if "outcome" in there.body:
                return loads(there.body["outcome"])
            if await self._is_gone(there):
                if not _may_be_repeated(call.tool):
                    raise OutcomeUnknown(_unknown(call))
                replaces = there.version
                continue
            if time.monotonic() + wait > until:
                raise _still_under_way(call)
            await self._sleep(wait)
            wait = min(MOST, 2 * wait)
        return replaces + 1

    async def _run(self, call: Call, call_next: Handler, mine: UnderWay, version: int) -> Outcome:
        try:
            outcome = await call_next(call)
        except ToolgateError as error:
            outcome = settled(error, call)
            mine.outcome = None if outcome.refused else outcome
            error.notes = {**error.notes, "replay": await self._end(call.tool, mine, version, outcome)}
            raise
        except BaseException:  # a bug or a cancellation, after which nobody knows
            outcome = Outcome(problem=Problem(OutcomeUnknown.code, _unknown(call)), effect="unknown")
            with anyio.move_on_after(WRITE_SECONDS, shield=True):
                await self._end(call.tool, mine, version, outcome)
            raise
        mine.outcome = outcome
        return changed(outcome, notes={**outcome.notes, "replay": await self._end(call.tool, mine, version, outcome)})

    async def _end(self, tool: Tool, mine: UnderWay, version: int, outcome: Outcome) -> str:
        """Leave the outcome to those who come later; a word for the audit.

        When it cannot be written, the claim stays as it is: later ones are told that nobody knows, which is the safe side.
        """
        with suppress(AuditUnavailable):
            if not _must_not_be_repeated(outcome, tool):
                await self._records.delete(KIND, mine.once)
                return self._counted("forgotten")
            body = {"arguments": mine.arguments, "outcome": kept(outcome, tool, self._settings.max_bytes)}
            if await self._put(mine, body, version):
                return self._counted("stored")
        return self._counted("lost")

    async def _put(self, mine: UnderWay, body: dict[str, str], replaces: int) -> bool:
        return await self._records.put(KIND, mine.once, body, replaces=replaces, expires=self._clock() + self._settings.keep)

    async def _is_gone(self, there: Record) -> bool:
        """Whether nobody will complete the claim. One of ours that is not under way could not be completed when it ended."""
        instance = there.body["instance"]
        return instance == self._lives.instance or not await self._lives.alive(instance)

    def _replayed(self, outcome: Outcome, how: str) -> Outcome:
        return changed(outcome, replayed=True, cost=0, metered=None, notes={"replay": self._counted(how)})

    def _counted(self, result: str) -> str:
        self._count.add(result)
        return result


class NestedKeys:
    """Keys for the calls that a tool makes for a call with a key, so that all of it happens once when it is made again."""

    def __init__(self) -> None:
        self._made: dict[str, Counter[str]] = {}
        """By the outer call's id: how often each of the calls was made for it."""

    def key(self, parent: Call, tool: Tool, arguments: Mapping[str, Any]) -> str | None:
        """The same for the same call on behalf of the same key; the second of two equal calls has another.

        None for reads: who makes a call again wants to know how things are now.
        """
        if parent.idempotency_key is None or tool.annotations.read_only:
            return None
        made = self._made.setdefault(parent.id, Counter())
        name = key(parent.once, tool.name, exact(arguments))
        made[name] += 1
        return f"{name}-{made[name]}"

    def forget(self, parent: Call) -> None:
        """It has ended."""
        if self._made:
            self._made.pop(parent.id, None)


def kept(outcome: Outcome, tool: Tool, most: int) -> str:
    """The outcome as JSON; of one over `most` bytes what can be said of it in a sentence."""
    text = dumps(outcome)
    if text is None or len(text) > most:
        why = "cannot be kept" if text is None else f"is larger than the {most} bytes that are kept"
        said = f"{tool.name} was done by an earlier call with this idempotency key. Its answer {why}: read anew what you need of it."
        problem = replace(outcome.problem, details={}) if outcome.problem else None
        meta = {name: value for name, value in outcome.meta.items() if name == "status"}
        text = dumps(Outcome((Text(said),), problem=problem, effect=outcome.effect, meta=meta)) or b""
    return text.decode()


def _check(call: Call, arguments: str, first: str) -> None:
    if arguments != first:
        raise KeyReused(
            f"this idempotency key came with another call of {call.tool.name} before, with other arguments; "
            "send the same arguments, or another key"
        )


def _may_be_repeated(tool: Tool) -> bool:
    return tool.annotations.read_only or tool.annotations.idempotent


def _must_not_be_repeated(outcome: Outcome, tool: Tool) -> bool:
    return outcome.ok or outcome.effect == "done" or (outcome.effect == "unknown" and not _may_be_repeated(tool))


def _unknown(call: Call) -> str:
    return (
        f"an earlier call of {call.tool.name} with this idempotency key ended unseen. It may have happened, so it is not made again: "
        "look whether it did, and if not, call with another key"
    )


def _still_under_way(call: Call) -> TimedOut:
    return TimedOut(f"the first call of {call.tool.name} with this idempotency key is still under way; send the same again to hear of it")
