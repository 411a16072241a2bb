"""One caller's side of a request to a server: what it is shown of them, what it may tell and ask them meanwhile.

Four ways lead from two eras of clients to two eras of servers:

    client     server
    rounds     rounds      what the server asks is the answer; the client comes again with what it found out
    asked      asked       the server's question goes to the client while its call waits
    asked      rounds      we ask the client each question, and go to the server again ourselves
    rounds     asked       the question is the answer to the client, while our request to the server waits for them
                           to come again (`parked`)
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from toolgate.calls import Call, Client, Principal, Session
from toolgate.errors import InputNeeded, ProtocolError, UpstreamFailed
from toolgate.upstream.dial import envelope
from toolgate.upstream.messages import (
    CAPABILITIES,
    CLIENT_INFO,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    LOG_LEVEL,
    METHOD_NOT_FOUND,
    OURS,
    PROTOCOL_VERSION,
    RESERVED,
    TASKS,
)

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
KEPT = frozenset({OURS, "progressToken", PROTOCOL_VERSION, CAPABILITIES, CLIENT_INFO, LOG_LEVEL})
"""Keys in `_meta` that are for us. So are others of the protocol's own, which hardly anybody sends."""
QUESTIONS: Mapping[str, str] = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
"""What servers may ask, and the capability of clients that can be asked it."""
ELICITED = "notifications/elicitation/complete"
"""A person has done at a URL what they were asked to (2025-11-25, client/elicitation)."""
UPDATED = "notifications/resources/updated"
ROOTS_SECONDS = 30.0  # that a client may take to say its roots; a guess, no person is asked
ROUNDS = 10  # of questions that one call may need; a guess, a form has one or two
BURST, A_SECOND = 64, 20.0
"""Messages to a caller at once, and each second after that; more are dropped. A guess: people read a few a second."""
PARKED, PARKED_OF_ONE = 64, 8
"""Requests that wait for their callers to come again, in all and of one caller."""
PARKED_SECONDS = 300.0  # that they wait; a guess at how long a person fills in a form

