"""What the measurements share."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

SPECS = Path(os.environ.get("BENCH_SPECS", Path(__file__).resolve().parents[3] / "shared" / "specs"))


def specs() -> Path:
    if not SPECS.is_dir():
        sys.exit("the real descriptions are not beside the checkout; set BENCH_SPECS")
    return SPECS


def github_folder(base: Path) -> Path:
    """An integration of GitHub's official description, made in `base`."""
    folder = base / "github-all"
    folder.mkdir(exist_ok=True)
    (folder / "integration.yaml").write_text("name: github-all\nspec: openapi.json.gz\nbase_url: https://api.github.com\nexpose: list\n")
    (folder / "openapi.json.gz").write_bytes((specs() / "github" / "api.github.com.json.gz").read_bytes())
    return folder


def cpu() -> float:
    """Seconds this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_mb(pid: int) -> float:
    """What a process holds now, its children not counted."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tell(row: Mapping[str, float | str]) -> None:
    print(json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}))
