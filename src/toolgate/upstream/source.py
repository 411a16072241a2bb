"""All servers behind the gate, and what they offer as tools. After this nobody knows where a tool came from."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import anyio
import orjson

from toolgate.calls import PROTOCOL, Annotations, Call, Outcome, Tool
from toolgate.egress.transport import Transport
from toolgate.errors import ToolgateError
from toolgate.integration import Integration, price_of
from toolgate.llm.strict import current
from toolgate.openapi import lock
from toolgate.openapi.definition import Definition
from toolgate.openapi.load import Loaded, accepted
from toolgate.openapi.own import Own, credentials_for
from toolgate.openapi.source import USER_CREDENTIALS, tool_of
from toolgate.prompts import Written
from toolgate.tasks import beside
from toolgate.upstream import answer
from toolgate.upstream.child import Keeper
from toolgate.upstream.definition import define
from toolgate.upstream.dial import Dial
from toolgate.upstream.endpoint import Endpoint
from toolgate.upstream.holders import Holders, Name
from toolgate.upstream.kept import keep
from toolgate.upstream.keys import meant
from toolgate.upstream.messages import SERVER_INFO, meta
from toolgate.upstream.upstream import Changed, Heard, Upstream

BEGINNING = 8  # servers that are begun at the same time; a process each, on few cores
START_SECONDS = 10.0  # that a start waits for servers to answer; those that are slower come in later
LOGGED = 20  # definitions of one server that are left out, of which the log says why

log = logging.getLogger("toolgate.upstream")


@dataclass(frozen=True)
class ServersTool:
    """The `run` of a tool that a server has."""

    upstream: Upstream
    name: str
    """As the server calls it."""
    theirs: Mapping[str, str]
    """What it calls arguments whose names not every client takes, by ours."""

    async def __call__(self, call: Call) -> Outcome:
        arguments = meant(call.arguments, self.theirs) if self.theirs else dict(call.arguments)
        params = {"name": self.name, "arguments": arguments}
        result = await self.upstream.request("tools/call", params, call, call.tool.name)
        return answer.outcome(result, self.upstream.name, reads=call.tool.annotations.read_only)


REQUESTS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "resources/read": (
        "resources",
        "Read a resource of {}.",
        {"properties": {"uri": {"type": "string", "minLength": 1, "maxLength": 8192}}, "required": ["uri"]},
    ),
    "prompts/get": (
        "prompts",
        "Get a prompt of {}.",
        {"properties": {"name": {"type": "string"}, "arguments": {"type": "object"}}, "required": ["name"]},
    ),
    "completion/complete": (
        "completions",
        "Complete an argument of a prompt or a resource of {}.",
        {
            "properties": {"ref": {"type": "object"}, "argument": {"type": "object"}, "context": {"type": "object"}},
            "required": ["ref", "argument"],
        },
    ),
}
"""Requests that pass the gate as tools: the capability that a server needs for each, what it does, its parameters."""


def request_name(integration: str, method: str) -> str:
    """What policies and the audit call such a request. No tool of a server can be called so, for its slash."""
    return f"{integration}_{method}"


@dataclass(frozen=True)
class ServersRequest:
    """The `run` of a request that is no call of a tool; the whole result is `structured`."""

    source: Source
    method: str

    async def __call__(self, call: Call) -> Outcome:
        upstream = self.source.upstream
        subject = orjson.dumps(call.arguments, option=orjson.OPT_SORT_KEYS).decode()
        result = await upstream.request(self.method, dict(call.arguments), call, subject)
        kept = {key: value for key, value in result.items() if key not in ("resultType", "_meta")}
        if said := {key: value for key, value in meta(result).items() if key != SERVER_INFO}:
            kept["_meta"] = said
        return Outcome(structured=kept, effect="none")


class Source:
    """One server with what the operator wants of it."""

    def __init__(self, loaded: Loaded, upstream: Upstream, state: Path) -> None:
        assert loaded.declaration is not None
        self.integration: Integration = loaded.declaration
        self.upstream = upstream
        self._known = loaded
        self._state = state
        self._taken: tuple[Any, ...] | None = None
        self._tools: dict[str, Tool] = {}
        self.prompts: Mapping[str, Mapping[str, Any]] = {}
        """Those that are served, by the names that clients know them by."""

    @property
    def loaded(self) -> Loaded:
        """What is known of it now."""
        offer = self.upstream.offer
        if offer is not None and offer.tools is not self._taken:
            if offer.tools != self._taken:
                self._take(offer.tools)
            self._taken = offer.tools
        return replace(self._known, problem=self.upstream.problem)

    def tools(self) -> list[Tool]:
        """Those that are served. A tool that has not changed is the very same one."""
        tools = [self._tool(each) for each in self.loaded.definitions]
        offer = self.upstream.offer
        if offer is not None:
            tools += [self._request(method) for method, (able, *_) in REQUESTS.items() if able in offer.capabilities]
        self._tools = {tool.name: tool for tool in tools}
        return tools

    def offered_prompts(self) -> Mapping[str, Mapping[str, Any]]:
        """All that the server has, as `prompts`."""
        prompts = self.upstream.offer.prompts if self.upstream.offer is not None else ()
        named = (prompt for prompt in prompts if isinstance(prompt, dict) and isinstance(prompt.get("name"), str))
        return {self.integration.tool_prefix + prompt["name"]: prompt for prompt in named}

    def take_again(self) -> None:
        """Hold what the server offers against what is accepted once more."""
        if self.upstream.offer is not None:
            self._take(self.upstream.offer.tools)

    def _take(self, tools: Sequence[Any]) -> None:
        defined = define(tools, self.integration)
        served, quarantined = lock.split(defined.definitions, accepted(self._known.folder))
        self._known = replace(self._known, definitions=served, quarantined=quarantined, diagnostics=defined.diagnostics)
        keep(self._state, self.integration, tools)
        for finding in defined.diagnostics[:LOGGED]:
            log.warning("%s: %s", self.integration.name, finding.message)
        if (more := len(defined.diagnostics) - LOGGED) > 0:
            log.warning("%s: … %d definitions more are left out", self.integration.name, more)
        if quarantined:
            names = ", ".join(each.name for each in quarantined[:5])
            log.warning("%s: %d definitions are not as accepted and kept back: %s", self.integration.name, len(quarantined), names)

    def _request(self, method: str) -> Tool:
        name = request_name(self.integration.name, method)
        if (before := self._tools.get(name)) is not None:
            return before
        _, words, schema = REQUESTS[method]
        prices = self.integration.prices
        price = prices.get(method, prices.get("default"))
        return Tool(
            name=name,
            description=words.format(self.integration.title or self.integration.name),
            schema={"type": "object", **schema},
            run=ServersRequest(self, method),
            annotations=Annotations(read_only=True, destructive=False, idempotent=True),
            integration=self.integration.name,
            tags=(PROTOCOL, USER_CREDENTIALS) if self.integration.per_user else (PROTOCOL,),
            listed=False,
            price=None if price is None else price_of(price),
            timeout=self.integration.defaults.timeout,
            concurrency=self.integration.concurrency,
        )

    def _tool(self, definition: Definition) -> Tool:
        before = self._tools.get(definition.name)
        if before is not None and before.fingerprint == definition.fingerprint:
            return before
        run = ServersTool(self.upstream, definition.plan_data["tool"], definition.plan_data.get("theirs", {}))
        tool = tool_of(definition, self.integration, run)
        passed = dict(definition.plan_data["passed"])
        if "outputSchema" in passed:
            passed["outputSchema"] = current(passed["outputSchema"])
        # Here, once, and not in each list: a schema of a server's costs 0.3 ms.
        return replace(tool, advertised=current(tool.schema), passed=passed, away=self._away)

    def _away(self) -> str | None:
        return self.upstream.problem


class Sources:
    """All servers, in the order of the settings."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.all = tuple(sources)
        self._tools, self._prompts = Holders("tool"), Holders("prompt")

    @property
    def refused(self) -> Mapping[str, Mapping[str, str]]:
        """By integration: its tools that are not served because of another one, and why."""
        return self._tools.refused

    @property
    def refused_prompts(self) -> Mapping[str, Mapping[str, str]]:
        return self._prompts.refused

    def tools(self, others: Iterable[Tool] = ()) -> list[Tool]:
        """The tools of all, but for those that are called like one of `others` or another server's, or look like it.

        Each server's `prompts` are then told apart in the same way.
        """
        others = list(others)
        offered = {source.integration.name: source.tools() for source in self.all}
        names = {integration: [tool.name for tool in tools] for integration, tools in offered.items()}
        pins = {source.integration.name: accepted(source.loaded.folder) or {} for source in self.all}
        self._tools.settle(names, [(tool.integration, tool.name) for tool in others], pins)
        self._tell_prompts_apart([(tool.integration, tool.run.prompt.name) for tool in others if isinstance(tool.run, Written)])
        return [tool for tool in chain.from_iterable(offered.values()) if tool.name not in self.refused[tool.integration]]

    def _tell_prompts_apart(self, others: Iterable[Name]) -> None:
        offered = {source: source.offered_prompts() for source in self.all}
        self._prompts.settle({source.integration.name: list(prompts) for source, prompts in offered.items()}, others, {})
        for source, prompts in offered.items():
            refused = self._prompts.refused[source.integration.name]
            source.prompts = {name: prompt for name, prompt in prompts.items() if name not in refused}


