"""The collector rests while a server starts, and knows afterwards what stays. In a process of its own: it is of all."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from toolgate.server.start import COLLECTED, make_haste, settle_down

class Node: pass

make_haste()
assert not gc.isenabled()
kept, gone = Node(), Node()
gone.itself = gone
del gone
settle_down()
assert gc.isenabled() and gc.get_threshold() == COLLECTED
assert [each for each in gc.get_objects() if isinstance(each, Node)] == []  # neither what stays nor what has gone
assert gc.get_freeze_count() > 1000
"""


def test_a_server_that_has_settled_collects_only_what_comes_after() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
