"""How much a tree of processes and a folder hold just now, by /proc and the file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

ENTRY = 4096
DEEP = 100
"""Folders within folders: more than anybody's work has, and few enough for their path to be one."""
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int, bound: int) -> int:
    """Bytes in memory of a process and all its descendants.

    Pages that several share count once for each, unless that passes `bound`: then the kernel is asked for shares, which takes it longer.
    """
    there = list(tree(pid))
    total = sum(map(_resident, there))
    return total if total <= bound else sum(map(_share, there))


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants, those that are still there."""
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        yield one
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                with suppress(OSError):
                    waiting += map(int, (task / "children").read_text().split())


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _share(pid: int) -> int:
    """What falls to a process of the pages that it shares; all of them where the kernel does not tell."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _resident(pid)


def stored(folder: Path, bound: int) -> int:
    """Bytes that a folder takes on its disk; counting ends above `bound`.

    An entry counts as a page at least, so that a folder of nothing but empty files has a bound too. What cannot be looked into, or
    is `DEEP`, counts as more than `bound`: or it would be where to put things.
    """

    def unseen(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    total = 0
    try:
        for where, folders, names in os.walk(folder, onerror=unseen):
            if where.count("/") - str(folder).count("/") > DEEP:
                return bound + 1
            total += ENTRY * len(folders)
            for name in names:
                with suppress(FileNotFoundError):
                    total += max(ENTRY, os.lstat(os.path.join(where, name)).st_blocks * 512)
                if total > bound:
                    return total
    except OSError:
        return bound + 1
    return total


def unlinked(pid: int, folder: Path, bound: int) -> int:
    """Bytes that a process and its descendants hold in files of `folder` that have no name any more.

    More than `bound` where somebody does not let us look, or holds a file by its memory alone, whose size nobody tells.
    """
    held: dict[tuple[int, int], int] = {}
    for one in tree(pid):
        try:
            held |= {(file.st_dev, file.st_ino): file.st_blocks * 512 for file in _nameless(one)}
            for line in Path(f"/proc/{one}/maps").read_text(errors="replace").splitlines():
                if line.endswith(" (deleted)") and str(folder) in line:
                    major, minor = (int(number, 16) for number in line.split()[3].split(":"))
                    if (os.makedev(major, minor), int(line.split()[4])) not in held:
                        return bound + 1
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        except OSError:
            if _resident(one):  # of one that has ended nothing is left but what its parent has not asked for yet
                return bound + 1
    return sum(held.values())


def _nameless(pid: int) -> Iterator[os.stat_result]:
    """The files that a process has open and that have no name any more."""
    with os.scandir(f"/proc/{pid}/fd") as descriptors:
        for descriptor in descriptors:
            with suppress(FileNotFoundError, ProcessLookupError):
                file = descriptor.stat()
                if file.st_nlink == 0 and S_ISREG(file.st_mode):
                    yield file


def entries(pid: int, folder: str, size: int) -> int:
    """Files and folders in the file system of `size` bytes at `folder`, to a process or its descendants.

    0 where there is none of that size, as before a sandbox is put together, or where it cannot be seen.
    """
    most = 0
    for one in tree(pid):
        with suppress(OSError):
            state = os.statvfs(f"/proc/{one}/root{folder}")
            if abs(state.f_blocks * state.f_frsize - size) < ENTRY:
                most = max(most, state.f_files - state.f_ffree)
    return most


def tasks_of(uid: int) -> int:
    """Threads that a user has on this machine: what RLIMIT_NPROC counts."""
    total = 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if process.stat().st_uid == uid:
                    total += len(os.listdir(process / "task"))
    return total
