"""A server process of our own, spoken to over its standard streams by the SDK's client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

PROGRAM = """
import logging, sys
import anyio
from toolgate.calls import Call, Outcome, Text
from toolgate.gateway import build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server import stdio
from toolgate.settings import Caller, Settings
from toolgate.stores.memory import memory_stores
from toolgate.testing import a_tool

async def whoami(call: Call) -> Outcome:
    print("this must not reach the protocol")
    logging.getLogger("toolgate").warning("nor must this")
    return Outcome(content=(Text(f"{call.principal.id} via {call.principal.via} as {call.principal.roles}"),))

async def slow(call: Call) -> Outcome:
    for done in (1, 2):
        await call.progress(done, 2, None) if call.progress else None
    await anyio.sleep(60 if call.arguments.get("long") else 0)
    return Outcome(content=(Text("done"),))

async def main() -> None:
    rules = (Permission(id="all", tools="*"), Permission(id="not", tools="secret", effect="deny"))
    tools = [a_tool(whoami, name="whoami"), a_tool(slow, name="slow"), a_tool(name="secret")]
    gateway = build_gateway(tools, Policy([Role(role="reader", permissions=rules)]), memory_stores(), Settings())
    stdio.GRACE = 2.0  # so that a busy machine has time enough for what takes none
    await stdio.serve_stdio(gateway, Settings(stdio=Caller(roles=("reader",))))

anyio.run(main)
print("ended", file=sys.stderr)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "serve.py"
    path.write_text(PROGRAM)
    return path


def text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_a_client_over_standard_streams_lists_calls_gives_up_and_goes_on(program: Path, mode: str) -> None:
    told: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    parameters = StdioServerParameters(command=sys.executable, args=["-W", "error", str(program)], env={"USER": "ada", "LOGNAME": "ada"})
    with anyio.fail_after(90):
        async with Client(parameters, mode=mode) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            who = await client.call_tool("whoami", {})
            slow = await client.call_tool("slow", {}, progress_callback=listen)
            with anyio.move_on_after(0.1):
                await client.call_tool("slow", {"long": True})
            with pytest.raises(MCPError) as refused:
                await client.call_tool("secret", {})

    assert names == ["slow", "whoami"]
    assert text(who) == "local:ada via stdio as ('reader',)"
    assert (text(slow), told) == ("done", [1, 2])
    assert refused.value.code == -32602


def test_a_client_that_closes_the_stream_ends_the_process(program: Path) -> None:
    ended = subprocess.run([sys.executable, "-W", "error", str(program)], input=b"", capture_output=True, timeout=90, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"ended\n")


def test_what_comes_with_the_end_of_the_input_is_answered_if_that_takes_no_time(program: Path, tmp_path: Path) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    calls = [{"name": "whoami"}, {"name": "slow", "arguments": {"long": True}}, {"name": "whoami"}]
    asked = [("initialize", hello), *(("tools/call", params) for params in calls), ("ping", {})]
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) for number, (method, params) in enumerate(asked)
    ]
    (tmp_path / "asked").write_text("\n".join(lines))

    with (tmp_path / "asked").open("rb") as source:
        ended = subprocess.run([sys.executable, "-W", "error", str(program)], stdin=source, capture_output=True, timeout=90, check=False)

    answers = {answer["id"]: answer for answer in map(json.loads, ended.stdout.splitlines())}
    assert {number for number, answer in answers.items() if "result" in answer} == {0, 1, 3, 4}
    assert answers[2]["error"]["code"] == -32000  # connection closed
