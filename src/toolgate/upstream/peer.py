"""One conversation with a server over a line of any kind: who waits for which answer, and who hears what is said meanwhile.

Ids are ours and never a caller's, so that two callers with the same id cannot be mixed up. What a server says beside
its answers goes to the caller whose request it belongs to. Over Streamable HTTP it comes on that request's own stream, and
progress names its token; of everything else nobody can tell. It goes to the one caller who owns the conversation, and
in a conversation that callers share to nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup

from toolgate.errors import ProtocolError, ToolgateError, Unreachable, UpstreamFailed
from toolgate.upstream.messages import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    Message,
    answered,
    is_answer,
    meta,
    notification,
    request,
    result,
)

FLOOD, FLOOD_SECONDS = 5000, 10.0
"""Messages in so many seconds that nobody has asked for, after which a server is left. A guess: logs come in hundreds."""
QUESTIONS = 16  # of a server's own at the same time; a guess, a person is asked one thing at a time
REPLIES = 1000  # to its pings and questions too many, that it has not taken yet
OFFERS = ("notifications/tools/", "notifications/resources/", "notifications/prompts/")
"""Of what a server offers: that concerns the conversation, on whose stream ever it is said."""
CANCEL_SECONDS = 5.0  # that telling of a cancelled request may take

log = logging.getLogger("toolgate.upstream")

Hear = Callable[[Message, int | None], Awaitable[None]]
"""Takes a message in, with the id of the request on whose own stream it came."""


class Ear(Protocol):
    """Who hears what a server says while it works on a request."""

    async def hear(self, method: str, params: Mapping[str, Any]) -> None:
        """A notification."""

    async def answer(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to a question of the server's. Raises ProtocolError for a refusal."""


class Line(Protocol):
    """Carries messages to one server."""

    def begin(self, hear: Hear) -> None:
        """Hear who takes messages in."""

    async def send(self, message: Message) -> None:
        """Send `message`; where its answer comes on a stream of its own, return when that has been heard.

        Raises:
            Failed, EgressBlocked: it could not be sent, or its stream broke off.
        """


