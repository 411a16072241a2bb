"""Hostile code in real sandboxes."""

from __future__ import annotations

import ast
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import anyio
import pytest

import toolgate
from toolgate.sandbox.battery import ALONE, TOGETHER, battery
from toolgate.sandbox.box import MIB, Job, Limits
from toolgate.sandbox.carry import carry
from toolgate.sandbox.sandbox import PYTHONS, Landlock, Sandbox, Unavailable, find_sandbox

PYTHON = next((path for path in PYTHONS if os.access(path, os.X_OK)), "")
SMALL = Limits(seconds=20.0)
needs_python = pytest.mark.skipif(not PYTHON, reason="probes want Python in /usr/bin or /usr/local/bin")
BATTERY = """
import asyncio, json, sys
from toolgate.sandbox.battery import battery
from toolgate.sandbox.sandbox import find_sandbox, Unavailable
async def main():
    sandbox = await find_sandbox(sys.argv[1])
    if isinstance(sandbox, Unavailable):
        return {"why": sandbox.why}
    return {"leaks": [f"{one.probe}: {one.detail}" for one in await battery(sandbox, sys.argv[2]) if not one.contained]}
print(json.dumps(asyncio.run(main())))
"""


def bash(text: str) -> Job:
    return Job(("/bin/bash", "-c", text))


@needs_python
async def test_every_attack_from_inside_is_contained(sandbox: Sandbox) -> None:
    probed = await battery(sandbox, PYTHON)

    assert [one.probe for one in probed] == [*TOGETHER, *ALONE]
    assert [one for one in probed if not one.contained] == []


def test_the_battery_has_every_attack_that_there_is() -> None:
    text = files("toolgate.sandbox").joinpath("probes.py").read_text()
    functions = [each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef)]

    assert {*TOGETHER, *ALONE} == {each.name for each in functions if not each.args.args and each.name != "main"}


@needs_python
@pytest.mark.skipif(os.geteuid() != 0, reason="the tests run as a user without rights already")
@pytest.mark.parametrize("way", ["bubblewrap", "landlock"])
async def test_every_attack_is_contained_when_toolgate_has_no_rights_itself(way: str) -> None:
    packages = Path(toolgate.__file__).parents[1]
    paths = f"{packages}:{':'.join(path for path in sys.path if path.endswith('site-packages'))}"
    command = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", PYTHON, "-c", BATTERY, way, PYTHON]
    done = await anyio.run_process(command, env={"PYTHONPATH": paths, "PATH": os.environ["PATH"]}, cwd="/", check=False)
    if done.returncode and b"Error" in done.stderr:
        pytest.skip(f"{PYTHON} cannot import Toolgate as another user: {done.stderr.splitlines()[-1].decode()}")
    said = json.loads(done.stdout)
    if "why" in said:
        pytest.skip(f"this machine has no such sandbox: {said['why']}")

    assert said == {"leaks": []}


async def test_where_namespaces_are_denied_the_other_way_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if isinstance(await find_sandbox("landlock"), Unavailable):
        pytest.skip("this machine has no Landlock")
    denied = tmp_path / "bwrap"
    denied.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    denied.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    found = await find_sandbox()

    assert isinstance(found, Landlock)


