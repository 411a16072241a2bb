"""Tells whether a process that shares the database is still alive.

A heartbeat would cost a write every few seconds, and for some seconds after a crash nobody could tell. Instead each process
holds a lock on a file of its own. The operating system lets go of it when the process ends, however it ends.
The lock is SQLite's, on an empty database, because that works on every system that SQLite works on.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from threading import Lock

from toolgate.calls import new_id


class Lease:
    def __init__(self, folder: Path) -> None:
        self.instance = new_id()
        """Names the process, from now to its end."""
        self.folder = folder
        self._connection: sqlite3.Connection | None = None
        self._holding = Lock()

    def hold(self) -> None:
        """Count as alive from now on, until `close` or the end of this process. Any thread may call it."""
        with self._holding:
            if self._connection is None:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                # Any thread may close it.
                connection = sqlite3.connect(self.folder / self.instance, isolation_level=None, check_same_thread=False, timeout=0)
                connection.execute("begin exclusive")
                self._connection = connection

    async def join(self) -> None:
        """`hold`, for those who must not wait for the disk."""
        if self._connection is None:
            await asyncio.to_thread(self.hold)

    async def alive(self, instance: str) -> bool:
        return instance == self.instance or await asyncio.to_thread(alive, self.folder, instance)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            (self.folder / self.instance).unlink(missing_ok=True)


class Alone:
    """The only process there is."""

    def __init__(self, instance: str | None = None) -> None:
        self.instance = instance or new_id()

    async def join(self) -> None: ...

    async def alive(self, instance: str) -> bool:
        return instance == self.instance


def alive(folder: Path, instance: str) -> bool:
    """Whether somebody holds `instance`. What a process left behind that is gone is taken away."""
    file = folder / instance
    if not file.exists():
        return False
    connection = sqlite3.connect(file, isolation_level=None, timeout=0)
    try:
        connection.execute("begin exclusive")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    file.unlink(missing_ok=True)
    return False
