"""Which addresses a name may lead to, and who may use a connection that is already there."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from toolgate.egress.pool import Checked
from toolgate.egress.transport import Transport, open_transport
from toolgate.egress.wire import Reach, Request, Response
from toolgate.errors import EgressBlocked, Unreachable, UpstreamFailed
from toolgate.testing import raw_server

LOOPBACK = ip_network("127.0.0.0/8")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Names:
    """A resolver with a list of answers, one a question; the last one stays."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def get(transport: Transport, url: str, *networks: IPv4Network | IPv6Network, method: str = "GET") -> Response:
    origin = "/".join(url.split("/")[:3])
    return await transport.send(Request(method, url), reach=Reach(frozenset({origin}), networks), seconds=5)


async def test_a_name_is_connected_to_at_its_checked_address_and_keeps_its_name_in_the_request() -> None:
    names = Names([["127.0.0.1"]])
    async with raw_server(OK) as server, open_transport(resolver=names) as transport:
        await get(transport, f"http://api.example:{server.port}/x", LOOPBACK)

        assert names.asked == ["api.example"]
        assert server.seen[0].startswith(f"GET /x HTTP/1.1\r\nHost: api.example:{server.port}\r\n".encode())


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["8.8.8.8", "::1"],
        ["8.8.8.8", "64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%1"],
    ],
)
async def test_a_name_with_one_address_that_is_not_public_is_blocked_before_any_connection(addresses: list[str]) -> None:
    async with raw_server(OK) as server, open_transport(resolver=Names([addresses])) as transport:
        with pytest.raises(EgressBlocked, match=r"^api\.example leads to an? .*; only the operator can allow it, with allow_networks$"):
            await get(transport, f"http://api.example:{server.port}/")

        assert server.connections == 0


async def test_a_name_that_first_leads_outside_and_then_inside_is_blocked_then() -> None:
    checked = Checked(Names([["8.8.8.8", "2606:4700::1"], ["8.8.8.8", "10.0.0.1"]]), frozenset())

    assert [found["host"] for found in await checked.resolve("api.example", 443)] == ["8.8.8.8", "2606:4700::1"]
    with pytest.raises(EgressBlocked, match="leads to a private address"):
        await checked.resolve("api.example", 443)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "169.254.169.254", "127.0.0.1."]
)
async def test_an_address_in_the_url_is_checked_like_a_resolved_one(host: str) -> None:
    names = Names([["8.8.8.8"]])
    async with raw_server(OK) as server, open_transport(resolver=names) as transport:
        origins = frozenset({f"http://{spelling}:{server.port}" for spelling in (host, host.rstrip("."), "[::ffff:7f00:1]")})
        with pytest.raises(EgressBlocked, match="only the operator can allow it"):
            await transport.send(Request("GET", f"http://{host}:{server.port}/"), reach=Reach(origins), seconds=5)

        assert (server.connections, names.asked) == (0, [])


async def test_an_origin_that_is_not_listed_is_blocked_before_its_name_is_looked_up() -> None:
    names = Names([["127.0.0.1"]])
    async with open_transport(resolver=names) as transport:
        with pytest.raises(EgressBlocked, match=r"^http://evil\.example:80 is not among the origins that may be reached: "):
            await transport.send(
                Request("GET", "http://evil.example/?key=canary"), reach=Reach(frozenset({"http://api.example:80"})), seconds=5
            )

    assert names.asked == []


@pytest.mark.parametrize("failure", [OSError("no such name"), []])
async def test_a_name_that_nobody_knows_is_unreachable(failure: OSError | list[str]) -> None:
    async def resolver(host: str) -> Sequence[str]:
        if isinstance(failure, OSError):
            raise failure
        return failure

    async with open_transport(resolver=resolver) as transport:
        with pytest.raises(Unreachable, match=r"^the name api\.example cannot be resolved$"):
            await get(transport, "http://api.example:80/?key=canary", LOOPBACK)


async def test_a_second_request_reuses_the_connection() -> None:
    async with raw_server(OK) as server, open_transport() as transport:
        for _ in range(5):
            await get(transport, server.origin, LOOPBACK)

        assert (len(server.seen), server.connections) == (5, 1)


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    async with raw_server(OK) as server, open_transport() as transport:
        await asyncio.gather(*[get(transport, server.origin, LOOPBACK) for _ in range(5)])

        assert (len(server.seen), server.connections) == (5, 5)


async def test_an_idle_connection_is_not_handed_to_somebody_who_may_not_reach_its_address() -> None:
    names = Names([["127.0.0.1"]])
    async with raw_server(OK) as server, open_transport(resolver=names) as transport:
        url = f"http://api.example:{server.port}/"
        await get(transport, url, LOOPBACK)
        with pytest.raises(EgressBlocked):
            await get(transport, url)
        with pytest.raises(EgressBlocked):
            await get(transport, url, ip_network("10.0.0.0/8"))
        await get(transport, url, LOOPBACK)

        assert (len(server.seen), server.connections) == (2, 1)


