"""The interpreters that code may be for, and how each is started."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
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
    return Interpreters(_python(code), _deno(code), _node(code), _first(["/bin/bash", "/usr/bin/bash"]))


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


def _deno(code: Code) -> Interpreter | None:
    beside = Path(sys.executable).with_name("deno")
    candidates = [code.deno] if code.deno else [*_on_path("deno"), beside]
    return next(
        (
            Interpreter(str(path.resolve()), DENO, _shown(path.resolve()), {"DENO_DIR": "/tmp/deno"})  # noqa: S108 - of the sandbox
            for path in candidates
            if _runs(path)
        ),
        None,
    )


def _node(code: Code) -> Interpreter | None:
    candidates = [code.node] if code.node else list(_on_path("node"))
    return next((Interpreter(str(path.resolve()), (), _shown(path.resolve())) for path in candidates if _runs(path)), None)


def _first(paths: Sequence[str]) -> Interpreter | None:
    return next((Interpreter(path) for path in paths if os.access(path, os.X_OK)), None)


def _on_path(name: str) -> Iterator[Path]:
    if found := shutil.which(name):
        yield Path(found)


def _shown(path: Path) -> tuple[str, ...]:
    return () if _in_usr(path) else (str(path),)


def _in_usr(path: Path) -> bool:
    return path.resolve().is_relative_to("/usr")


def _runs(path: Path) -> bool:
    """Whether everybody may run it: a user without a name will have to."""
    try:
        real = path.resolve(strict=True)
        if os.geteuid() != 0:
            return os.access(real, os.X_OK)
        return bool(real.stat().st_mode & 0o001) and all(above.stat().st_mode & 0o001 for above in real.parents)
    except OSError:
        return False