Ask = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Sends the request with these parameters."""


class CallersEar:
    """Hears for one caller, and asks them where that goes."""

    _room, _at = float(BURST), 0.0
    _complete = False

    def __init__(self, client: Client | None) -> None:
        self._client = client

    async def hear(self, method: str, params: Mapping[str, Any]) -> None:
        client = self._client
        if client is None:
            return
        if method == "notifications/progress":
            if (token := client.meta.get("progressToken")) is None:
                return
            params = {**params, "progressToken": token}
        elif method == "notifications/message":
            if not _wanted(client, params):
                return
        elif method != ELICITED or client.session is None:
            return
        if self._has_room() or self._is_last(params):
            await client.tell(method, params)

    async def answer(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._client is None or QUESTIONS.get(method) not in self._client.capabilities:
            raise ProtocolError(f"the caller cannot be asked {method}", METHOD_NOT_FOUND)
        return await self._client.ask(method, params)

    def _is_last(self, params: Mapping[str, Any]) -> bool:
        """Whether these tell that it is complete, for the first time."""
        total, done = params.get("total"), self._complete
        self._complete = done or (total is not None and params.get("progress") == total)
        return self._complete and not done

    def _has_room(self) -> bool:
        now = time.monotonic()
        self._room = min(BURST, self._room + (now - self._at) * A_SECOND)
        self._at = now
        if self._room < 1:
            return False
        self._room -= 1
        return True


class SessionsEar(CallersEar):
    """Hears for a client's session what belongs to none of its calls."""

    def __init__(self, client: Client, session: Session, updated: Callable[[str], None]) -> None:
        """
        Args:
            updated: hears the URIs of resources that are said to have changed.
        """
        super().__init__(client)
        self._updated = updated
        self._able = client.capabilities
        self._session = session

    async def hear(self, method: str, params: Mapping[str, Any]) -> None:
        if method not in (UPDATED, ELICITED, "notifications/message") or not self._has_room():
            return
        if method != UPDATED:
            await self._session.tell(method, params)
        elif isinstance(uri := params.get("uri"), str):
            self._updated(uri)

    async def answer(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Only what neither a person nor a model has to answer: of those none knows why they are asked."""
        if method != "roots/list" or "roots" not in self._able:
            raise ProtocolError(f"nobody is here who could answer {method}", METHOD_NOT_FOUND)
        with anyio.move_on_after(ROOTS_SECONDS):
            return await self._session.ask(method, params)
        raise ProtocolError("the caller does not say", INTERNAL_ERROR)


def shown(call: Call, modern: bool) -> dict[str, Any]:
    """`_meta` for the server: what the caller says in it, and what the protocol wants there. Nothing that is meant for us."""
    client, said = call.client, dict[str, Any]()
    if client is not None and not client.meta.keys() <= KEPT:
        said = {key: value for key, value in client.meta.items() if key not in KEPT and not key.startswith(RESERVED)}
    if not modern:
        return {"_meta": said} if said else {}
    if client is not None and client.log_level is not None:
        said[LOG_LEVEL] = client.log_level
    return envelope(able(client), said)


def able(client: Client | None) -> dict[str, Any]:
    """The caller's capabilities that a server behind us may count on. Not tasks: those that callers have are ours."""
    if client is None or not client.capabilities:
        return {}
    found = {name: client.capabilities[name] for name in (*QUESTIONS.values(), "extensions") if name in client.capabilities}
    extensions = found.pop("extensions", None)
    others = {name: said for name, said in extensions.items() if name != TASKS} if isinstance(extensions, Mapping) else {}
    return {**found, "extensions": others} if others else found


async def to_modern(ask: Ask, params: Mapping[str, Any], client: Client | None, who: str) -> Mapping[str, Any]:
    """The result of a request to a server of rounds.

    Raises:
        InputNeeded: the caller has to find something out first.
    """
    if client is not None and client.in_rounds:
        found = await ask({**params, **client.answers} if client.answers else params)
        if _complete(found, who):
            return found
        raise InputNeeded(
            f"{who} asks something before it goes on", {key: found[key] for key in ("inputRequests", "requestState") if key in found}
        )
    found = await ask(params)
    for _ in range(ROUNDS):
        if _complete(found, who):
            return found
        if client is None:
            raise InputNeeded(f"{who} asks something that only an MCP client's user can answer", {})
        answers = await _asked(client, found.get("inputRequests"), who)
        state = {"requestState": found["requestState"]} if "requestState" in found else {}
        found = await ask({**params, "inputResponses": answers, **state})
    raise UpstreamFailed(f"{who} asks more than {ROUNDS} times before it answers")


async def _asked(client: Client, questions: Any, who: str) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    if not isinstance(questions, dict | None):
        raise UpstreamFailed(f"{who} asks something that is no question")
    for key, question in (questions or {}).items():
        method = question.get("method") if isinstance(question, dict) else None
        if not isinstance(method, str) or QUESTIONS.get(method) not in client.capabilities:
            raise UpstreamFailed(f"{who} asks something that the caller said it cannot answer")
        params = question.get("params")
        answers[key] = await client.ask(method, params if isinstance(params, dict) else {})
    return answers


def _complete(result: Mapping[str, Any], who: str) -> bool:
    kind = result.get("resultType", "complete")
    if kind not in ("complete", "input_required"):
        raise UpstreamFailed(f"{who} answered with a result of a type that is not known here")
    return bool(kind == "complete")


@dataclass(slots=True)
class Waiting:
    """A request to a server that asks while it works, made for a client that is asked by answers."""

    owner: tuple[str, ...]
    asked: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    error: BaseException | None = None
    changed: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    number: int = 0
    ear: CallersEar | None = None

    def wake(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class ParkedEar:
    """Hears for a caller who is asked by the answer to their request."""

    def __init__(self, waiting: Waiting, client: Client) -> None:
        self._waiting = waiting
        self._able = client.capabilities

    async def hear(self, method: str, params: Mapping[str, Any]) -> None:
        if self._waiting.ear is not None:  # None: between two rounds, nobody is there
            await self._waiting.ear.hear(method, params)

    async def answer(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if QUESTIONS.get(method) not in self._able:
            raise ProtocolError(f"the caller cannot be asked {method}", METHOD_NOT_FOUND)
        waiting = self._waiting
        waiting.number += 1
        key = f"question-{waiting.number}"
        waiting.asked[key] = (method, params)
        waiting.wake()
        while key not in waiting.answers:
            await waiting.changed.wait()
        return waiting.answers.pop(key)


class Parking:
    """The requests that wait for their callers to come again."""

    def __init__(self, who: str, tasks: TaskGroup) -> None:
        self._who = who
        self._tasks = tasks
        self._parked: dict[str, Waiting] = {}

    async def request(
        self, ask: Callable[[ParkedEar], Awaitable[Mapping[str, Any]]], call: Call, method: str, name: str
    ) -> Mapping[str, Any]:
        """The result of a request to a server that asks while it works.

        Raises:
            InputNeeded: the caller has to answer something first.
            ProtocolError: the caller answers what was not asked, or too late.
        """
        client = call.client
        assert client is not None
        owner = _owner(call.principal, method, name)
        key = client.answers.get("requestState")
        if isinstance(key, str):
            waiting = self._parked.pop(key, None)
            if waiting is None or waiting.owner != owner:
                if waiting is not None:
                    self._parked[key] = waiting
                raise ProtocolError("the question that this answers is over; make the call anew", INVALID_PARAMS)
            _take_answers(waiting, client.answers.get("inputResponses"))
        else:
            self._check_room(owner)
            waiting = Waiting(owner)
            self._tasks.start_soon(self._run, waiting, ask, ParkedEar(waiting, client))
        waiting.ear = CallersEar(client)
        try:
            return await self._next(waiting)
        except InputNeeded:
            raise
        except BaseException:
            waiting.scope.cancel()  # the caller is gone, or it is over
            raise
        finally:
            waiting.ear = None

    async def _next(self, waiting: Waiting) -> Mapping[str, Any]:
        while True:
            if waiting.error is not None:
                raise waiting.error
            if waiting.result is not None:
                return waiting.result
            if waiting.asked:
                key = secrets.token_urlsafe(24)
                self._parked[key] = waiting
                self._tasks.start_soon(self._forget, key, waiting)
                questions = {name: {"method": method, "params": params} for name, (method, params) in waiting.asked.items()}
                raise InputNeeded(f"{self._who} asks something before it goes on", {"inputRequests": questions, "requestState": key})
            await waiting.changed.wait()

    async def _run(self, waiting: Waiting, ask: Callable[[ParkedEar], Awaitable[Mapping[str, Any]]], ear: ParkedEar) -> None:
        with waiting.scope:
            try:
                waiting.result = await ask(ear)
            except Exception as error:  # a bug too is for who waits, and not for all who have calls of this server
                waiting.error = error
            finally:
                if waiting.result is None and waiting.error is None:
                    waiting.error = UpstreamFailed(f"{self._who} did not complete its answer")
                waiting.wake()

    async def _forget(self, key: str, waiting: Waiting) -> None:
        """End what nobody comes for in time, whether or not its server has answered by then."""
        deadline = anyio.current_time() + PARKED_SECONDS
        while self._parked.get(key) is waiting:
            if anyio.current_time() >= deadline:
                del self._parked[key]
                waiting.scope.cancel()
            with anyio.move_on_at(deadline):
                await waiting.changed.wait()

    def _check_room(self, owner: tuple[str, ...]) -> None:
        mine = sum(waiting.owner[:2] == owner[:2] for waiting in self._parked.values())
        if len(self._parked) >= PARKED or mine >= PARKED_OF_ONE:
            raise UpstreamFailed(f"too many calls of {self._who} wait for an answer of their callers; answer those first", status=429)


def _take_answers(waiting: Waiting, answers: Any) -> None:
    for key, answer in answers.items() if isinstance(answers, dict) else ():
        if key in waiting.asked and isinstance(answer, dict):
            del waiting.asked[key]
            waiting.answers[key] = answer
    waiting.wake()


def _owner(principal: Principal, method: str, name: str) -> tuple[str, ...]:
    return (principal.tenant, principal.id, method, name)


def _wanted(client: Client, params: Mapping[str, Any]) -> bool:
    with suppress(ValueError):
        return client.log_level is not None and LEVELS.index(params.get("level", "")) >= LEVELS.index(client.log_level)
    return False
