"""Carry a command out: feed it, listen to it, and end it with everything it started when it passes a limit."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from toolgate.sandbox.box import Ended, EndedBy, Limits

LOOKS = 0.1  # seconds between two looks at memory and disk; a guess between what is missed and what looking costs
PIECE = 64 * 1024
CLOSING = 2.0  # seconds that pipes may take to close after the kill; a descendant outside the tree might hold them

Look = Callable[[int], EndedBy | None]


async def carry(command: Sequence[str], stdin: bytes, limits: Limits, look: Look, descriptors: Sequence[int] = ()) -> Ended:
    """
    Args:
        command: its program by its whole path, since it has no environment to look in.
        look: says of the first process's id what limit is passed now, if any; asked ten times a second, in a thread.
        descriptors: what the command finds open besides its three streams.
    """
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=tuple(descriptors),
        start_new_session=True,
        env={},  # jobs have their own, and see that of bwrap, which is the first process where they are
        cwd="/",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    verdict: asyncio.Future[EndedBy] = asyncio.get_running_loop().create_future()
    said = [bytearray(), bytearray()]

    def decide(by: EndedBy) -> None:
        if not verdict.done():
            verdict.set_result(by)

    async def listen(stream: asyncio.StreamReader, heard: bytearray) -> None:
        while piece := await stream.read(PIECE):
            heard += piece[: limits.output - len(heard)]
            if len(piece) > 0 and len(heard) >= limits.output:
                decide("output")

    async def feed(stream: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            stream.write(stdin)
            await stream.drain()
        stream.close()

    async def watch() -> None:
        try:
            while True:
                if by := await asyncio.to_thread(look, process.pid):
                    decide(by)
                await asyncio.sleep(LOOKS)
        except Exception as error:
            if not verdict.done():
                verdict.set_exception(error)  # nothing runs that is not watched

    async def finish() -> None:
        await process.wait()
        decide("exit")

    tasks = [asyncio.create_task(one) for one in (feed(process.stdin), watch(), finish())]
    heard = [asyncio.create_task(listen(stream, into)) for stream, into in zip((process.stdout, process.stderr), said, strict=True)]
    try:
        try:
            async with asyncio.timeout(limits.seconds):
                by = await asyncio.shield(verdict)
        except TimeoutError:
            by = "time"
        _end(process.pid)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await asyncio.gather(*heard, process.wait())
    finally:
        _end(process.pid)
        for task in (*tasks, *heard):
            task.cancel()
    code = process.returncode
    code = None if by != "exit" or code is None else code if code >= 0 else 128 - code
    return Ended(by, code, bytes(said[0]), bytes(said[1]), time.monotonic() - started)


def _end(group: int) -> None:
    """Kill the group that the command leads; with bubblewrap its first process takes everything in its namespace with it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
