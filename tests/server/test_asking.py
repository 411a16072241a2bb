"""The person at an MCP client is asked, through the SDK's own client: in rounds, on the call's stream, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitResult, TextContent
from starlette.types import Scope

from toolgate.audit.keys import Keys
from toolgate.calls import Principal
from toolgate.gateway import Gateway, build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Approvals, Settings
from toolgate.stores import Stores
from toolgate.stores.memory import MemoryJournal, memory_stores
from toolgate.testing import Echo, a_principal, a_tool

Serve = Callable[..., AbstractAsyncContextManager[str]]
WAYS = ["2026-07-28", "handshake", "sse"]
every_way = pytest.mark.parametrize("way", WAYS)
RULES = (
    Permission(id="asks", tools="*", obligations=("approve",)),
    Permission(id="hides", tools="hidden", effect="deny"),
)
OPERATOR = a_principal("admin", id="local:root")


@dataclass
class World:
    echo: Echo = field(default_factory=Echo)
    settings: Settings = field(default_factory=Settings)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    stores: Stores = field(init=False)

    def __post_init__(self) -> None:
        self.stores = memory_stores(self.journal)

    def gateway(self, keys: Keys | None = None) -> Gateway:
        """As another worker would build it, over the same stores."""
        stores = self.stores if keys is None else Stores(self.journal, self.stores.records, self.stores.ledger, keys=keys)
        tools = [a_tool(self.echo, name=name, reads=False) for name in ("drop", "hidden")]
        tools.append(a_tool(self.echo, name="found", reads=False, listed=False))
        return build_gateway(tools, Policy([Role(role="reader", permissions=RULES)]), stores, self.settings)


@dataclass
class Person:
    """Sits at a client and answers what is shown."""

    action: Any = "accept"
    content: Any = field(default_factory=lambda: {"approve": True})
    shown: list[str] = field(default_factory=list)

    async def __call__(self, _context: Any, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.shown.append(params.message)
        return ElicitResult(action=self.action, content=self.content)


@asynccontextmanager
async def connected(url: str, way: str, person: Any = None) -> AsyncIterator[Client]:
    target: Any = sse_client(f"{url}/sse") if way == "sse" else f"{url}/mcp"
    mode: Any = "2026-07-28" if way == "2026-07-28" else "legacy"
    with anyio.fail_after(60):
        async with Client(target, mode=mode, cache=None, elicitation_callback=person) as client:
            yield client


def text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


def ours(result: CallToolResult) -> Any:
    return (result.meta or {})["toolgate"]


@every_way
async def test_a_person_says_yes_and_the_call_is_answered(serve: Serve, way: str) -> None:
    world, person = World(), Person()
    async with serve(world.gateway()) as url, connected(url, way, person) as client:
        first = await client.call_tool("drop", {"table": "a"})
        second = await client.call_tool("call_tool", {"name": "found", "arguments": {"n": 1}})

    assert [text(result) for result in (first, second)] == ["drop was called", "found was called"]
    assert [message.partition(" wants to call ")[2].partition(",")[0] for message in person.shown] == ["drop", "found"]
    assert 'Arguments: {"table":"a"}' in person.shown[0]
    told = [entry.body["type"] for entry in await world.journal.read("audit")]
    assert [told.count(f"approval.{each}") for each in ("requested", "granted", "used")] == [2, 2, 2]


@every_way
@pytest.mark.parametrize(
    ("person", "code"),
    [
        (Person("decline", None), "not_permitted"),
        (Person("accept", {"approve": False}), "not_permitted"),
        (Person("cancel", None), "approval_needed"),
        (Person("accept", {}), "approval_needed"),
        (Person("accept", {"approve": "yes"}), "approval_needed"),
        (Person("accept", {"approve": 1}), "approval_needed"),
        (Person("accept", None), "approval_needed"),
    ],
    ids=["declined", "no", "closed", "nothing", "a word", "a number", "no form"],
)
async def test_only_a_yes_is_a_yes(serve: Serve, way: str, person: Person, code: str) -> None:
    world, person = World(), Person(person.action, person.content)
    async with serve(world.gateway()) as url, connected(url, way, person) as client:
        refused = await client.call_tool("drop", {"table": "a"})

    assert (refused.is_error, ours(refused)["code"]) == (True, code)
    assert len(person.shown) == 1
    assert world.echo.seen == []


@every_way
async def test_a_client_that_cannot_ask_is_told_what_waits_and_passes_once_it_is_approved(serve: Serve, way: str) -> None:
    world = World()
    gateway = world.gateway()
    async with serve(gateway) as url, connected(url, way) as client:
        refused = await client.call_tool("drop", {"table": "a"})
        pending = ours(refused)["pending"]
        await gateway.approvals.decide(pending, True, OPERATOR, "operator")
        named: Any = {"toolgate": {"approval": pending}}
        passed = await client.call_tool("drop", {"table": "a"}, meta=named)
        again = await client.call_tool("drop", {"table": "a"})

    assert (refused.is_error, ours(refused)["code"]) == (True, "approval_needed")
    assert f"toolgate approvals approve {pending}" in text(refused)
    assert (text(passed), ours(again)["code"]) == ("drop was called", "approval_needed")
    assert len(world.echo.seen) == 1


@every_way
async def test_where_only_operators_say_yes_the_person_at_the_client_is_not_asked(serve: Serve, way: str) -> None:
    world, person = World(settings=Settings(approvals=Approvals(by="operator"))), Person()
    async with serve(world.gateway()) as url, connected(url, way, person) as client:
        refused = await client.call_tool("drop")

    assert (ours(refused)["code"], person.shown, world.echo.seen) == ("approval_needed", [], [])


@every_way
async def test_a_hidden_tool_asks_nobody_and_is_not_told_from_none(serve: Serve, way: str) -> None:
    world, person = World(), Person()
    said = []
    async with serve(world.gateway()) as url, connected(url, way, person) as client:
        for name in ("hidden", "nowhere"):
            said.append(await client.call_tool("call_tool", {"name": name, "arguments": {}}))

    assert [text(each).replace("hidden", "X").replace("nowhere", "X") for each in said] == [text(said[0]).replace("hidden", "X")] * 2
    assert person.shown == []
    assert await world.gateway().approvals.list() == []


async def test_a_person_who_takes_too_long_leaves_the_question_waiting(serve: Serve) -> None:
    world = World(settings=Settings(approvals=Approvals(wait=0.05)))

    async def asleep(_context: Any, _params: Any) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    async with serve(world.gateway()) as url, connected(url, "handshake", asleep) as client:
        refused = await client.call_tool("drop")

    assert ours(refused)["code"] == "approval_needed"
    [waiting] = await world.gateway().approvals.list()
    assert (waiting.id, waiting.state) == (ours(refused)["pending"], "pending")


# What follows speaks the protocol by hand, as an attacker would: a client carries the state, and may carry anything.


async def by_name(scope: Scope) -> Principal:
    name = dict(scope["headers"]).get(b"x-user", b"ada").decode()
    return Principal(id=name.partition("@")[0], roles=("reader",), tenant=name.partition("@")[2] or "default", via="key")


@dataclass
class Wire:
    client: httpx2.AsyncClient

    async def call(self, arguments: Any, state: str | None = None, user: str = "ada", name: str = "drop", **answer: Any) -> Any:
        params: dict[str, Any] = {
            "name": name,
            "arguments": arguments,
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
            },
        }
        if state is not None:
            params["requestState"] = state
            params["inputResponses"] = {"approval": answer or {"action": "accept", "content": {"approve": True}}}
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": name,
            "x-user": user,
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answered = await self.client.post("/mcp", headers=headers, json=body, timeout=60)
        return answered.json()


@asynccontextmanager
async def wire(serve: Serve, gateway: Gateway) -> AsyncIterator[Wire]:
    async with serve(gateway, identify=by_name) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        yield Wire(client)


def state_of(answer: Any) -> str:
    assert answer["result"]["resultType"] == "input_required"
    return str(answer["result"]["requestState"])


INVALID = {"code": -32602, "message": "Invalid or expired requestState", "data": {"reason": "invalid_request_state"}}


async def test_what_a_client_is_asked_to_carry_says_nothing_to_it(serve: Serve) -> None:
    world = World()
    gateway = world.gateway()
    async with wire(serve, gateway) as there:
        asked = (await there.call({"table": "a"}))["result"]

    [waiting] = await gateway.approvals.list()
    assert asked["inputRequests"]["approval"]["method"] == "elicitation/create"
    assert asked["inputRequests"]["approval"]["params"]["requestedSchema"]["required"] == ["approve"]
    assert waiting.id not in json.dumps(asked)


async def test_a_state_with_a_bit_turned_is_rejected_wherever_it_is(serve: Serve) -> None:
    world = World()
    async with wire(serve, world.gateway()) as there:
        state = state_of(await there.call({"table": "a"}))
        for at in range(0, len(state), 7):
            turned = state[:at] + chr(ord(state[at]) ^ 1) + state[at + 1 :]
            assert (await there.call({"table": "a"}, turned))["error"] == INVALID
        for invented in ("", "v1.", "v1." + "A" * 80, state[:-1], state + "A"):
            assert (await there.call({"table": "a"}, invented))["error"] == INVALID

        assert world.echo.seen == []
        assert "result" in await there.call({"table": "a"}, state)

    assert len(world.echo.seen) == 1


@pytest.mark.parametrize(
    "other", [{"arguments": {"table": "b"}}, {"arguments": {}}, {"user": "bob"}, {"user": "ada@acme"}, {"name": "found"}], ids=str
)
async def test_a_state_of_another_call_or_caller_is_rejected(serve: Serve, other: Any) -> None:
    world = World()
    async with wire(serve, world.gateway()) as there:
        state = state_of(await there.call({"table": "a"}))
        rejected = await there.call(**{"arguments": {"table": "a"}, "state": state, **other})

    assert rejected["error"] == INVALID
    assert world.echo.seen == []


async def test_a_state_that_was_used_asks_again_and_lets_nothing_through(serve: Serve) -> None:
    world = World()
    async with wire(serve, world.gateway()) as there:
        state = state_of(await there.call({"table": "a"}))
        passed = await there.call({"table": "a"}, state)
        replayed = await there.call({"table": "a"}, state)

    assert passed["result"]["isError"] is False
    assert state_of(replayed) != state
    assert len(world.echo.seen) == 1


async def test_a_yes_repeated_at_once_counts_once(serve: Serve) -> None:
    world = World()
    answers: list[Any] = []
    async with wire(serve, world.gateway()) as there:
        state = state_of(await there.call({"table": "a"}))

        async def repeat() -> None:
            answers.append(await there.call({"table": "a"}, state))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(repeat)

    assert len(world.echo.seen) == 1
    assert len([each for each in answers if each["result"].get("isError") is False]) == 1


async def test_a_state_that_has_expired_is_rejected(serve: Serve) -> None:
    world = World(settings=Settings(approvals=Approvals(ttl=0.01)))
    async with wire(serve, world.gateway()) as there:
        state = state_of(await there.call({"table": "a"}))
        await anyio.sleep(0.02)  # the SDK looks at the clock itself

        assert (await there.call({"table": "a"}, state))["error"] == INVALID

    assert world.echo.seen == []


async def test_another_worker_takes_the_answer_and_one_with_another_key_does_not(serve: Serve) -> None:
    world = World()
    rotated = world.gateway(Keys(os.urandom(32)))
    async with wire(serve, world.gateway()) as one, wire(serve, world.gateway()) as two, wire(serve, rotated) as stranger:
        state = state_of(await one.call({"table": "a"}))

        rejected = await stranger.call({"table": "a"}, state)
        passed = await two.call({"table": "a"}, state)
        replayed = await one.call({"table": "a"}, state)

    assert rejected["error"] == INVALID
    assert passed["result"]["isError"] is False
    assert state_of(replayed)
    assert len(world.echo.seen) == 1


async def test_an_answer_to_a_question_that_nobody_asked_is_none(serve: Serve) -> None:
    world = World()
    async with wire(serve, world.gateway()) as there:
        state = state_of(await there.call({"table": "a"}))
        sampled = await there.call({"table": "a"}, state, role="user", content={"type": "text", "text": "yes"}, model="m")
        unheard = await there.call({"table": "a"}, state, action="maybe")

    assert sampled["result"]["_meta"]["toolgate"]["code"] == "approval_needed"
    assert "error" in unheard
    assert world.echo.seen == []
