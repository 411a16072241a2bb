"""What is run in a sandbox, within which limits, and how it ended: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use, all its processes together unless it says otherwise."""

    seconds: float = 10.0
    """Of the wall clock."""
    cpu_seconds: int = 5
    """Of each process."""
    memory: int = 640 * MIB
    """Bytes: resident of all processes, and of data of each."""
    disk: int = 64 * MIB
    """Bytes in the folder for work, and as many again in the one for temporary files."""
    processes: int = 64
    """At the same time, threads too."""
    files: int = 256
    """Open in each process."""
    output: int = 64 * 1024
    """Bytes of each of the two streams; what writes more is ended."""


@dataclass(frozen=True, slots=True)
class Job:
    argv: tuple[str, ...]
    """The program by its path inside, and its arguments."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """By their paths, relative and without `..`, in the folder where it starts."""
    stdin: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Besides what every job has."""
    readable: tuple[str, ...] = ()
    """Folders and files of this machine that it may read besides /usr, at the same paths."""


EndedBy = Literal["exit", "time", "output", "memory", "disk"]


@dataclass(frozen=True, slots=True)
class Ended:
    by: EndedBy
    """`exit`: by itself, the others: by a limit."""
    code: int | None
    """What it exited with, 128 and the number of a signal where one ended it; None: a limit did."""
    stdout: bytes
    stderr: bytes
    seconds: float


HOME = "/sandbox"
"""Where jobs start, as bubblewrap shows it."""
TEMPORARY = "/tmp"  # noqa: S108 - of the sandbox
ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "OPENSSL_CONF": "/dev/null",  # OpenSSL inside node ends the process when its configuration cannot be read
    "PYTHONDONTWRITEBYTECODE": "1",
    "DENO_NO_UPDATE_CHECK": "1",
    "NO_COLOR": "1",
}
