"""From arguments to bytes on a socket, through the real transport: nobody on the way mends or adds anything."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolgate.egress.origin import origin_of
from toolgate.egress.transport import open_transport
from toolgate.egress.wire import Reach
from toolgate.errors import InvalidArguments
from toolgate.openapi import request
from toolgate.openapi.operation import BodyPlan, FieldPlan, ParameterPlan, Plan
from toolgate.testing import raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
FORM = "application/x-www-form-urlencoded"


def reach(origin: str) -> Reach:
    return Reach(frozenset({origin_of(origin)}), (IPv4Network("127.0.0.0/8"),))


async def received(plan: Plan, *calls: Mapping[str, Any], base: str = "", headers: tuple[tuple[str, str], ...] = ()) -> list[bytes]:
    """What a server gets, byte by byte, for one call after the other."""
    async with raw_server(OK) as server, open_transport() as transport:
        builder = request.compile(plan, server.origin + base, headers)
        for arguments in calls:
            await transport.send(builder.build(arguments), reach=reach(server.origin), seconds=5)
    assert server.connections <= 1  # one after the other over one connection: no request was two
    return server.seen


def target(message: bytes) -> str:
    return message.split(b" ", 2)[1].decode("ascii")


def fields(message: bytes) -> list[bytes]:
    """The header lines that the transport did not add."""
    lines = message.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    ours = (b"host:", b"accept-encoding:", b"user-agent:", b"content-length:")
    return [line for line in lines if not line.lower().startswith(ours)]


def content(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


async def test_a_whole_request_arrives_as_it_was_built() -> None:
    plan = Plan(
        "PUT",
        "/{matrix}/{label}/{simple}/{rest}/end",
        parameters=(
            ParameterPlan("matrix", "path", "matrix", "matrix", explode=True),
            ParameterPlan("label", "path", "label", "label"),
            ParameterPlan("simple", "path", "simple", "simple"),
            ParameterPlan("rest", "path", "rest", multi_segment=True),
            ParameterPlan("f[]", "query", "form", "form", explode=True),
            ParameterPlan("deep", "query", "deep", "deepObject"),
            ParameterPlan("url", "query", "url", "form", allow_reserved=True),
            ParameterPlan("X-Ids", "header", "ids", explode=True),
            ParameterPlan("c", "cookie", "c", "cookie", explode=True),
            ParameterPlan("d", "cookie", "d", "form", explode=True),
        ),
        bodies=(BodyPlan("application/json", "whole", "body"),),
        accept="application/json",
    )
    arguments = {
        "matrix": ["a b", "é"],
        "label": {"R": 100, "G": 200},
        "simple": "..%zz~!",
        "rest": "a b/c%2Fd/.e",
        "form": ["x&y", "", "%20"],
        "deep": {"a": {"b": "[]"}},
        "url": "https://x.org/%7Ea?b=c&d#e",
        "ids": {"a": 1, "b": "two words"},
        "c": "1%3B",
        "d": "a; b",
        "body": {"a": None, "b": "é\u2028"},
    }

    (message,) = await received(plan, arguments, base="/api/v1/", headers=(("X-Ours", "yes"),))

    assert message.startswith(b"PUT ")
    assert target(message) == (
        "/api/v1/;matrix=a%20b;matrix=%C3%A9/.R,100,G,200/..%25zz~%21/a%20b/c%252Fd/.e/end"
        "?f%5B%5D=x%26y&f%5B%5D=&f%5B%5D=%2520&deep%5Ba%5D%5Bb%5D=%5B%5D&url=https://x.org/%7Ea?b%3Dc%26d%23e"
    )
    assert fields(message) == [
        b"Accept: application/json",
        b"X-Ours: yes",
        b"X-Ids: a=1,b=two words",
        b"Cookie: c=1%3B; d=a%3B%20b",
        b"Content-Type: application/json",
    ]
    assert content(message) == '{"a":null,"b":"é\u2028"}'.encode()


# What clients and URL libraries like to mend: each target must arrive as it stands.
@pytest.mark.parametrize(
    ("path", "base", "expected"),
    [
        ("/a/./b/../c", "", "/a/./b/../c"),
        ("//double//slash/", "", "//double//slash/"),
        ("/%7Euser/%41%2f", "", "/%7Euser/%41%2f"),
        ("/UPPER/%C3%A9", "", "/UPPER/%C3%A9"),
        ("/a+b;c=d,e:f@g", "", "/a+b;c=d,e:f@g"),
        ("/x", "?a=%20&b=+&c", "/x?a=%20&b=+&c"),
        ("/x", "?a='%27|%7C", "/x?a='%27%7C%7C"),
        ("/x", "?q=1&q=1&=&&", "/x?q=1&q=1&=&&"),
        ("", "", "/"),
        ("/", "/base//", "/base/"),
        ("/x", "/b%2Fase?k=v", "/b%2Fase/x?k=v"),
    ],
)
async def test_no_client_normalises_the_target(path: str, base: str, expected: str) -> None:
    (message,) = await received(Plan("GET", path), {}, base=base)

    assert target(message) == expected


@pytest.mark.parametrize(
    ("body", "value", "content_type", "data"),
    [
        (BodyPlan("application/json", "whole", "body"), None, b"application/json", b"null"),
        (BodyPlan(FORM, "whole", "body"), {"a b": ["~", "é"]}, FORM.encode(), b"a+b=%7E&a+b=%C3%A9"),
        (
            BodyPlan("application/octet-stream", "whole", "body", binary=True),
            base64.b64encode(bytes(range(256))).decode(),
            b"application/octet-stream",
            bytes(range(256)),
        ),
        (BodyPlan("text/plain", "whole", "body"), "\r\n\r\nGET /x HTTP/1.1\r\n\r\n", b"text/plain", b"\r\n\r\nGET /x HTTP/1.1\r\n\r\n"),
        (BodyPlan("application/merge-patch+json", "flat", required=True), None, b"application/merge-patch+json", b"{}"),
        (BodyPlan(FORM, "flat", required=True), None, FORM.encode(), b""),
    ],
)
async def test_a_body_arrives_whole_with_its_length(body: BodyPlan, value: Any, content_type: bytes, data: bytes) -> None:
    (message,) = await received(Plan("POST", "/x", bodies=(body,)), {"body": value})

    assert content(message) == data
    assert fields(message) == [b"Content-Type: " + content_type]
    assert f"Content-Length: {len(data)}".encode() in message


async def test_an_absent_optional_body_sends_no_content_type() -> None:
    (message,) = await received(Plan("POST", "/x", bodies=(BodyPlan("application/json", "whole", "body"),)), {})

    assert content(message) == b""
    assert fields(message) == []


async def test_a_multipart_body_arrives_whole() -> None:
    fields_ = (FieldPlan("note", None), FieldPlan("file", None, binary=True))
    plan = Plan("POST", "/x", bodies=(BodyPlan("multipart/form-data", "whole", "body", fields=fields_),))
    data = b"\r\n--x--\r\n\x00\xff"

    (message,) = await received(plan, {"body": {"note": "é", "file": {"base64": base64.b64encode(data).decode(), "filename": "ä.bin"}}})

    (line,) = fields(message)
    boundary = line.removeprefix(b"Content-Type: multipart/form-data; boundary=")
    assert content(message) == b"".join(
        [
            b"--" + boundary + b"\r\n",
            b'Content-Disposition: form-data; name="note"\r\n\r\n' + "é\r\n".encode(),
            b"--" + boundary + b"\r\n",
            'Content-Disposition: form-data; name="file"; filename="ä.bin"\r\n'.encode(),
            b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n",
            b"--" + boundary + b"--\r\n",
        ]
    )


hostile = st.text(max_size=20) | st.text(alphabet="./\\%25eEfF;\r\n :?#&=", max_size=12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(hostile, hostile, hostile, hostile), min_size=1, max_size=20))
async def test_hostile_arguments_never_make_another_request_of_it(values: list[tuple[str, str, str, str]]) -> None:
    """The server sees as many requests as were built, each of the template's path and with the template's headers."""
    plan = Plan(
        "GET",
        "/api/{name}/end",
        parameters=(
            ParameterPlan("name", "path", "name"),
            ParameterPlan("q", "query", "q", "form", explode=True),
            ParameterPlan("X-A", "header", "header"),
            ParameterPlan("c", "cookie", "cookie", "form", explode=True),
        ),
    )
    calls = []
    for name, query, header, cookie in values:
        arguments = {"name": name, "q": query, "header": header, "cookie": cookie}
        try:
            request.compile(plan, "http://localhost").build(arguments)
        except InvalidArguments:
            arguments = {"name": "harmless"}
        calls.append(arguments)

    messages = await received(plan, *calls)

    assert len(messages) == len(calls)
    for message in messages:
        path = target(message).partition("?")[0].split("/")
        assert (path[:2], path[3:]) == (["", "api"], ["end"])
        assert [line.partition(b":")[0] for line in fields(message)] in ([], [b"X-A", b"Cookie"])
        assert content(message) == b""
