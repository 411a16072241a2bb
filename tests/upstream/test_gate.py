"""What goes to servers passes the gate: policy, names, and whose answer is whose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.upstream.conftest import Behind, plain
from tests.upstream.test_eras import named, standing
from tests.upstream.theirs import ROUNDS, Theirs
from toolgate.agent.result import text_of
from toolgate.api.shapes import mcp
from toolgate.app import asgi
from toolgate.calls import Call, Outcome, Session
from toolgate.errors import InputNeeded, ProtocolError, UpstreamFailed
from toolgate.news import Change
from toolgate.openapi.load import accept
from toolgate.policy.load import load_tested
from toolgate.policy.rules import Policy
from toolgate.standin import serving
from toolgate.tasks import beside
from toolgate.testing import a_call, a_principal
from toolgate.upstream.caller import PARKED_OF_ONE, ParkedEar, Parking, able
from toolgate.upstream.messages import TASKS

OURS = "toolgate"
"""Whose the gateway's own tools are."""
CLERK = """
role: reader
permissions:
  - id: reader.one
    tools: theirs_resources/read
    conditions: [{field: args.uri, operator: matches, value: "test://one|test://each/.*"}]
"""
ONLY_TWO = """
role: reader
permissions:
  - {id: reader.all, tools: "*"}
  - id: reader.not_one
    tools: theirs_resources/read
    effect: deny
    conditions: [{field: args.uri, operator: equals, value: "test://one"}]
"""


def policy(folder: Path, role: str) -> Policy:
    (folder / "other" / "roles").mkdir(parents=True)
    (folder / "other" / "roles" / "reader.yaml").write_text(role)
    return load_tested(folder / "other")


TUPLE = {"type": "array", "items": [{"type": "number"}, {"type": "string"}], "additionalItems": False}
OLDER: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"at": TUPLE, "tags": {"type": "array"}, "items": {"type": "object", "default": {"items": [1]}}},
}


class Older(Theirs):
    async def list_tools(self, context: Any, params: Any) -> types.ListToolsResult:
        tool = types.Tool(name="older", input_schema=OLDER, output_schema=OLDER)
        return types.ListToolsResult(tools=[tool], ttl_ms=0, cache_scope="public")


