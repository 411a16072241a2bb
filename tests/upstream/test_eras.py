"""Clients of both eras before servers of both eras: everything passes in both directions, to whom it belongs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.shared.exceptions import MCPError
from starlette.types import ASGIApp

from tests.upstream.conftest import Behind, plain
from tests.upstream.theirs import ROUNDS, Forgetful, Theirs, only_handshake, only_rounds
from toolgate.app import App, asgi
from toolgate.calls import Principal, Text
from toolgate.standin import serving

Mode = Literal["legacy", "2026-07-28"]
ERAS: Mapping[str, Callable[[ASGIApp], ASGIApp]] = {"both": lambda app: app, "handshake": only_handshake, "rounds": only_rounds}
MODES: tuple[Mode, ...] = ("legacy", "2026-07-28")


@asynccontextmanager
async def standing(behind: Behind, theirs: Theirs, era: str = "both", path: str = "mcp", **more: Any) -> AsyncIterator[tuple[str, App]]:
    """The URL of a toolgate with `theirs` behind it."""
    settings = more.pop("settings", None)
    async with serving(ERAS[era](theirs.app())) as url:
        declaration = {"url": f"{url}/{path}", "allow_networks": ["127.0.0.0/8"], **more}
        async with behind(theirs=declaration, settings=settings) as app, asgi(app) as application, serving(application) as ours:
            yield f"{ours}/mcp", app


async def named(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"name": "Ada"})


def text(result: Any) -> str:
    found: str = result.content[0].text
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("era", ERAS)
async def test_a_question_reaches_the_callers_person_and_the_answer_the_server(behind: Behind, era: str, mode: Mode) -> None:
    async with standing(behind, Theirs(), era) as (url, _), Client(url, mode=mode, elicitation_callback=named) as client:
        with anyio.fail_after(60):
            answer = await client.call_tool("theirs_ask", {})

    assert text(answer) == "accept: Ada"


async def test_a_call_that_is_made_again_with_its_answer_has_another_id(behind: Behind) -> None:
    theirs = Theirs()
    async with standing(behind, theirs, "rounds") as (url, _), Client(url, mode=ROUNDS, elicitation_callback=named) as client:
        with anyio.fail_after(60):
            await client.call_tool("theirs_ask", {})
            await client.call_tool("theirs_ask", {})

    # 2026-07-28, patterns/mrtr: "The JSON-RPC id MUST be different between the initial request and the retry".
    assert len(theirs.ids) == 4
    assert len(set(theirs.ids)) == 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("era", ERAS)
async def test_who_cannot_be_asked_is_told_so(behind: Behind, era: str, mode: Mode) -> None:
    async with standing(behind, Theirs(), era) as (url, _), Client(url, mode=mode) as client:
        with anyio.fail_after(60):
            try:
                refused = (await client.call_tool("theirs_ask", {})).is_error
            except MCPError:
                refused = True

    assert refused


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("era", ERAS)
async def test_log_and_progress_reach_the_caller_they_belong_to_and_nobody_else(behind: Behind, era: str, mode: Mode) -> None:
    heard: dict[str, list[str]] = {"one": [], "two": []}
    steps: dict[str, list[Any]] = {"one": [], "two": []}

    async def use(url: str, word: str) -> None:
        async def log(params: types.LoggingMessageNotificationParams) -> None:
            heard[word].append(params.data)

        async def told(progress: float, total: float | None, message: str | None) -> None:
            steps[word].append((progress, total, message))

        async with Client(url, mode=mode, logging_callback=log) as client:
            for _ in range(10):
                meta: Any = {"io.modelcontextprotocol/logLevel": "info"} if mode == ROUNDS else None
                said = await client.call_tool("theirs_tell", {"word": word}, meta=meta, progress_callback=told)
                assert text(said) == word
            await anyio.sleep(0.05)  # what was said on the way may still be read

    async with standing(behind, Theirs(), era) as (url, _):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(use, url, "one")
                tasks.start_soon(use, url, "two")

    for word in ("one", "two"):
        assert heard[word] == [f"{word}{number}" for number in range(3)] * 10
        assert steps[word] == [(number, 2, word) for number in range(3)] * 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("era", ERAS)
async def test_many_callers_with_the_same_ids_see_their_own_canaries(behind: Behind, era: str, mode: Mode) -> None:
    """F25: every client of the SDK counts its ids from the same number."""

    async def use(url: str, number: int) -> None:
        async with Client(url, mode=mode) as client:
            for turn in range(20):
                assert text(await client.call_tool("theirs_canary", {"word": f"{number}-{turn}"})) == f"{number}-{turn}"

    async with standing(behind, Theirs(), era) as (url, _):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(12):
                    tasks.start_soon(use, url, number)


@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_that_leaves_cancels_the_call_at_the_server(behind: Behind, era: str) -> None:
    """F31."""
    theirs = Theirs()
    async with standing(behind, theirs, era) as (url, _), Client(url, mode=ROUNDS) as client:
        with anyio.fail_after(60):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.call_tool, "theirs_slow", {"word": "left"})
                    await theirs.began.wait()
                    scope.cancel()
            while not theirs.cancelled:
                await anyio.sleep(0.01)

    assert theirs.cancelled == ["left"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("era", "path"), [("both", "mcp"), ("handshake", "mcp"), ("rounds", "mcp"), ("both", "sse")])
async def test_what_there_is_beside_tools_passes(behind: Behind, era: str, path: str, mode: Mode) -> None:
    async with (
        standing(behind, Theirs(), era, path, transport="sse" if path == "sse" else "auto") as (url, _),
        Client(url, mode=mode) as client,
    ):
        with anyio.fail_after(60):
            tools = {tool.name: tool.meta for tool in (await client.list_tools()).tools}
            resources = [str(one.uri) for one in (await client.list_resources()).resources]
            templates = [one.uri_template for one in (await client.list_resource_templates()).resource_templates]
            read = [(await client.read_resource(uri)).contents[0] for uri in ("test://one", "ui://form", "test://each/7")]
            prompts = [one.name for one in (await client.list_prompts()).prompts]
            prompt = await client.get_prompt("theirs_greet", {"who": "Ada"})
            completed = await client.complete(types.PromptReference(type="ref/prompt", name="theirs_greet"), {"name": "who", "value": "A"})

    assert tools["theirs_ask"] == {"ui": {"resourceUri": "ui://form"}}
    assert (resources, templates, prompts) == (["test://one", "ui://form"], ["test://each/{id}"], ["theirs_greet"])
    assert [getattr(one, "text", None) for one in read] == [
        "content of test://one",
        "content of ui://form",
        "content of test://each/7",
    ]
    assert prompt.messages[0].content == types.TextContent(type="text", text="Greet Ada!")
    assert completed.completion.values == ["Anna"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_that_comes_later_is_there_when_the_server_has_said_so(behind: Behind, mode: Mode) -> None:
    theirs = Theirs()
    async with standing(behind, theirs) as (url, _), Client(url, mode=mode) as client:
        assert "theirs_another" not in {tool.name for tool in (await client.list_tools()).tools}

        await theirs.change_tools()

        with anyio.fail_after(60):
            while not await _knows(client):
                await anyio.sleep(0.05)
            assert text(await client.call_tool("theirs_another", {"word": "new"})) == "new"


async def _knows(client: Client) -> bool:
    return "theirs_another" in {tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools}


async def test_callers_hear_of_changes_of_resources_that_they_asked_for(behind: Behind) -> None:
    theirs = Theirs()
    async with standing(behind, theirs) as (url, _), Client(url, mode=ROUNDS) as client:
        with anyio.fail_after(60):
            async with client.listen(resource_subscriptions=["test://one"]) as changes:

                async def change_until_heard() -> None:
                    while True:
                        await theirs.change("test://two")
                        await theirs.change("test://one")
                        await anyio.sleep(0.1)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(change_until_heard)
                    async for change in changes:
                        heard = change
                        break
                    tasks.cancel_scope.cancel()

    assert getattr(heard, "uri", None) == "test://one"


@pytest.mark.parametrize("callbacks", [{}, {"elicitation_callback": named}], ids=["shared", "own"])
@pytest.mark.filterwarnings("ignore:resources/")
async def test_a_client_hears_of_changes_in_the_conversation_that_its_calls_are_made_in(behind: Behind, callbacks: Any) -> None:
    """Once, whether its own conversation begins before it subscribes or after."""
    heard: list[str] = []

    async def hear(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.append(str(message.params.uri))

    async with behind(theirs=plain("changes", prefix="")) as app, asgi(app) as application, serving(application) as ours:
        shared, principal = app.roster.sources.all[0].upstream, Principal("ada", ("reader",))
        with anyio.fail_after(60):
            async with Client(f"{ours}/mcp", mode="legacy", message_handler=hear, **callbacks) as client:
                for times in (1, 2):
                    await client.session.subscribe_resource("test://one")
                    await client.call_tool("change", {})
                    while len(heard) < times:
                        await anyio.sleep(0.01)
                    if callbacks:
                        await app.gateway.call("change", {}, principal)  # in a conversation that is not this client's
                    await client.session.unsubscribe_resource("test://one")
                    await client.call_tool("change", {})
                await client.session.subscribe_resource("test://one")
            while "test://one" in shared._subscribed:
                await anyio.sleep(0.01)

    assert heard == ["test://one"] * 2


async def test_what_a_caller_says_beside_reaches_the_server_but_for_what_is_ours(behind: Behind) -> None:
    theirs = Theirs()
    async with standing(behind, theirs) as (url, _), Client(url, mode=ROUNDS) as client:
        meta: Any = {"com.example/x": {"y": None}, "toolgate": {"idempotency_key": "secret"}}
        await client.call_tool("theirs_canary", {}, meta=meta)

    (said,) = theirs.metas
    assert said["com.example/x"] == {"y": None}
    assert "toolgate" not in said
    assert said["io.modelcontextprotocol/clientInfo"]["name"] == "toolgate"


async def test_a_bug_of_the_servers_is_its_own_and_passed_on_as_an_error(behind: Behind) -> None:
    async with standing(behind, Theirs()) as (url, _), Client(url, mode=ROUNDS) as client:
        with pytest.raises(MCPError) as failed:
            await client.call_tool("theirs_fail", {})
        assert text(await client.call_tool("theirs_canary", {"word": "well"})) == "well"

    assert failed.value.error.code == -32603


async def test_a_changed_definition_is_kept_back_while_the_others_are_served(behind: Behind, tmp_path: Path) -> None:
    from toolgate.openapi.load import accept

    theirs = Theirs()
    async with standing(behind, theirs) as (_, app):
        accept(app.roster.sources.all[0].loaded)
    theirs.more = True

    async with standing(behind, theirs) as (url, app), Client(url, mode=ROUNDS) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError):
            await client.call_tool("theirs_another", {})
        (status,) = app.roster.status()

    assert "theirs_another" not in names
    assert "theirs_canary" in names
    assert (status["quarantined"], status["problem"]) == (1, None)


@pytest.mark.parametrize("mode", MODES)
async def test_what_a_server_has_only_for_clients_that_can_be_asked_is_there_for_them(behind: Behind, mode: Mode) -> None:
    async with behind(theirs=plain("asks", prefix="")) as app, asgi(app) as application, serving(application) as ours:
        with anyio.fail_after(60):
            async with Client(f"{ours}/mcp", mode=mode, elicitation_callback=named) as client:
                listed = "ask" in {tool.name for tool in (await client.list_tools()).tools}
                answer = text(await client.call_tool("ask", {}))
            async with Client(f"{ours}/mcp", mode=mode) as other:
                refused = text(await other.call_tool("ask", {}))
            await app.gateway.call("crash", {}, Principal("ada", ("reader",)))
            await app.gateway.call("pid", {}, Principal("ada", ("reader",)))  # it has been begun again

        assert (listed, answer) == (True, "Ada")
        assert refused == "theirs has ask only for clients that can be asked something (elicitation, sampling, roots)"
        assert "ask" in {tool.name for tool in app.gateway.catalog}


@pytest.mark.parametrize("by_sse", [False, True])
async def test_what_belongs_to_no_call_goes_between_a_session_and_its_own_server(behind: Behind, by_sse: bool) -> None:
    logged: list[Any] = []
    told: list[str] = []
    roots = [types.Root.model_validate({"uri": "file:///one"})]

    async def log(params: types.LoggingMessageNotificationParams) -> None:
        logged.append(params.data)

    async def hear(message: Any) -> None:
        if isinstance(message, types.ElicitCompleteNotification):
            told.append(message.params.elicitation_id)

    async def theirs(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=roots)

    async with behind(theirs=plain("asks", prefix="")) as app, asgi(app) as application, serving(application) as ours:
        way: Any = sse_client(f"{ours}/sse") if by_sse else f"{ours}/mcp"
        callbacks: Any = {"elicitation_callback": named, "list_roots_callback": theirs, "logging_callback": log, "message_handler": hear}
        with anyio.fail_after(60):
            async with Client(way, mode="legacy", **callbacks) as client, Client(f"{ours}/mcp", mode="legacy", **callbacks) as other:
                await other.call_tool("roots", {})
                await client.call_tool("later", {})
                while not (logged and told):
                    await anyio.sleep(0.01)
                await client.session.send_notification(types.RootsListChangedNotification())
                while (known := json.loads(text(await client.call_tool("roots", {})))) == []:
                    await anyio.sleep(0.01)
                untouched = json.loads(text(await other.call_tool("roots", {})))

    assert (logged, told) == (["now"], ["it"])
    assert (known, untouched) == ([[{"uri": "file:///one"}]], [])


@pytest.mark.parametrize("has_roots", [True, False])
async def test_what_a_server_remembers_of_roots_is_for_no_other_client(behind: Behind, has_roots: bool) -> None:
    async def roots(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[])

    callbacks: Any = {"elicitation_callback": named, **({"list_roots_callback": roots} if has_roots else {})}
    async with behind(theirs=plain(prefix="")) as app, asgi(app) as application, serving(application) as ours:
        with anyio.fail_after(60):
            async with Client(f"{ours}/mcp", mode=ROUNDS, **callbacks) as client:
                processes = {text(await client.call_tool("pid", {})) for _ in range(2)}

    assert len(processes) == (2 if has_roots else 1)


@pytest.mark.parametrize("mode", MODES)
async def test_two_clients_of_one_principal_are_asked_what_their_own_calls_are_about(behind: Behind, mode: Mode) -> None:
    """A child's question names no call, and what both clients share is who they are."""
    found: dict[str, list[str]] = {"Ada": [], "Bob": []}

    async def use(url: str, name: str) -> None:
        async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
            await anyio.sleep(0.01)  # so that both wait at the same time
            return types.ElicitResult(action="accept", content={"name": name})

        async with Client(url, mode=mode, elicitation_callback=answer) as client:
            for _ in range(10):
                found[name].append(text(await client.call_tool("ask", {})))

    async with behind(theirs=plain("asks", prefix="")) as app, asgi(app) as application, serving(application) as ours:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for name in found:
                    tasks.start_soon(use, f"{ours}/mcp", name)

    assert found == {name: [name] * 10 for name in found}


