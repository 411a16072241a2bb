"""Fill a disk up."""

from __future__ import annotations

from pathlib import Path


def fill(folder: Path) -> Path:
    """Until not one more byte goes in. The file that takes all the room."""
    file = folder / "filling"
    with file.open("wb", buffering=0) as filling:
        for size in (65536, 4096, 1):
            try:
                while filling.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return file
