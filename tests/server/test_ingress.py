"""The door and the body: what must not get in, tried against a real listener where bytes matter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from toolgate.calls import Principal
from toolgate.errors import NotIdentified
from toolgate.server.identify import Identify
from toolgate.server.ingress import MAX_HEADERS, guarded
from toolgate.server.strict import Ambiguous, check
from toolgate.settings import Server

ADA = Principal(id="ada")
Serve = Callable[..., AbstractAsyncContextManager[str]]


async def ada(_scope: Scope) -> Principal:
    return ADA


async def nobody(_scope: Scope) -> Principal:
    raise NotIdentified("nobody was shown")


class Inside:
    """An application that remembers what it was given and answers with it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        self.bodies.append((await receive())["body"])
        headers = {name.decode(): value.decode() for name, value in scope["headers"] if name.startswith(b"mcp-")}
        await JSONResponse(headers)(scope, receive, send)


async def answer(
    inside: ASGIApp,
    headers: Iterable[tuple[str, str]],
    *,
    server: Server | None = None,
    method: str = "GET",
    path: str = "/mcp",
    chunks: Iterable[bytes] = (b"",),
    here: tuple[str, int] = ("127.0.0.1", 8765),
    who: Identify | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """The guarded application's answer to one request, as status, headers and body."""
    sent: list[dict[str, object]] = []
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting[-1]["more_body"] = False

    async def receive() -> dict[str, object]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "server": here,
        "client": ("127.0.0.1", 50000),
    }
    await guarded(inside, server or Server(), who or ada)(scope, receive, send)  # type: ignore[arg-type]
    start, *bodies = sent
    named = {name.decode(): value.decode() for name, value in start["headers"]}  # type: ignore[attr-defined]
    return start["status"], named, b"".join(message["body"] for message in bodies)  # type: ignore[return-value, misc]


OURS = ("host", "127.0.0.1:8765")
JSON = ("content-type", "application/json")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8765", "localhost:8765", "LOCALHOST:8765", "[::1]:8765", "tools.example.com", "gate.example.com:443", " localhost:8765 "],
)
async def test_a_host_that_means_us_is_let_in(host: str) -> None:
    inside = Inside()

    status, _, _ = await answer(inside, [("host", host)], server=Server(allowed_hosts=("tools.example.com", "Gate.example.com:443")))

    assert (status, len(inside.bodies)) == (200, 1)


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["evil.com"],
        ["evil.com:8765"],
        ["127.0.0.1"],
        ["127.0.0.1:80"],
        ["127.0.0.1:8765.evil.com"],
        ["127.0.0.1:80.evil.com"],
        ["localhost:8765.evil.com"],
        ["localhost.evil.com:8765"],
        ["localhost:8765/#@evil.com"],
        ["user@localhost:8765"],
        ["localhost:8765\\evil.com"],
        ["localhost:08765"],
        ["2130706433:8765"],
        ["[::ffff:127.0.0.1]:8765"],
        ["tools.example.com:8765"],
        ["tools.example.com."],
        ["sub.tools.example.com"],
        ["127.0.0.1:8765", "127.0.0.1:8765"],
        ["127.0.0.1:8765", "evil.com"],
        ["127.0.0.1:8765, evil.com"],
    ],
)
async def test_a_host_that_only_resembles_ours_is_misdirected(hosts: list[str]) -> None:
    inside = Inside()

    status, _, _ = await answer(inside, [("host", host) for host in hosts], server=Server(allowed_hosts=("tools.example.com",)))

    assert (status, inside.bodies) == (421, [])


@pytest.mark.parametrize("hosts", [[], ["10.0.0.7"], ["lb.example"]])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_what_balances_loads_may_ask_under_any_host_how_we_are(hosts: list[str], path: str) -> None:
    status, _, _ = await answer(Inside(), [("host", host) for host in hosts], path=path)

    assert status == 200


async def test_a_server_on_every_address_knows_the_one_that_was_connected_to_and_no_name() -> None:
    inside, server = Inside(), Server(host="0.0.0.0")

    ours = await answer(inside, [("host", "192.0.2.7:8765")], server=server, here=("192.0.2.7", 8765))
    other = await answer(inside, [("host", "192.0.2.8:8765")], server=server, here=("192.0.2.7", 8765))
    evil = await answer(inside, [("host", "evil.com"), ("origin", "http://evil.com")], server=server, here=("192.0.2.7", 8765))

    assert [ours[0], other[0], evil[0]] == [200, 421, 421]


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8765", "http://localhost:8765", "http://[::1]:8765", "https://tools.example.com"])
async def test_a_page_of_ours_may_call(origin: str) -> None:
    status, _, _ = await answer(Inside(), [OURS, ("origin", origin)], server=Server(allowed_origins=("https://tools.example.com",)))

    assert status == 200


