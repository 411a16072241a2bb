"""One server behind the gate, held as long as we live: begun, asked what it offers, begun again when it ends.

Nothing that it does can hold up anybody else: it has a task of its own, a deadline for every step, and bounds on what
is taken from it. While it is away its tools stay known and calls of them fail; it comes back by itself.
"""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

from toolgate.calls import Call, Client
from toolgate.errors import (
    EgressBlocked,
    Failed,
    Misconfigured,
    NotLinked,
    ProtocolError,
    Suspended,
    ToolgateError,
    Unreachable,
    UpstreamFailed,
)
from toolgate.tasks import beside
from toolgate.upstream.caller import UPDATED, CallersEar, Parking, able, shown, to_modern
from toolgate.upstream.dial import Conversation, Dial, NotOlder, envelope
from toolgate.upstream.lists import LISTS, beyond, for_some, told
from toolgate.upstream.messages import HEADER_MISMATCH
from toolgate.upstream.modern import Marks, Modern, marks, repeated
from toolgate.upstream.owned import Owned
from toolgate.upstream.peer import Deaf, Ear

BEGIN_SECONDS = 30.0  # from the start of a server to all that it offers; npx may download it first
FIRST, MOST = 0.25, 60.0
"""Seconds before a server that ended is begun again: after the first failure, and at most."""
STEADY = 30.0  # seconds that it has to last for its failures to be forgotten, if it has answered nobody
BACK_SECONDS = 2.0  # that a call waits for a server that is just being begun again
AGAIN_SECONDS = 300.0  # between two looks at what a server offers that does not say when that changes
SETTLE = 0.2  # seconds after word of a change, in which more of it may come

CHANGES = {
    "notifications/tools/list_changed": ("tools",),
    "notifications/resources/list_changed": ("resources", "templates"),
    "notifications/prompts/list_changed": ("prompts",),
}
FILTER = {"tools": "toolsListChanged", "resources": "resourcesListChanged", "prompts": "promptsListChanged"}

log = logging.getLogger("toolgate.upstream")


@dataclass(frozen=True)
class Offer:
    """What a server offers, as it tells it."""

    tools: tuple[Any, ...] = ()
    resources: tuple[Any, ...] = ()
    templates: tuple[Any, ...] = ()
    prompts: tuple[Any, ...] = ()
    capabilities: Mapping[str, Any] = field(default_factory=dict)


Changed = Callable[["Upstream", frozenset[str]], None]
Heard = Callable[["Upstream", str, str | None], None]


