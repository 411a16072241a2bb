"""Conversations that one caller has with a server of the handshake eras alone.

There a server asks its questions in the conversation, not in the answer to a call, and the conversation says once what
can be asked. So a caller who can be asked anything, or whose own credential is shown, has one of their own. It is begun
with their first call and ends with their session, or when they have been silent for a while; all others share one.

A client of 2026-07-28 has no session: two requests of one principal may be two people's, and a question names no request.
So while one of its requests runs, that has the conversation alone, and another request begins another conversation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import orjson
from anyio.abc import TaskGroup

from toolgate.calls import Call, Client
from toolgate.errors import Busy, EgressBlocked, Failed, NotLinked, ProtocolError, ToolgateError, Unreachable
from toolgate.tasks import either
from toolgate.upstream.caller import SessionsEar, able
from toolgate.upstream.dial import Conversation, Dial
from toolgate.upstream.endpoint import Endpoint
from toolgate.upstream.modern import Modern
from toolgate.upstream.peer import Deaf, Ear, Peer

MOST = 64  # conversations of callers' own with one server; each may be a process
MOST_OF_ONE = 32  # of them, of one caller, so that there is room for others
AT_ONCE = 16  # of them, of one caller without a session; a guess, models make up to eight calls at a time
SILENT_SECONDS = 300.0  # after which a caller's own conversation is ended; a guess
BEGIN_SECONDS = 30.0
SUBSCRIBE_SECONDS = 2.0  # that a server may take to hear what is subscribed to

log = logging.getLogger("toolgate.upstream")


@dataclass(slots=True)
class _Held:
    client: str | None
    """Its key."""
    owner: tuple[str, str]
    lasts: bool
    """Its client has a session, which hears what belongs to none of its calls."""
    conversation: Conversation | None = None
    error: ToolgateError | None = None
    begun: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    """Cancelled when it is over."""
    used: float = 0.0
    calls: int = 0
    """That are made in it, or wait for it to begin."""
    telling: bool = False
    """Something of the client's is on its way to the server; one of a kind at a time."""
    level: str | None = None
    """Of log messages, as the server was told."""
    subscribed: set[str] = field(default_factory=set)
    """Resources that it tells the client's session of."""

    @property
    def over(self) -> bool:
        """Whether nothing can be asked in it any more; it may still be about to end."""
        return self.scope.cancel_called or (self.conversation is not None and self.conversation.peer.ended.is_set())

    async def silent(self) -> None:
        """Return when nothing was asked for a while."""
        while True:
            left = self.used + SILENT_SECONDS - anyio.current_time()
            if left <= 0 and not self.calls and not self.subscribed:
                return
            await anyio.sleep(max(left, 1.0))


