"""A server that is a child process of ours: its standard input and output are the line (transports, "stdio").

It leads a process group of its own, and that whole group is ended with it, by us or by `keeper`. Its environment is
clean: what the operator gives, and the few variables that programs need to find themselves. What it writes to standard
error goes into our log, some lines a second and no more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from toolgate.errors import Unreachable, UpstreamFailed
from toolgate.tasks import beside
from toolgate.upstream import keeper
from toolgate.upstream.messages import MAX_MESSAGE, Garbage, Message, decode, encode
from toolgate.upstream.peer import Hear

INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
"""Variables that are ours and a child's. None of them is meant to hold a secret."""
GARBAGE = 100  # lines on standard output that are no messages: banners of programs that mean well
LAST_WORDS = 0.25  # seconds in which what a child said before its end is still taken in
POLITE, FIRM = 1.0, 2.0
"""Seconds that a child has to end when its input closes, and after SIGTERM."""
LOGGED, LOGGED_SECONDS = 20, 10.0
"""Lines of standard error logged in so many seconds."""
LONGEST_LOGGED = 500  # characters of such a line
LAST = 5  # lines of it that are told when the child ends by itself
UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]+")

log = logging.getLogger("toolgate.upstream")


class Keeper:
    """Tells `keeper` of the groups there are. Started with the first child."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()

    async def tell(self, sign: str, group: int) -> None:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-S", keeper.__file__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, env={}
                )
            assert self._process.stdin is not None
            self._process.stdin.write(f"{sign}{group}\n".encode())

    async def close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()


class Child:
    """The line to a child process."""

    def __init__(self, who: str, process: asyncio.subprocess.Process) -> None:
        self._who = who
        self._process = process
        self._hear: Hear | None = None
        self._writing = asyncio.Lock()
        self.over = False
        """It has ended by itself."""

    def begin(self, hear: Hear) -> None:
        self._hear = hear

    async def send(self, message: Message) -> None:
        writer = self._process.stdin
        assert writer is not None
        try:
            # One drain at a time: asyncio lets several writers wait only on some versions of Python.
            async with self._writing:
                writer.write(encode(message) + b"\n")
                await writer.drain()
        except (ConnectionError, RuntimeError):
            raise Unreachable(f"{self._who} has ended") from None

    async def listen(self) -> None:
        """Take in what the child says, until it says no more or is gone.

        Raises:
            UpstreamFailed: it says what cannot be meant.
        """
        with anyio.CancelScope() as scope:
            async with beside() as tasks:
                tasks.start_soon(self._until_gone, scope)
                await self._take()
        self.over = True

    async def _until_gone(self, scope: anyio.CancelScope) -> None:
        # Its output does not end with it where it leaves children behind that hold the pipe open.
        await _gone(self._process.pid)
        await anyio.sleep(LAST_WORDS)
        scope.cancel()

    async def _take(self) -> None:
        assert self._hear is not None
        garbage = 0
        async for line in self._lines():
            try:
                messages = decode(line)
            except Garbage as error:
                garbage += 1
                if garbage > GARBAGE:
                    raise UpstreamFailed(f"{self._who} does not speak MCP: {error}") from None
                continue
            for message in messages:
                await self._hear(message, None)

    async def _lines(self) -> AsyncIterator[bytes]:
        reader = self._process.stdout
        assert reader is not None
        rest = bytearray()
        while piece := await reader.read(64 * 1024):
            searched = len(rest)
            rest += piece
            while (end := rest.find(b"\n", searched)) >= 0:
                line = bytes(rest[:end])
                del rest[: end + 1]
                searched = 0
                if line.strip():
                    yield line
            if len(rest) > MAX_MESSAGE:
                raise UpstreamFailed(f"{self._who} sent a line of more than {MAX_MESSAGE} bytes")


@asynccontextmanager
async def child(who: str, command: Sequence[str], env: Mapping[str, str], folder: Path, keeper: Keeper) -> AsyncIterator[Child]:
    """A child process as a line; when the block ends, so have it and all of its group.

    Raises:
        Unreachable: it cannot be started.
    """
    # Shielded, so that nobody is cancelled between a child's birth and knowing its name.
    with anyio.CancelScope(shield=True):
        process = await _start(who, command, env, folder)
    last: deque[str] = deque(maxlen=LAST)
    read = anyio.Event()
    try:
        await keeper.tell("+", process.pid)
        async with beside() as tasks:
            tasks.start_soon(_log, who, process, last, read)
            line = Child(who, process)
            try:
                yield line
            finally:
                if line.over:
                    with anyio.move_on_after(LAST_WORDS, shield=True):
                        await read.wait()
                    if last:
                        log.warning("%s wrote last: %s", who, " | ".join(last))
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
            await keeper.tell("-", process.pid)


async def _start(who: str, command: Sequence[str], env: Mapping[str, str], folder: Path) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(env),
            cwd=folder,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its command cannot be run"
        raise Unreachable(f"{who} cannot be started: {Path(command[0]).name}: {why}") from None


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """What a child finds in its environment."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(env)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the child: its input closes, then SIGTERM, then SIGKILL; the last also to all that it has left behind."""
    if process.stdin is not None:
        process.stdin.close()
    for seconds, number in ((POLITE, signal.SIGTERM), (FIRM, signal.SIGKILL)):
        with anyio.move_on_after(seconds):
            await process.wait()
            break
        _kill(process.pid, number)
    _kill(process.pid, signal.SIGKILL)
    await process.wait()
    # Else the pipes of grandchildren that live on elsewhere would be held until they end.
    process._transport.close()  # type: ignore[attr-defined]


async def _gone(pid: int) -> None:
    """Return once the process has ended, whoever holds its pipes; never where the system does not tell."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        await anyio.sleep_forever()
    try:
        await anyio.wait_readable(descriptor)
    finally:
        os.close(descriptor)


def _kill(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _log(who: str, process: asyncio.subprocess.Process, last: deque[str], ended: anyio.Event) -> None:
    """Read standard error to its end, and log of it what is fit to be read.

    Args:
        last: is filled with what it wrote last.
        ended: is set when there is no more.
    """
    reader = process.stderr
    assert reader is not None
    since, told, untold, rest = time.monotonic(), 0, 0, b""
    while piece := await reader.read(64 * 1024):
        *lines, rest = (rest + piece).split(b"\n")
        rest = rest[-LONGEST_LOGGED:]
        if time.monotonic() - since > LOGGED_SECONDS:
            if untold:
                log.info("%s: … %d lines more", who, untold)
            since, told, untold = time.monotonic(), 0, 0
        for line in lines[: LOGGED - told]:
            if text := _fit(line):
                log.info("%s: %s", who, text)
        last.extend(text for line in lines[-LAST:] if (text := _fit(line)))
        untold += max(0, len(lines) - (LOGGED - told))
        told = min(LOGGED, told + len(lines))
    if text := _fit(rest):
        log.info("%s: %s", who, text)
        last.append(text)
    ended.set()


def _fit(line: bytes) -> str:
    return UNPRINTABLE.sub(" ", line[:LONGEST_LOGGED].decode(errors="replace")).strip()
