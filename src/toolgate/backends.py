"""The sections of the settings for what our own tools stand on. What has no section has no tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from toolgate.section import Seconds, Strict

MIB = 1 << 20


class Code(Strict):
    """Running code that somebody sends, in a sandbox: the tools `execute_code` and `run_tests`."""

    enabled: bool = False
    """Whether there are such tools at all."""
    way: Literal["auto", "bubblewrap", "landlock"] = "auto"
    """How code is contained: bubblewrap where it works, else Landlock, or only this one."""
    uid: int | None = Field(default=None, gt=0)
    """Whose rights code has outside of the sandbox when Toolgate is root; absent: 61184, a user without a name."""
    seconds: Annotated[Seconds, Field(gt=0, le=300)] = 10.0
    """Seconds that one run may take."""
    cpu_seconds: int = Field(default=5, gt=0, le=300)
    """Seconds of processor time that each of its processes may take."""
    memory: int = Field(default=640 * MIB, ge=64 * MIB)
    """Bytes of memory of all its processes; below 600 MiB neither Deno nor node starts."""
    disk: int = Field(default=64 * MIB, ge=MIB)
    """Bytes that it may write, and as many again as temporary files."""
    processes: int = Field(default=64, gt=0)
    """Processes and threads at the same time."""
    output: int = Field(default=64 * 1024, gt=0)
    """Bytes of each of its two streams; what writes more is ended."""
    at_once: int = Field(default=2, gt=0)
    """Runs at the same time; further ones wait."""
    python: Path | None = None
    """The interpreter; absent: /usr/bin/python3, or that of Toolgate where everybody may run it."""
    packages: Path | None = None
    """Folder of Python packages that code may import, such as `lib/python3.11/site-packages` of an environment made for it."""
    deno: Path | None = None
    """Deno; absent: looked for on PATH and beside Toolgate's Python."""
    node: Path | None = None
    """node; absent: looked for on PATH."""
