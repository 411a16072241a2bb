"""Tasks beside a block, which end with it and whose errors come out of it as they are; and blocks that end in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from types import TracebackType

import anyio
from anyio.abc import TaskGroup


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


class Within:
    """`with Within(seconds)`: TimeoutError when the block takes longer.

    As `asyncio.timeout`, at a third of its cost and a sixth of that of `anyio.fail_after`: every call has such a block around it.
    Like the former it cancels its task once, and not again should the block go on. Where blocks are shielded from being
    cancelled, as around calls within calls, `anyio.fail_after` is meant.
    """

    __slots__ = ("_cancelled", "_passed", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._cancelled = task.cancelling()
        self._timer = loop.call_later(max(0.0, self._seconds), self._pass)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._passed:
            self._timer.cancel()
        # Somebody else may have cancelled the task as well, who is told first.
        elif self._task.uncancel() <= self._cancelled and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _pass(self) -> None:
        self._passed = True
        self._task.cancel()
