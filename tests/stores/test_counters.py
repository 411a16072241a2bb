"""Windows of calls: never too many, all or none, in one process, over a shared store, and while that is away."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.errors import Misconfigured
from toolgate.stores import Allowance, UsedUp
from toolgate.stores.counters import GROUPS, Away, MemoryCounters, SharedCounters, open_counters
from toolgate.testing import FakeClock

MINUTE = Allowance("user", 2, 60.0)


async def test_the_call_after_the_last_allowed_one_hears_when_there_is_room() -> None:
    clock = FakeClock()
    counters = MemoryCounters(clock)
    await counters.take([MINUTE])
    clock.now = 30
    await counters.take([MINUTE])
    clock.now = 45

    assert await counters.take([MINUTE]) == UsedUp(MINUTE, 15.0)

    clock.now = 60
    assert await counters.take([MINUTE]) is None
    assert await counters.take([MINUTE]) == UsedUp(MINUTE, 30.0)


STEPS = st.lists(st.floats(min_value=0, max_value=30), max_size=120)


@given(steps=STEPS, calls=st.integers(1, 9), seconds=st.sampled_from([1.0, 7.0, 60.0]))
async def test_no_window_ever_holds_more_than_is_allowed_and_room_is_found_in_time(steps: list[float], calls: int, seconds: float) -> None:
    clock = FakeClock()
    counters = MemoryCounters(clock)
    taken: list[float] = []
    for step in steps:
        clock.now += step
        used_up = await counters.take([Allowance("k", calls, seconds)])
        within = [at for at in taken if clock.now - at < seconds]
        if used_up is None:
            assert len(within) < calls
            taken.append(clock.now)
        else:
            # Refused only while a window and a sixtieth holds so many.
            assert len([at for at in taken if clock.now - at < seconds * (1 + 1 / GROUPS) + 1e-9]) >= calls
            assert 0 <= used_up.wait <= seconds


@given(steps=STEPS, calls=st.integers(1, 5))
async def test_whoever_waits_as_long_as_told_gets_in(steps: list[float], calls: int) -> None:
    clock = FakeClock()
    counters = MemoryCounters(clock)
    allowance = Allowance("k", calls, 60.0)
    for step in steps:
        clock.now += step
        used_up = await counters.take([allowance])
        if used_up is not None:
            clock.now += used_up.wait + 1e-9

            assert await counters.take([allowance]) is None


@given(
    asked=st.lists(st.tuples(st.floats(0, 20), st.sets(st.sampled_from("abc"), min_size=1)), max_size=60),
    limits=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
)
async def test_a_call_counts_against_every_limit_or_against_none(asked: list[tuple[float, set[str]]], limits: tuple[int, int, int]) -> None:
    clock = FakeClock()
    counters = MemoryCounters(clock)
    allowances = {name: Allowance(name, calls, 60.0) for name, calls in zip("abc", limits, strict=True)}
    taken: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for step, names in asked:
        clock.now += step

        used_up = await counters.take([allowances[name] for name in sorted(names)])

        full = {name for name in names if len([at for at in taken[name] if clock.now - at < 60]) >= allowances[name].calls}
        if used_up is None:
            assert not full
            for name in names:
                taken[name].append(clock.now)
        elif not full:  # a group's last call may keep its first a second longer
            assert len([at for at in taken[used_up.allowance.key] if clock.now - at < 61]) >= used_up.allowance.calls


async def test_the_limit_that_is_used_up_longest_is_named() -> None:
    hour = Allowance("hour", 1, 3600.0)
    counters = MemoryCounters(FakeClock())
    await counters.take([Allowance("minute", 1, 60.0), hour])

    assert await counters.take([Allowance("minute", 1, 60.0), hour]) == UsedUp(hour, 3600.0)


async def test_callers_that_are_gone_take_no_memory() -> None:
    clock = FakeClock()
    counters = MemoryCounters(clock)
    for n in range(1000):
        clock.now += 1
        await counters.take([Allowance(f"user {n}", 5, 60.0)])

    assert sum(len(windows) for windows in counters._windows.values()) <= 62


class Shelf:
    """A `Remote` in this process that can be taken away."""

    def __init__(self, clock: FakeClock) -> None:
        self.counters = MemoryCounters(clock)
        self.away = False
        self.asked = 0

    async def take(self, allowances: Sequence[Allowance], owed: Sequence[int]) -> UsedUp | None:
        self.asked += 1
        if self.away:
            raise Away
        for allowance, number in zip(allowances, owed, strict=True):
            for _ in range(number):
                self.counters.note([allowance])
        return self.counters.take_now(allowances)


async def admitted(workers: Sequence[SharedCounters], allowance: Allowance, calls: int) -> int:
    """How many of `calls`, spread over the workers in turn, are let through."""
    return sum([await workers[n % len(workers)].take([allowance]) is None for n in range(calls)])


async def test_a_store_that_goes_away_and_comes_back_lets_at_most_a_call_of_each_worker_more_through() -> None:
    clock = FakeClock()
    shelf = Shelf(clock)
    workers = [SharedCounters(shelf, 4, clock) for _ in range(4)]
    allowance = Allowance("user", 100, 60.0)

    before = await admitted(workers, allowance, 48)
    shelf.away = True
    during = await admitted(workers, allowance, 400)
    shelf.away = False
    clock.now += 2
    after = await admitted(workers, allowance, 400)

    # Each but the last is let one through when it tells of its own, since the others have not told of theirs.
    assert (before, during, after) == (48, 52, 3)
    assert not any(worker.degraded for worker in workers)


async def test_while_the_store_is_away_it_is_looked_for_once_a_second_and_nobody_else_waits() -> None:
    clock = FakeClock()
    shelf = Shelf(clock)
    counters = SharedCounters(shelf, 2, clock)
    shelf.away = True
    for _ in range(10):
        await counters.take([MINUTE])

    assert (shelf.asked, counters.degraded) == (1, True)

    clock.now += 1
    await counters.take([MINUTE])
    assert shelf.asked == 2

    shelf.away, clock.now = False, clock.now + 1
    assert await counters.take([Allowance("other", 2, 60.0)]) is None
    assert counters.degraded is False


async def test_a_share_of_a_small_limit_is_one_call_and_the_refusal_names_the_whole_limit() -> None:
    clock = FakeClock()
    shelf = Shelf(clock)
    shelf.away = True
    counters = SharedCounters(shelf, 8, clock)

    assert await counters.take([MINUTE]) is None
    assert await counters.take([MINUTE]) == UsedUp(MINUTE, 60.0)


async def test_a_url_that_cannot_be_meant_is_not_repeated() -> None:
    pytest.importorskip("redis", reason="needs the extra redis")

    with pytest.raises(Misconfigured, match=r"^shared must be a URL that starts with redis://, rediss:// or unix://$"):
        async with open_counters("http://user:secret@host", 1):
            pass
