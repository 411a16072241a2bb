"""`toolgate doctor`: is everything here that a start needs, and what to do about what is not."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from toolgate import __version__
from toolgate.cli.options import common, settings_of, wait_for
from toolgate.cli.output import emit, say, table
from toolgate.errors import ToolgateError, Unreachable

if TYPE_CHECKING:
    from toolgate.openapi.load import Loaded
    from toolgate.settings import Settings
    from toolgate.upstream.source import Sources

FOLDERS = {"policies": "policies", "tool_specs": "tool-specs", "skills": "skills"}
"""By setting, what the folder is called in docs and examples, and in what comes with Toolgate."""
SHOWN = 5  # names of a server that others have already
RELEASED = 1_767_225_600  # 2026-01-01; a clock before that is wrong


@dataclass(frozen=True)
class Finding:
    level: Literal["ok", "note", "broken"]
    what: str
    says: str
    do: str = ""
    """What to do about it; empty when nothing needs doing."""


@click.command()
@common
def command(config: Path | None, as_json: bool) -> int:
    """Check the setup; every line says what to do. Exit code 1 if something is broken."""
    findings = list(_examined(config))
    broken = sum(finding.level == "broken" for finding in findings)
    if as_json:
        emit([asdict(finding) for finding in findings])
    else:
        table(("", "what", "is so", "to do"), [(found.level, found.what, found.says, found.do) for found in findings])
        say(f"{broken} broken" if broken else "everything works")
    return int(broken > 0)


def _examined(config: Path | None) -> Iterator[Finding]:
    yield Finding("ok", "program", f"Python {platform.python_version()}, toolgate {__version__}")
    try:
        settings = settings_of(config)
    except ToolgateError as error:
        yield Finding("broken", "settings", str(error), "mend the file; `toolgate config schema` says what may stand in it")
        return
    file = config or Path("toolgate.yaml")
    yield Finding("ok", "settings", str(file.resolve()) if file.exists() else "no toolgate.yaml here; the defaults hold")
    yield _carefully("policies", "mend the file", lambda: _policies(settings))
    if settings.prompts or settings.skills:
        yield _carefully("prompts", "mend the file", lambda: _written(settings))
    yield from _unused(settings, file.parent)
    yield from _integrations(settings)
    yield from _code(settings)
    yield _carefully("state", "set data_dir in toolgate.yaml to a folder you may write", lambda: _state(settings))
    if settings.ledger:
        yield _carefully("ledger", "set ledger in toolgate.yaml to a PostgreSQL that answers", lambda: wait_for(_ledger(settings)))
    if settings.shared:
        yield _carefully("shared", "set shared in toolgate.yaml to a Redis that answers", lambda: wait_for(_shared(settings)))
    yield _port(settings)


def _carefully(what: str, do: str, examine: Callable[[], Finding]) -> Finding:
    try:
        return examine()
    except ToolgateError as error:
        return Finding("broken", what, str(error), do)


def _policies(settings: Settings) -> Finding:
    from toolgate.policy.load import load_policy
    from toolgate.settings import policies_folder

    folder = policies_folder(settings)
    load_policy(folder)
    return Finding("ok", "policies", str(folder))


def _written(settings: Settings) -> Finding:
    from toolgate.written import Written

    written = Written(settings.prompts, settings.skills)
    return Finding("ok", "prompts", f"{len(written.tools)} prompts and skills")


def _unused(settings: Settings, here: Path) -> Iterator[Finding]:
    """Folders that look as if they were meant, beside settings that do not name them."""
    from toolgate.settings import bundled

    for setting, named in FOLDERS.items():
        folder = here / named
        if not getattr(settings, setting) and folder.is_dir() and folder.resolve() != bundled(named).resolve():
            yield Finding("note", named, f"{folder.resolve()} is not used", f"write `{setting}: {named}` in toolgate.yaml if it is meant")


def _integrations(settings: Settings) -> Iterator[Finding]:
    from toolgate.openapi.load import load_all

    try:
        integrations = load_all(settings)
    except ToolgateError as error:
        yield Finding("broken", "integrations", str(error), "mend tool_specs or integrations in toolgate.yaml")
        return
    servers = wait_for(_servers(integrations, settings))
    for loaded in integrations:
        yield from servers.get(loaded.name) or [_integration(loaded)]
        yield from _absent(loaded, settings)
        if unset := _unset(loaded.folder):
            names = " and ".join(unset)
            yield Finding("note", loaded.name, f"{names} not set; calls go out without", f"set {names} where toolgate is started")


async def _servers(integrations: Iterable[Loaded], settings: Settings) -> dict[str, list[Finding]]:
    """What MCP servers say when they are begun and asked. Not those that want what their callers linked: that is sealed."""
    if not (asked := [loaded for loaded in integrations if _is_asked(loaded)]):
        return {}
    from toolgate.egress.transport import open_transport
    from toolgate.openapi.own import Own
    from toolgate.settings import state_folder
    from toolgate.upstream.source import sources

    def told(_source: object, _lists: object) -> None:
        """What there is at the end is looked at."""

    async with open_transport() as transport, sources(asked, transport, Own(), state_folder(settings), told) as found:
        found.tools()  # tells names apart
        return {name: [_integration(source.loaded), *_nameless(name, found)] for source in found.all for name in [source.integration.name]}


def _nameless(name: str, servers: Sources) -> Iterator[Finding]:
    for kind, refused in (("tool", servers.refused), ("prompt", servers.refused_prompts)):
        if found := refused[name]:
            said = "; ".join(f"{one}: {why}" for one, why in islice(found.items(), SHOWN))
            more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            noun = kind if len(found) == 1 else f"{kind}s"
            yield Finding("note", name, f"{len(found)} {noun} not served: {said}{more}", "give it another `prefix` in its integration.yaml")


def _is_asked(loaded: Loaded) -> bool:
    from toolgate.integration import AuthorizationCode

    declared = loaded.declaration
    if declared is None or declared.kind != "mcp" or loaded.problem:
        return False
    return not declared.per_user and not isinstance(declared.auth, AuthorizationCode)


def _integration(loaded: Loaded) -> Finding:
    if loaded.problem:
        return Finding("broken", loaded.name, loaded.problem, f"mend {loaded.folder}, or leave it out with `integrations` in toolgate.yaml")
    if loaded.quarantined:
        says = f"{_tools(loaded)}, {len(loaded.quarantined)} kept back since they are not as accepted"
        return Finding("note", loaded.name, says, f"`toolgate specs diff {loaded.name}`, then `toolgate specs lock {loaded.name}`")
    left_out = sum(found.level == "error" for found in loaded.diagnostics)
    if left_out:
        return Finding("note", loaded.name, f"{_tools(loaded)}, {left_out} defects left out", f"`toolgate specs lint {loaded.name}`")
    return Finding("ok", loaded.name, _tools(loaded))


def _absent(loaded: Loaded, settings: Settings) -> Iterator[Finding]:
    """Tools of ours that nobody has, because what they stand on is not configured. Nothing is wrong with that."""
    if loaded.declaration is None or loaded.declaration.asgi != "internal":
        return
    from toolgate.environment import ENVIRONMENT
    from toolgate.internal.opening import missing
    from toolgate.llm.models import declared_any

    reasons: dict[str, list[str]] = {}
    for operation, why in missing(settings, models=declared_any(settings, ENVIRONMENT)).items():
        reasons.setdefault(why, []).append(operation)
    for why, operations in reasons.items():
        yield Finding("ok", loaded.name, f"without {', '.join(operations)}: {why}")


def _code(settings: Settings) -> Iterator[Finding]:
    """What contains code here, attacked from inside."""
    if not settings.code.enabled:
        yield Finding("ok", "code", "off: nobody's code is run here")
        return
    from toolgate.sandbox.battery import battery
    from toolgate.sandbox.languages import find_interpreters
    from toolgate.sandbox.sandbox import Unavailable, find_sandbox

    code = settings.code
    sandbox = wait_for(find_sandbox(None if code.way == "auto" else code.way, code.uid))
    if isinstance(sandbox, Unavailable):
        yield Finding("broken", "code", f"no sandbox works here, so there are no tools for code: {sandbox.why}", "see docs/code.md")
        return
    interpreters = find_interpreters(code)
    yield Finding("ok", "code", f"{sandbox.way} runs {', '.join(interpreters.languages()) or 'nothing, since there is no interpreter'}")
    if interpreters.python is None:
        yield Finding("note", "code", "without Python the sandbox cannot be attacked from inside", "install python3, or set code.python")
        return
    probed = wait_for(battery(sandbox, interpreters.python.path))
    leaks = [one for one in probed if not one.contained]
    yield from (Finding("broken", "code", f"code {one.probe}: {one.detail}", "turn code off; see docs/code.md") for one in leaks)
    if not leaks:
        yield Finding("ok", "code", f"{len(probed)} attacks from inside were contained")


def _tools(loaded: Loaded) -> str:
    return "1 tool" if len(loaded.definitions) == 1 else f"{len(loaded.definitions)} tools"


def _unset(folder: Path) -> list[str]:
    """The variables that the declaration asks for, has no default for and does not get. Only names are looked at."""
    from toolgate.environment import ENVIRONMENT
    from toolgate.settings import VARIABLE

    try:
        text = (folder / "integration.yaml").read_text(errors="replace")
    except OSError:
        return []
    said = re.sub(r"(?m)(^|\s)#.*$", "", text)
    return sorted({match[1] for match in VARIABLE.finditer(said) if match[2] is None and not ENVIRONMENT.get(match[1])})


def _state(settings: Settings) -> Finding:
    from toolgate.cli.audit import newest
    from toolgate.settings import state_folder

    entries = wait_for(newest(settings, 1))
    folder = state_folder(settings)
    last = entries[0].at / 1_000_000_000 if entries else RELEASED
    if time.time() < last:
        return Finding("broken", "clock", "the clock is behind what the audit has seen already", "set the machine's clock")
    return Finding("ok", "state", f"{folder} can be written" if settings.store == "sqlite" else f"kept in {settings.store}")


async def _ledger(settings: Settings) -> Finding:
    from toolgate.cli.state import opened

    async with opened(settings, ledger=True):
        return Finding("ok", "ledger", "its PostgreSQL answers")


async def _shared(settings: Settings) -> Finding:
    from toolgate.stores import Allowance
    from toolgate.stores.counters import open_counters

    async with open_counters(settings.shared.get_secret_value() if settings.shared else None, settings.limits.workers) as counters:
        await counters.take((Allowance("doctor", calls=1000, seconds=1),))
        if counters.degraded:
            raise Unreachable("its Redis does not answer; until it does, each process counts for itself")
        return Finding("ok", "shared", "its Redis answers")


def _port(settings: Settings) -> Finding:
    import socket

    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with closing(socket.create_server((host, port), family=family)):
            return Finding("ok", "address", f"{host} port {port} is free")
    except OSError as error:
        return Finding(
            "note",
            "address",
            f"{host} port {port}: {error.strerror or error}",
            "a toolgate may be serving there; else `--port` or `server.port`",
        )
