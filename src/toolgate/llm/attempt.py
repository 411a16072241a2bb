"""One attempt at a model: its pieces as they come, each within its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from toolgate.errors import ModelFailed, TimedOut
from toolgate.llm.classify import cut_off
from toolgate.llm.messages import Chosen, Delta, Done


async def pieces(
    stream: AsyncGenerator[Delta, None], provider: str, *, first: float, idle: float, left: Callable[[], float]
) -> AsyncGenerator[Delta, None]:
    """What `stream` says, to its `Done`.

    Args:
        first: seconds until the first piece.
        idle: seconds until every further one.
        left: seconds until the deadline of the whole request.

    Raises:
        ModelFailed: a piece did not come in time, or the end did not come at all.
        TimedOut: the deadline passed.
    """
    began = time.monotonic()
    answering = False
    async with aclosing(stream):
        while True:
            wait = idle if answering else max(0.0, first - (time.monotonic() - began))
            seconds = min(wait, max(0.0, left()))
            try:
                async with asyncio.timeout(seconds):
                    delta = await anext(stream)
            except StopAsyncIteration:
                raise cut_off(provider) from None
            except TimeoutError:
                if seconds < wait or left() <= 0:
                    raise TimedOut(f"{provider} had not answered when the time for the request was over") from None
                what = f"gone on with its answer within {idle:g} s" if answering else f"begun to answer within {first:g} s"
                raise ModelFailed(f"{provider} has not {what}", "transient", reason="timeout") from None
            yield delta
            if isinstance(delta, Done):
                return
            answering = answering or not isinstance(delta, Chosen)