class Upstream:
    def __init__(self, dial: Dial, changed: Changed, heard: Heard, *, timeout: float = 30.0) -> None:
        """
        Args:
            changed: hears when `offer` is another, with the names of its lists that are, or when `problem` is.
            heard: hears that the resource of a URI has another content, and the key of the client that this is told; None: all of them.
            timeout: seconds that one call may take, which bounds a request that waits for its caller.
        """
        self.name = dial.who
        self.offer: Offer | None = None
        """None until it has told."""
        self.problem: str | None = "it has not answered yet"
        """Why it cannot be called now, as a sentence."""
        self.tried = anyio.Event()
        """Set after the first attempt to begin it, however that ended."""
        self._dial = dial
        self._changed = changed
        self._heard = heard
        self._timeout = timeout
        self._conversation: Conversation | None = None
        self._began = anyio.Event()
        self._answered = False
        """Whether it has answered a caller since it ended last: then what ends it is what is asked, and not how it is."""
        self._again = 0.0
        """When it is begun again, or was."""
        self._stale: set[str] = set()
        self._news = anyio.Event()
        self._subscribed: Counter[str] = Counter()
        """Resources that somebody wants to hear of, and how many do."""
        self._filter = anyio.Event()
        self._for_some: tuple[Any, ...] = ()
        """Tools that it has for clients that can be asked something."""
        self._only_some: frozenset[str] = frozenset()
        """The names of those that it has for no others."""
        self._schemas: Mapping[str, Mapping[str, Any]] = {}
        self._marked: dict[str, Marks] = {}
        """What of their arguments headers repeat, by the tools that were called since the schemas came."""
        self._owned: Owned | None = None
        self._parking: Parking | None = None

    async def run(self) -> None:
        """Hold the server until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._owned, self._parking = Owned(self._dial, tasks, self._told), Parking(self.name, tasks)
            failures = 0
            while True:
                began = anyio.current_time()
                try:
                    await self._hold()
                except (Failed, EgressBlocked, Misconfigured, NotLinked) as error:
                    why = str(error)
                except Exception:
                    log.exception("%s is begun again because of a bug", self.name)
                    why = "it failed here by a bug; the log says more"
                else:
                    why = f"{self.name} has ended"
                now = anyio.current_time()
                failures = 1 if self._answered or now - began > STEADY else failures + 1
                self._answered = False
                self._again = now + random.uniform(0.5, 1) * min(MOST, FIRST * 2 ** (failures - 1))  # noqa: S311
                self._away(why)
                await anyio.sleep_until(self._again)

    async def request(self, method: str, params: Mapping[str, Any], call: Call, name: str) -> Mapping[str, Any]:
        """The result of a caller's request.

        Args:
            name: of what it concerns, so that an answer belongs to its question.

        Raises:
            InputNeeded, ProtocolError, Failed, EgressBlocked, NotLinked: there is none.
        """
        conversation, client = self._there() or await self._present(), call.client
        answer: Mapping[str, Any] | None = None
        if not conversation.modern or self._is_older(client):
            try:
                answer = await self._ask_older(conversation, method, params, call, name)
            except NotOlder:
                if not conversation.modern:
                    raise
                log.info("%s has no older era; clients of one are answered in the new one", self.name)
        if answer is None:
            ear, asked = CallersEar(client), {**params, **shown(call, modern=True)}
            answer = await to_modern(lambda each: self._ask_modern(conversation, method, each, ear, call), asked, client, self.name)
        self._answered = True
        return answer

    async def _ask_older(
        self, conversation: Conversation, method: str, params: Mapping[str, Any], call: Call, name: str
    ) -> Mapping[str, Any]:
        owned, parking, client = self._owned, self._parking, call.client
        assert owned is not None
        assert parking is not None
        if method == "tools/call" and params["name"] in self._only_some and not able(client):
            raise Failed(f"{self.name} has {name} only for clients that can be asked something (elicitation, sampling, roots)")
        endpoint = self._dial.endpoint_of(call.principal)
        params = {**params, **shown(call, modern=False)}
        if client is None or not client.in_rounds or not able(client):
            return await owned.ask(conversation, method, params, CallersEar(client), call, endpoint)
        return await parking.request(
            lambda ear: self._in_time(owned.ask(conversation, method, params, ear, call, endpoint)), call, method, name
        )

    def _is_older(self, client: Client | None) -> bool:
        """Whether a server of two eras is better spoken to as its client speaks: what it does may depend on that.

        A program is, only where the client can be asked something: each such client takes a process.
        """
        if client is None or client.in_rounds or not self._dial.may_be_older:
            return False
        return self._dial.endpoint is not None or bool(able(client))

    async def subscribe(self, uri: str, client: str | None = None) -> None:
        """Have the server tell of changes of a resource; once for each who wants to know.

        Args:
            client: the key of a client with a session, which is told in a conversation of its own where it has one.

        Raises:
            ProtocolError, Failed, EgressBlocked: it does not.
        """
        self._subscribed[uri] += 1
        try:
            if self._subscribed[uri] == 1:
                await self._say_subscribed("resources/subscribe", uri)
            if self._owned is not None and client is not None:
                await self._owned.subscribe(client, uri)
        except BaseException:
            self._subscribed -= Counter([uri])
            raise

    async def unsubscribe(self, uri: str, client: str | None = None) -> None:
        self._subscribed -= Counter([uri])
        if self._owned is not None and client is not None:
            await self._owned.unsubscribe(client, uri)
        if not self._subscribed[uri]:
            with suppress(ToolgateError):
                await self._say_subscribed("resources/unsubscribe", uri)

    def tells(self, client: str, uri: str) -> bool:
        """Whether a client hears of changes of a resource in a conversation of its own."""
        return self._owned is not None and self._owned.tells(client, uri)

    def updated(self, uri: str) -> None:
        if uri in self._subscribed:
            self._heard(self, uri, None)

    def _told(self, client: str, uri: str) -> None:
        self._heard(self, uri, client)

    def pass_on(self, client: str, method: str) -> None:
        """Hear a notification of a client that belongs to none of its calls."""
        if self._owned is not None:
            self._owned.pass_on(client, method)

    def look_again(self, *lists: str) -> None:
        """Ask the server soon what it offers."""
        self._stale |= set(lists)
        self._news.set()

    async def _say_subscribed(self, method: str, uri: str) -> None:
        conversation = self._there() or await self._present()
        if conversation.modern:
            self._filter.set()  # what is listened to is said anew
        else:
            with anyio.move_on_after(BACK_SECONDS):
                await conversation.peer.ask(method, {"uri": uri})

    async def _in_time(self, asking: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        # Of a request that outlives its call, because it waits for the caller to come again.
        from toolgate.upstream.caller import PARKED_SECONDS

        with anyio.move_on_after(self._timeout + PARKED_SECONDS):
            return await asking
        raise UpstreamFailed(f"{self.name} did not answer in time")

    async def _ask_modern(
        self, conversation: Conversation, method: str, params: Mapping[str, Any], ear: Ear, call: Call
    ) -> Mapping[str, Any]:
        peer = conversation.peer
        if not isinstance(peer, Modern):
            return await peer.ask(method, params, ear)
        endpoint = self._dial.endpoint_of(call.principal)
        peer = peer if endpoint is None else peer.over(endpoint)
        marked = self._marks(params.get("name", "")) if method == "tools/call" else None
        try:
            return await peer.ask(method, params, ear, repeats=repeated(marked, params.get("arguments") or {}) if marked else {})
        except ProtocolError as error:
            if error.number != HEADER_MISMATCH:
                raise
            # transports/streamable-http: the schema is another by now. It has to pass the lock before calls may use it.
            self.look_again("tools")
            raise UpstreamFailed(f"{self.name} has changed this tool; it is being looked at again", status=503, retry_after=1.0) from None

    def _marks(self, tool: str) -> Marks:
        if (marked := self._marked.get(tool)) is None:
            schema = self._schemas.get(tool)
            if schema is None:
                return {}
            marked = self._marked[tool] = marks(schema)
        return marked

    def _there(self) -> Conversation | None:
        """The conversation, if it goes on."""
        found = self._conversation
        return None if found is None or found.peer.ended.is_set() else found

    async def _present(self) -> Conversation:
        """The conversation, which may have to be waited for."""
        if self._held_back() <= BACK_SECONDS:
            with anyio.move_on_after(BACK_SECONDS):
                while (found := self._there()) is None:
                    await self._began.wait()
                return found
        if (left := self._held_back()) > 0:
            raise Suspended(f"{self.name} cannot be called now: {self.problem}; it is begun again in {math.ceil(left)} s", left)
        raise Suspended(f"{self.name} cannot be called now: {self.problem}", 1.0)

    def _held_back(self) -> float:
        """Seconds until it is begun again; 0 or less: it has been."""
        return self._again - anyio.current_time()

    async def _hold(self) -> None:
        async with _Beginning(BEGIN_SECONDS, self.name) as beginning, self._dial.open(_Common(self), {}) as conversation:
            before = self.offer
            await self._discover(conversation, set(LISTS), closely=before is None)
            beginning.done()
            self._conversation, self.problem = conversation, None
            self._began.set()
            self._began = anyio.Event()
            self.tried.set()
            self._changed(self, self._others_than(before))
            async with beside() as tasks:
                tasks.start_soon(self._listen, conversation)
                tasks.start_soon(self._keep_up, conversation, before is not None)
                await conversation.peer.ended.wait()
        raise UpstreamFailed(f"{self.name} has ended")

    def _away(self, why: str) -> None:
        if self.problem != why:
            log.warning("%s cannot be called: %s", self.name, why)
        self._conversation, self.problem = None, why
        self.tried.set()
        self._changed(self, frozenset())

    async def _keep_up(self, conversation: Conversation, again: bool) -> None:
        """Look again whenever the server says that something has changed, and now and then.

        Args:
            again: it has been begun before, and may be another by now.
        """
        if again:
            self.look_again("tools")
        while True:
            with anyio.move_on_after(AGAIN_SECONDS):
                await self._news.wait()
                await anyio.sleep(SETTLE)
            stale, self._stale, self._news = self._stale or set(LISTS), set(), anyio.Event()
            before = self.offer
            try:
                with anyio.fail_after(BEGIN_SECONDS):
                    # A program is looked at closely once: that takes another process.
                    await self._discover(conversation, stale, closely="tools" in stale and (again or self._dial.endpoint is not None))
            except (ToolgateError, TimeoutError) as error:
                log.warning("%s does not say what it offers: %s", self.name, error or "not in time")
                await anyio.sleep(FIRST)
                continue
            again = False
            if others := self._others_than(before):
                self._changed(self, others)

    def _others_than(self, before: Offer | None) -> frozenset[str]:
        """The lists that have changed since `before`."""
        return frozenset(name for name in LISTS if getattr(self.offer, name) != getattr(before or Offer(), name))

    async def _listen(self, conversation: Conversation) -> None:
        """Have the server tell of changes: one of rounds is listened to, others have to be told anew what is subscribed to."""
        if not conversation.modern:
            for uri in list(self._subscribed):
                with suppress(ProtocolError):
                    await conversation.peer.ask("resources/subscribe", {"uri": uri})
            return
        lists = {FILTER[name]: True for name in FILTER if _says_changes(conversation, name)}
        wait = FIRST
        while True:
            self._filter = anyio.Event()
            wanted = {**lists, **({"resourceSubscriptions": sorted(self._subscribed)} if self._subscribed else {})}
            began = anyio.current_time()
            if not wanted or await self._listened(conversation, wanted):
                await self._filter.wait()
                continue
            wait = FIRST if anyio.current_time() - began > STEADY else min(MOST, 2 * wait)
            await anyio.sleep(wait)
            self.look_again(*LISTS)  # of what changed meanwhile nobody has told

    async def _listened(self, conversation: Conversation, wanted: Mapping[str, Any]) -> bool:
        """Listen until something else is wanted. Whether there is no use in trying the same again."""
        useless = False
        async with anyio.create_task_group() as tasks:

            async def until_another_filter() -> None:
                await self._filter.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_another_filter)
            try:
                await conversation.peer.ask("subscriptions/listen", {"notifications": wanted, **envelope({})}, _Common(self))
            except (Failed, EgressBlocked, NotLinked) as error:
                log.debug("%s: its changes cannot be heard: %s", self.name, error)
                useless = isinstance(error, ProtocolError)
            tasks.cancel_scope.cancel()
        return useless or self._filter.is_set()

    async def _discover(self, conversation: Conversation, names: set[str], *, closely: bool) -> None:
        """
        Args:
            closely: ask as a client that can be asked something, too.
        """
        before = self.offer or Offer()
        found: dict[str, tuple[Any, ...]] = {name: getattr(before, name) for name in LISTS}
        for name in LISTS:
            if name in names:
                found[name] = await told(conversation, name)
        if closely and not conversation.modern and "tools" in conversation.capabilities:
            self._for_some = await for_some(self._dial, self._for_some)
        if "tools" in names:
            more = beyond(found["tools"], self._for_some)
            found["tools"] += more
            self._only_some = frozenset(name for tool in more if isinstance(name := tool.get("name"), str))
        self.offer = Offer(**found, capabilities=conversation.capabilities)
        self._marked = {}
        self._schemas = {
            tool["name"]: tool["inputSchema"]
            for tool in found["tools"]
            if isinstance(tool, dict) and isinstance(tool.get("name"), str) and isinstance(tool.get("inputSchema"), dict)
        }


class _Common:
    """Hears what concerns the server itself."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def hear(self, method: str, params: Mapping[str, Any]) -> None:
        if method in CHANGES:
            self._upstream.look_again(*CHANGES[method])
        elif method == UPDATED and isinstance(uri := params.get("uri"), str):
            self._upstream.updated(uri)

    async def answer(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return await Deaf().answer(method, params)


class _Beginning:
    """A deadline until `done`."""

    def __init__(self, seconds: float, who: str) -> None:
        self._seconds = seconds
        self._who = who
        self._scope = anyio.CancelScope()

    async def __aenter__(self) -> _Beginning:
        self._scope.deadline = anyio.current_time() + self._seconds
        self._scope.__enter__()
        return self

    def done(self) -> None:
        self._scope.deadline = float("inf")

    async def __aexit__(self, *ending: Any) -> bool:
        swallowed = bool(self._scope.__exit__(*ending))
        if self._scope.cancelled_caught:
            raise Unreachable(f"{self._who} did not begin within {self._seconds:g} s")
        return swallowed


def _says_changes(conversation: Conversation, name: str) -> bool:
    found = conversation.capabilities.get(name)
    return isinstance(found, dict) and found.get("listChanged") is True