class Deaf:
    """Hears nothing and answers nothing."""

    async def hear(self, method: str, params: Mapping[str, Any]) -> None:
        pass

    async def answer(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ProtocolError(f"nobody is here who could answer {method}", METHOD_NOT_FOUND)


@dataclass(slots=True)
class _Waiting:
    future: asyncio.Future[Message]
    ear: Ear | None


class Peer:
    def __init__(self, who: str, line: Line, common: Ear, tasks: TaskGroup, *, owned: bool = False) -> None:
        """
        Args:
            who: the server, for messages.
            common: hears what belongs to no request.
            tasks: run what answers the server's questions; it ends when the conversation does.
            owned: one caller has this conversation alone, so that what belongs to no request is for them.
        """
        self.who = who
        self.ended = anyio.Event()
        self._line = line
        self._common = common
        self._tasks = tasks
        self._owned = owned
        self._ids = count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._questions = 0
        self._replies = 0
        self._heard = 0
        self._since = anyio.current_time()
        self._why: ToolgateError | None = None
        line.begin(self.hear)

    async def ask(self, method: str, params: Mapping[str, Any] | None, ear: Ear | None = None) -> dict[str, Any]:
        """The result of a request; whoever is cancelled while waiting cancels it at the server too.

        Raises:
            ProtocolError: the server answered with an error.
            Failed, EgressBlocked: there is no answer.
        """
        if self._why is not None:
            raise Unreachable(str(self._why))  # nothing was sent
        number = next(self._ids)
        if ear is not None:
            params = {**(params or {}), "_meta": {**meta(params), "progressToken": number}}
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = _Waiting(future, ear)
        try:
            await self._line.send(request(number, method, params))
            return result(await future, self.who)
        except asyncio.CancelledError:
            if method != "initialize" and self._why is None:  # 2025-11-25, basic/utilities/cancellation
                self._tasks.start_soon(self._cancel, number)
            raise
        finally:
            del self._waiting[number]
            future.cancel()

    async def tell(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        await self._line.send(notification(method, params))

    async def hear(self, message: Message, of: int | None) -> None:
        if is_answer(message):
            number = answered(message)
            waiting = self._waiting.get(number) if number is not None else None
            if waiting is not None and not waiting.future.done():
                waiting.future.set_result(message)
            return
        self._count()
        method, params = message.get("method"), message.get("params")
        if not isinstance(method, str) or not isinstance(params, dict | None):
            return
        params = params or {}
        if "id" in message:
            await self._question(message["id"], method, params, self._ear(of))
        elif method == "notifications/progress":
            token = params.get("progressToken")
            waiting = self._waiting.get(token) if type(token) is int else None
            if waiting is not None and waiting.ear is not None:
                await waiting.ear.hear(method, params)
        elif method == "notifications/message":
            await self._ear(of).hear(method, params)
        elif method != "notifications/cancelled":
            ear = self._common if of is None or method.startswith(OFFERS) else self._ear(of)
            await ear.hear(method, params)

    def end(self, why: ToolgateError) -> None:
        """Nothing comes any more; whoever waits hears why."""
        if self._why is None:
            self._why = why
            for waiting in self._waiting.values():
                if not waiting.future.done():
                    waiting.future.set_exception(why)
                    waiting.future.exception()  # seen: who waits may be gone meanwhile
        self.ended.set()

    def _ear(self, of: int | None) -> Ear:
        if of is not None:
            waiting = self._waiting.get(of)
            return waiting.ear if waiting is not None and waiting.ear is not None else self._common
        ears = [waiting.ear for waiting in self._waiting.values() if waiting.ear is not None] if self._owned else []
        return ears[-1] if ears else self._common

    def _count(self) -> None:
        now = anyio.current_time()
        if now - self._since > FLOOD_SECONDS:
            self._since, self._heard = now, 0
        self._heard += 1
        if self._heard > FLOOD:
            raise UpstreamFailed(f"{self.who} says more than {FLOOD} things in {FLOOD_SECONDS:g} s that nobody asked for")

    async def _question(self, id: object, method: str, params: Mapping[str, Any], ear: Ear) -> None:
        if method == "ping":
            self._reply({"jsonrpc": "2.0", "id": id, "result": {}})
        elif self._questions >= QUESTIONS:
            self._reply(_refusal(id, INTERNAL_ERROR, "too many questions at the same time"))
        else:
            self._questions += 1
            self._tasks.start_soon(self._answer, id, method, params, ear)

    def _reply(self, message: Message) -> None:
        if self._replies >= REPLIES:
            raise UpstreamFailed(f"{self.who} asks on and on, and takes no answers")

        async def say() -> None:
            try:
                await self._say(message)
            finally:
                self._replies -= 1

        self._replies += 1
        self._tasks.start_soon(say)

    async def _answer(self, id: object, method: str, params: Mapping[str, Any], ear: Ear) -> None:
        try:
            answer: Message = {"jsonrpc": "2.0", "id": id, "result": await ear.answer(method, params)}
        except ProtocolError as error:
            answer = _refusal(id, error.number, str(error), error.data)
        except ToolgateError as error:
            answer = _refusal(id, INTERNAL_ERROR, str(error))
        except Exception:
            log.exception("a question of %s could not be passed on", self.who)
            answer = _refusal(id, INTERNAL_ERROR, "the question could not be passed on")
        finally:
            self._questions -= 1
        await self._say(answer)

    async def _say(self, message: Message) -> None:
        try:
            await self._line.send(message)
        except ToolgateError as error:
            log.info("%s did not take an answer: %s", self.who, error)

    async def _cancel(self, id: int) -> None:
        with anyio.move_on_after(CANCEL_SECONDS):
            await self._say(notification("notifications/cancelled", {"requestId": id, "reason": "the caller no longer waits"}))


def _refusal(id: object, code: int, message: str, data: Any = None) -> Message:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, **({} if data is None else {"data": data})}}
