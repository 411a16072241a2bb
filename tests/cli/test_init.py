"""As process 1, in a namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from toolgate.cli.init import beget

ORPHANS = """
import os, subprocess, sys, time
from toolgate.cli.init import beget
beget()
subprocess.run(["sh", "-c", "sleep 0.05 & exit 0"])
def dead():
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and ") Z " in open(f"/proc/{pid}/stat").read()]
def alive():
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and "sleep" in open(f"/proc/{pid}/comm").read()]
until = time.monotonic() + 10
while (alive() or dead()) and time.monotonic() < until:
    time.sleep(0.05)
print(os.getpid() == 1, dead(), os.waitstatus_to_exitcode(os.waitpid(subprocess.Popen(["sh", "-c", "exit 5"]).pid, 0)[1]))
sys.exit(7)
"""
SIGNALS = """
import os, signal, sys, time
from toolgate.cli.init import beget
beget()
def told(*_):
    print("told")
    sys.exit(3)
signal.signal(signal.SIGTERM, told)
os.kill(1, signal.SIGTERM)
time.sleep(10)
"""


def as_process_1(program: str) -> subprocess.CompletedProcess[str]:
    box = shutil.which("bwrap")
    command = [box or "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--as-pid-1"]
    if box is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs bubblewrap, and namespaces of one's own")
    return subprocess.run([*command, sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_orphans_are_buried_and_ones_own_children_are_waited_for() -> None:
    ran = as_process_1(ORPHANS)

    assert (ran.stdout, ran.returncode) == ("False [] 5\n", 7), ran.stderr


def test_signals_reach_the_server_and_its_ending_is_the_containers() -> None:
    ran = as_process_1(SIGNALS)

    assert (ran.stdout, ran.returncode) == ("told\n", 3), ran.stderr


def test_elsewhere_nothing_is_done() -> None:
    before = os.getpid()

    beget()

    assert os.getpid() == before
