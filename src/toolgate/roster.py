"""What is served, and what an operator changes of that while it is: off and on, accepted anew, added.

An integration that is switched off stays so over restarts; everybody else hears of it as of tools that do not exist. That
holds in this process at once, and within some seconds in others that share the store. What is accepted anew or added is read
from its folder, by other processes when they start.
"""

from __future__ import annotations

import difflib
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio
import orjson

from toolgate.calls import Principal, Tool
from toolgate.catalog import Catalog
from toolgate.egress.origin import origin_of
from toolgate.egress.wire import Reach, Request, Sender
from toolgate.errors import Misconfigured, ToolgateError, Unreachable
from toolgate.gateway import Gateway
from toolgate.gateway.audit import record
from toolgate.integration import ApiKey, Basic, Bearer, Integration, NoAuth, TokenEndpoint
from toolgate.openapi.definition import Definition
from toolgate.openapi.load import Loaded, accept, accepted
from toolgate.openapi.lock import Changes, compare, digest, lock
from toolgate.settings import Settings, state_folder
from toolgate.stores import Stores
from toolgate.switches import Switches

if TYPE_CHECKING:
    from toolgate.openapi.adding import Source
    from toolgate.upstream.source import Sources

SECONDS = 10.0  # that a test may take
SHOWN = 20_000  # characters of one definition's difference

Credentials = Literal["none", "set", "missing", "per_user"]


class NoSources:
    """As `Sources`, of which nothing is imported where there are no MCP servers behind the gate."""

    all: tuple[()] = ()
    refused: Mapping[str, Mapping[str, str]] = {}  # nobody changes it

    def tools(self, others: Iterable[Tool] = ()) -> list[Tool]:
        return []


@dataclass(frozen=True, slots=True)
class Difference:
    """A tool that is not defined as it was."""

    name: str
    change: Literal["added", "changed", "removed"]
    diff: str
    """Of what a model sees and where its calls go, as a unified diff."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a test."""

    ok: bool
    sentence: str
    ms: float