async def test_a_connection_is_not_used_again_when_the_server_says_close_or_adds_something() -> None:
    for sent in (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + OK,
    ):
        async with raw_server(sent) as server, open_transport() as transport:
            assert (await get(transport, server.origin, LOOPBACK)).body == b"ok"
            assert (await get(transport, server.origin, LOOPBACK)).body == b"ok"

            assert (len(server.seen), server.connections) == (2, 2)


async def test_what_a_server_says_unasked_is_not_taken_for_the_next_answer() -> None:
    taken, said = asyncio.Event(), asyncio.Event()

    async def talkative(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        if request.startswith(b"GET /first"):
            await taken.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            said.set()

    async with raw_server(talkative) as server, raw_server(OK) as another, open_transport() as transport, asyncio.timeout(30):
        await get(transport, server.origin + "/first", LOOPBACK)
        taken.set()
        await said.wait()
        await get(transport, another.origin, LOOPBACK)  # time enough for what was said to arrive

        assert (await get(transport, server.origin + "/second", LOOPBACK)).body == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize(("method", "repeated"), [("GET", True), ("HEAD", True), ("POST", False), ("DELETE", False)])
async def test_a_safe_request_goes_out_again_when_its_idle_connection_was_closed(method: str, repeated: bool) -> None:
    async def closes_the_second_time(request: bytes, writer: asyncio.StreamWriter) -> None:
        if server.connections == 1 and len(server.seen) == 2:
            writer.transport.abort()
        else:
            writer.write(OK if not request.startswith(b"HEAD") else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")

    async with raw_server(closes_the_second_time) as server, open_transport() as transport:
        await get(transport, server.origin, LOOPBACK)
        if repeated:
            assert (await get(transport, server.origin, LOOPBACK, method=method)).status == 200
        else:
            with pytest.raises(UpstreamFailed, match="closed the connection without an answer"):
                await get(transport, server.origin, LOOPBACK, method=method)

        assert (len(server.seen), server.connections) == ((3, 2) if repeated else (2, 1))


async def test_an_early_answer_to_a_long_request_does_not_leave_the_rest_of_it_to_the_next() -> None:
    taken: list[bytes] = []
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        if len(taken) == 2:
            done.set()
        await done.wait()  # what follows the head is never read
        writer.transport.abort()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    reach = Reach(frozenset({origin}), (LOOPBACK,))
    async with listening, open_transport() as transport:
        await transport.send(Request("POST", origin, body=bytes(32 * 1024 * 1024)), reach=reach, seconds=5)
        await transport.send(Request("GET", origin + "/next"), reach=reach, seconds=5)

    assert [head.split(b" ")[:2] for head in taken] == [[b"POST", b"/"], [b"GET", b"/next"]]


@pytest.fixture
def certified(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server called api.example, and for a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("api.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())


async def test_tls_is_asked_for_and_verified_by_name_while_the_address_is_the_checked_one(
    certified: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server_tls, client_tls = certified
    shown: list[str | None] = []
    server_tls.sni_callback = lambda _, name, __: shown.append(name)
    async with raw_server(OK, tls=server_tls) as server, open_transport(resolver=Names([["127.0.0.1"]]), tls=client_tls) as transport:
        assert (await get(transport, f"https://api.example:{server.port}/", LOOPBACK)).body == b"ok"
        with pytest.raises(Unreachable, match=r"certificate that cannot be trusted: Hostname mismatch.*'other\.example'"):
            await get(transport, f"https://other.example:{server.port}/?key=canary", LOOPBACK)

        assert shown == ["api.example", "other.example"]
        assert len(server.seen) == 1


async def test_a_certificate_that_the_system_does_not_know_is_not_trusted(certified: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with raw_server(OK, tls=certified[0]) as server, open_transport(resolver=Names([["127.0.0.1"]])) as transport:
        with pytest.raises(Unreachable, match="shows a certificate that cannot be trusted: self-signed certificate"):
            await get(transport, f"https://api.example:{server.port}/", LOOPBACK)

        assert server.seen == []


async def test_a_tls_handshake_that_nobody_answers_is_unreachable() -> None:
    async with raw_server(OK) as server, open_transport() as transport:
        origin = server.origin.replace("http:", "https:")
        with pytest.raises(Unreachable, match=r"within 0\.05 s$"):
            await transport.send(Request("GET", origin), reach=Reach(frozenset({origin}), (LOOPBACK,)), seconds=0.05)

        assert server.seen == []