async def test_of_this_machines_environment_nothing_is_to_be_seen(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/home/ada/of-this-machine")

    ended = await sandbox.run(bash("cat /proc/*/environ /proc/*/cmdline 2> /dev/null; env"), SMALL)

    assert b"HOME=" in ended.stdout
    assert b"of-this-machine" not in ended.stdout


async def test_what_runs_too_long_is_ended_with_everything_it_started(sandbox: Sandbox) -> None:
    marker = f"31{os.getpid()}.5"

    ended = await sandbox.run(bash(f"(setsid sleep {marker} &) ; sleep {marker} & sleep {marker}"), replace(SMALL, seconds=0.5))

    assert (ended.by, ended.code) == ("time", None)
    with anyio.fail_after(60):
        while running(marker):
            await anyio.sleep(0.01)


def running(argument: str) -> bool:
    return subprocess.run(["pgrep", "-f", f"^sleep {argument}"], capture_output=True, check=False).returncode == 0


async def test_a_flood_of_output_is_cut_off_at_the_limit(sandbox: Sandbox) -> None:
    ended = await sandbox.run(bash("yes"), SMALL)

    assert (ended.by, len(ended.stdout), ended.code) == ("output", SMALL.output, None)


async def test_a_fork_bomb_does_not_get_far(sandbox: Sandbox) -> None:
    # It waits for what it began: once the first process ends, all others are ended too, and may not have had the time to complain.
    ended = await sandbox.run(bash(":(){ :|:& };:; sleep 1"), replace(SMALL, seconds=2.0))

    assert b"Resource temporarily unavailable" in ended.stderr


async def test_processor_time_is_bounded(sandbox: Sandbox) -> None:
    ended = await sandbox.run(bash("while :; do :; done"), replace(SMALL, cpu_seconds=1))

    assert ended.by == "exit"
    assert ended.code in (137, 152)  # 128 and SIGKILL, SIGXCPU


@needs_python
async def test_memory_of_all_processes_together_is_bounded(sandbox: Sandbox) -> None:
    child = "kept = bytearray(os.urandom(1 << 20)) * 30; time.sleep(30)"
    text = f"import os, time\nfor _ in range(5):\n  if os.fork() == 0:\n    {child}\ntime.sleep(30)"

    ended = await sandbox.run(Job((PYTHON, "-c", text)), replace(SMALL, memory=128 * MIB))

    assert ended.by == "memory"


async def test_files_input_and_exit_code_go_in_and_out(sandbox: Sandbox) -> None:
    job = replace(bash("cat src/a.txt - > both; cat both; exit 3"), files={"src/a.txt": b"file "}, stdin=b"stdin")

    ended = await sandbox.run(job, SMALL)

    assert (ended.by, ended.code, ended.stdout, ended.stderr) == ("exit", 3, b"file stdin", b"")


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where those of this test's runs are made, and no others; whoever a run is has to come by."""
    with tempfile.TemporaryDirectory(prefix="toolgate-test-") as name:
        Path(name).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


async def test_nothing_of_one_run_is_left_for_the_next(sandbox: Sandbox, folders: Path) -> None:
    hostile = "mkdir -p $HOME/locked/in; touch $HOME/locked/in/x; chmod 000 $HOME/locked; ln -s / $HOME/root; echo > $TMPDIR/left"
    await sandbox.run(bash(hostile), SMALL)

    ended = await sandbox.run(bash("ls -A $HOME $TMPDIR | grep -c left"), SMALL)

    assert ended.stdout == b"0\n"
    assert list(folders.iterdir()) == []


async def test_cancelling_ends_the_run(sandbox: Sandbox) -> None:
    marker = f"32{os.getpid()}.5"
    with anyio.move_on_after(1.0):
        await sandbox.run(bash(f"sleep {marker}"), SMALL)

    with anyio.fail_after(60):
        while running(marker):
            await anyio.sleep(0.01)


async def test_nothing_runs_that_cannot_be_watched() -> None:
    marker = f"33{os.getpid()}.5"

    def blind(pid: int) -> None:
        raise RecursionError

    with anyio.fail_after(30), pytest.raises(RecursionError):
        await carry(["/usr/bin/sleep", marker], b"", SMALL, blind)
    with anyio.fail_after(60):
        while running(marker):
            await anyio.sleep(0.01)


async def test_folders_of_any_depth_are_removed(sandbox: Sandbox, folders: Path) -> None:
    await sandbox.run(bash("cd $TMPDIR; for i in {1..1500}; do mkdir dddddddddd && cd dddddddddd || exit; done; chmod 0 ."), SMALL)

    assert list(folders.iterdir()) == []


@pytest.mark.skipif(platform.system() != "Linux", reason="elsewhere there is none")
async def test_a_sandbox_that_does_not_work_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in ("setpriv", "prlimit", "timeout"):
        (tmp_path / program).symlink_to(shutil.which(program) or "/usr/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))

    found = await find_sandbox("bubblewrap")

    assert found == Unavailable("bubblewrap is not installed (`apt install bubblewrap`)")


async def test_arguments_may_be_long(sandbox: Sandbox) -> None:
    words = tuple("x" * 100_000 for _ in range(4))

    ended = await sandbox.run(Job(("/bin/bash", "-c", 'echo -n "$*" | wc -c', "-", *words)), SMALL)

    assert ended.stdout.strip() == b"400003"
