"""The innermost: the tool's own `run`, under its deadline, tried again where that is safe, left alone where it is pointless."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable

import anyio

from toolgate.calls import Call, Outcome, changed
from toolgate.errors import Failed, Suspended, TimedOut, ToolgateError
from toolgate.gateway.breaker import Breakers
from toolgate.gateway.retry import Trouble, pause, trouble
from toolgate.tasks import Deadlines, Within

Ending = Outcome | ToolgateError


class Run:
    def __init__(
        self,
        breakers: Breakers,
        attempts: int,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._breakers = breakers
        self._attempts = attempts
        self._chance = chance
        self._sleep = sleep
        self._deadlines = Deadlines()

    async def __call__(self, call: Call) -> Outcome:
        now, seconds = time.monotonic(), call.tool.timeout
        if call.deadline is not None and call.deadline < now + seconds:
            seconds = max(0.0, call.deadline - now)
        else:
            call = changed(call, deadline=now + seconds)
        try:
            if call.tool.remote:
                with Within(seconds, self._deadlines):
                    return await self._tried(call)
            with anyio.fail_after(seconds):  # calls within it write down how they end, shielded
                return await (call.work or call.tool.run)(call)
        except TimeoutError:
            raise TimedOut(f"{call.tool.name} did not answer within {call.tool.timeout:g} s") from None

    async def _tried(self, call: Call) -> Outcome:
        """The outcome of the last attempt, or of an earlier one that may have done something if the last did not."""
        breaker, annotations = self._breakers.of(call.tool.integration), call.tool.annotations
        earlier: Ending | None = None
        for attempt in range(1, self._attempts + 1):
            ending: Ending
            ill: bool | None = None
            try:
                breaker.enter()
            except Suspended:
                if earlier is None:
                    raise
                return _told(earlier, attempt - 1)
            try:
                try:
                    ending = await (call.work or call.tool.run)(call)
                except ToolgateError as error:
                    ending = error
                found = trouble(ending, annotations)
                ill = _is_ill(found, ending)
            except anyio.get_cancelled_exc_class():
                # Cancelled from outside says nothing of the other side; its own time used up does.
                ill = True if call.seconds_left() <= 0 else None
                raise
            finally:
                breaker.ended(ill)
            if earlier is not None and isinstance(ending, Suspended):
                return _told(earlier, attempt - 1)
            if found is None:
                return _told(ending, attempt)
            worst = ending if earlier is None or found.effect_unknown or not _unknown(earlier, call) else earlier
            wait = pause(found, annotations, attempt, self._chance) if attempt < self._attempts else None
            if wait is None or wait >= call.seconds_left():
                return _told(worst, attempt)
            await self._sleep(wait)
            earlier = worst
        raise AssertionError("the last attempt returns")


def _is_ill(found: Trouble | None, ending: Ending) -> bool | None:
    """None: the attempt never left, so that it says nothing."""
    if isinstance(ending, Suspended):
        return None
    if found is not None:
        return found.ill
    if isinstance(ending, TimedOut):
        return True
    return None if isinstance(ending, ToolgateError) and not isinstance(ending, Failed) else False


def _unknown(ending: Ending, call: Call) -> bool:
    found = trouble(ending, call.tool.annotations)
    return found is not None and found.effect_unknown


def _told(ending: Ending, attempts: int) -> Outcome:
    """`ending` as the end of the call, with the number of attempts for the audit when there were several."""
    notes = {"attempts": attempts} if attempts > 1 else None
    if isinstance(ending, ToolgateError):
        if notes:
            ending.notes = {**ending.notes, "run": notes}
        raise ending
    return changed(ending, notes={**ending.notes, "run": notes}) if notes else ending
