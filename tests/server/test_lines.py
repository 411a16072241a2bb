"""Lines over descriptors: pipes, which the loop waits for, and files, which it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import PIPE_BUF

import anyio
import pytest

from toolgate.server import lines
from toolgate.server.lines import BLOCK, Input, Output


@contextmanager
def a_pipe() -> Iterator[tuple[int, int]]:
    """As `claimed` leaves it: nobody waits in a call of the system."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def read_all(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return b""


async def test_lines_come_whole_however_they_are_cut_and_the_last_needs_no_end() -> None:
    heard: list[bytes] = []
    long = b"x" * (BLOCK + 7)
    with a_pipe() as (source, writing), a_pipe() as (_, sink):

        async def write() -> None:
            for block in (b"a\nb", b"", b"c\n", b"\n", long[:1000], long[1000:] + b"\nlast"):
                for at in range(0, len(block), 4096):
                    os.write(writing, block[at : at + 4096])
                    await anyio.sleep(0.001)
            os.dup2(sink, writing)  # closes what was there

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write)
                await Input(source).read(heard.append, Output(sink))

    assert heard == [b"a", b"bc", b"", long, b"last"]


async def test_a_file_is_read_and_written_too(tmp_path: Path) -> None:
    heard: list[bytes] = []
    (tmp_path / "in").write_bytes(b"a\nb\n" * 30_000)
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        output = Output(sink.fileno())
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(output.run)
                await Input(source.fileno()).read(heard.append, output)
                for line in heard:
                    output.write(line)
                await output.flushed()
                tasks.cancel_scope.cancel()

    assert heard == [b"a", b"b"] * 30_000
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


async def test_a_client_that_does_not_read_is_not_read_from_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_WAITING", 200_000)
    line, answer = b"x" * (PIPE_BUF - 1) + b"\n", b"y" * 10_000  # a pipe takes the line whole, or not at all
    heard = sent = stuck = 0
    got = b""
    with a_pipe() as (source, writing), a_pipe() as (reading, sink):
        output = Output(sink)

        def hear(_: bytes) -> None:
            nonlocal heard
            heard += 1
            output.write(answer)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(output.run)
                tasks.start_soon(Input(source).read, hear, output)
                while stuck < 20:
                    try:
                        sent, stuck = sent + os.write(writing, line) // len(line), 0
                    except BlockingIOError:
                        stuck += 1
                    await anyio.sleep(0.005 if stuck else 0)
                waiting = heard * len(answer)
                while got.count(b"\n") < sent:
                    got += read_all(reading)
                    await anyio.sleep(0)
                tasks.cancel_scope.cancel()

    assert 200_000 < waiting < 200_000 + BLOCK + BLOCK // len(line) * len(answer)
    assert got == (answer + b"\n") * sent


async def test_nothing_is_read_any_more_when_nobody_reads() -> None:
    with a_pipe() as (source, writing), a_pipe() as (reading, sink), a_pipe() as (other, _):
        output = Output(sink)
        os.dup2(other, reading)  # closes what was there
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(output.run)
                output.write(b"lost")
                await output.flushed()
                os.write(writing, b"more\n")
                await Input(source).read(lambda line: None, output)
                tasks.cancel_scope.cancel()

    assert output.is_broken


PROGRAM = """
import os, subprocess, sys
from toolgate.server.lines import claimed
before = os.get_blocking(0), os.get_blocking(1)
with claimed() as (source, sink):
    print("printed", flush=True)
    subprocess.run(["cat"], check=True)  # ends, and takes nothing
    os.write(sink, os.read(source, 100))
    assert not os.get_blocking(source)
assert (os.get_blocking(0), os.get_blocking(1)) == before == (True, True)
print("after", sys.stdin.read())
"""


def test_while_claimed_the_streams_are_nobody_elses_and_afterwards_as_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=b"x", capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"xafter \n", b"printed\n")
