"""Counts in a real Redis: exact over processes, all or none, and what happens when it stops, restarts or forgets."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.abc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolgate.calls import new_id
from toolgate.stores import Allowance, UsedUp
from toolgate.stores.counters import Away, MemoryCounters, SharedCounters
from toolgate.testing import FakeClock

pytest.importorskip("redis", reason="needs the extra redis")

from toolgate.stores.redis import SECONDS, RedisCounters, open_redis

MINUTE = Allowance("user", 2, 60.0)


class Server:
    """A redis-server of our own, on a socket in a folder of the test's."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        program = shutil.which("redis-server")
        assert program is not None
        command = [program, "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", str(self._socket.parent), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while self.ask("PING") != "PONG":
            assert time.monotonic() < until, "redis-server does not start"

    def ask(self, *command: str) -> str:
        asked = subprocess.run(["redis-cli", "-s", str(self._socket), *command], capture_output=True, text=True, check=False, timeout=10)
        return asked.stdout.strip()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
        pytest.skip("needs redis-server (Debian's package of that name), which is not here")
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def counters(server: Server) -> AsyncIterator[RedisCounters]:
    async with open_redis(server.url) as counters:
        yield counters


async def take(counters: RedisCounters, *allowances: Allowance, owed: Sequence[int] | None = None) -> UsedUp | None:
    return await counters.take(allowances, owed or [0] * len(allowances))


async def test_the_call_after_the_last_allowed_one_hears_when_there_is_room(counters: RedisCounters) -> None:
    assert await take(counters, MINUTE) is None
    assert await take(counters, MINUTE) is None

    used_up = await take(counters, MINUTE)

    assert used_up is not None
    assert used_up.allowance == MINUTE
    assert 50 < used_up.wait <= 60


async def test_a_refused_call_takes_from_no_limit(counters: RedisCounters) -> None:
    wide = Allowance("tenant", 3, 60.0)
    for _ in range(5):
        await take(counters, wide, MINUTE)  # three are refused

    assert await take(counters, wide) is None
    assert await take(counters, wide) is not None


async def test_after_a_failover_the_new_primary_is_found_at_the_same_address(server: Server, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    primary = Server(tmp_path / "new")
    primary.start()
    to = [server]

    async def relay(client: anyio.abc.SocketStream) -> None:
        """As a service of Kubernetes: a connection stays where it was led."""
        async with client, await anyio.connect_unix(to[-1].url.removeprefix("unix://")) as behind, anyio.create_task_group() as tasks:

            async def pass_on(there: anyio.abc.ByteStream, here: anyio.abc.ByteStream) -> None:
                async for piece in there:
                    await here.send(piece)
                tasks.cancel_scope.cancel()

            tasks.start_soon(pass_on, client, behind)
            tasks.start_soon(pass_on, behind, client)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, relay)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with open_redis(f"redis://127.0.0.1:{port}") as counters:
            assert await take(counters, MINUTE) is None
            server.ask("REPLICAOF", "127.0.0.1", "1")
            to.append(primary)
            with pytest.raises(Away, match="ReadOnlyError"):
                await take(counters, MINUTE)

            assert await take(counters, MINUTE) is None
        tasks.cancel_scope.cancel()
    primary.stop()


async def test_scripts_need_not_be_loaded_beforehand(server: Server, counters: RedisCounters) -> None:
    server.ask("ACL", "SETUSER", "default", "-script")

    assert [await take(counters, MINUTE) is None for _ in range(3)] == [True, True, False]


async def test_a_window_slides(counters: RedisCounters) -> None:
    short = Allowance("short", 1, 0.2)
    assert await take(counters, short) is None
    used_up = await take(counters, short)
    assert used_up is not None

    await anyio.sleep(used_up.wait)  # the server's clock cannot be moved

    assert await take(counters, short) is None


async def test_what_was_let_through_elsewhere_counts(counters: RedisCounters) -> None:
    five = Allowance("five", 5, 60.0)

    assert await take(counters, five, owed=[4]) is None
    assert await take(counters, five) is not None


# Each example counts under keys of its own.
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(st.sets(st.sampled_from("abc"), min_size=1), max_size=30), limits=st.tuples(*[st.integers(1, 9)] * 3))
async def test_it_decides_like_the_counters_of_one_process(
    counters: RedisCounters, asked: list[set[str]], limits: tuple[int, int, int]
) -> None:
    example = new_id()
    allowances = {name: Allowance(f"{name} {example}", calls, 3600.0) for name, calls in zip("abc", limits, strict=True)}
    memory = MemoryCounters()
    for names in asked:
        wanted = [allowances[name] for name in sorted(names)]

        assert (await take(counters, *wanted) is None) == (await memory.take(wanted) is None)


async def test_many_clients_at_once_are_let_through_exactly_as_often_as_allowed(server: Server) -> None:
    allowance = Allowance("everybody", 500, 60.0)
    taken: list[bool] = []

    async def ask(counters: RedisCounters) -> None:
        for _ in range(100):
            taken.append(await take(counters, allowance) is None)

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_redis(server.url)) for _ in range(8)]
        await asyncio.gather(*(ask(client) for client in clients))

    assert (len(taken), sum(taken)) == (800, 500)


async def test_a_stopped_server_costs_a_call_its_timeout_and_the_limit_holds_before_during_and_after(server: Server) -> None:
    allowance = Allowance("user", 100, 60.0)
    delays: list[float] = []

    async def admitted(workers: Sequence[SharedCounters], calls: int) -> int:
        taken = 0
        for n in range(calls):
            began = time.monotonic()
            taken += await workers[n % len(workers)].take([allowance]) is None
            delays.append(time.monotonic() - began)
        return taken

    async with AsyncExitStack() as stack:
        remotes = [await stack.enter_async_context(open_redis(server.url)) for _ in range(4)]
        clock = FakeClock()
        workers = [SharedCounters(remote, 4, clock) for remote in remotes]
        before = await admitted(workers, 48)
        server.signal(signal.SIGSTOP)
        during = await admitted(workers, 400)
        degraded = [worker.degraded for worker in workers]
        server.signal(signal.SIGCONT)
        clock.now += 2  # the next calls look whether it is back
        after = await admitted(workers, 400)

    assert before + during == 100
    assert before + during + after <= 125
    assert degraded == [True] * 4
    assert not any(worker.degraded for worker in workers)
    assert max(delays) < SECONDS + 2  # for scheduling on a busy machine; a call that is not cut off waits for good


async def test_a_server_that_restarts_forgets_or_has_no_memory_fails_no_call(server: Server) -> None:
    async with open_redis(server.url) as remote:
        clock = FakeClock()
        counters = SharedCounters(remote, 1, clock)
        wide = Allowance("wide", 1000, 60.0)

        async def degraded() -> bool:
            assert await counters.take([wide]) is None
            return counters.degraded

        assert not await degraded()
        server.ask("SCRIPT", "FLUSH")
        assert not await degraded()
        server.ask("FLUSHALL")
        assert not await degraded()

        server.ask("CONFIG", "SET", "maxmemory", "1")
        assert await degraded()

        server.stop()
        server.start()
        clock.now += 2
        assert not await degraded()
