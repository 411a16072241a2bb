"""What goes between an MCP client and a server behind the gate beside arguments and answers, in both directions.

The SDK's typed ways drop fields that they do not know and stamp what is the caller's with what is ours, so messages go
over its request channel as they are. That channel is private in mcp 2.3; nothing else of ours touches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import anyio
import mcp_types as types
from mcp.server.connection import Connection
from mcp.shared.dispatcher import Outbound
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp_types.version import is_version_at_least
from pydantic import ValidationError

from toolgate.calls import Outcome, Problem, Session
from toolgate.errors import InputNeeded, InvalidArguments, ProtocolError

ROUNDS = "2026-07-28"
"""The first version in which a call is answered with a question."""
RESERVED = "io.modelcontextprotocol/"
"""What the specification's own keys in `_meta` begin with."""
CAPABILITIES, LOG_LEVEL = f"{RESERVED}clientCapabilities", f"{RESERVED}logLevel"
KEY, LEVEL, GONE = "toolgate.key", "toolgate.level", "toolgate.gone"
ANSWERS = ("inputResponses", "requestState")
EVERYTHING = "debug"
"""What clients of the handshake eras are told that have not said how much they want to hear."""
NOT_DONE = 1
"""The error code of what the gate refused or could not do; those of JSON-RPC and MCP are below zero (basic/index)."""
RETIRED: Mapping[int, int] = {-32002: types.INVALID_PARAMS, -32042: types.INVALID_PARAMS}
"""Codes that must not be sent since 2026-07-28 (basic/index, "Error Codes"), and what says the same."""


class Channel:
    """A way of the SDK's to a client."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        await self._outbound.notify(method, dict(params))

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = await self._outbound.send_raw_request(method, dict(params))
        except NoBackChannelError:
            raise ProtocolError("the caller cannot be asked over its connection", types.METHOD_NOT_FOUND) from None
        except MCPError as error:
            raise ProtocolError(error.error.message, error.error.code, error.error.data) from None
        return answer


class Line(Channel):
    """`toolgate.calls.Session` over the SDK's connection to a client."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.outbound)
        self._gone = gone_of(connection)

    async def gone(self) -> None:
        await self._gone.wait()


class PassingClient(Channel):
    """`toolgate.calls.Client` over the SDK's request context."""

    def __init__(self, context: Any) -> None:
        super().__init__(context.session._request_outbound)
        params: Mapping[str, Any] = context.params or {}
        meta = params.get("_meta")
        self.meta: Mapping[str, Any] = meta if isinstance(meta, Mapping) else {}
        self.in_rounds = is_version_at_least(context.protocol_version, ROUNDS)
        self.answers: Mapping[str, Any] = {name: params[name] for name in ANSWERS if params.get(name) is not None}
        if self.in_rounds:
            told = self.meta.get(CAPABILITIES)
            self.key = "rounds"
            self.capabilities: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
            self.log_level: str | None = self.meta.get(LOG_LEVEL)
            self.session: Session | None = None
        else:
            self.key = key_of(connection_of(context))
            self.capabilities = declared(context.session.client_capabilities)
            self.log_level = session_of(context).get(LEVEL, EVERYTHING)
            self.session = Line(connection_of(context))


class Mute:
    """A client of 2026-07-28 that makes its call for the first time, wants to hear nothing meanwhile and can be asked nothing."""

    key = "rounds"
    in_rounds = True
    capabilities: Mapping[str, Any] = {}  # nobody changes it
    answers: Mapping[str, Any] = {}
    log_level: str | None = None
    session: Session | None = None

    def __init__(self, meta: Mapping[str, Any]) -> None:
        self.meta = meta

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        """Nothing: it said that it would not listen."""

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ProtocolError("the caller said that it could not be asked anything", types.METHOD_NOT_FOUND)


def connection_of(context: Any) -> Connection:
    """The connection that a request came by."""
    connection: Connection = context.session._connection
    return connection


def session_of(context: Any) -> dict[str, Any]:
    """What is remembered of a client's connection, for as long as it lasts."""
    return connection_of(context).state


def key_of(connection: Connection) -> str:
    """`Client.key` of the calls that come by it."""
    key: str = connection.state.setdefault(KEY, uuid4().hex)
    return key


def gone_of(connection: Connection) -> anyio.Event:
    """Set once the SDK's `connection` to a client has ended."""
    state = connection.state
    if GONE not in state:
        state[GONE] = anyio.Event()
        connection.exit_stack.callback(state[GONE].set)
    gone: anyio.Event = state[GONE]
    return gone


def declared(capabilities: types.ClientCapabilities | None) -> Mapping[str, Any]:
    """What a client has said that it can, as it said it."""
    return capabilities.model_dump(by_alias=True, exclude_none=True, mode="json") if capabilities else {}


def round_of(outcome: Outcome, version: str) -> types.InputRequiredResult | None:
    """The answer to a call whose server asks something first; None for other outcomes, and clients that know no rounds."""
    problem = outcome.problem
    if problem is None or problem.code != InputNeeded.code or not is_version_at_least(version, ROUNDS):
        return None
    try:
        return types.InputRequiredResult.model_validate({**problem.details["asked"], "resultType": "input_required"})
    except ValidationError:
        return None  # what it asks is no question of the protocol; the caller is told that it asks


def refuse(outcome: Outcome, version: str) -> None:
    """
    Raises:
        MCPError: the server behind the gate answered with an error of the protocol.
    """
    problem = outcome.problem
    if problem is not None and problem.code == ProtocolError.code:
        raise error_of(problem, version)


def error_of(problem: Problem, version: str) -> MCPError:
    """An error of the protocol that says what `problem` does."""
    told = problem.details.get("error")
    number, data = (told["code"], told["data"]) if isinstance(told, Mapping) else (types.INVALID_PARAMS, None)
    if is_version_at_least(version, ROUNDS):
        number = RETIRED.get(number, number)
    return MCPError(code=number, message=problem.message, data=data)


def check(outcome: Outcome, version: str) -> None:
    """
    Raises:
        MCPError: the request was refused, or failed.
    """
    refuse(outcome, version)
    if outcome.problem is not None:
        data = {"code": outcome.problem.code, **outcome.problem.details}
        code = types.INVALID_PARAMS if outcome.problem.code == InvalidArguments.code else NOT_DONE
        raise MCPError(code=code, message=outcome.problem.message, data=data)
