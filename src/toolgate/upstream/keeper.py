"""Ends what is left of our children when we end in a way that ends nothing: by SIGKILL, or out of memory.

A small process of its own, one for all children. It is told the process groups that began and ended by its standard
input, as `+PGID` and `-PGID`; when that closes, whatever still runs is killed. It imports next to nothing.
"""

from __future__ import annotations

import os
import signal
import sys


def keep() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal that we share with our parent, which ends by itself
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    keep()
