"""Messages as lines over this process's standard streams.

A thread for each line, which is what files of anyio's take, costs more than the whole gate. Pipes and sockets are waited
for by the event loop instead. What cannot be waited for, a file, or must go on blocking for others, a terminal, is read and
written by threads, a block at a time.

What waits to be written is bounded: a client that does not read is not read from either.
"""

from __future__ import annotations

import os
import stat
import sys
from asyncio import Event, Future, get_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from anyio import to_thread

BLOCK = 64 * 1024
"""Bytes read at once: as many as a pipe of Linux holds."""
MOST_WAITING = 4 * 1024 * 1024
"""Bytes not written yet beyond which nothing more is read; a list of 1,223 tools has 1.5 MB."""


@contextmanager
def claimed() -> Iterator[tuple[int, int]]:
    """Descriptors of standard input and output that nobody else has, until the block ends.

    Whoever reads or prints meanwhile, children included, finds the one empty and reaches standard error by the other.
    """
    sys.stdout.flush()
    ours = _copy(0), _copy(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # there is no standard error
        os.dup2(nothing, 1)
    os.close(nothing)
    awaited = [descriptor for descriptor in ours if _is_awaited(descriptor) and os.get_blocking(descriptor)]
    for descriptor in awaited:
        os.set_blocking(descriptor, False)
    try:
        yield ours
    finally:
        for descriptor in awaited:
            os.set_blocking(descriptor, True)
        for standard, descriptor in enumerate(ours):
            with suppress(OSError):
                os.dup2(descriptor, standard)


class Output:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: list[bytes] = []
        self._size = 0
        """Bytes of them, and of those that are being written."""
        self._some, self._few, self._none = Event(), Event(), Event()
        self._few.set()
        self._none.set()
        self.is_broken = False
        """Nobody is there to read it; what is written is lost."""

    def write(self, line: bytes) -> None:
        if not self._lines:
            self._some.set()
            self._none.clear()
        self._lines += (line, b"\n")
        self._size += len(line) + 1
        if self._size > MOST_WAITING:
            self._few.clear()

    async def drained(self) -> None:
        """Return once not too much is waiting."""
        if self._size > MOST_WAITING:
            await self._few.wait()

    async def flushed(self) -> None:
        """Return once all is written."""
        await self._none.wait()

    async def run(self) -> None:
        """Write what there is to write, until cancelled."""
        write = _write if _is_awaited(self._descriptor) else _write_in_thread
        while True:
            await self._some.wait()
            self._some.clear()
            block, self._lines = memoryview(b"".join(self._lines)), []
            while block:
                try:
                    written = len(block) if self.is_broken else await write(self._descriptor, block)
                except OSError:  # a pipe that was closed, a disk that is full
                    self.is_broken = True
                    continue
                block = block[written:]
                self._size -= written
                if self._size <= MOST_WAITING:
                    self._few.set()
            if not self._size:
                self._none.set()


class Input:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def read(self, hear: Callable[[bytes], None], output: Output) -> None:
        """Have `hear` called with each line, until the input has ended or `output` is broken. It is the loop's to be quick."""
        read = _read if _is_awaited(self._descriptor) else _read_in_thread
        begun: list[bytes] = []
        while not output.is_broken and (block := await read(self._descriptor)):
            first, *others = block.split(b"\n")
            begun.append(first)
            for other in others:
                hear(b"".join(begun))
                begun = [other]
            await output.drained()
        if any(begun):
            hear(b"".join(begun))


def _copy(descriptor: int) -> int:
    """Another descriptor of the same, above the standard three even where some of those are closed.

    It is never closed: a thread may still wait for it when nobody else does any more.
    """
    copy = os.dup(descriptor)
    if copy > 2:
        return copy
    try:
        return _copy(descriptor)
    finally:
        os.close(copy)


def _is_awaited(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


async def _read(descriptor: int) -> bytes:
    loop = get_running_loop()
    while True:
        await _ready(lambda told: loop.add_reader(descriptor, told), lambda: loop.remove_reader(descriptor))
        try:
            return os.read(descriptor, BLOCK)
        except BlockingIOError:  # somebody else was quicker
            continue
        except ConnectionResetError:
            return b""


async def _write(descriptor: int, block: memoryview) -> int:
    loop = get_running_loop()
    while True:
        try:
            return os.write(descriptor, block)
        except BlockingIOError:
            await _ready(lambda told: loop.add_writer(descriptor, told), lambda: loop.remove_writer(descriptor))


async def _ready(watch: Callable[[Callable[[], None]], None], leave: Callable[[], object]) -> None:
    ready: Future[None] = get_running_loop().create_future()
    watch(lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        leave()


async def _read_in_thread(descriptor: int) -> bytes:
    try:
        return await to_thread.run_sync(os.read, descriptor, BLOCK, abandon_on_cancel=True)
    except OSError:  # the terminal is gone
        return b""


async def _write_in_thread(descriptor: int, block: memoryview) -> int:
    return await to_thread.run_sync(os.write, descriptor, block, abandon_on_cancel=True)


__all__ = ["Input", "Output", "claimed"]
