"""The way into a sandbox that this machine offers: bubblewrap, else Landlock, else none, and why."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Literal

from toolgate.sandbox.box import HOME, TEMPORARY, Ended, EndedBy, Job, Limits
from toolgate.sandbox.bubblewrap import bubblewrap, found
from toolgate.sandbox.carry import carry
from toolgate.sandbox.filter import ARCHITECTURES, seccomp
from toolgate.sandbox.landlock import launcher, wish
from toolgate.sandbox.watch import entries, resident, stored, tasks_of, unlinked

NOBODYS = 61184
"""The user of jobs that root starts, unless the operator names one: the first that systemd keeps for users without a name."""
NEEDED = ("setpriv", "prlimit", "timeout")
"""Programs of util-linux and coreutils."""
MOST_ENTRIES = 20_000
"""Files and folders in one of the two file systems of a job; each takes about a kilobyte of the kernel's memory."""
GRACE = 2
"""Seconds after a job's own when `timeout` ends what a Toolgate that was killed left behind."""
PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")

Way = Literal["bubblewrap", "landlock"]


@dataclass(frozen=True)
class Unavailable:
    """There is no sandbox."""

    why: str
    """What is missing, in a sentence."""


@dataclass(frozen=True)
class Bubblewrap:
    uid: int | None
    """Whose rights jobs have outside of it; None: ours."""
    way: Way = "bubblewrap"

    async def run(self, job: Job, limits: Limits) -> Ended:
        program = seccomp(platform.machine(), alone=False)
        with _readable([program, *job.files.values()]) as (filter_, *contents):
            files = dict(zip(job.files, contents, strict=True))
            command = bubblewrap(job, limits, seccomp=filter_, files=files, uid=self.uid)
            memory = _memory(limits)

            def look(pid: int) -> EndedBy | None:
                # A file system in memory has a size in bytes, which names and empty files do not count towards.
                full = any(entries(pid, folder, limits.disk) > MOST_ENTRIES for folder in (HOME, TEMPORARY))
                return memory(pid) or ("disk" if full else None)

            return await carry(command, job.stdin, limits, look, (filter_, *contents))


@dataclass(frozen=True)
class Landlock:
    uid: int | None
    """Whose rights jobs have; None: ours."""
    python: str
    way: Way = "landlock"

    async def run(self, job: Job, limits: Limits) -> Ended:
        async with _folder(job, self.uid) as folder:
            # The kernel counts all threads of the user, ours too.
            others = await asyncio.to_thread(tasks_of, os.getuid() if self.uid is None else self.uid)
            bounds = replace(limits, processes=limits.processes + others)
            wanted = wish(job, bounds, seccomp=seccomp(platform.machine(), alone=True), folder=str(folder))
            memory = _memory(limits)

            def look(pid: int) -> EndedBy | None:
                bound = 2 * limits.disk
                return memory(pid) or ("disk" if stored(folder, bound) + unlinked(pid, folder, bound) > bound else None)

            with _readable([wanted]) as (descriptor,):
                command = launcher(wanted=descriptor, python=self.python, uid=self.uid)
                bounded = [found("timeout"), "--signal=KILL", f"{limits.seconds + GRACE:g}", *command]
                return await carry(bounded, job.stdin, limits, look, (descriptor,))


Sandbox = Bubblewrap | Landlock
"""Runs jobs that can do nothing to this machine."""


async def find_sandbox(way: Way | None = None, uid: int | None = None) -> Sandbox | Unavailable:
    """The best sandbox that works here, tried with a program that does nothing.

    Args:
        way: only this one; None: bubblewrap before Landlock.
        uid: whose rights jobs have when we are root; None: NOBODYS.
    """
    if platform.system() != "Linux" or platform.machine() not in ARCHITECTURES:
        return Unavailable(f"{platform.system()} on {platform.machine()} has no sandbox that Toolgate knows; Linux on x86-64 or arm64 has")
    if missing := [program for program in NEEDED if shutil.which(program) is None]:
        return Unavailable(f"{' and '.join(missing)} of util-linux and coreutils cannot be found")
    user = (uid or NOBODYS) if os.geteuid() == 0 else None
    candidates: list[Sandbox] = []
    reasons = []
    if way != "landlock":
        if shutil.which("bwrap"):
            candidates.append(Bubblewrap(user))
        else:
            reasons.append("bubblewrap is not installed (`apt install bubblewrap`)")
    if way != "bubblewrap":
        if python := next((path for path in PYTHONS if os.access(path, os.X_OK)), None):
            candidates.append(Landlock(user, python))
        else:
            reasons.append(f"Landlock wants Python as {' or '.join(PYTHONS)}")
    for candidate in candidates:
        ended = await candidate.run(Job(("/usr/bin/true",)), Limits(seconds=5.0))
        if ended.code == 0:
            return candidate
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        reasons.append(f"{candidate.way} does not work here: {said[-1][:200] if said else f'it ended by {ended.by}'}")
    return Unavailable("; ".join(reasons))


def _memory(limits: Limits) -> Callable[[int], EndedBy | None]:
    return lambda pid: "memory" if resident(pid, limits.memory) > limits.memory else None


@contextmanager
def _readable(contents: Sequence[bytes]) -> Iterator[list[int]]:
    """File descriptors to read `contents` from; a program that we start may inherit them."""
    descriptors: list[int] = []
    try:
        for content in contents:
            descriptors.append(descriptor := os.memfd_create("toolgate"))
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
            os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@asynccontextmanager
async def _folder(job: Job, uid: int | None) -> AsyncIterator[Path]:
    """A folder of the job's own, with its files in it; gone afterwards, whatever the job did to it."""
    folder = await asyncio.to_thread(_made, job, uid)
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(_removed, folder))


def _made(job: Job, uid: int | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="toolgate-code-"))
    made = [folder, folder / "work", folder / "tmp"]
    for path, content in job.files.items():
        file = folder / "work" / path
        made += [*reversed([above for above in file.parents if above.is_relative_to(folder / "work")]), file]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    for needed in made[1:3]:
        needed.mkdir(exist_ok=True)
    if uid is not None:
        for one in made:
            os.chown(one, uid, uid)
    return folder


def _removed(folder: Path) -> None:
    """Whatever is in it: folders come up to the top before they are emptied, so that no depth and no path is too much."""
    waiting = [str(folder)]
    while waiting:
        one = waiting.pop()
        with os.scandir(one) as entries_:
            for entry in entries_:
                if entry.is_dir(follow_symlinks=False):
                    os.chmod(entry.path, 0o700)  # what a job locked, its owner may unlock
                    waiting.append(os.path.join(folder, token_hex()))
                    os.rename(entry.path, waiting[-1])
                else:
                    os.unlink(entry.path)
        if one != str(folder):
            os.rmdir(one)
    os.rmdir(folder)
