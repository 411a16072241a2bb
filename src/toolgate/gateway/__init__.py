"""The one gate that every call passes, whatever face it came through.

The list in `build_gateway` is the security policy, readable from top to bottom.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from toolgate.approvals import Approval, Approvals
from toolgate.calls import Ask, Call, Client, Outcome, Principal, Progress, Question, Tool, changed, new_id
from toolgate.catalog import Catalog
from toolgate.chain import Coming, Handler, Middleware, chain
from toolgate.errors import Refused
from toolgate.gateway.approve import Approve
from toolgate.gateway.audit import Audit, Proof
from toolgate.gateway.breaker import Breakers
from toolgate.gateway.cache import Cache
from toolgate.gateway.discover import CALL_TOOL, discovery, hidden
from toolgate.gateway.intent import Intent
from toolgate.gateway.limit import Limit
from toolgate.gateway.measure import Measure
from toolgate.gateway.permit import Permit, no_such_tool
from toolgate.gateway.repeat import Repeat
from toolgate.gateway.replay import NestedKeys, Replay
from toolgate.gateway.run import Run
from toolgate.gateway.search import Search
from toolgate.gateway.settle import settle
from toolgate.gateway.spend import Spend
from toolgate.gateway.trace import trace
from toolgate.gateway.validate import Validate
from toolgate.news import Change, News
from toolgate.policy.decide import visible_of
from toolgate.policy.live import Live
from toolgate.policy.rules import Policy
from toolgate.settings import Settings
from toolgate.stores import Counters, Stores
from toolgate.stores.counters import MemoryCounters
from toolgate.stores.local import LocalMemory
from toolgate.telemetry import Metrics


class Gateway:
    """What the faces know: which tools a caller may see, and how a call is made."""

    def __init__(
        self, live: Live, handler: Handler, looks: Looks, breakers: Breakers, approvals: Approvals, metrics: Metrics, audit: Audit
    ) -> None:
        self.catalog = Catalog(())
        self.live = live
        self.breakers = breakers
        self.approvals = approvals
        self.metrics = metrics
        self._handler = handler
        self._looks = looks
        self._audit = audit
        self.news = News()
        self.search = Search(lambda: self.catalog)
        self._finders: Sequence[Tool] | None = None
        self._nested = NestedKeys()
        self._blank = Call(concealed("", None), {}, Principal(""))  # to make a call from this costs half of making it from nothing
        self._visible: dict[Hashable, Mapping[str, Tool]] = {}
        self._visible_by = live.current

    def serve(self, tools: Iterable[Tool]) -> None:
        """Have `tools` from now on, and where not all are listed those that find them. Calls under way end as they began.

        Raises:
            Misconfigured: two tools have one name; then nothing has changed.
        """
        tools = list(tools)
        if self._finders is None and any(hidden(tool) for tool in tools):
            self._finders = discovery(self.visible, self.search)
        before, self.catalog = self.catalog, Catalog([*tools, *(self._finders or ())])
        self._visible = {}
        if set(before) != set(self.catalog):
            self.news.publish(Change("tools"))

    async def close(self) -> None:
        """Write down what is left to tell, when no call comes any more."""
        await self._audit.close()

    def visible(self, principal: Principal) -> Mapping[str, Tool]:
        """The tools that `principal` may know of, by name and in its order. Kept once computed, until another policy is in force."""
        policy = self.live.current
        if policy is not self._visible_by or len(self._visible) >= KEPT_LISTS:
            self._visible, self._visible_by = {}, policy
        view = policy.view(principal)
        tools = self._visible.get(view)
        if tools is None:
            tools = self._visible[view] = {tool.name: tool for tool in visible_of(principal, self.catalog, policy)}
        return tools

    def find(self, name: str, principal: Principal) -> Tool:
        """The tool called `name`.

        Raises:
            UnknownTool: there is none, or `principal` may not know of it.
        """
        tool = self.visible(principal).get(name)
        if tool is None:
            raise no_such_tool(name)
        return tool

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        principal: Principal,
        *,
        parent: Call | None = None,
        id: str | None = None,
        idempotency_key: str | None = None,
        trace_parent: str | None = None,
        session: str | None = None,
        progress: Progress | None = None,
        ask: Ask | None = None,
        approval: str | None = None,
        client: Client | None = None,
        work: Handler | None = None,
    ) -> Coming:
        """Let a call through the gate, or not: expected errors are in the outcome.

        Args:
            parent: the call on whose behalf this one is made, by a tool of ours. A person's yes to it covers this one too, and
                so does its idempotency key, where this one has none.
            id: what the call is to be known by, a new one of `new_id`; None: whatever.
            ask: puts a question to the person at the caller's client.
            approval: the id of the yes that the caller means to have; see `toolgate.server.context.approval`.
            session: see `Call.session`; its parent's where it has one.
            work: see `Call.work`.
        """
        tool, arguments = self._meant(name, arguments, principal)
        call = changed(
            self._blank,
            id=id or new_id(),
            tool=tool,
            arguments=arguments,
            principal=principal,
            idempotency_key=idempotency_key or None,
            trace_parent=trace_parent or None,
            approval=parent.approval if parent else approval,
            session=parent.session if parent else session,
            progress=progress,
            ask=ask,
            client=client,
            work=work,
        )
        if parent is not None:
            call = self._within(parent, call)
        return self._handler(call) if call.idempotency_key is None else self._with_key(call)

    async def _with_key(self, call: Call) -> Outcome:
        try:
            return await self._handler(call)
        finally:
            self._nested.forget(call)

    async def asks(
        self, name: str, arguments: Mapping[str, Any], principal: Principal, *, parent: Call | None = None
    ) -> tuple[Approval, Question] | None:
        """The approval that such a call would wait for, answered or not, and what to ask the person.

        None: it needs none, or is refused whatever a person says.
        """
        return await self._looks.approval(self._made(name, arguments, principal, parent))

    async def permitted(self, name: str, arguments: Mapping[str, Any], principal: Principal, *, parent: Call | None = None) -> Call:
        """Such a call as the gate would let it pass, with what it asks for besides in `obligations`. It is not made.

        Raises:
            Refused: it would not.
        """
        return await self._looks.permitted(self._made(name, arguments, principal, parent))

    async def ended(
        self, name: str, arguments: Mapping[str, Any], principal: Principal, *, parent: Call | None = None, idempotency_key: str
    ) -> Outcome | None:
        """How the call with that key ended; None: nobody has made it, it is under way, or it may be made again.

        Raises:
            KeyReused: the key came with other arguments.
        """
        return await self._looks.ended(self._made(name, arguments, principal, parent, idempotency_key))

    def _made(
        self, name: str, arguments: Mapping[str, Any], principal: Principal, parent: Call | None, idempotency_key: str | None = None
    ) -> Call:
        tool, arguments = self._meant(name, arguments, principal)
        call = Call(tool, arguments, principal, idempotency_key=idempotency_key)
        return call if parent is None else self._within(parent, call)

    def _meant(self, name: str, arguments: Mapping[str, Any], principal: Principal) -> tuple[Tool, Mapping[str, Any]]:
        name, arguments = unwrapped(name, arguments)
        return self.visible(principal).get(name) or concealed(name, self.catalog.get(name)), arguments

    def _within(self, parent: Call, call: Call) -> Call:
        """`call` as made on behalf of `parent`."""
        nested = self._nested.key(parent, call.tool, call.arguments)
        return changed(
            call,
            depth=parent.depth + 1,
            parent_id=parent.id,
            idempotency_key=call.idempotency_key or nested,
            deadline=parent.deadline,
            trace_parent=call.trace_parent or parent.trace_parent,
            tainted=parent.tainted,
        )


class Looks:
    """What can be found out about a call without making it."""

    def __init__(self, steps: Sequence[Middleware], approve: Approve, replay: Replay) -> None:
        """
        Args:
            steps: up to the one that knows whether a person is to be asked.
        """
        self._steps = steps
        self._approve = approve
        self.ended = replay.ended

    async def approval(self, call: Call) -> tuple[Approval, Question] | None:
        found: list[tuple[Approval, Question] | None] = []

        async def look(call: Call) -> Outcome:
            found.append(await self._approve.wanted(call))
            return Outcome()

        with suppress(Refused):  # the call itself will be refused, in the same words
            await chain(self._steps, look)(call)
        return found[0] if found else None

    async def permitted(self, call: Call) -> Call:
        found: list[Call] = []

        async def look(call: Call) -> Outcome:
            found.append(call)
            return Outcome()

        await chain(self._steps, look)(call)
        return found[0]


KEPT_LISTS = 256  # kinds of callers; a mapping of 1,223 tools takes 60 kB


def build_gateway(
    tools: Sequence[Tool], policy: Policy | Live, stores: Stores, settings: Settings, counters: Counters | None = None
) -> Gateway:
    """The gate before `tools`, and before those that find tools where not all are listed.

    Args:
        policy: a `Live` may be replaced while calls are under way.
        counters: of calls, where several processes share them; None: of this process.

    Raises:
        Misconfigured: two tools have one name.
    """
    live = policy if isinstance(policy, Live) else Live(policy)

    def find(name: str) -> Tool | None:
        return gateway.catalog.get(name)

    proof = Proof(stores, settings.audit, find)
    intent = Intent(proof, stores.ledger, settings.audit)
    approvals = Approvals(stores, settings, find=find)
    metrics = Metrics()
    audit = Audit(proof, settings.audit.refusals)
    validate, permit, approve = Validate(), Permit(live), Approve(approvals)
    replay = Replay(stores.records, stores.lives, settings.replay, metrics)
    # The steps, outermost first.
    steps: list[Middleware] = [
        Measure(metrics),  # counts every ending
        trace,
        audit,  # sees every ending, refusals too
        settle,  # above this line errors are outcomes, below they are raised
        validate,
        permit,  # the tool and its arguments
        approve,  # a person's yes, where the permission asks for one
        Limit(counters or MemoryCounters(), live, settings.limits),  # attempts that are permitted count, whatever becomes of them
        Repeat(settings.limits.repeats),
        replay,  # one effect for one idempotency key
        Cache(LocalMemory(settings.cache.max_bytes), metrics),  # an answer that is still good costs nothing
        Spend(stores.ledger, live, reserve=intent.reserve),  # reserves before, settles after
        intent,  # durable before any effect
    ]
    breakers = Breakers(settings.upstreams)
    handler = chain(steps, Run(breakers, settings.upstreams.attempts))
    gateway = Gateway(live, handler, Looks([validate, permit], approve, replay), breakers, approvals, metrics, audit)
    gateway.serve(tools)
    return gateway


def unwrapped(name: str, arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """`call_tool {name, arguments}` as the call that it asks for; anything else, malformed ones too, as it is."""
    if name != CALL_TOOL or not arguments.keys() <= {"name", "arguments"}:
        return name, arguments
    inner, inner_arguments = arguments.get("name"), arguments.get("arguments", {})
    if not isinstance(inner, str) or not isinstance(inner_arguments, Mapping) or inner == CALL_TOOL:
        return name, arguments
    return inner, inner_arguments


def concealed(name: str, hidden: Tool | None) -> Tool:
    """A stand-in for what does not exist, and for what the caller may not know of.

    Both take any arguments, so that `validate` cannot tell them apart, and both are refused in the same words; only the
    audit knows better. Names come from outside and are cut to what a tool's name may have.
    """
    if hidden is None:
        return Tool(name=name[:64], description="", schema=ANYTHING, run=_refuse, integration="unknown", concealed=True)
    return replace(hidden, schema=ANYTHING, run=_refuse, concealed=True)


ANYTHING: dict[str, Any] = {"type": "object"}


async def _refuse(call: Call) -> Outcome:
    raise no_such_tool(call.tool.name)
