"""Tasks beside a block, which end with it and whose errors come out of it as they are; and blocks that end in time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

STEP = 0.005  # seconds between two looks at what is due; a guess, nobody counts on less


@asynccontextmanager
async def beside() -> AsyncIterator[TaskGroup]:
    """A task group that is cancelled when the block ends. A single error is raised as itself and not in a group.

    anyio's own wraps whatever the block raises, so that no `except` around it finds what it names.
    """
    try:
        async with anyio.create_task_group() as tasks:
            try:
                yield tasks
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        error = group.exceptions[0]
        raise error from error.__cause__


async def both(one: Awaitable[None], other: Awaitable[None] | None) -> None:
    """Wait for both, at the same time: what they write is written together. The first error ends the other and is raised as itself."""
    if other is None:
        return await one
    ways: tuple[Awaitable[None], ...] = one, other

    async def wait(way: Awaitable[None]) -> None:
        await way

    try:
        async with anyio.create_task_group() as tasks:
            for way in ways:
                tasks.start_soon(wait, way)
    except BaseExceptionGroup as group:
        error = group.exceptions[0]
        raise error from error.__cause__


async def either(*waits: Callable[[], Awaitable[object]]) -> None:
    """Return once one of `waits` has."""
    async with anyio.create_task_group() as tasks:

        async def until(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            tasks.cancel_scope.cancel()

        for wait in waits:
            tasks.start_soon(until, wait)


class Deadlines:
    """What ends in time the blocks `with Within(seconds, deadlines)`, with one timer for all of them.

    Nearly every block ends before its time, so that this is only noted, and somebody looks when the earliest is due.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.blocks: set[Within] = set()
        self.looks = math.inf
        """When somebody looks next."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def look_at(self, due: float) -> None:
        """Have somebody look earlier, or at all in a new loop."""
        loop = asyncio.get_running_loop()
        if loop is not self.loop:
            self.loop, self.blocks, self._timer = loop, set(), None
        if self._timer is not None:
            self._timer.cancel()
        self.looks, self._timer = due, loop.call_later(max(0.0, due - self.clock()), self._look)

    def _look(self) -> None:
        now = self.clock()
        for block in [block for block in self.blocks if block.due <= now]:
            self.blocks.remove(block)
            block.end()
        self.looks, self._timer = math.inf, None
        if self.blocks:
            self.look_at(max(now + STEP, min(block.due for block in self.blocks)))


class Within:
    """`with Within(seconds, deadlines)`: TimeoutError when the block takes longer, a few milliseconds late and never early.

    As `asyncio.timeout`, at a fifth of its cost: every call has two such blocks around it. Like it this cancels its task once,
    and not again should the block go on. Where blocks are shielded from being cancelled, as around calls within calls,
    `anyio.fail_after` is meant.
    """

    __slots__ = ("_cancelled", "_deadlines", "_passed", "_seconds", "_task", "due")

    due: float
    """On the clock of the deadlines."""

    def __init__(self, seconds: float, deadlines: Deadlines) -> None:
        self._seconds = seconds
        self._deadlines = deadlines
        self._passed = False

    def __enter__(self) -> None:
        deadlines = self._deadlines
        self.due = due = deadlines.clock() + self._seconds
        task = asyncio.current_task(deadlines.loop)
        if task is None or due < deadlines.looks:  # None: in a new loop; to ask which it is would be a system call each time
            deadlines.look_at(due)
            task = asyncio.current_task(deadlines.loop)
            assert task is not None
        self._task, self._cancelled = task, task.cancelling()
        deadlines.blocks.add(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._passed:
            self._deadlines.blocks.discard(self)
        # Somebody else may have cancelled the task as well, who is told first.
        elif self._task.uncancel() <= self._cancelled and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self) -> None:
        self._passed = True
        self._task.cancel()
