from __future__ import annotations

import asyncio

import anyio
import pytest

from toolgate.tasks import Within


async def test_a_block_in_time_is_left_alone() -> None:
    with anyio.fail_after(5):
        with Within(30):
            await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.mark.parametrize("seconds", [0.01, 0.0, -1.0])
async def test_a_block_that_takes_longer_ends_with_a_timeout(seconds: float) -> None:
    with anyio.fail_after(5):
        with pytest.raises(TimeoutError), Within(seconds):
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # nothing of it is left


async def test_of_two_blocks_the_shorter_ends() -> None:
    with anyio.fail_after(5), Within(30):
        with pytest.raises(TimeoutError), Within(0.01):
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError), Within(0.0):
        raise KeyError


async def test_an_error_raised_on_being_cancelled_by_time_comes_out_too() -> None:
    async def block() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KeyError from None

    with anyio.fail_after(5), pytest.raises(KeyError), Within(0.0):
        await block()


async def test_who_is_cancelled_from_outside_is_cancelled_and_not_late() -> None:
    async def block() -> None:
        with Within(30):
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with anyio.fail_after(5), pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_cancelled_and_late_at_once_is_cancelled() -> None:
    async def block() -> None:
        with Within(0.0):
            task.cancel()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    with anyio.fail_after(5), pytest.raises(asyncio.CancelledError):
        await task


async def test_within_a_scope_of_anyio_the_scope_still_counts() -> None:
    with anyio.move_on_after(0.01) as scope, Within(30):
        await asyncio.Event().wait()
    assert scope.cancelled_caught