class Roster:
    def __init__(
        self,
        gateway: Gateway,
        stores: Stores,
        settings: Settings,
        sender: Sender,
        integrations: Iterable[Loaded],
        made: Callable[[Loaded], Iterable[Tool]],
        absent: Callable[[Loaded], Mapping[str, str]],
        others: Callable[[], Sequence[Tool]] = tuple,
    ) -> None:
        """
        Args:
            sender: the guarded way out.
            made: the tools of an integration that is described by OpenAPI.
            absent: those of its tools that are not served because what they stand on is not there, and why.
            others: tools that are of no integration, as they are now.
        """
        self._gateway = gateway
        self._stores = stores
        self._settings = settings
        self._sender = sender
        self._made = made
        self._absent = absent
        self._others = others
        self._loaded = list(integrations)
        self._tools = {loaded.name: list(made(loaded)) for loaded in self._loaded if _described(loaded)}
        self.switches = Switches(stores, "integration", self.serve)  # tools may be called by now like others that are served
        self._changing = anyio.Lock()
        self.sources: Sources | NoSources = NoSources()

    @property
    def all(self) -> Sequence[Loaded]:
        """Every integration, MCP servers as they are now."""
        now = {source.integration.name: source.loaded for source in self.sources.all}
        return [now.get(loaded.name, loaded) for loaded in self._loaded]

    def serve(self) -> None:
        """Have the gateway serve what is on. Raises Misconfigured when two tools have one name."""
        off = self.switches.off
        own = [tool for name, tools in self._tools.items() if name not in off for tool in tools]
        others = self._others()
        theirs = [tool for tool in self.sources.tools([*others, *own]) if tool.integration not in off]
        self._gateway.serve([*others, *own, *theirs])

    def status(self, principal: Principal | None = None) -> Sequence[Mapping[str, Any]]:
        """Every integration, for those who look from outside.

        Args:
            principal: who looks: `visible` is how many tools that is for them.
        """
        suspended = self._gateway.breakers.suspended()
        seen: dict[str, int] = {}
        for tool in self._gateway.visible(principal).values() if principal else ():
            seen[tool.integration] = seen.get(tool.integration, 0) + 1
        return [
            {
                "name": loaded.name,
                "title": loaded.declaration.title if loaded.declaration else None,
                "kind": loaded.declaration.kind if loaded.declaration else None,
                "enabled": loaded.name not in self.switches.off,
                "tools": len(loaded.definitions) - len(absent),
                "absent": absent,
                "visible": seen.get(loaded.name, 0),
                "quarantined": len(loaded.quarantined),
                "credentials": credentials(loaded.declaration),
                "problem": loaded.problem,
                "suspended": suspended.get(loaded.name),
            }
            for loaded in self.all
            for absent in [{**self._absent(loaded), **self.sources.refused.get(loaded.name, {})}]
        ]

    def find(self, name: str) -> Loaded:
        """
        Raises:
            Misconfigured: there is no integration of that name.
        """
        found = next((loaded for loaded in self.all if loaded.name == name), None)
        if found is None:
            raise Misconfigured(f"there is no integration called {name[:64]!r}; there is {', '.join(each.name for each in self._loaded)}")
        return found

    async def switch(self, name: str, on: bool, who: Principal) -> None:
        """Serve an integration's tools, or stop. Calls under way end as they began."""
        await self.switches.switch(self.find(name).name, on, who)

    async def refresh(self, name: str) -> tuple[Sequence[Difference], str]:
        """How an integration is defined now, other than it is served, and the digest by which that is accepted. Nothing changes."""
        served = {each.name: each for each in self.find(name).definitions}
        now = await self._renewed(name, keep=False)
        return differences(served, everything(now)), digest(everything(now))

    async def accept(self, name: str, seen: str, who: Principal) -> Changes:
        """Pin what an integration defines now, and serve that.

        Args:
            seen: the digest of what whoever accepts it has seen.

        Raises:
            Misconfigured: that is not what it defines now, a tool of another integration has a name of its tools, or its folder
                cannot be written.
        """

        def check(found: Loaded) -> None:
            if digest(everything(found)) != seen:
                raise Misconfigured(f"{name} is no longer defined as it was shown; look at the differences again (refresh), then accept")
            if _described(found):  # servers' tools of names that are taken are left out
                theirs = self._made(replace(found, definitions=everything(found), quarantined=()))
                Catalog([*(tool for tool in self._gateway.catalog if tool.integration != name), *theirs])

        async with self._changing:
            now = await self._renewed(name, keep=True, check=check)
            changes = compare(accepted(now.folder) or {}, everything(now))
            try:
                accept(now)
            except OSError as error:
                raise Misconfigured(f"{now.folder} cannot be written: {error.strerror}") from error
            self._put(replace(now, definitions=everything(now), quarantined=()))
            self.serve()
            said = {what: list(getattr(changes, what))[:100] for what in ("added", "removed", "changed")}
            await self._tell(name, "accepted", who, **said)
        return changes

    async def test(self, name: str) -> Tried:
        """Whether the other side can be reached. No operation of it is called."""
        loaded, began = self.find(name), time.perf_counter()
        try:
            sentence = await self._reached(loaded)
        except ToolgateError as error:
            return Tried(False, str(error), _ms(began))
        return Tried(True, sentence, _ms(began))

    async def look(self, source: Source) -> Loaded:
        """What adding `source` would make; nothing is left of it."""
        from toolgate.openapi.adding import add

        with tempfile.TemporaryDirectory(prefix="toolgate-") as temporary:
            return await add(source, Path(temporary), state_folder(self._settings), self._sender)

    async def add(self, source: Source, who: Principal) -> Loaded:
        """Write a new integration's folder, accept what it defines, and serve that; nothing is left when that fails.

        Raises:
            Misconfigured: it cannot be, or its folder cannot be written.
        """
        from toolgate.openapi.adding import add, remove

        settings = self._settings
        if not settings.tool_specs:
            raise Misconfigured("this server serves the bundled integrations; tool_specs in toolgate.yaml gives it a folder for others")
        if settings.integrations is not None and source.name not in settings.integrations:
            raise Misconfigured(f"toolgate.yaml serves only the integrations that it names; add {source.name} to `integrations` there")
        async with self._changing:
            if any(loaded.name == source.name for loaded in self._loaded):
                raise Misconfigured(f"there is an integration called {source.name} already")
            try:
                loaded = await add(source, settings.tool_specs[0], state_folder(settings), self._sender)
            except OSError as error:
                raise Misconfigured(f"{settings.tool_specs[0]} cannot be written: {error.strerror}") from error
            self._put(loaded)
            try:
                self.serve()
            except Misconfigured:
                self._loaded.remove(loaded)
                del self._tools[loaded.name]
                remove(loaded)
                raise
            await self._tell(loaded.name, "added", who, tools=len(loaded.definitions))
        return loaded

    def _put(self, loaded: Loaded) -> None:
        """Know it so from now on."""
        for source in self.sources.all:
            if source.integration.name == loaded.name:
                source.take_again()
                return
        at = next((place for place, each in enumerate(self._loaded) if each.name == loaded.name), len(self._loaded))
        self._loaded[at : at + 1] = [loaded]
        self._tools[loaded.name] = list(self._made(loaded))

    async def _renewed(self, name: str, *, keep: bool, check: Callable[[Loaded], None] = lambda _: None) -> Loaded:
        loaded = self.find(name)
        if loaded.declaration is not None and loaded.declaration.kind == "mcp":
            if loaded.problem:
                raise Unreachable(f"{name}: {loaded.problem}")
            check(loaded)
            return loaded  # servers tell by themselves when what they offer changes
        from toolgate.openapi.renew import renewed

        return await renewed(loaded, state_folder(self._settings), self._sender, keep=keep, check=check)

    async def _reached(self, loaded: Loaded) -> str:
        declaration = loaded.declaration
        if loaded.problem or declaration is None:
            raise Misconfigured(loaded.problem or "it cannot be read")
        if declaration.kind == "mcp":
            return "the server is connected and has told its tools"
        if declaration.asgi is not None:
            return "it is answered in this process"
        from toolgate.openapi.execute import server_of

        if not (definitions := everything(loaded)):
            raise Misconfigured("it defines no operation")
        url = server_of(definitions[0].plan, declaration)
        reach = Reach(frozenset({origin_of(url)}), declaration.allow_networks)
        answer = await self._sender.send(Request("GET", url), reach=reach, seconds=SECONDS)
        return f"{origin_of(url)} answers; {answer.status} to a request without credentials"

    async def _tell(self, name: str, what: str, who: Principal, **details: Any) -> None:
        await record(self._stores.journal, "config.changed", principal=who, integration=name, what=what, **details)


