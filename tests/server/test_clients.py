"""Which MCP clients are heard of, whose they are, and how much is kept of them."""

from __future__ import annotations

import anyio
import pytest

from toolgate.calls import Principal
from toolgate.server.clients import MOST, Client, Clients, client_of
from toolgate.stores.memory import memory_stores
from toolgate.testing import FakeClock

NOW = 1_999_998_000.0  # a whole hour, and later than the tests run
ADA, BOB = Principal("ada", via="key"), Principal("bob", via="key")


def named(name: str, principal: Principal = ADA, protocol: str = "2025-11-25") -> Client:
    return client_of(name, "1.0", protocol, "streamable-http", principal)


async def test_a_client_is_told_with_its_open_sessions_the_one_heard_of_last_first() -> None:
    clock = FakeClock(NOW)
    clients = Clients(memory_stores().records, clock)
    one, two = anyio.Event(), anyio.Event()
    await clients.meet(named("desk"), one)
    await clients.meet(named("desk"), two)
    clock.now += 5
    await clients.meet(named("rounds", protocol="2026-07-28"))
    one.set()

    seen = await clients.list()

    assert [(each.client.name, each.sessions, each.first, each.last) for each in seen] == [
        ("rounds", None, NOW + 5, NOW + 5),
        ("desk", 1, NOW, NOW),
    ]
    two.set()
    assert [each.sessions for each in await clients.list()] == [None, 0]


async def test_everybody_hears_of_their_own_only_and_other_processes_too() -> None:
    records = memory_stores().records
    clients = Clients(records)
    await clients.meet(named("a"))
    await clients.meet(named("b", BOB))

    elsewhere = Clients(records)

    assert [each.client.name for each in await elsewhere.list(ADA)] == ["a"]
    assert {each.client.name for each in await elsewhere.list()} == {"a", "b"}


async def test_of_one_principal_so_many_are_kept_and_those_not_heard_of_longest_go() -> None:
    clock, records = FakeClock(NOW), memory_stores().records
    clients = Clients(records, clock)
    await clients.meet(named("bob's", BOB))
    for number in range(MOST + 5):
        clock.now += 1
        await clients.meet(named(f"c{number}"))

    own = [each.client.name for each in await clients.list(ADA)]

    assert own == [f"c{number}" for number in reversed(range(5, MOST + 5))]
    assert [each.client.name for each in await clients.list(BOB)] == ["bob's"]


async def test_who_calls_without_a_session_is_written_down_once_an_hour() -> None:
    clock, records = FakeClock(NOW), memory_stores().records
    clients = Clients(records, clock)
    for _ in range(3):
        await clients.hear(("rounds", "2"), ADA)
        clock.now += 1
    [first] = await records.list("client")
    clock.now += 3600
    await clients.hear(("rounds", "2"), ADA)
    [second] = await records.list("client")

    assert (first.version, second.version) == (1, 2)
    assert (second.body["first"], second.body["last"]) == (NOW, NOW + 3603)


@pytest.mark.parametrize("name", ["x" * 5000, "\ud800", "<script>", ""])
async def test_whatever_a_client_is_called_is_kept_as_text_and_short(name: str) -> None:
    clients = Clients(memory_stores().records)
    await clients.meet(named(name))

    [seen] = await clients.list()

    assert len(seen.client.name) <= 120
    seen.client.name.encode()
