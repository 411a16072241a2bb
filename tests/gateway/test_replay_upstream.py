"""What an upstream that breaks off means for who sends the same key again (cases F12 and F13 of the fault table)."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from toolgate.egress.transport import open_transport
from toolgate.gateway import Gateway, build_gateway
from toolgate.openapi.load import load
from toolgate.openapi.source import tools_of
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Settings
from toolgate.stores.memory import memory_stores
from toolgate.testing import RawServer, Script, a_principal, raw_server

ADA = a_principal("any", id="ada")
POLICY = Policy([Role(role="any", permissions=(Permission(id="all", tools="*"),))])


def described(**operation: Any) -> str:
    paths = {"/orders": {"post": {"operationId": "order", "responses": {"201": {"description": "Ordered."}}, **operation}}}
    return json.dumps({"openapi": "3.1.0", "info": {"title": "Shop", "version": "1"}, "paths": paths})


@asynccontextmanager
async def a_shop(folder: Path, script: Script, timeout: str = "20s", **operation: Any) -> AsyncIterator[tuple[Gateway, RawServer]]:
    """A gateway before a shop on loopback."""
    async with raw_server(script) as server, open_transport() as transport:
        (folder / "openapi.json").write_text(described(**operation))
        declared = {"name": "shop", "spec": "openapi.json", "base_url": server.origin, "allow_networks": ["127.0.0.0/8"]}
        (folder / "integration.yaml").write_text(json.dumps(declared | {"defaults": {"timeout": timeout}}))
        loaded = load(folder, folder / "state", environ={})
        yield build_gateway(list(tools_of(loaded, transport)), POLICY, memory_stores(), Settings()), server


async def reset(_request: bytes, writer: asyncio.StreamWriter) -> None:
    """Break off hard once the request is there."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def cut(_request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nhalf")
    writer.close()


async def silent(_request: bytes, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("script", "timeout", "code"), [(reset, "20s", "upstream_failed"), (cut, "20s", "upstream_failed"), (silent, "300ms", "timed_out")]
)
async def test_an_order_whose_answer_was_lost_is_not_sent_again_under_its_key(
    script: Script, timeout: str, code: str, tmp_path: Path
) -> None:
    async with a_shop(tmp_path, script, timeout) as (gateway, server):
        first = await gateway.call("shop_order", {}, ADA, idempotency_key="k")
        second = await gateway.call("shop_order", {}, ADA, idempotency_key="k")

    assert first.problem is not None
    assert (first.problem.code, first.effect, first.replayed) == (code, "unknown", False)
    assert (second.problem, second.effect, second.replayed) == (first.problem, "unknown", True)
    assert len(server.seen) == 1


async def test_an_order_that_was_declined_may_be_sent_again_and_the_shop_hears_the_same_name(tmp_path: Path) -> None:
    answers = [b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"]

    async def script(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))

    header = {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string", "format": "uuid"}}
    async with a_shop(tmp_path, script, parameters=[header]) as (gateway, server):
        outcomes = [await gateway.call("shop_order", {}, ADA, idempotency_key="k") for _ in range(3)]

    assert [(outcome.ok, outcome.replayed) for outcome in outcomes] == [(False, False), (True, False), (True, True)]
    [first, second] = [re.findall(rb"\r\nIdempotency-Key: (\S+)\r\n", request) for request in server.seen]
    assert len(first) == 1
    assert first == second
