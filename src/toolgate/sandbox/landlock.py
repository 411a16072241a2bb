"""The command line of our own launcher, for machines that deny namespaces, such as most containers.

The code keeps this machine's process ids and clock; what it may read, write, signal and connect to is the same as nothing.
It works in a folder made for it, whose size is watched, since no file system of a size can be mounted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib.resources import files

from toolgate.sandbox.box import ENVIRONMENT, Job, Limits
from toolgate.sandbox.bubblewrap import SHOWN, USR, become

DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


def launcher(*, wanted: int, python: str, uid: int | None) -> Sequence[str]:
    """The whole command.

    Args:
        wanted: the file descriptor that `wish` is read from; an argument may not have more than 128 KiB.
        python: an interpreter that the user may run.
    """
    text = files("toolgate.sandbox").joinpath("launch.py").read_text()
    return [*become(uid), python, "-I", "-S", "-c", text, str(wanted)]


def wish(job: Job, limits: Limits, *, seccomp: bytes, folder: str) -> bytes:
    """What the launcher is to do, as JSON.

    Args:
        seccomp: the filter.
        folder: where the job starts and may write; it has `work` and `tmp` in it.
    """
    home, temporary = f"{folder}/work", f"{folder}/tmp"  # noqa: S108 - of the job
    wanted = {
        "argv": job.argv,
        "environment": {**ENVIRONMENT, "HOME": home, "TMPDIR": temporary, **job.environment},
        "readable": ["/usr", *(f"/{name}" for name in USR), *SHOWN, *DEVICES, *job.readable],
        "writable": [folder, "/dev/null"],
        "filter": base64.b64encode(seccomp).decode(),
        "limits": {
            "RLIMIT_CPU": limits.cpu_seconds,
            "RLIMIT_DATA": limits.memory,
            "RLIMIT_FSIZE": limits.disk,
            "RLIMIT_NPROC": limits.processes,
            "RLIMIT_NOFILE": limits.files,
            "RLIMIT_CORE": 0,
            "RLIMIT_MEMLOCK": 65536,
            "RLIMIT_MSGQUEUE": 0,
        },
    }
    return json.dumps(wanted).encode()