def everything(loaded: Loaded) -> tuple[Definition, ...]:
    """What it defines, what is kept back too."""
    return (*loaded.definitions, *loaded.quarantined)


def _described(loaded: Loaded) -> bool:
    return loaded.declaration is not None and loaded.declaration.kind == "openapi"


def credentials(declaration: Integration | None) -> Credentials:
    """Whether what the other side wants to be shown is there; never what it is."""
    if declaration is None:
        return "none"
    if declaration.per_user:
        return "per_user"
    match declaration.auth:
        case NoAuth():
            return "none"
        case ApiKey(value=found) | Bearer(token=found) | Basic(password=found) | TokenEndpoint(client_secret=found):
            return "missing" if found is None else "set"
    return "set"


def differences(served: Mapping[str, Definition], now: Iterable[Definition]) -> Sequence[Difference]:
    """How `now` differs from what is served, by name."""
    then = {each.name: each for each in now}
    found: list[Difference] = []
    for name in sorted(served.keys() | then.keys()):
        before, after = served.get(name), then.get(name)
        if before is None or after is None or lock([before]) != lock([after]):
            change: Literal["added", "changed", "removed"] = "added" if before is None else "removed" if after is None else "changed"
            found.append(Difference(name, change, _diff(before, after)))
    return found


def _diff(before: Definition | None, after: Definition | None) -> str:
    lines = difflib.unified_diff(_seen(before), _seen(after), "accepted", "now", lineterm="", n=2)
    text = "\n".join(lines)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}\n… (cut; {len(text)} characters in all)"


def _seen(definition: Definition | None) -> list[str]:
    """What a model sees of it, and where its calls go, in lines."""
    if definition is None:
        return []
    seen = {
        "operation": definition.key,
        "servers": [server["url"] for server in definition.plan_data.get("servers", ())],
        "title": definition.title,
        "description": definition.full_description or definition.description,
        "schema": definition.schema,
    }
    return orjson.dumps(seen, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode().splitlines()


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