@pytest.mark.parametrize(
    "origins",
    [
        ["null"],
        [""],
        ["http://evil.com"],
        ["http://127.0.0.1:80.evil.com"],
        ["http://127.0.0.1:8765.evil.com"],
        ["http://localhost:8765@evil.com"],
        ["http://localhost:3000"],
        ["http://localhost"],
        ["https://localhost:8765"],
        ["https://tools.example.com.evil.com"],
        ["https://tools.example.com:443"],
        ["http://tools.example.com"],
        ["https://tools.example.com/"],
        ["http://127.0.0.1:8765", "http://evil.com"],
        ["http://127.0.0.1:8765", "http://127.0.0.1:8765"],
        ["http://127.0.0.1:8765 http://evil.com"],
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/", "/v1/tools", "/healthz", "/nowhere"])
async def test_a_page_of_somebody_else_may_not_call_wherever_it_knocks(origins: list[str], path: str) -> None:
    inside = Inside()
    server = Server(allowed_origins=("https://tools.example.com",))

    status, _, _ = await answer(inside, [OURS, *(("origin", origin) for origin in origins)], server=server, path=path)

    assert (status, inside.bodies) == (403, [])


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (["application/json"], 200),
        (["Application/JSON; charset=utf-8"], 200),
        (['application/json;charset="utf-8"'], 200),
        ([], 415),
        ([""], 415),
        (["text/plain"], 415),
        (["text/plain; application/json"], 415),
        (["application/jsonp"], 415),
        (["application/json-patch+json"], 415),
        (["application/x-www-form-urlencoded"], 415),
        (["multipart/form-data; boundary=x"], 415),
        (["application/json; charset=utf-16"], 415),
        (["application/json", "text/plain"], 415),
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/messages/", "/v1/tools/x/call"])
async def test_a_post_is_json_or_nothing(content_type: list[str], status: int, path: str) -> None:
    headers = [OURS, ("content-length", "2"), *(("content-type", value) for value in content_type)]

    assert (await answer(Inside(), headers, method="POST", path=path, chunks=[b"{}"]))[0] == status


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        (b'{"a": {"b": [1, 2.5, -3, true, null, "x"]}}', True),
        (b"[]", True),
        (b'{"a": 1, "A": 2}', True),
        (b'{"a": {"x": 1}, "b": {"x": 1}}', True),
        (b'"\\ud83d\\ude00"', True),
        (b"18446744073709551615", True),
        (b"-9223372036854775808", True),
        (b"[" * 64 + b"]" * 64, True),
        (b"", False),
        (b"{", False),
        (b"{} {}", False),
        (b'{"a": 1, "a": 2}', False),
        (b'{"a": 1, "\\u0061": 2}', False),
        (b'[{"x": {"a": null, "a": null}}]', False),
        (b'{"a": NaN}', False),
        (b'{"a": Infinity}', False),
        (b'{"a": -Infinity}', False),
        (b'{"a": 1e400}', False),
        (b'{"a": "\\ud800"}', False),
        (b'{"\\udc00": 1}', False),
        (b'"\xed\xa0\x80"', False),
        (b'"\xff"', False),
        (b"\xef\xbb\xbf{}", False),
        ('{"a": 1}'.encode("utf-16"), False),
        (b"{'a': 1}", False),
        (b'{"a": 1,}', False),
        (b"// no\n{}", False),
        (b'{"a": 01}', False),
        (b'{"a": "\x01"}', False),
        (b"18446744073709551616", False),
        (b"-9223372036854775809", False),
        (b"9" * 5000, False),
        (b"[" * 65 + b"]" * 65, False),
        (b'{"a":' * 65 + b"1" + b"}" * 65, False),
        (b"[" * 100_000, False),
    ],
)
async def test_what_parsers_could_read_in_two_ways_is_not_read(body: bytes, allowed: bool) -> None:
    inside = Inside()
    headers = [OURS, JSON, ("content-length", str(len(body)))]

    status, _, answered = await answer(inside, headers, method="POST", chunks=[body])

    assert (status, inside.bodies) == ((200, [body]) if allowed else (400, []))
    if not allowed:
        assert json.loads(answered)["error"]["code"] == -32700


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_everything_that_json_can_say_in_one_way_is_allowed(value: object) -> None:
    check(json.dumps(value).encode())


@given(st.dictionaries(st.text(), JSON_VALUES, min_size=1, max_size=4), st.data())
def test_a_key_twice_is_found_wherever_it_stands(values: dict[str, object], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(values)))
    pairs = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in [*values.items(), (key, None)]]

    with pytest.raises(Ambiguous, match="a key twice"):
        check(f"[1, {{{', '.join(pairs)}}}]".encode())


async def test_a_refused_body_in_the_http_face_is_told_in_its_own_terms() -> None:
    _, headers, body = await answer(
        Inside(), [OURS, JSON, ("content-length", "3")], method="POST", path="/v1/tools/x/call", chunks=[b"NaN"]
    )

    assert headers["connection"] == "close"
    assert json.loads(body) == {
        "ok": False,
        "problem": {
            "code": "bad_request",
            "message": "the body is not JSON: unexpected character, expected a JSON value: line 1 column 1 (char 0)",
        },
    }


