"""One client over one stream of lines: regular calls go a short way, all else goes to the SDK.

As over HTTP (`fast`, `regular`), a message is held against what is regular, the gate decides, and the answer is put together;
lists that the SDK has made once are sent again. Every other line goes to the SDK untouched, in the order in which it came, and
so does everything until client and SDK have agreed on an era: the first request decides it, and the answer to `initialize`
what a client of the handshake eras can do.

What both ways have to agree on is whom a cancellation means, for which the SDK looks at the newest request by its id:

    a call by an id that the SDK has under way goes to the SDK · a request that goes there takes its id from a call of ours
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import anyio
import mcp_types as types
import orjson
from mcp.shared.dispatcher import as_request_id, coerce_request_id
from mcp.shared.message import SessionMessage
from pydantic_core import PydanticSerializationError

from toolgate.calls import Principal, Tool
from toolgate.gateway import Gateway
from toolgate.server import asking, passing
from toolgate.server.handlers import NAME
from toolgate.server.lists import Key, Pages
from toolgate.server.regular import (
    KNOWN,
    NEWEST,
    PROGRESS,
    VERSION_KEY,
    Calls,
    Envelopes,
    Said,
    answer,
    declared,
    has_token,
    is_plain,
    is_request,
)
from toolgate.server.reply import reply
from toolgate.server.strict import Ambiguous, check

TOLD = KNOWN | {PROGRESS}
"""What a client may say beside: no tool that goes this way tells it anything then."""
CLOSED = b'"error":' + orjson.dumps({"code": types.CONNECTION_CLOSED, "message": "Connection closed"})
"""What the SDK answers to what is under way when its client leaves."""


Terms = tuple[str, Said]
"""What a client and we have agreed on: the version, and what it says of itself."""


@dataclass(slots=True)
class _Call:
    key: int | str
    id: int | str
    """As its client wrote it."""
    given_up: bool = False


class Dialogue:
    def __init__(
        self,
        gateway: Gateway,
        principal: Principal,
        stamp: Mapping[str, Any],
        write: Callable[[bytes], None],
        hand: Callable[[SessionMessage], None],
    ) -> None:
        """
        Args:
            stamp: what `_meta` of every result of 2026-07-28 says of this server.
            write: sends a line to the client.
            hand: gives the SDK a message.
        """
        self._gateway = gateway
        self._principal = principal
        self._stamp = stamp
        self._write = write
        self._hand = hand
        self._loop = asyncio.get_running_loop()  # once: each time is a system call
        self._regular = Calls(gateway)
        self._envelopes = Envelopes()
        self._seal = asking.Sealing(gateway.approvals, NAME)
        self._pages = Pages()
        self._in_rounds: bool | None = None
        """The era is that of 2026-07-28; None: nobody has asked for anything yet."""
        self._agreed: Terms | None = None
        """In a handshake, and none is under way."""
        self._hellos: deque[types.JSONRPCRequest] = deque()
        """Handshakes under way. The SDK makes one after the other."""
        self._calls: dict[asyncio.Task[tuple[int | None, bytes]], _Call] = {}
        self._ours: dict[int | str, asyncio.Task[tuple[int | None, bytes]]] = {}
        """Calls that a cancellation may mean."""
        self._theirs: dict[int | str, int] = {}
        """How many requests by an id the SDK has under way."""
        self._listed: dict[int | str, tuple[Mapping[str, Tool], Key]] = {}
        """The pages that the SDK is making."""
        self._waited: asyncio.Event | None = None
        """Somebody waits until nothing is under way."""

    def hear(self, line: bytes) -> None:
        """Begin with what the client has sent."""
        for part in line.split(b"\r") if b"\r" in line else (line,):  # either ends a line for the SDK
            if part and not self._take(part):
                self._pass(part)

    def tell(self, message: types.JSONRPCMessage) -> None:
        """Send what the SDK says."""
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError) and message.id is not None:
            key = coerce_request_id(message.id)
            self._settle(key)
            result = message.result if isinstance(message, types.JSONRPCResponse) else None
            if self._hellos and self._hellos[0].id == message.id:
                self._agree(self._hellos.popleft().params or {}, result)
            listed = self._listed.pop(key, None)
            # The policy may have changed while the list was made.
            if listed is not None and result is not None and self._gateway.visible(self._principal) is listed[0]:
                self._pages.keep(*listed, orjson.dumps(result))
        try:
            self._write(message.model_dump_json(by_alias=True, exclude_unset=True).encode())
        except PydanticSerializationError:  # a lone surrogate
            self._write(json.dumps(message.model_dump(by_alias=True, exclude_unset=True), separators=(",", ":")).encode())

    async def answered(self) -> None:
        """Return once nothing is under way."""
        self._waited = asyncio.Event()
        while self._calls or self._theirs:
            self._waited.clear()
            await self._waited.wait()

    async def end(self) -> None:
        """The client has gone: give up what is under way."""
        for task in self._calls:
            task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.gather(*self._calls, return_exceptions=True)

    def _take(self, line: bytes) -> bool:
        """Whether the line went the short way."""
        if not self._in_rounds and self._agreed is None:
            return False
        try:
            message = check(line)
        except Ambiguous:
            return False
        if not is_request(message):
            return False
        params = message["params"]
        if (terms := self._terms(params)) is None:
            return False
        key, (version, said) = coerce_request_id(message["id"]), terms
        if message["method"] == "tools/list":
            return self._list(key, message["id"], (version, said.shows, params.get("cursor")))
        if key in self._theirs or self._regular.tool(params, self._principal, said) is None:
            return False
        self._call(key, message["id"], params, version)
        return True

    def _terms(self, params: Mapping[str, Any]) -> Terms | None:
        """None: the request is not regular."""
        if not self._in_rounds:
            return self._agreed if is_plain(params) else None
        meta = params.get("_meta")
        said = self._envelopes.said(meta, TOLD)
        if said is None or meta is None or not has_token(meta):
            return None
        if PROGRESS in meta:  # its client hears of progress after all
            said = replace(said, mute=False)
        return NEWEST, said

    def _call(self, key: int | str, id: int | str, params: Mapping[str, Any], version: str) -> None:
        if version == NEWEST:
            client, stamp = passing.Mute(params["_meta"]), self._stamp
            answering = reply(
                self._gateway,
                params,
                self._principal,
                client,
                version,
                stamp,
                seal=lambda question: self._seal(question, params, self._principal),
            )
        else:
            answering = reply(self._gateway, params, self._principal, None, version, {})
        task = self._loop.create_task(answering)
        self._calls[task] = _Call(key, id)
        self._ours[key] = task
        task.add_done_callback(self._called)

    def _called(self, task: asyncio.Task[tuple[int | None, bytes]]) -> None:
        call = self._calls.pop(task)
        if self._waited is not None:
            self._waited.set()
        if self._ours.get(call.key) is task:
            del self._ours[call.key]
        if not call.given_up:
            self._write(answer(call.id, CLOSED if task.cancelled() else task.result()[1]))

    def _list(self, key: int | str, id: int | str, kind: Key) -> bool:
        tools = self._gateway.visible(self._principal)
        page = self._pages.get(tools, kind)
        if page is not None and key not in self._theirs:
            self._ours.pop(key, None)  # this was the newest by its id, and is over
            self._write(answer(id, b'"result":' + page))
            return True
        if key not in self._theirs:
            self._listed[key] = tools, kind
        return False

    def _pass(self, line: bytes) -> None:
        """Give the line to the SDK, read as its own transport reads it."""
        try:
            message = types.jsonrpc_message_adapter.validate_json(line.decode(errors="replace"), by_name=False)
        except ValueError:
            if (refusal := refused(line)) is not None:
                self._write(refusal)
            return
        if isinstance(message, types.JSONRPCRequest):
            self._request(message)
        elif isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled":
            cancelled = as_request_id((message.params or {}).get("requestId"))
            if cancelled is not None and self._give_up(coerce_request_id(cancelled)):
                return
        self._hand(SessionMessage(message))

    def _request(self, message: types.JSONRPCRequest) -> None:
        key = coerce_request_id(message.id)
        self._ours.pop(key, None)
        self._theirs[key] = self._theirs.get(key, 0) + 1
        if self._theirs[key] > 1:
            self._listed.pop(key, None)  # nobody knows whose answer comes first
        if self._in_rounds is None:
            meta = (message.params or {}).get("_meta")
            self._in_rounds = message.method != "initialize" and isinstance(meta, Mapping) and VERSION_KEY in meta
        if message.method == "initialize":
            self._hellos.append(message)
            self._agreed = None

    def _agree(self, asked: Mapping[str, Any], result: Mapping[str, Any] | None) -> None:
        if result is None or self._hellos or not isinstance(result.get("protocolVersion"), str):
            return
        hello = types.InitializeRequestParams.model_validate(asked, by_name=False)
        self._agreed = result["protocolVersion"], declared(hello.capabilities)

    def _give_up(self, key: int | str) -> bool:
        """Whether a call of ours was given up: such a call is not answered any more."""
        task = self._ours.pop(key, None)
        if task is None:
            self._settle(key)
            self._listed.pop(key, None)
            return False
        self._calls[task].given_up = True
        task.cancel()
        return True

    def _settle(self, key: int | str) -> None:
        """The SDK has done with a request by this id."""
        left = self._theirs.get(key, 0) - 1
        if left > 0:
            self._theirs[key] = left
        else:
            self._theirs.pop(key, None)
        if self._waited is not None:
            self._waited.set()


def refused(line: bytes) -> bytes | None:
    """The answer to a line that is no message, by its id where that can be read (JSON-RPC 2.0, 5 and 5.1); None: it wants none."""
    try:
        message = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError):
        return _error(None, types.PARSE_ERROR, "the line is not JSON") if line.strip() else None
    if not isinstance(message, dict):
        return _error(None, types.INVALID_REQUEST, "the line is no JSON-RPC message")
    if "id" not in message or "result" in message or "error" in message:  # meant as a notification, or as an answer
        return None
    return _error(message["id"], types.INVALID_REQUEST, "the line is no JSON-RPC request, or has half a surrogate pair")


def _error(id: Any, code: int, message: str) -> bytes:
    with suppress(TypeError):
        return answer(id if type(id) in (int, str) else None, b'"error":' + orjson.dumps({"code": code, "message": message}))
    return _error(None, code, message)  # the id is such that nobody could write it


__all__ = ["Dialogue", "refused"]