class Owned:
    def __init__(self, dial: Dial, tasks: TaskGroup, heard: Callable[[str, str], None] = lambda _client, _uri: None) -> None:
        """
        Args:
            heard: hears of clients, by their keys, and the URIs of resources of which they are told in conversations of their own.
        """
        self._dial = dial
        self._tasks = tasks
        self._heard = heard
        self._held: dict[str, _Held] = {}
        self._open = 0
        """Conversations that have not ended yet, whether or not they are over."""
        self._wanted: dict[str, set[str]] = {}
        """Resources that a client wants to hear of, by its key."""

    async def ask(
        self, shared: Conversation, method: str, params: Mapping[str, Any], ear: Ear, call: Call, endpoint: Endpoint | None
    ) -> Mapping[str, Any]:
        """The result of a request, in the caller's own conversation where they need one, else in the shared one."""
        key = self._key(call, endpoint, shared)
        if key is None:
            assert isinstance(shared.peer, Peer)
            return await shared.peer.ask(method, params, ear)
        held = self._take(key, call, endpoint)
        held.calls += 1
        try:
            await held.begun.wait()
            if held.error is not None:
                raise held.error
            assert held.conversation is not None
            assert isinstance(held.conversation.peer, Peer)
            await self._tell_level(held, held.conversation, call.client)
            return await held.conversation.peer.ask(method, params, ear)
        finally:
            held.calls -= 1
            held.used = anyio.current_time()
            if _alone(call.client) and "roots" in able(call.client):
                held.scope.cancel()  # a server remembers roots, and the next client of the same principal may have others

    def pass_on(self, client: str, method: str) -> None:
        """Send a notification of a client's, by its key, to the conversations that are its own."""

        async def tell(held: _Held, peer: Peer | Modern) -> None:
            held.telling = True
            try:
                with suppress(ToolgateError):
                    await peer.tell(method)
            finally:
                held.telling = False

        for held in self._of(client):
            if held.conversation is not None and not held.telling:
                self._tasks.start_soon(tell, held, held.conversation.peer)

    async def subscribe(self, client: str, uri: str) -> None:
        """Have the conversations of a client's session tell it of a resource, those too that begin later."""
        self._wanted.setdefault(client, set()).add(uri)
        try:
            for held in self._of(client):
                await self._subscribe(held, uri)
        except BaseException:
            self._forget(client, uri)
            raise

    async def unsubscribe(self, client: str, uri: str) -> None:
        self._forget(client, uri)
        for held in self._of(client):
            if uri in held.subscribed and held.conversation is not None:
                held.subscribed.discard(uri)
                await _ask(held.conversation, "resources/unsubscribe", uri)

    def tells(self, client: str, uri: str) -> bool:
        """Whether a conversation of its own tells the client's session of a resource."""
        return any(uri in held.subscribed for held in self._of(client))

    def _updated(self, held: _Held, uri: str) -> None:
        if held.client is not None and uri in held.subscribed:
            self._heard(held.client, uri)

    async def _subscribe(self, held: _Held, uri: str) -> None:
        if held.conversation is None or not held.lasts or uri in held.subscribed:
            return
        held.subscribed.add(uri)  # before it is asked: word of a change may come with the answer
        done = False
        try:
            done = await _ask(held.conversation, "resources/subscribe", uri)
        finally:
            if not done:
                held.subscribed.discard(uri)

    def _forget(self, client: str, uri: str) -> None:
        wanted = self._wanted.get(client, set())
        wanted.discard(uri)
        if not wanted:
            self._wanted.pop(client, None)

    def _of(self, client: str) -> list[_Held]:
        return [held for held in self._held.values() if held.client == client and not held.over]

    async def _tell_level(self, held: _Held, conversation: Conversation, client: Client | None) -> None:
        """Servers of these eras may say nothing until they know how much is wanted."""
        level = client.log_level if client is not None else None
        if level is None or level == held.level or "logging" not in conversation.capabilities:
            return
        held.level = level
        with suppress(ProtocolError):
            await conversation.peer.ask("logging/setLevel", {"level": level})

    def _key(self, call: Call, endpoint: Endpoint | None, shared: Conversation) -> str | None:
        capabilities = able(call.client)
        theirs = endpoint is not None and endpoint is not self._dial.endpoint
        if not theirs and not capabilities and not shared.modern:
            return None
        who = call.principal
        client = call.client.key if call.client else None
        return orjson.dumps([client, who.tenant, who.id, *who.acting_for, capabilities], option=orjson.OPT_SORT_KEYS).decode()

    def _take(self, key: str, call: Call, endpoint: Endpoint | None) -> _Held:
        """The conversation for a call, begun where there is none."""
        held = self._held.get(key)
        if _alone(call.client):
            number = 1
            while held is not None and held.calls:
                number += 1
                held = self._held.get(f"{key} {number}")
            if number > AT_ONCE:
                raise Busy(f"{self._dial.who} works on {AT_ONCE} calls of this caller already; try again later")
            key = f"{key} {number}" if number > 1 else key
        if held is None or held.over:
            held = self._held[key] = self._room(call)
            self._tasks.start_soon(self._hold, key, held, call.client, endpoint)
        return held

    def _room(self, call: Call) -> _Held:
        """A conversation that has not begun yet; one that nobody uses may have to make room for it."""
        client, owner = call.client, (call.principal.tenant, call.principal.id)
        has_room = self._open < 2 * MOST and self._has_room(MOST_OF_ONE, owner) and self._has_room(MOST)
        if not has_room:
            raise Busy(f"{self._dial.who} has as many conversations of callers' own as it may; try again later")
        lasts = client is not None and client.session is not None
        return _Held(client.key if client else None, owner, lasts, used=anyio.current_time())

    def _has_room(self, most: int, owner: tuple[str, str] | None = None) -> bool:
        """Whether there are fewer than `most`, of one caller or in all, or one of them could be ended that nobody uses."""
        there = [held for held in self._held.values() if not held.over and owner in (None, held.owner)]
        if len(there) < most:
            return True
        idle = [held for held in there if not held.calls]
        if idle:
            min(idle, key=lambda held: (bool(held.subscribed), held.used)).scope.cancel()
        return bool(idle)

    async def _hold(self, key: str, held: _Held, client: Client | None, endpoint: Endpoint | None) -> None:
        self._open += 1
        try:
            with held.scope as scope:
                scope.deadline = anyio.current_time() + BEGIN_SECONDS
                owned = client is None or not client.in_rounds or _alone(client)
                session = client.session if client is not None else None
                updated = partial(self._updated, held)
                common = SessionsEar(client, session, updated) if client is not None and session is not None else Deaf()
                async with self._dial.open(common, able(client), endpoint=endpoint, owned=owned, handshake=True) as conversation:
                    held.conversation = conversation
                    with anyio.move_on_after(SUBSCRIBE_SECONDS):
                        for uri in sorted(self._wanted.get(held.client or "", ())):
                            await self._subscribe(held, uri)
                    scope.deadline = float("inf")
                    held.begun.set()
                    gone = [session.gone] if session is not None else []
                    await either(conversation.peer.ended.wait, held.silent, *gone)
                    scope.cancel()
        except (Failed, EgressBlocked, NotLinked) as error:
            held.error = error
        except Exception:
            log.exception("a caller's own conversation with %s failed by a bug", self._dial.who)
        finally:
            self._open -= 1
            if self._held.get(key) is held:
                del self._held[key]
            held.error = held.error or Unreachable(f"{self._dial.who} did not begin within {BEGIN_SECONDS:g} s")
            held.begun.set()


async def _ask(conversation: Conversation, method: str, uri: str) -> bool:
    """Whether the server did it, in time."""
    with suppress(ToolgateError), anyio.move_on_after(SUBSCRIBE_SECONDS):
        await conversation.peer.ask(method, {"uri": uri})
        return True
    return False


def _alone(client: Client | None) -> bool:
    """Whether nobody could tell which of two requests of such a client a question is about, nor whether one person makes both."""
    return client is not None and client.in_rounds and bool(able(client))
