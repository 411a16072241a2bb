"""The interpreters that code may be for, and how each is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from toolgate.backends import Code
from toolgate.sandbox.sandbox import PYTHONS

Language = Literal["bash", "python", "javascript", "typescript"]
LANGUAGES: Sequence[Language] = get_args(Language)
MAIN: Mapping[Language, str] = {"bash": "main.sh", "python": "main.py", "javascript": "main.mjs", "typescript": "main.ts"}
"""What the file is called that code is put into."""
DENO = ("run", "--allow-all", "--no-prompt", "--no-remote", "--no-npm", "--no-lock", "--no-config")
"""Everything is allowed: the sandbox is around it, and what Deno forbids by itself a static import gets around."""
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Interpreter:
    path: str
    flags: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    """What it needs besides /usr."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Interpreters:
    """What there is here, for a user who is not us when we are root."""

    python: Interpreter | None
    deno: Interpreter | None
    node: Interpreter | None
    bash: Interpreter | None

    def of(self, language: Language) -> Interpreter | None:
        if language in ("javascript", "typescript"):
            return self.deno or (self.node if language == "javascript" else None)
        return self.python if language == "python" else self.bash

    def languages(self) -> Sequence[Language]:
        return [language for language in LANGUAGES if self.of(language) is not None]


def find_interpreters(code: Code) -> Interpreters:
    deno = [code.deno] if code.deno else [*_on_path("deno"), Path(sys.executable).with_name("deno")]
    node = [code.node] if code.node else _on_path("node")
    return Interpreters(
        _python(code),
        _first(deno, DENO, {"DENO_DIR": "/tmp/deno"}),  # noqa: S108 - of the sandbox
        _first(node),
        next((Interpreter(path) for path in ("/bin/bash", "/usr/bin/bash") if os.access(path, os.X_OK)), None),
    )


def _python(code: Code) -> Interpreter | None:
    candidates = [code.python] if code.python else [Path(path) for path in PYTHONS]
    packages = {"PYTHONPATH": str(code.packages)} if code.packages else {}
    shown = (str(code.packages),) if code.packages else ()
    for path in candidates:
        if _runs(path):
            beside = () if _in_usr(path) else (str(path), str(path.resolve().parents[1]))
            return Interpreter(str(path), readable=(*beside, *shown), environment=packages)
    own = Path(sys.base_prefix, "bin", "python3")
    if code.python is None and _runs(own):
        return Interpreter(str(own), readable=(sys.base_prefix, *shown), environment=packages)
    return None


def _first(paths: Iterable[Path], flags: tuple[str, ...] = (), environment: Mapping[str, str] = NOTHING) -> Interpreter | None:
    for path in filter(_is_program, paths):
        real = str(path.resolve())
        return Interpreter(real, flags, () if _in_usr(path) else (real,), environment)
    return None


def _on_path(name: str) -> list[Path]:
    return [Path(folder, name) for folder in os.get_exec_path()]


def _in_usr(path: Path) -> bool:
    return path.resolve().is_relative_to("/usr")


def _is_program(path: Path) -> bool:
    """Whether everybody may run it by itself: a script, as version managers put before a program, needs what only this machine has."""
    if not _runs(path):
        return False
    with path.open("rb") as file:
        return file.read(2) != b"#!"


def _runs(path: Path) -> bool:
    """Whether everybody may run it: a user without a name will have to."""
    try:
        real = path.resolve(strict=True)
        if os.geteuid() != 0:
            return os.access(real, os.X_OK)
        return bool(real.stat().st_mode & 0o001) and all(above.stat().st_mode & 0o001 for above in real.parents)
    except OSError:
        return False
