from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import ElicitResult
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.cli.conftest import Terminal
from toolgate.standin import serving

PROGRAM = (sys.executable, "-m", "toolgate")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}


@asynccontextmanager
async def served(*words: str, folder: Path, environment: dict[str, str]) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    """`toolgate serve` in a process of its own; yields it and what it says when it is ready."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "serve", "--json", "--port", "0", *words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        with anyio.fail_after(90):
            line = await process.stdout.readline()
        if not line:
            _, complaint = await process.communicate()
            pytest.fail(f"the server did not start: {complaint.decode()}")
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def openapi(shop: Path) -> Path:
    """A description and nothing else, in a folder without settings."""
    alone = shop.parents[1] / "alone"
    alone.mkdir()
    return (shop / "openapi.json").rename(alone / "shop.json")


async def test_one_command_serves_a_description_lets_reading_pass_and_asks_before_writing(
    openapi: Path, shop_url: str, environment: dict[str, str]
) -> None:
    words = ("--openapi", openapi.name, "--base-url", shop_url, "--name", "shop", "--allow-network", "127.0.0.0/8")
    async with served(*words, folder=openapi.parent, environment=environment) as (_, ready), Client(ready["mcp"]) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        read = await client.call_tool("shop_list_items", {"kind": "tea"})
        write = await client.call_tool("shop_add_item", {"name": "Pot"})

    assert (ready["tools"], ready["not_loaded"]) == (8, [])  # four of ours beside
    assert names == ["shop_add_item", "shop_answer_with", "shop_get_picture", "shop_list_items"]
    assert "shop_add_item needs a person's yes" in write.content[0].text  # type: ignore[union-attr]
    assert (bool(read.is_error), read.content[0].text) == (False, '{"query":"kind=tea"}')  # type: ignore[union-attr]
    assert [file.name for file in openapi.parent.iterdir()] == ["shop.json"]


async def test_a_description_at_a_url_is_served_and_calls_go_where_it_says_seen_from_there(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    operation = {"operationId": "get_thing", "summary": "Get the thing", "responses": {"200": {"description": "It."}}}
    described = {
        "openapi": "3.0.3",
        "info": {"title": "T", "version": "1"},
        "servers": [{"url": "/v2"}],
        "paths": {"/thing": {"get": operation}},
    }

    async def description(request: Request) -> Response:
        return JSONResponse(described)

    async def thing(request: Request) -> Response:
        return JSONResponse({"path": request.url.path})

    api = Starlette(routes=[Route("/docs/openapi.json", description), Route("/v2/thing", thing)])
    async with serving(api) as url:
        words = ("--openapi", f"{url}/docs/openapi.json", "--allow-network", "127.0.0.1/32", "--expose", "search")
        async with served(*words, folder=tmp_path, environment=environment) as (_, ready), Client(ready["mcp"]) as client:
            answer = await client.call_tool("call_tool", {"name": "api_get_thing", "arguments": {}})

    assert answer.content[0].text == '{"path":"/v2/thing"}'  # type: ignore[union-attr]


async def test_people_are_told_where_it_is_and_how_to_connect(shop: Path, environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "serve", "--port", "0", cwd=shop.parents[1], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    told = ""
    with anyio.fail_after(90):
        while "Ctrl-C stops" not in told:
            line = await process.stderr.readline()
            assert line, told
            told += line.decode()
    process.terminate()
    with anyio.fail_after(90):
        out, _ = await process.communicate()

    assert out == b""
    assert re.search(
        r"serves 8 tools of 1 integration\n +MCP +(http://127\.0\.0\.1:\d+)/mcp +older clients: \1/sse\n +HTTP +\1/v1/tools\n", told
    )


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
async def test_a_server_that_is_told_to_stop_ends_well(openapi: Path, environment: dict[str, str], told: signal.Signals) -> None:
    words = ("--openapi", openapi.name, "--base-url", "https://shop.invalid")
    async with served(*words, folder=openapi.parent, environment=environment) as (process, _):
        process.send_signal(told)
        with anyio.fail_after(90):
            _, complaint = await process.communicate()

    assert (process.returncode, complaint.decode()) == (0, "")


async def test_over_stdio_nothing_but_the_protocol_is_on_stdout(shop: Path, environment: dict[str, str]) -> None:
    parameters = StdioServerParameters(command=PROGRAM[0], args=[*PROGRAM[1:], "serve", "--stdio"], cwd=shop.parents[1], env=environment)

    with anyio.fail_after(90):
        async with Client(stdio_client(parameters)) as client:
            tools = await client.list_tools()
            refused = await client.call_tool("shop_add_item", {"name": "Pot"})

    assert len(tools.tools) == 4
    assert refused.is_error
    assert "shop_add_item needs a person's yes" in refused.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_over_stdio_the_person_at_the_client_says_yes_to_what_writes(shop: Path, environment: dict[str, str], mode: Any) -> None:
    parameters = StdioServerParameters(command=PROGRAM[0], args=[*PROGRAM[1:], "serve", "--stdio"], cwd=shop.parents[1], env=environment)

    async def yes(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"approve": True})

    with anyio.fail_after(90):
        async with Client(stdio_client(parameters), mode=mode, elicitation_callback=yes) as client:
            added = await client.call_tool("shop_add_item", {"name": "Pot"})

    assert added.content[0].text == '{"added":{"name":"Pot"}}'  # type: ignore[union-attr]


def test_what_cannot_be_served_says_so_and_ends_with_1(openapi: Path, environment: dict[str, str]) -> None:
    (openapi.parent / "broken.json").write_text("{")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = [
            subprocess.run(
                [*PROGRAM, "serve", "--json", *words], cwd=openapi.parent, env=environment, capture_output=True, text=True, timeout=60
            )
            for words in (
                ["--openapi", "broken.json"],
                ["--openapi", "shop.json", "--base-url", "https://shop.invalid", "--port", port],
            )
        ]

    assert [(one.returncode, one.stdout) for one in ran] == [(1, "")] * 2
    messages = [json.loads(one.stderr.splitlines()[-1])["error"]["message"] for one in ran]
    assert "broken.json" in messages[0]
    assert f"cannot listen on 127.0.0.1 port {port}" in messages[1]


def test_ctrl_c_in_a_call_ends_with_130_and_is_written_down(shop: Path, environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        declaration = json.loads((shop / "integration.yaml").read_text())
        declaration["base_url"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (shop / "integration.yaml").write_text(json.dumps(declaration))
        call = subprocess.Popen(
            [*PROGRAM, "tools", "call", "shop_list_items", "kind=tea"],
            cwd=shop.parents[1],
            env=environment,
            # Whoever started the tests in the background may have had Ctrl-C ignored, which is inherited.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)
            call.send_signal(signal.SIGINT)
            out, err = call.communicate(timeout=90)

    audit = subprocess.run(
        [*PROGRAM, "audit", "list", "--json", "--type", "call.outcome"],
        cwd=shop.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (call.returncode, out, err.strip()) == (130, "", "error: interrupted")
    assert [(line["tool"]["name"], line["result"]["ending"], line["result"]["effect"]) for line in json.loads(audit.stdout)] == [
        ("shop_list_items", "CancelledError", "unknown")
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stdio", "--port", "0", "--host", "::1"], "--host, --port: not with --stdio, which listens nowhere"),
        (["--base-url", "http://127.0.0.1", "--name", "api"], "--base-url, --name: only with --openapi"),
        (["--expose", "search"], "--expose: only with --openapi"),
    ],
)
def test_options_that_would_do_nothing_are_refused(terminal: Terminal, words: list[str], message: str) -> None:
    ran = terminal("serve", "--json", *words)

    assert (ran.code, ran.error["code"], ran.error["message"]) == (1, "usage", message)
