from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from itertools import pairwise
from random import Random

import anyio
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from toolgate.tasks import STEP, Deadlines, Within, either


async def test_a_block_in_time_is_left_alone() -> None:
    with anyio.fail_after(15):
        with Within(30, Deadlines()):
            await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.mark.parametrize("seconds", [0.01, 0.0, -1.0])
async def test_a_block_that_takes_longer_ends_with_a_timeout(seconds: float) -> None:
    with anyio.fail_after(15):
        with pytest.raises(TimeoutError), Within(seconds, Deadlines()):
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # nothing of it is left


async def test_of_two_blocks_the_shorter_ends() -> None:
    deadlines = Deadlines()
    with anyio.fail_after(15), Within(30, deadlines):
        with pytest.raises(TimeoutError), Within(0.01, deadlines):
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError), Within(0.0, Deadlines()):
        raise KeyError


async def test_an_error_raised_on_being_cancelled_by_time_comes_out_too() -> None:
    async def block() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KeyError from None

    with anyio.fail_after(15), pytest.raises(KeyError), Within(0.0, Deadlines()):
        await block()


async def test_who_is_cancelled_from_outside_is_cancelled_and_not_late() -> None:
    async def block() -> None:
        with Within(30, Deadlines()):
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with anyio.fail_after(15), pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_cancelled_and_late_at_once_is_cancelled() -> None:
    async def block() -> None:
        with Within(0.0, Deadlines()):
            task.cancel()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    with anyio.fail_after(15), pytest.raises(asyncio.CancelledError):
        await task


async def test_within_a_scope_of_anyio_the_scope_still_counts() -> None:
    with anyio.move_on_after(0.01) as scope, Within(30, Deadlines()):
        await asyncio.Event().wait()
    assert scope.cancelled_caught


class Skipping(asyncio.SelectorEventLoop):
    """A loop in which time passes only while everybody waits, and then at once."""

    def __init__(self) -> None:
        super().__init__(Skips(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class Skips(selectors.DefaultSelector):
    def __init__(self, loop: Skipping) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0.0
        return super().select(0)


Plan = tuple[tuple[int, int, "Plan", int], ...]
"""Blocks one after the other: the time of each, how long it waits first, what is within it, how long it waits then."""
TIMES = st.integers(0, 3)
PLANS: st.SearchStrategy[Plan] = st.recursive(
    st.just(()), lambda inner: st.lists(st.tuples(TIMES, TIMES, inner, TIMES), min_size=1, max_size=2).map(tuple), max_leaves=6
)
Limit = Callable[[float], AbstractAsyncContextManager[object]]


def told(plan: Plan, cancelled: float, limit: Callable[[Skipping], Limit]) -> tuple[list[tuple[str, float]], list[float]]:
    """How each block ends and when, and all moments at which something was due."""
    chance = Random(0)
    endings: list[tuple[str, float]] = []
    due = [cancelled]

    with closing(Skipping()) as loop:
        limited = limit(loop)

        def some(units: int) -> float:
            seconds = 1000 * (units + chance.random())
            due.append(loop.now + seconds)
            return seconds

        async def run(plan: Plan) -> None:
            for time, first, inner, then in plan:
                try:
                    async with limited(some(time)):
                        await asyncio.sleep(some(first))
                        await run(inner)
                        await asyncio.sleep(some(then))
                except BaseException as error:
                    endings.append((type(error).__name__, loop.now))
                    if not isinstance(error, TimeoutError):
                        raise
                else:
                    endings.append(("", loop.now))

        async def main() -> None:
            task = asyncio.create_task(run(plan))
            loop.call_at(cancelled, task.cancel)
            await asyncio.wait([task])
            endings.append(("cancelled" if task.cancelled() else str(task.exception()), loop.now))

        loop.run_until_complete(main())
    return endings, due


@given(PLANS, st.floats(0, 20_000))
def test_blocks_end_as_those_of_asyncio_do_a_few_milliseconds_later(plan: Plan, cancelled: float) -> None:
    def ours(loop: Skipping) -> Limit:
        deadlines = Deadlines(loop.time)

        @asynccontextmanager
        async def limit(seconds: float) -> AsyncIterator[None]:
            with Within(seconds, deadlines):
                yield

        return limit

    theirs, due = told(plan, cancelled, lambda _loop: asyncio.timeout)
    assume(all(later - sooner > 1 for sooner, later in pairwise(sorted(due))))

    found, _ = told(plan, cancelled, ours)

    assert [ending for ending, _ in found] == [ending for ending, _ in theirs]
    assert all(0 <= now - then <= 10 * STEP for (_, now), (_, then) in zip(found, theirs, strict=True))


def test_thousands_of_blocks_need_one_timer_and_nobody_looks_before_something_is_due() -> None:
    with closing(Skipping()) as loop:
        looked: list[float] = []
        deadlines = Deadlines(lambda: looked.append(loop.now) or loop.now)  # type: ignore[func-returns-value]

        async def block(seconds: float) -> None:
            with Within(seconds, deadlines):
                await asyncio.sleep(1)

        async def main() -> None:
            await asyncio.gather(*(block(30 + number) for number in range(1000)))
            looked.clear()
            await asyncio.sleep(100)

        loop.run_until_complete(main())

        assert looked == [30.0]  # the timer of the first, after which nobody is left


def test_deadlines_serve_one_loop_after_the_other() -> None:
    deadlines = Deadlines()

    async def block() -> None:
        with anyio.fail_after(15), pytest.raises(TimeoutError), Within(0.01, deadlines), Within(30, deadlines):
            await asyncio.Event().wait()

    asyncio.run(block())
    asyncio.run(block())


async def test_the_first_of_several_ends_the_wait_for_all() -> None:
    one, never = anyio.Event(), anyio.Event()

    with anyio.fail_after(15):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(either, never.wait, one.wait)
            one.set()
