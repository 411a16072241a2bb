"""JSON-RPC as it goes over the lines to MCP servers, in plain values: what is passed on must not lose a field on its way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
import re2

from toolgate import __version__
from toolgate.audit.line import whole
from toolgate.documents import deeper_than
from toolgate.errors import ProtocolError, UpstreamFailed

Message = Mapping[str, Any]

MODERN = "2026-07-28"
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Versions that begin with `initialize`, the newest first."""

RESERVED = "io.modelcontextprotocol/"
PROTOCOL_VERSION = f"{RESERVED}protocolVersion"
CAPABILITIES = f"{RESERVED}clientCapabilities"
CLIENT_INFO = f"{RESERVED}clientInfo"
SERVER_INFO = f"{RESERVED}serverInfo"
LOG_LEVEL = f"{RESERVED}logLevel"
TASKS = f"{RESERVED}tasks"
"""The extension of calls that are answered before they are done."""
OURS = "toolgate"
"""The key in `_meta` of what callers say to us and to nobody behind us."""

IDENTITY = {"name": "toolgate", "version": __version__}
INVALID_PARAMS, METHOD_NOT_FOUND, INTERNAL_ERROR = -32602, -32601, -32603
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
MODERN_ERRORS = frozenset({HEADER_MISMATCH, -32021, UNSUPPORTED_VERSION})
"""Codes that only a server of 2026-07-28 or later has."""

MAX_DEPTH = 128
MARK = b"\xef\xbb\xbf"  # of byte order, which some write before everything
MAX_MESSAGE = 10 * 1024 * 1024
"""Bytes of one message."""
DEAREST = 2000
"""Characters of an error's message that are passed on."""


WIDE = re2.compile("[0-9]{19}")
"""In each integer past 64 bits, and in few other places. RE2: it looks through a whole message at once."""


class Garbage(Exception):
    """What came is no JSON-RPC message; the sentence says why, without its content."""


def request(id: int, method: str, params: Mapping[str, Any] | None) -> Message:
    return {"jsonrpc": "2.0", "id": id, "method": method, **({"params": params} if params is not None else {})}


def notification(method: str, params: Mapping[str, Any] | None = None) -> Message:
    return {"jsonrpc": "2.0", "method": method, **({"params": params} if params is not None else {})}


def encode(message: Message) -> bytes:
    return whole(message)


def decode(data: bytes | bytearray) -> list[Message]:
    """The messages in `data`: one, or a batch as servers of 2025-03-26 may send.

    Raises:
        Garbage: something in it is none.
    """
    try:
        value = orjson.loads(data.removeprefix(MARK))
    except orjson.JSONDecodeError:
        raise Garbage("it is not JSON") from None
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        raise Garbage(f"it is nested deeper than {MAX_DEPTH} levels")
    if data.find(b'"structuredContent"') >= 0 and WIDE.search(data):
        with suppress(ValueError):  # 4,300 digits, more than Python reads
            value = json.loads(data.removeprefix(MARK))  # orjson rounds what is past 64 bits
    found = value if isinstance(value, list) else [value]
    if not found or not all(map(_is_message, found)):
        raise Garbage("it is no JSON-RPC message")
    return found


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and value.get("jsonrpc") == "2.0"


def in_event(data: bytes, who: str) -> list[Message]:
    """The messages in an event of a stream; what is none, such as a heartbeat of the server's own, is one that says nothing.

    Raises:
        UpstreamFailed: it was meant to be one.
    """
    try:
        return decode(data)
    except Garbage as error:
        if b'"jsonrpc"' in data:
            raise UpstreamFailed(f"{who} does not speak MCP: {error}") from None
        return [{}]


def answered(message: Message) -> int | None:
    """The id of our request that `message` answers, which some servers send back as a text or a float; None: of none."""
    said = message.get("id") if is_answer(message) else None
    if type(said) is int:
        return said
    if isinstance(said, str) and said.isascii() and said.isdecimal() and len(said) < 16:
        return int(said)
    return int(said) if isinstance(said, float) and said.is_integer() else None


def is_answer(message: Message) -> bool:
    return "method" not in message and ("result" in message or "error" in message)


def result(message: Message, who: str) -> dict[str, Any]:
    """The result in an answer.

    Raises:
        ProtocolError: it is an error.
        UpstreamFailed: it is neither.
    """
    error = message.get("error")
    if isinstance(error, dict):
        raise fault(error, who)
    found = message.get("result")
    if not isinstance(found, dict):
        raise UpstreamFailed(f"{who} answered with something that is no result")
    return found


def fault(error: Mapping[str, Any], who: str) -> ProtocolError:
    code, said = error.get("code"), error.get("message")
    if not isinstance(code, int) or isinstance(code, bool):
        code = INTERNAL_ERROR
    message = said[:DEAREST] if isinstance(said, str) and said else f"{who} gives no reason"
    return ProtocolError(message, code, error.get("data"))


def meta(params: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What `params` or a result say in `_meta`."""
    found = (params or {}).get("_meta")
    return found if isinstance(found, dict) else {}