@pytest.mark.parametrize(
    "headers", [[("content-length", "101")], [("content-length", "9" * 40)], [("content-length", "x")], [("transfer-encoding", "chunked")]]
)
async def test_a_body_over_the_limit_is_cut_off_declared_or_not(headers: list[tuple[str, str]]) -> None:
    inside, server = Inside(), Server(max_body=100)

    status, _, _ = await answer(inside, [OURS, JSON, *headers], server=server, method="POST", chunks=[b"[" + b" " * 60, b" " * 60 + b"]"])

    assert (status, inside.bodies) == (413, [])


async def test_a_body_of_exactly_the_limit_arrives_whole_and_unchanged() -> None:
    inside, server = Inside(), Server(max_body=100)

    await answer(inside, [OURS, JSON, ("transfer-encoding", "chunked")], server=server, method="POST", chunks=[b"[" + b" " * 98, b"]"])

    assert inside.bodies == [b"[" + b" " * 98 + b"]"]


async def test_after_the_body_comes_nothing_but_the_end_of_the_connection() -> None:
    ends: list[object] = []

    async def patient(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        ends.append(await receive())
        await JSONResponse({})(scope, receive, send)

    # A server tells of an empty body where there is none, and the application was told of it already.
    await answer(patient, [OURS], chunks=[b""])

    assert ends == [{"type": "http.disconnect"}]


async def test_a_compressed_body_is_not_taken() -> None:
    headers = [OURS, JSON, ("content-length", "2"), ("content-encoding", "gzip")]

    assert (await answer(Inside(), headers, method="POST", chunks=[b"{}"]))[0] == 415


async def test_too_many_headers_are_refused() -> None:
    assert (await answer(Inside(), [OURS, ("x", "y" * MAX_HEADERS)]))[0] == 431


async def test_white_space_around_a_header_is_not_part_of_it() -> None:
    _, _, body = await answer(Inside(), [OURS, ("mcp-name", "\talpha  "), ("mcp-method", "tools/call ")])

    assert json.loads(body) == {"mcp-name": "alpha", "mcp-method": "tools/call"}


async def test_every_answer_carries_the_safe_headers() -> None:
    _, good, _ = await answer(Inside(), [OURS])
    _, bad, _ = await answer(Inside(), [("host", "evil.com")])

    safe = {
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
    }
    assert (good.items() >= safe.items(), bad.items() >= safe.items()) == (True, True)


PAGE = "https://chat.example.com"


async def test_a_page_that_the_operator_names_is_told_that_it_may_ask_before_anybody_asks_who_is_there() -> None:
    inside = Inside()
    asked = [
        OURS,
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,mcp-protocol-version"),
    ]

    status, headers, body = await answer(inside, asked, server=Server(allowed_origins=(PAGE,)), method="OPTIONS", who=nobody)

    told = {name: value for name, value in headers.items() if name.startswith("access-control")}
    assert (status, body, inside.bodies) == (204, b"", [])
    assert told == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET, POST, PATCH, DELETE",
        "access-control-allow-headers": "authorization,mcp-protocol-version",
        "access-control-max-age": "7200",
    }
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://chat.example.com"])
async def test_a_page_that_nobody_named_is_not_told_so(origin: str) -> None:
    asked = [OURS, ("origin", origin), ("access-control-request-method", "POST")]

    status, headers, _ = await answer(Inside(), asked, server=Server(allowed_origins=(PAGE,)), method="OPTIONS")

    assert (status, [name for name in headers if name.startswith("access-control")]) == (403, [])


async def test_a_page_that_the_operator_names_may_read_answers_and_refusals() -> None:
    server = Server(allowed_origins=(PAGE,))

    good = await answer(Inside(), [OURS, ("origin", PAGE)], server=server)
    nameless = await answer(Inside(), [OURS, ("origin", PAGE)], server=server, who=nobody)
    bad = await answer(Inside(), [OURS, ("origin", PAGE)], server=server, method="POST")
    ours = await answer(Inside(), [OURS, ("origin", "http://127.0.0.1:8765")], server=server)

    assert [good[0], nameless[0], bad[0], ours[0]] == [200, 401, 415, 200]
    assert [each[1].get("access-control-allow-origin") for each in (good, nameless, bad, ours)] == [PAGE, PAGE, PAGE, None]
    assert "www-authenticate" in nameless[1]
    assert nameless[1]["access-control-expose-headers"] == "*"
    assert "access-control-allow-credentials" not in good[1]


async def test_a_websocket_is_never_accepted() -> None:
    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    await guarded(Inside(), Server(), ada)({"type": "websocket", "path": "/mcp", "headers": []}, receive, send)

    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_body_that_drips_is_answered_with_408_when_its_time_is_over(serve: Serve) -> None:
    server = Server(port=0, body_timeout=0.2)
    async with serve(Inside(), server, ada) as url, await anyio.connect_tcp("127.0.0.1", httpx2.URL(url).port or 0) as stream:
        head = f"POST /mcp HTTP/1.1\r\nHost: {httpx2.URL(url).netloc.decode()}\r\nContent-Type: application/json\r\n"
        await stream.send(f"{head}Content-Length: 1000\r\n\r\n[".encode())
        with anyio.fail_after(25):
            answered = b""
            while b"}" not in answered:
                await stream.send(b" ")
                with anyio.move_on_after(0.05):
                    answered += await stream.receive()

    assert answered.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answered
