"""The command line of bubblewrap: namespaces of its own, and of this machine nothing but /usr, which it may read.

Traps that this steps around: `--dev` and the root are file systems in memory without a bound that the code could fill, so they
become read-only and what may be written has a size. RLIMIT_NPROC is not for root, hence `setpriv` before; it counts by user
namespace, hence `prlimit` within. `RLIMIT_AS` would keep V8 from starting, hence RLIMIT_DATA.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from toolgate.sandbox.box import ENVIRONMENT, HOME, Job, Limits

INSIDE_ID = "1000"
USR = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
"""Links into /usr in the root of most systems."""
SHOWN = ("/etc/ld.so.cache", "/etc/alternatives")
"""Where the loader finds libraries, and what `awk` and `editor` are."""


def bubblewrap(job: Job, limits: Limits, *, seccomp: int, files: Mapping[str, int], uid: int | None) -> Sequence[str]:
    """The whole command.

    Args:
        seccomp: the file descriptor that the filter is read from.
        files: the file descriptors of the job's files, by path.
        uid: the user and group to become first; None: to stay.
    """
    home = [word for path, descriptor in files.items() for word in ("--perms", "0644", "--file", str(descriptor), f"{HOME}/{path}")]
    folders = sorted({folder for path in files for folder in _above(path)})
    shown = [word for path in dict.fromkeys((*SHOWN, *job.readable)) for word in ("--ro-bind-try", path, path)]
    environment = {**ENVIRONMENT, "HOME": HOME, "TMPDIR": "/tmp", **job.environment}  # noqa: S108 - of the sandbox
    return [
        *become(uid),
        found("bwrap"),
        "--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--die-with-parent", "--new-session",
        "--uid", INSIDE_ID, "--gid", INSIDE_ID, "--hostname", "sandbox", "--clearenv",
        *(word for name, value in environment.items() for word in ("--setenv", name, value)),
        "--ro-bind", "/usr", "/usr",
        *(word for name in USR for word in _link(name)),
        *shown,
        "--proc", "/proc", "--dev", "/dev",
        "--size", str(1 << 20), "--tmpfs", "/dev/shm", "--remount-ro", "/dev",  # noqa: S108
        "--size", str(limits.disk), "--tmpfs", "/tmp",  # noqa: S108
        "--size", str(limits.disk), "--tmpfs", HOME,
        *(word for folder in folders for word in ("--dir", f"{HOME}/{folder}")),
        *home,
        "--remount-ro", "/", "--chdir", HOME, "--seccomp", str(seccomp),
        "--",
        *bounded(limits), *job.argv,
    ]  # fmt: skip


def become(uid: int | None) -> Sequence[str]:
    """What runs the rest as `uid`, without groups and without what setuid programs would give."""
    if uid is None:
        return ()
    ids = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return [found("setpriv"), *ids, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]


def found(program: str) -> str:
    """Where `program` is on this machine; what is started has no PATH to look in."""
    return shutil.which(program) or program


def bounded(limits: Limits) -> Sequence[str]:
    """What runs the rest within the limits that the kernel holds for each process."""
    return [
        "prlimit",
        f"--cpu={limits.cpu_seconds}", f"--data={limits.memory}", f"--fsize={limits.disk}", f"--nproc={limits.processes}",
        f"--nofile={limits.files}", "--core=0", "--memlock=65536", "--msgqueue=0",
        "--",
    ]  # fmt: skip


def _link(name: str) -> Sequence[str]:
    path = f"/{name}"
    if os.path.islink(path):
        return ("--symlink", os.readlink(path), path)
    return ("--ro-bind", path, path) if os.path.isdir(path) else ()


def _above(path: str) -> Sequence[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
