"""Attack a sandbox from inside and see what comes of it: the proof, on this machine and now, that it contains.

Each probe that a limit may end runs as a job of its own, since what ends it also ends what would have come after.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from toolgate.sandbox.box import MIB, Job, Limits
from toolgate.sandbox.sandbox import Sandbox

TOGETHER = (
    "reads_a_file_of_the_host", "reads_etc_passwd", "reads_etc_shadow", "sees_a_secret_in_its_environment", "writes_to_the_host",
    "connects_to_loopback", "has_a_route_outside", "connects_to_a_socket_by_path", "connects_to_an_abstract_socket",
    "sees_processes_of_the_host", "reads_the_environment_of_a_process", "signals_a_process_of_the_host", "forks_300_times",
    "takes_a_gigabyte_of_memory", "writes_a_file_of_300_megabytes", "makes_a_user_namespace", "uses_io_uring",
    "reaches_the_host_of_the_machine", "keeps_memory_that_no_limit_counts", "fills_what_is_mounted_by_default",
    "lowers_the_limits_of_a_process_of_the_host", "slows_a_process_of_the_host", "finds_a_file_that_somebody_left_open",
)  # fmt: skip
ALONE = (
    "writes_400_megabytes_in_20_files", "makes_a_million_files", "takes_a_gigabyte_that_is_shared",
    "writes_400_megabytes_in_files_without_a_name", "writes_400_megabytes_in_files_of_its_memory", "writes_400_megabytes_deep_down",
    "takes_a_gigabyte_in_orphans",
)  # fmt: skip
LIMITS = Limits(seconds=8.0, memory=256 * MIB, disk=32 * MIB)
OUT_OF_TIME = (128 + signal.SIGKILL, 128 + signal.SIGXCPU)
"""How a program exits that the kernel ends for its processor time; nobody else in there sends itself a signal."""


@dataclass(frozen=True, slots=True)
class Probed:
    probe: str
    contained: bool
    detail: str
    """What stopped it, or what it achieved."""


async def battery(sandbox: Sandbox, python: str) -> Sequence[Probed]:
    """All probes, against secrets and listeners made for them.

    Args:
        python: an interpreter by its path inside.
    """
    text = files("toolgate.sandbox").joinpath("probes.py").read_text()
    found: dict[str, Probed] = {}
    async with _host() as host:
        for probes in (TOGETHER, *((one,) for one in ALONE)):
            asked = json.dumps({**host, "probes": probes})
            ended = await sandbox.run(Job((python, "-I", "-S", "-c", text, asked)), LIMITS)
            for line in ended.stdout.decode(errors="replace").splitlines():
                probed = _read(line)
                found[probed.probe] = probed
            limit = "processor time" if ended.code in OUT_OF_TIME else ended.by
            if limit != "exit" and len(probes) == 1:
                found.setdefault(probes[0], Probed(probes[0], True, f"ended by the limit on {limit}"))
            for probe in probes:
                said = ended.stderr.decode(errors="replace").strip()[-200:]
                found.setdefault(probe, Probed(probe, False, f"it gave no answer; {said or f'ended by {ended.by}, code {ended.code}'}"))
        if "written" in os.listdir(host["folder"]):
            found["writes_to_the_host"] = Probed("writes_to_the_host", False, "the file is there")
    return [found[probe] for probe in (*TOGETHER, *ALONE)]


def _read(line: str) -> Probed:
    said = json.loads(line)
    return Probed(said["probe"], said["achieved"] is None, said["stopped"] or said["achieved"] or "there is nothing to see")


@asynccontextmanager
async def _host() -> AsyncIterator[Mapping[str, Any]]:
    """A host worth attacking: secrets in a file and an environment, listeners of each kind, open to everybody here."""
    with ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="toolgate-host-"))
        tcp = opened.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        abstract = f"toolgate-{os.getpid()}-{tcp.getsockname()[1]}"
        for address in (f"{folder}/host.sock", f"\0{abstract}"):
            listener = opened.enter_context(closing(socket.socket(socket.AF_UNIX)))
            listener.bind(address)
            listener.listen()
        _open_to_everybody(folder)
        sleep = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")
        victim = await asyncio.create_subprocess_exec(*sleep, env={"SECRET": "of a process"}, stdin=asyncio.subprocess.DEVNULL)
        try:
            yield {"folder": folder, "port": tcp.getsockname()[1], "abstract": abstract, "pid": victim.pid}
        finally:
            victim.kill()
            await victim.wait()


def _open_to_everybody(folder: str) -> None:
    """It is for the sandbox to keep its code out, not for these rights."""
    Path(folder, "secret.txt").write_text("SECRET of the host")
    os.chmod(folder, 0o777)  # noqa: S103
    os.chmod(f"{folder}/host.sock", 0o777)  # noqa: S103
