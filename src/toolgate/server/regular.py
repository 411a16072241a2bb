"""What is regular on every short way around the SDK's layers.

A short way takes what is regular in every detail and leaves all else to the SDK, which alone knows how to refuse it:

    jsonrpc, id, method and params, nothing else · an id that is text or an integer
    a tool that the caller sees

and where its client cannot be told or asked anything on that way, too

    beside what is asked: nothing that wants to hear what happens meanwhile, progress aside, which quiet tools have none of
    a tool that says nothing while it runs; or a client that can be told and asked nothing
    nobody who could be asked, where the policy asks before calls of the tool, and no client that takes a task for an answer

What the client can do it says in each request since 2026-07-28 (`Envelopes`), and before once for all (`declared`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types
import orjson
from mcp_types import methods
from pydantic import ValidationError

from toolgate.calls import Principal, Tool
from toolgate.gateway import Gateway, unwrapped
from toolgate.server import asking, convert, passing
from toolgate.server.apps import can_show
from toolgate.server.tasks import takes

NEWEST = convert.NEWEST
VERSION_KEY, INFO_KEY = f"{passing.RESERVED}protocolVersion", f"{passing.RESERVED}clientInfo"
ENVELOPE = frozenset({VERSION_KEY, passing.CAPABILITIES, INFO_KEY})
BESIDE = frozenset({convert.META, "traceparent", "tracestate", "baggage"})
"""Further keys that are read, or known to mean nothing to us."""
KNOWN = ENVELOPE | BESIDE
PROGRESS = "progressToken"
PLAIN = BESIDE | {PROGRESS}
REQUEST = frozenset({"jsonrpc", "id", "method", "params"})
CALL = frozenset({"name", "arguments", "_meta"})
LIST = frozenset({"cursor", "_meta"})
KEPT_ENVELOPES = 256
"""What different clients say of themselves; the same one says the same each time."""
LARGEST_ENVELOPE = 4096
"""Bytes of what is kept of one."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a client says of itself."""

    person: bool
    """It can put a question to its person."""
    mute: bool
    """No tool can ask it anything, and without a token or a level none tells it anything."""
    client: tuple[str, str] | None = None
    """Its name and version, where it says them."""
    tasks: bool = False
    """It takes a task for an answer to a call that takes long."""
    shows: bool = False
    """It shows MCP Apps."""


def is_request(message: Any) -> bool:
    """Whether `message` is a call or a list, with all that belongs to one and nothing else, as far as every era agrees."""
    if not isinstance(message, dict) or message.keys() != REQUEST or message["jsonrpc"] != "2.0":
        return False
    method, params = message["method"], message["params"]
    if type(message["id"]) not in (int, str) or not isinstance(params, dict):
        return False
    if method == "tools/call":
        return params.keys() <= CALL and isinstance(params.get("name"), str) and isinstance(params.get("arguments", {}), dict)
    return bool(method == "tools/list" and params.keys() <= LIST and isinstance(params.get("cursor"), str | None))


def is_plain(params: Mapping[str, Any]) -> bool:
    """Whether a request of the handshake eras says nothing beside that its session would have to know of.

    It may want to be told of progress: a tool that says nothing while it runs has none to tell.
    """
    meta = params.get("_meta", {})
    return isinstance(meta, dict) and is_beside(meta, PLAIN) and has_token(meta)


def has_token(meta: Mapping[str, Any]) -> bool:
    """Whether the progress token of a request, if it has one, can be one."""
    return type(meta.get(PROGRESS, 0)) in (int, str)


def declared(capabilities: types.ClientCapabilities | None) -> Said:
    """What a client of the handshake eras has said of itself: until it asks for less, it is told everything."""
    return Said(asking.able(capabilities), mute=False, shows=can_show(passing.declared(capabilities)))


def answer(id: int | str | None, member: bytes) -> bytes:
    """A JSON-RPC answer with such a `result` or `error`."""
    return b'{"jsonrpc":"2.0","id":%b,%b}' % (orjson.dumps(id), member)


class Envelopes:
    """What clients of 2026-07-28 say of themselves with each request, each read once."""

    def __init__(self) -> None:
        self._read: dict[bytes, Said | None] = {}

    def said(self, meta: Any, known: frozenset[str] = KNOWN) -> Said | None:
        """None: what the client says of itself is not regular.

        Args:
            known: keys that may stand in `meta`.
        """
        if not isinstance(meta, dict) or meta.get(VERSION_KEY) != NEWEST or passing.CAPABILITIES not in meta:
            return None
        if not is_beside(meta, known):
            return None
        said = orjson.dumps([meta[passing.CAPABILITIES], meta.get(INFO_KEY)])
        if said not in self._read:
            if len(said) > LARGEST_ENVELOPE:
                return None
            if len(self._read) >= KEPT_ENVELOPES:
                self._read.clear()
            self._read[said] = _read({key: meta[key] for key in ENVELOPE if key in meta})
        return self._read[said]


class Calls:
    """Which calls may go straight to the gate."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def tool(self, params: Mapping[str, Any], principal: Principal, said: Said | None = None) -> Tool | None:
        """The tool that a call names; None when the call has to go by the SDK.

        Args:
            said: what a client can do that is told and asked nothing on this way; None: this one is.
        """
        name = params["name"]
        visible = self._gateway.visible(principal)
        outer, inner = visible.get(name), visible.get(unwrapped(name, params.get("arguments", {}))[0])
        if outer is None or inner is None:
            return None
        if said is not None and (said.tasks or not (inner.quiet or said.mute) or (said.person and self._asks(inner, principal))):
            return None
        return outer

    def _asks(self, tool: Tool, principal: Principal) -> bool:
        """Whether some call of `tool` needs a person's yes under the policy in force."""
        policy = self._gateway.live.current
        roles = principal.roles, principal.bound_by or ()
        return any(rule.obligations for each in roles for rule in policy.applicable(each, tool))


def is_beside(meta: Mapping[str, Any], known: frozenset[str]) -> bool:
    """Whether `meta` has nothing but `known` keys and such of others, which tell us nothing."""
    return meta.keys() <= known or all(key in known or ("/" in key and not key.startswith(passing.RESERVED)) for key in meta)


def _read(meta: Mapping[str, Any]) -> Said | None:
    """What a client says of itself; None: the SDK would refuse it, or read it in its own way."""
    capabilities = meta[passing.CAPABILITIES]
    try:
        methods.validate_client_request("tools/list", NEWEST, {"_meta": meta})
        info = meta.get(INFO_KEY)
        client = (str(info["name"]), str(info["version"])) if info else None
        person = asking.able(types.ClientCapabilities.model_validate(capabilities))
        return Said(person, not capabilities, client, takes(capabilities), can_show(capabilities))
    except ValidationError:
        return None


__all__ = [
    "BESIDE",
    "KNOWN",
    "NEWEST",
    "PROGRESS",
    "VERSION_KEY",
    "Calls",
    "Envelopes",
    "Said",
    "answer",
    "declared",
    "has_token",
    "is_beside",
    "is_plain",
    "is_request",
]
