"""What `toolgate --help` costs."""

from __future__ import annotations

import resource
import subprocess
import sys

from tests.bench.common import tell

before = resource.getrusage(resource.RUSAGE_CHILDREN)
subprocess.run([sys.executable, "-m", "toolgate", "--help"], check=True, capture_output=True)
after = resource.getrusage(resource.RUSAGE_CHILDREN)
tell({"CPU s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime})
