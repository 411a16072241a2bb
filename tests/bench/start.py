"""From `toolgate serve` to its first answer, with the bundled integrations, from a warm cache."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from tests.bench.common import cpu_of, resident_mb, tell


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(state: str) -> dict[str, float | str]:
    port = free_port()
    environment = {**os.environ, "TOOLGATE_DATA_DIR": state, "TOOLGATE_SERVER__PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "toolgate", "serve"], env=environment, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).read()
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None:
                    sys.exit(f"toolgate serve ended with {process.returncode}")
                time.sleep(0.02)
        return {"CPU s": cpu_of(process.pid), "resident MB": resident_mb(process.pid)}
    finally:
        process.terminate()
        process.wait(30)


with tempfile.TemporaryDirectory() as state:
    cold = measure(state)
    tell({**measure(state), "first start CPU s": cold["CPU s"]})
