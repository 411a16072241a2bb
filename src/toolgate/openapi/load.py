"""From an integration's folder to its definitions: read, converted, compared with what the operator accepted.

Converting GitHub's description takes half a second, so what comes out is kept in the state folder under the digest of
everything that went in, and the next start reads that. A defect costs its operation at most, a broken integration is
reported and costs no other.
"""

from __future__ import annotations

import gc
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import orjson

from toolgate import __version__
from toolgate.environment import ENVIRONMENT
from toolgate.errors import Misconfigured, ToolgateError
from toolgate.integration import Integration, read_integration
from toolgate.openapi import lock
from toolgate.openapi.bundle import Files
from toolgate.openapi.definition import Defined, Definition
from toolgate.openapi.diagnostics import Diagnostic
from toolgate.openapi.folder import files_of, write
from toolgate.openapi.pin import is_url, pinned_copy
from toolgate.settings import Settings, bundled, state_folder

TOOLS_LOCK = "tools.lock.json"
OTHER_KEYS = b"{%b}" % b",".join(b'"%d":0' % number for number in range(16_384))
"""Has orjson forget the keys that it keeps for the next document: each holds the whole block of memory (1 MiB) that it stands in.
With this GitHub's description leaves 18 MB less behind; it takes 4 ms."""


@dataclass(frozen=True)
class Loaded:
    """One integration, or why there is none."""

    name: str
    folder: Path
    declaration: Integration | None = None
    definitions: tuple[Definition, ...] = ()
    """Those that are served."""
    quarantined: tuple[Definition, ...] = ()
    """Those that are not as the operator accepted them, or new; kept back until `toolgate specs lock`."""
    diagnostics: tuple[Diagnostic, ...] = ()
    problem: str | None = None
    """Why nothing is served, as a sentence."""


def find_folders(settings: Settings) -> Sequence[Path]:
    """The folders of all integrations, in the order of the settings and by name; those among them that may not be looked into."""
    bases = settings.tool_specs or (bundled("tool-specs"),)
    for base in bases:
        if not base.is_dir():
            raise Misconfigured(f"tool_specs names {base}, which is no folder")
    return [folder for base in bases for folder in _within(base) if _may_be_one(folder)]


def _within(base: Path) -> Sequence[Path]:
    try:
        return sorted(base.iterdir())
    except OSError as error:
        raise Misconfigured(f"tool_specs: {_unread(base, error)}") from error


def _may_be_one(folder: Path) -> bool:
    try:
        return (folder / "integration.yaml").exists()
    except PermissionError:
        return True


def _unread(folder: Path, error: OSError) -> str:
    file = Path(error.filename or folder)  # some are opened by their names within the folder
    return f"{file if file.is_relative_to(folder) else folder / file} cannot be read: {error.strerror}"


def load_all(settings: Settings) -> tuple[Loaded, ...]:
    """Every integration that the settings name; two of one name: the second has the problem."""
    loaded: dict[str, Loaded] = {}
    twins: list[Loaded] = []
    wanted = settings.integrations
    for declared in [_declared(folder, ENVIRONMENT) for folder in find_folders(settings)]:
        name = declared.name
        if wanted is not None and name not in wanted:
            continue
        if name in loaded:
            twins.append(Loaded(name, declared.folder, problem=f"{loaded[name].folder} is called {name} already; rename one"))
        else:
            loaded[name] = _filled(declared, state_folder(settings))
    absent = set(wanted or ()) - loaded.keys()
    if absent:
        raise Misconfigured(f"there is no integration called {', '.join(sorted(absent))} in tool_specs")
    return (*loaded.values(), *twins)


def load(folder: Path, state: Path, *, environ: Mapping[str, str] = ENVIRONMENT) -> Loaded:
    """The integration in `folder`; what is wrong with it is in the answer."""
    return _filled(_declared(folder, environ), state)


async def load_aside(folder: Path, state: Path) -> Loaded:
    """As `load`, in a thread: calls that are under way do not wait for a large description."""
    return await anyio.to_thread.run_sync(load, folder, state)


def sound(loaded: Loaded, name: str | None = None) -> Loaded:
    """`loaded`; raises Misconfigured with its problem, and whose it is, where it has one."""
    if loaded.problem:
        raise Misconfigured(f"{name}: {loaded.problem}" if name else loaded.problem)
    return loaded


def _declared(folder: Path, environ: Mapping[str, str]) -> Loaded:
    try:
        declaration = read_integration(folder, environ)
    except ToolgateError as error:
        return Loaded(folder.name, folder, problem=str(error))
    except OSError as error:
        return Loaded(folder.name, folder, problem=_unread(folder, error))
    return Loaded(declaration.name, folder, declaration)