@asynccontextmanager
async def sources(
    integrations: Iterable[Loaded],
    transport: Transport,
    own: Own,
    state: Path,
    changed: Callable[[Source, frozenset[str]], None],
    heard: Callable[[Source, str, str | None], None] = lambda _source, _uri, _client: None,
) -> AsyncIterator[Sources]:
    """The servers among `integrations`, held until the block ends; begun at once, and most of them answering when it starts.

    Args:
        changed: hears when what one offers, or whether it can be called, has changed; with the lists that are others now.
        heard: hears that the resource of a URI has another content, and the key of the client that this is told; None: all of them.
    """
    wanted = [
        loaded for loaded in integrations if loaded.declaration is not None and loaded.declaration.kind == "mcp" and not loaded.problem
    ]
    if not wanted:
        yield Sources(())
        return
    keeper = Keeper()
    found: list[Source] = []
    by_upstream: dict[Upstream, Source] = {}
    for loaded in wanted:
        try:
            upstream = _upstream(
                loaded,
                transport,
                own,
                keeper,
                lambda one, lists: changed(by_upstream[one], lists),
                lambda one, uri, client: heard(by_upstream[one], uri, client),
            )
        except ToolgateError as error:
            log.warning("%s is not served: %s", loaded.name, error)
            continue
        by_upstream[upstream] = source = Source(loaded, upstream, state)
        found.append(source)
    try:
        async with beside() as tasks:
            room = anyio.Semaphore(BEGINNING)
            for source in found:
                tasks.start_soon(_run, source.upstream, room, tasks)
            with anyio.move_on_after(START_SECONDS):
                for source in found:
                    await source.upstream.tried.wait()
            yield Sources(found)
    finally:
        with anyio.CancelScope(shield=True):
            await keeper.close()


async def look(loaded: Loaded, transport: Transport, own: Own, state: Path) -> None:
    """Ask the server once what it offers, and keep that. Raises Unreachable when it does not say."""
    from toolgate.errors import Unreachable

    async with sources([loaded], transport, own, state, lambda _source, _lists: None) as found:
        for source in found.all:
            if source.upstream.offer is None:
                raise Unreachable(str(source.upstream.problem))
            assert source.loaded  # takes the offer in


async def _run(upstream: Upstream, room: anyio.Semaphore, tasks: anyio.abc.TaskGroup) -> None:
    """Hold `upstream`, begun in its turn."""
    async with room:
        tasks.start_soon(upstream.run)
        with anyio.move_on_after(START_SECONDS):
            await upstream.tried.wait()


def _upstream(loaded: Loaded, transport: Transport, own: Own, keeper: Keeper, changed: Changed, heard: Heard) -> Upstream:
    integration = loaded.declaration
    assert integration is not None
    endpoint = Endpoint(integration, transport, credentials_for(integration, transport, own)) if integration.url else None
    return Upstream(Dial(integration, loaded.folder, endpoint, keeper), changed, heard, timeout=integration.defaults.timeout)
