"""Who is taken for whom. The table is the policy: whoever is not in it stays outside."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from typing import Any

import pytest

from toolgate.calls import Principal
from toolgate.errors import NotIdentified
from toolgate.server.identify import anonymous, is_loopback, local
from toolgate.settings import Caller, Server

GUEST = Caller(roles=("readonly",), tier="free", tenant="home")


def request(peer: str | None = "127.0.0.1", *headers: tuple[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "client": (peer, 50000) if peer else None,
        "headers": [(name.encode(), value.encode()) for name, value in (("host", "localhost:8765"), *headers)],
    }


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_somebody_at_this_machine_is_anonymous(peer: str, host: str) -> None:
    identify = anonymous(GUEST, Server(host=host))

    assert await identify(request(peer)) == Principal(id="anonymous", roles=("readonly",), tier="free", tenant="home", via="loopback")


@pytest.mark.parametrize(
    ("caller", "server", "asked", "why"),
    [
        (None, Server(), request(), "this server lets nobody in without a credential"),
        (GUEST, Server(host="0.0.0.0"), request(), "let in on loopback only, and this server listens on 0.0.0.0"),
        (GUEST, Server(host="tools.example.com"), request(), "let in on loopback only"),
        (GUEST, Server(), request("192.0.2.7"), "from this machine only"),
        (GUEST, Server(), request("::ffff:192.0.2.7"), "from this machine only"),
        (GUEST, Server(), request(None), "from this machine only"),
        (GUEST, Server(), request("127.0.0.1", ("x-forwarded-for", "192.0.2.7")), "not through a proxy"),
        (GUEST, Server(), request("127.0.0.1", ("forwarded", "for=192.0.2.7")), "not through a proxy"),
        (GUEST, Server(), request("127.0.0.1", ("x-real-ip", "127.0.0.1")), "not through a proxy"),
        (GUEST, Server(), request("127.0.0.1", ("via", "1.1 proxy")), "not through a proxy"),
        (GUEST, Server(), request() | {"http_version": "1.0"}, "not through a proxy"),
        (GUEST, Server(allowed_hosts=("Localhost:8765",)), request(), "not through a proxy"),
        (GUEST, Server(), request("127.0.0.1", ("authorization", "Bearer anything")), "does not know such a credential"),
        (GUEST, Server(), request("127.0.0.1", ("authorization", "")), "does not know such a credential"),
        (None, Server(), request("127.0.0.1", ("authorization", "Basic YTpi")), "does not know such a credential"),
    ],
)
async def test_everybody_else_is_told_what_is_missing(caller: Caller | None, server: Server, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(NotIdentified, match=why) as refused:
        await anonymous(caller, server)(asked)

    assert "YTpi" not in str(refused.value)


@pytest.mark.parametrize(("known_as", "is_let_in"), [("http://localhost:8765/mcp", True), ("https://tools.example.com/mcp", False)])
async def test_where_clients_know_us_elsewhere_nobody_is_anonymous(known_as: str, is_let_in: bool) -> None:
    identify = anonymous(GUEST, Server(), known_as)

    if is_let_in:
        assert (await identify(request())).id == "anonymous"
    else:
        with pytest.raises(NotIdentified, match=r"clients know this server as tools\.example\.com"):
            await identify(request())


@pytest.mark.parametrize(
    ("host", "ours"),
    [("127.0.0.1", True), ("localhost", True), ("LOCALHOST", True), ("::1", True), ("::ffff:127.0.0.1", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.evil.com", "127.0.0.1.evil.com", "", "2130706433")],
)
def test_loopback_is_recognised_without_looking_names_up(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours


def test_the_person_at_this_machine_has_the_name_that_the_system_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")

    assert getpass.getuser() == "ada"
    assert local(GUEST, "terminal") == Principal(id="local:ada", roles=("readonly",), tier="free", tenant="home", via="terminal")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_a_name_is_their_number() -> None:
    program = """
import os, pwd
from toolgate.server.identify import local
from toolgate.settings import Caller
os.setuid(54321)
print(local(Caller(), "stdio").id)
"""
    nameless = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={}, check=True, timeout=90)

    assert nameless.stdout == "local:uid54321\n"


def test_importing_who_is_asking_does_not_import_the_sdk() -> None:
    program = "import sys, toolgate.server.identify, toolgate.server.ingress; print({'mcp', 'mcp_types', 'uvicorn'} & sys.modules.keys())"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=90).stdout == "set()\n"