def _filled(loaded: Loaded, state: Path) -> Loaded:
    """`loaded` with its definitions."""
    folder, declaration = loaded.folder, loaded.declaration
    if declaration is None:
        return loaded
    try:
        if declaration.kind == "mcp":
            from toolgate.upstream.kept import known

            made = known(state, declaration)
        else:
            with _uncollected():
                made = _compiled(folder, declaration, state)
        served, quarantined = lock.split(made.definitions, accepted(folder))
    except ToolgateError as error:
        return replace(loaded, problem=str(error))
    except OSError as error:
        return replace(loaded, problem=_unread(folder, error))
    return replace(loaded, definitions=served, quarantined=quarantined, diagnostics=made.diagnostics)


def accepted(folder: Path) -> lock.Lock | None:
    """The definitions that the operator accepted; None when nothing is pinned yet."""
    file = folder / TOOLS_LOCK
    return lock.loads(file.read_bytes(), name=str(file)) if file.is_file() else None


def accept(loaded: Loaded) -> lock.Changes:
    """Pin all that `loaded` defines now, and tell how that differs from before."""
    everything = (*loaded.definitions, *loaded.quarantined)
    changes = lock.compare(accepted(loaded.folder) or {}, everything)
    write(loaded.folder / TOOLS_LOCK, lock.dumps(lock.lock(everything)))
    return changes


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cycle collector, which walks a growing tree of a hundred thousand nodes again and again: a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _compiled(folder: Path, declaration: Integration, state: Path) -> Defined:
    """Everything that the description defines, from the cache where that is as new as what it was made from."""
    if declaration.spec is None:
        raise Misconfigured(f"{folder}/integration.yaml names no spec")
    overlays = [_content(folder, name) for name in declaration.overlays]
    if is_url(declaration.spec):
        data = pinned_copy(folder, declaration.spec, state)
    else:
        data = _content(folder, declaration.spec)
    digest = _digest([data, *overlays, declaration.model_dump_json().encode(), _converter().encode()])
    cache = state / "compiled" / f"{declaration.name}-{digest[:32]}.json"
    kept = _kept(cache, folder)
    if kept is None:
        made = orjson.dumps(_convert(declaration, data, overlays, folder))
        _keep(cache, made)
        orjson.loads(OTHER_KEYS)
        # What was made shares its words with the description; read anew, it lets the memory of that go.
        kept = orjson.loads(made)
    definitions = tuple(Definition.from_json(one) for one in kept["definitions"])
    return Defined(definitions, tuple(Diagnostic(**one) for one in kept["diagnostics"]))


def _convert(declaration: Integration, data: bytes, overlays: Sequence[bytes], folder: Path) -> dict[str, Any]:
    # The converter is half of the start-up's imports, and a start from the cache does without it.
    from toolgate.openapi.convert import convert
    from toolgate.openapi.extract import extract
    from toolgate.openapi.read import read_document
    from toolgate.openapi.resolve import Resolver

    opened: dict[str, str] = {}
    document = read_document(
        data,
        name=posixpath.basename(urlsplit(spec).path) if is_url(spec := str(declaration.spec)) else posixpath.normpath(spec),
        files=_recording(files_of(folder), opened),
        fragment=declaration.fragment,
        overlays=overlays,
    )
    resolver = Resolver(document.root)
    operations, extracting = extract(document, resolver)
    definitions, converting = convert(operations, resolver, declaration, document.version)
    return {
        "files": opened,
        "definitions": [definition.to_json() for definition in definitions],
        "diagnostics": [asdict(one) for one in (*document.diagnostics, *extracting, *converting)],
    }


def _recording(files: Files, opened: dict[str, str]) -> Files:
    def content(path: str) -> bytes | None:
        data = files(path)
        opened[path] = _digest([data]) if data is not None else ""
        return data

    return content


def _kept(cache: Path, folder: Path) -> dict[str, Any] | None:
    """What the cache holds, unless it is absent, damaged, or older than a file that the description refers to."""
    try:
        kept = orjson.loads(cache.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    files = files_of(folder)
    fresh = all(_digest([data]) == digest if (data := files(path)) is not None else not digest for path, digest in kept["files"].items())
    return kept if fresh else None


def _keep(cache: Path, made: bytes) -> None:
    """Into the cache, the older ones of the same integration thrown away. A state folder that cannot be written costs time, no more."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in cache.parent.glob(f"{cache.name.rpartition('-')[0]}-{'?' * 32}.json"):
            old.unlink(missing_ok=True)
        write(cache, made)
    except OSError:
        return


def _content(folder: Path, name: str) -> bytes:
    data = files_of(folder)(name)
    if data is None:
        raise Misconfigured(f"{folder}/integration.yaml names {name}, which is not there")
    return data


def _converter() -> str:
    """Says which converter made a cache: the version, and for those who work on it the age of its files."""
    stamps = [file.stat() for file in Path(__file__).parent.glob("*.py")]
    return f"{__version__} {max(stamp.st_mtime_ns for stamp in stamps)} {sum(stamp.st_size for stamp in stamps)}"


def _digest(parts: Iterable[bytes]) -> str:
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