async def test_schemas_of_an_older_draft_are_shown_in_the_newest_and_pinned_as_they_came(behind: Behind) -> None:
    pair = {"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}], "items": False}
    newest = {"type": "object", "properties": {**OLDER["properties"], "at": pair, "tags": {"type": "array", "items": {}}}}

    async with standing(behind, Older()) as (url, app), Client(url, mode=ROUNDS) as client:
        (listed,) = (await client.list_tools()).tools
        tool = next(each for each in app.gateway.catalog if each.name == "theirs_older")
        shown = mcp(tool)["inputSchema"]

    assert (listed.input_schema, listed.output_schema, shown) == (newest, newest, newest)
    assert tool.schema == OLDER


async def test_resources_and_prompts_are_permitted_by_policy_like_tools(behind: Behind, tmp_path: Path) -> None:
    folder = tmp_path / "clerks" / "roles"
    folder.mkdir(parents=True)
    (folder / "reader.yaml").write_text(CLERK)

    async with standing(behind, Theirs(), settings={"policies": "clerks"}) as (url, _), Client(url, mode=ROUNDS) as client:
        read = await client.read_resource("test://each/7")
        with pytest.raises(MCPError, match=r"test://one\|test://each") as refused:
            await client.read_resource("ui://form")
        prompts = (await client.list_prompts()).prompts
        tools = (await client.list_tools()).tools
        with pytest.raises(MCPError, match="no such prompt"):
            await client.get_prompt("theirs_greet", {})

    assert getattr(read.contents[0], "text", None) == "content of test://each/7"
    assert refused.value.error.code == 1
    assert (prompts, tools) == ([], [])


@pytest.mark.filterwarnings("ignore:resources/")
async def test_of_a_resource_that_one_may_not_read_nothing_is_told(behind: Behind, tmp_path: Path) -> None:
    folder = tmp_path / "clerks" / "roles"
    folder.mkdir(parents=True)
    (folder / "reader.yaml").write_text(CLERK)
    theirs = Theirs()

    async with standing(behind, theirs, settings={"policies": "clerks"}) as (url, _), Client(url, mode=ROUNDS) as client:
        with anyio.fail_after(60):
            async with Client(url, mode="legacy") as older:
                await older.session.subscribe_resource("test://one")
                with pytest.raises(MCPError, match=r"test://one\|test://each"):
                    await older.session.subscribe_resource("ui://form")
            wanted = ["ui://form", "test://one"]
            async with client.listen(resource_subscriptions=wanted) as changes, anyio.create_task_group() as tasks:

                async def change_until_heard() -> None:
                    while True:
                        await theirs.change("ui://form")
                        await theirs.change("test://one")
                        await anyio.sleep(0.1)

                tasks.start_soon(change_until_heard)
                heard = [getattr(await anext(changes), "uri", None) for _ in range(3)]
                tasks.cancel_scope.cancel()

    assert heard == ["test://one"] * 3


@pytest.mark.filterwarnings("ignore:resources/")
async def test_subscriptions_are_written_down_as_reads_are_refused_ones_too(behind: Behind, tmp_path: Path) -> None:
    folder = tmp_path / "clerks" / "roles"
    folder.mkdir(parents=True)
    (folder / "reader.yaml").write_text(CLERK)

    async with standing(behind, Theirs(), settings={"policies": "clerks"}) as (url, app):
        with anyio.fail_after(60):
            async with Client(url, mode="legacy") as older:
                await older.session.subscribe_resource("test://one")
                with pytest.raises(MCPError):
                    await older.session.subscribe_resource("ui://form")
            async with Client(url, mode=ROUNDS) as client, client.listen(resource_subscriptions=["ui://form", "test://each/7"]):
                pass
        lines = [entry.body for entry in reversed(await app.stores.journal.read("audit")) if entry.body["type"].startswith("call.")]

    told = [(line["type"], line.get("arguments", {}).get("values"), line.get("notes", {}).get("subscription")) for line in lines]
    assert told == [
        ("call.intent", {"uri": "test://one"}, None),
        ("call.outcome", None, True),
        ("call.denied", {"uri": "ui://form"}, None),
        ("call.denied", {"uri": "ui://form"}, None),
        ("call.intent", {"uri": "test://each/7"}, None),
        ("call.outcome", None, True),
    ]
    assert {(line["tool"]["name"], line["principal"]["id"]) for line in lines} == {("theirs_resources/read", "anonymous")}


BIG = 12345678901234567890123


class Big(Theirs):
    async def call_tool(self, context: Any, params: types.CallToolRequestParams) -> Any:
        return types.CallToolResult(content=[], structured_content={"n": BIG})


@pytest.mark.parametrize("era", ["handshake", "rounds"])
async def test_a_number_past_64_bits_reaches_every_face_to_its_last_digit(behind: Behind, era: str) -> None:
    async with standing(behind, Big(), era) as (url, _):
        told = []
        for mode in ("legacy", ROUNDS):
            async with Client(url, mode=mode) as client:
                answer = await client.call_tool("theirs_canary", {})
                told.append((answer.structured_content, getattr(answer.content[0], "text", None)))
        async with httpx2.AsyncClient(trust_env=False) as plain_client:
            where = url.replace("/mcp", "/v1/tools/theirs_canary/call")
            answered = [await plain_client.post(where, json={}, headers={"idempotency-key": "one"}) for _ in range(2)]

    assert told == [({"n": BIG}, f'{{"n":{BIG}}}')] * 2
    assert answered[0].json()["structured"] == {"n": BIG}
    assert [each.json()["replayed"] for each in answered] == [False, True]  # which is not kept whole: nothing else could read it
    assert text_of(Outcome(structured={"n": BIG})) == f'{{"n":{BIG}}}'  # as a model hears it


class Slow(Theirs):
    async def subscribe(self, context: Any, params: Any) -> types.EmptyResult:
        await anyio.sleep(0.1)
        return types.EmptyResult()


@pytest.mark.filterwarnings("ignore:resources/")
async def test_two_subscriptions_of_one_resource_at_the_same_time_are_one(behind: Behind) -> None:
    async with standing(behind, Slow(), "handshake") as (url, app):
        upstream = app.roster.sources.all[0].upstream
        with anyio.fail_after(60):
            async with Client(url, mode="legacy") as client:
                async with anyio.create_task_group() as tasks:
                    for _ in range(2):
                        tasks.start_soon(client.session.subscribe_resource, "test://one")
                counted = dict(upstream._subscribed)
                await client.session.unsubscribe_resource("test://one")

    assert (counted, dict(upstream._subscribed)) == ({"test://one": 1}, {})


@pytest.mark.parametrize("callbacks", [{}, {"elicitation_callback": named}], ids=["shared", "own"])
@pytest.mark.filterwarnings("ignore:resources/")
async def test_who_may_not_read_a_resource_any_more_hears_no_more_of_it(behind: Behind, tmp_path: Path, callbacks: Any) -> None:
    """Neither from the conversation that all share nor from one of their own."""
    heard: list[str] = []

    async def hear(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.append(str(message.params.uri))

    async with behind(theirs=plain("changes", prefix="")) as app, asgi(app) as application, serving(application) as ours:
        with anyio.fail_after(60):
            async with (
                Client(f"{ours}/mcp", mode="legacy", message_handler=hear, **callbacks) as older,
                Client(f"{ours}/mcp", mode=ROUNDS) as client,
                client.listen(resource_subscriptions=["test://one", "test://two"]) as changes,
            ):
                await older.session.subscribe_resource("test://one")
                await older.session.subscribe_resource("test://two")
                await older.call_tool("change", {})
                while len(heard) < 2:
                    await anyio.sleep(0.01)
                if not callbacks:  # what the shared conversation tells
                    assert [getattr(await anext(changes), "uri", None) for _ in range(2)] == ["test://one", "test://two"]

                app.gateway.live.current = policy(tmp_path, ONLY_TWO)
                await older.call_tool("change", {})
                while heard.count("test://two") < 2:
                    await anyio.sleep(0.01)
                if not callbacks:
                    assert getattr(await anext(changes), "uri", None) == "test://two"

    assert heard == ["test://one", "test://two", "test://two"]


@pytest.mark.filterwarnings("ignore:resources/")
async def test_of_two_servers_with_one_uri_that_one_is_heard_which_is_read(behind: Behind) -> None:
    first, second = Theirs(), Theirs()
    heard: list[str] = []

    async def hear(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.append(str(message.params.uri))

    async with serving(first.app()) as one, serving(second.app()) as other:
        declared = [{"url": f"{url}/mcp", "allow_networks": ["127.0.0.0/8"]} for url in (one, other)]
        async with behind(a=declared[0], b=declared[1]) as app, asgi(app) as application, serving(application) as ours:
            told: list[Change] = []
            with anyio.fail_after(60), app.gateway.news.read(told.append):
                async with (
                    Client(f"{ours}/mcp", mode=ROUNDS) as client,
                    Client(f"{ours}/mcp", mode="legacy", message_handler=hear) as older,
                    client.listen(resource_subscriptions=["test://one", "ui://form"]) as changes,
                ):
                    await older.session.subscribe_resource("test://one")
                    await app.roster.sources.all[1].upstream.subscribe("test://one")
                    while Change("resource", "test://one", "b") not in told:
                        await second.change("test://one")
                        await anyio.sleep(0.01)
                    while Change("resource", "ui://form", "a") not in told:
                        await first.change("ui://form")
                        await anyio.sleep(0.01)
                    newer = getattr(await anext(changes), "uri", None)
                    before = list(heard)
                    while not heard:
                        await first.change("test://one")
                        await anyio.sleep(0.01)

    assert (newer, before) == ("ui://form", [])


async def test_a_tool_called_like_anothers_is_not_served_and_both_are_named(behind: Behind, caplog: pytest.LogCaptureFixture) -> None:
    async with behind(
        a=plain(prefix=""), b=plain(prefix=""), c=plain(prefix="", include=["echo"]), d=plain(prefix="ech", include=["o*"])
    ) as app:
        names = [tool.name for tool in app.gateway.catalog if tool.integration != OURS]
        owners = {tool.integration for tool in app.gateway.catalog if tool.integration != OURS}
        told = {each["name"]: (each["tools"], each["absent"]) for each in app.roster.status()}

    assert names == ["crash", "echo", "environment", "hang", "loud", "pid"]
    assert owners == {"a"}
    assert told["a"] == (6, {})
    assert told["c"] == (0, {"echo": "a has a tool echo already"})
    assert "b: echo is not served: a has a tool echo already; a `prefix` tells them apart" in caplog.text


@pytest.mark.parametrize("prefixes", [("", ""), ("a1_", "al_")], ids=["same", "alike"])
async def test_a_name_that_a_later_server_has_is_not_taken_from_it(
    behind: Behind, prefixes: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Theirs(), Theirs(more=True)
    async with serving(first.app()) as one, serving(second.app()) as other:
        only = {"allow_networks": ["127.0.0.0/8"], "include": ["another"]}
        declared = [{"url": f"{url}/mcp", "prefix": prefix, **only} for url, prefix in zip((one, other), prefixes, strict=True)]
        async with behind(a1=declared[0], al=declared[1]) as app:
            with anyio.fail_after(60):
                while first.bus._listeners == {}:
                    await anyio.sleep(0.01)
                await first.change_tools()
                while not (absent := app.roster.status()[0]["absent"]):
                    await anyio.sleep(0.01)
            found = [(tool.name, tool.integration) for tool in app.gateway.catalog if tool.integration in ("a1", "al")]

    theirs, ours = (f"{prefix}another" for prefix in prefixes)
    assert [name for name, integration in found if integration == "al" and "/" not in name] == [ours]
    assert [name for name, integration in found if integration == "a1" and "/" not in name] == []
    assert absent == {theirs: f"al has a tool {ours} already" if theirs == ours else f"it looks like {ours} of al"}
    assert f"a1: {theirs} is not served: {absent[theirs]}" in caplog.text


async def test_a_prompt_called_like_anothers_is_not_served_and_a_served_one_stays_its_servers(
    behind: Behind, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Theirs(), Theirs()
    first.prompt = "bye"
    async with serving(first.app()) as one, serving(second.app()) as other:
        declared = [{"url": f"{url}/mcp", "prefix": "", "allow_networks": ["127.0.0.0/8"]} for url in (one, other)]
        async with behind(a=declared[0], b=declared[1]) as app, asgi(app) as application, serving(application) as ours:
            with anyio.fail_after(60):
                async with Client(f"{ours}/mcp", mode=ROUNDS) as client:
                    before = [prompt.name for prompt in (await client.list_prompts()).prompts]
                    while first.bus._listeners == {}:
                        await anyio.sleep(0.01)
                    await first.change_prompts("greet")
                    while len(after := (await client.list_prompts(cache_mode="refresh")).prompts) > 1:
                        await anyio.sleep(0.01)
                    await client.get_prompt("greet", {})
                last = (await app.stores.journal.read("audit", limit=1))[0].body

    assert (before, [prompt.name for prompt in after]) == (["bye", "greet"], ["greet"])
    assert last["tool"]["name"] == "b_prompts/get"
    assert "a: greet is not served: b has a prompt greet already; a `prefix` tells them apart" in caplog.text


@dataclass
class Rounds:
    """A client that is asked by answers."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    key: str = "rounds"
    in_rounds: bool = True
    capabilities: Mapping[str, Any] = field(default_factory=lambda: {"elicitation": {}})
    meta: Mapping[str, Any] = field(default_factory=dict)
    log_level: str | None = None
    session: Session | None = None

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        raise AssertionError("nothing is told here")

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError("it is asked by answers")


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"elicitation": {"form": {}}, "experimental": {"x": {}}}, {"elicitation": {"form": {}}}),
        ({"extensions": {TASKS: {}, "io.modelcontextprotocol/ui": {"y": 1}}}, {"extensions": {"io.modelcontextprotocol/ui": {"y": 1}}}),
        ({"extensions": {TASKS: {}}}, {}),
    ],
)
def test_a_server_is_told_what_its_caller_can_but_for_the_tasks_that_are_ours(declared: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    assert able(Rounds(capabilities=declared)) == told


async def asks_a_name(ear: ParkedEar) -> Mapping[str, Any]:
    answer = await ear.answer("elicitation/create", {"message": "Your name?"})
    return {"content": [{"type": "text", "text": answer["content"]["name"]}]}


def by(id: str, answers: Mapping[str, Any]) -> Call:
    return replace(a_call(principal=a_principal(id=id)), client=Rounds(answers))


async def begun(parking: Parking, who: str = "ada") -> Mapping[str, Any]:
    with pytest.raises(InputNeeded) as asked:
        await parking.request(asks_a_name, by(who, {}), "tools/call", "ask")
    return asked.value.asked


async def test_a_request_waits_for_its_caller_and_goes_on_with_the_answer() -> None:
    async with beside() as tasks:
        parking = Parking("theirs", tasks)
        asked = await begun(parking)
        (name,) = asked["inputRequests"]
        answers = {"inputResponses": {name: {"action": "accept", "content": {"name": "Ada"}}}, "requestState": asked["requestState"]}

        with anyio.fail_after(60):
            result = await parking.request(asks_a_name, by("ada", answers), "tools/call", "ask")

    assert asked["inputRequests"] == {name: {"method": "elicitation/create", "params": {"message": "Your name?"}}}
    assert result == {"content": [{"type": "text", "text": "Ada"}]}


@pytest.mark.parametrize(
    ("who", "method", "name"), [("eve", "tools/call", "ask"), ("ada", "prompts/get", "ask"), ("ada", "tools/call", "x")]
)
async def test_nobody_else_and_no_other_call_can_take_it_up(who: str, method: str, name: str) -> None:
    async with beside() as tasks:
        parking = Parking("theirs", tasks)
        asked = await begun(parking)

        with pytest.raises(ProtocolError, match="is over"):
            await parking.request(asks_a_name, by(who, {"requestState": asked["requestState"]}), method, name)


async def test_one_caller_can_have_only_so_many_wait() -> None:
    async with beside() as tasks:
        parking = Parking("theirs", tasks)
        for _ in range(PARKED_OF_ONE):
            await begun(parking)

        with pytest.raises(UpstreamFailed, match="too many calls"):
            await parking.request(asks_a_name, by("ada", {}), "tools/call", "ask")
        await begun(parking, "eve")


async def test_what_its_server_gave_up_while_its_caller_was_away_is_forgotten_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolgate.upstream.caller.PARKED_SECONDS", 0.01)

    async def gives_up(ear: ParkedEar) -> Mapping[str, Any]:
        with anyio.move_on_after(0.001):
            await ear.answer("elicitation/create", {"message": "Your name?"})
        return {"content": []}

    async with beside() as tasks:
        parking = Parking("theirs", tasks)
        with anyio.fail_after(60):
            for _ in range(2 * PARKED_OF_ONE):
                with pytest.raises(InputNeeded):
                    await parking.request(gives_up, by("ada", {}), "tools/call", "ask")
                while parking._parked:
                    await anyio.sleep(0.001)


async def test_a_bug_in_one_call_is_that_calls_and_ends_no_other() -> None:
    async def broken(ear: ParkedEar) -> Mapping[str, Any]:
        await anyio.sleep(0)
        raise TypeError("a bug of ours")

    async with beside() as tasks:
        parking = Parking("theirs", tasks)
        asked = await begun(parking)
        with anyio.fail_after(60):
            with pytest.raises(TypeError):
                await parking.request(broken, by("eve", {}), "tools/call", "other")
            (name,) = asked["inputRequests"]
            answers = {"inputResponses": {name: {"action": "accept", "content": {"name": "Ada"}}}, "requestState": asked["requestState"]}
            result = await parking.request(asks_a_name, by("ada", answers), "tools/call", "ask")

    assert result == {"content": [{"type": "text", "text": "Ada"}]}


async def test_a_tool_that_looks_like_anothers_is_not_served_until_it_is_accepted(
    behind: Behind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind(a1=plain(include=["echo"]), al=plain(include=["echo"])) as app:
        before = [tool.name for tool in app.gateway.catalog if tool.integration != OURS]
        accept(app.roster.sources.all[1].loaded)

    async with behind(a1=plain(include=["echo"]), al=plain(include=["echo"])) as app:
        after = [tool.name for tool in app.gateway.catalog if tool.integration != OURS]

    assert (before, after) == (["a1_echo"], ["a1_echo", "al_echo"])
    assert "al: al_echo is not served: it looks like a1_echo of a1" in caplog.text


async def test_a_name_that_is_accepted_for_one_server_is_no_others_while_its_tool_is_kept_back(
    behind: Behind, caplog: pytest.LogCaptureFixture
) -> None:
    only = {"prefix": "", "include": ["echo"]}
    async with behind(a=plain(**only)) as app:
        accept(app.roster.sources.all[0].loaded)

    async with behind(a=plain(**only, annotations={"echo": {"read_only": False}}), b=plain(**only)) as app:
        names = [tool.name for tool in app.gateway.catalog if tool.integration != OURS]

    assert names == []
    assert "b: echo is not served: a has a tool echo already" in caplog.text
