"""Process 1 of a container buries the orphans of all others. Nobody else would: each that an MCP server leaves takes a process id for good.

So where the server were process 1 it runs in a child, and process 1 does nothing but wait and pass signals on. The server
itself cannot do it: to wait for anybody's child would take from it how its own have ended.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

PASSED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}


def beget() -> None:
    """Return in a child of process 1; anywhere else do nothing."""
    if os.getpid() != 1:
        return
    heard = {*PASSED, signal.SIGCHLD, signal.SIGTTOU}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)  # what is typed at a terminal reaches it from there, and must not a second time from process 1
        with suppress(OSError):  # there is none
            os.tcsetpgrp(sys.__stdin__.fileno() if sys.__stdin__ else 0, os.getpgrp())
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        received = signal.sigwait(heard)
        if received in PASSED:
            os.kill(child, received)
        elif (code := _buried(child)) is not None:
            os._exit(code)


def _buried(child: int) -> int | None:
    """Wait for whoever has ended. The exit code, if `child` is among them."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code  # as a shell tells of a signal
        if pid == 0:
            return None