@pytest.mark.parametrize("transport", ["auto", "http", "sse"])
async def test_where_no_server_is_that_is_said_at_once(behind: Behind, transport: str) -> None:
    async with serving(Theirs().app()) as url:
        nothing = {"url": f"{url}/nothing", "transport": transport, "allow_networks": ["127.0.0.0/8"]}
        async with behind(theirs=nothing) as app:
            (status,) = app.roster.status()

    assert status["problem"] == "theirs answered 404 where a message of MCP was expected"


@pytest.mark.parametrize("status", [400, 404])
async def test_a_server_that_has_forgotten_its_sessions_is_begun_again_and_costs_no_call(behind: Behind, status: int) -> None:
    forgetful = Forgetful(only_handshake(Theirs().app()), status)
    async with serving(forgetful) as url, behind(theirs={"url": f"{url}/mcp", "allow_networks": ["127.0.0.0/8"]}) as app:
        with anyio.fail_after(60):
            for word in ("one", "two", "three"):
                outcome = await app.gateway.call("theirs_canary", {"word": word}, Principal("ada", ("reader",)))
                assert outcome.problem is None
                assert outcome.content == (Text(word),)
                forgetful.forget()


@pytest.mark.parametrize("by_sse", [False, True])
async def test_a_callers_own_conversation_ends_with_their_session(behind: Behind, by_sse: bool) -> None:
    async with behind(theirs=plain(prefix="")) as app, asgi(app) as application, serving(application) as ours:
        way: Any = sse_client(f"{ours}/sse") if by_sse else f"{ours}/mcp"
        with anyio.fail_after(60):
            async with Client(way, mode="legacy", elicitation_callback=named) as client:
                own = int(text(await client.call_tool("pid", {})))
                assert Path(f"/proc/{own}").exists()
            while Path(f"/proc/{own}").exists():
                await anyio.sleep(0.05)
        with anyio.fail_after(60):
            shared = await app.gateway.call("pid", {}, Principal("ada", ("reader",)))

    assert own != int(shared.content[0].text)  # type: ignore[union-attr]
