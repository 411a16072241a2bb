"""Signs how far the journal has come and what it hashes to, and keeps that in a second place.

A thread of its own: the second place may be a disk far away, and a call must not wait for that. What it signs is read from
the file, so it is durable. Several processes on one file sign the same records alike.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from toolgate.audit.chain import Tree
from toolgate.audit.keys import Keys
from toolgate.settings import Audit
from toolgate.stores.database import Database

STORE = "insert or ignore into checkpoint (size, at, note, frontier) values (?, ?, ?, ?)"
log = logging.getLogger("toolgate")


class Notary:
    def __init__(self, database: Database, keys: Keys, settings: Audit) -> None:
        self._database = database
        self._keys = keys
        self._settings = settings
        self._unsigned = 0
        self._first = True  # a process that was killed may have left some
        self._due = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"notary of {database.path.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending = True
        self._due.set()
        self._thread.join(timeout=self._settings.checkpoint_seconds)

    def heard(self, lines: int) -> None:
        """So many lines more were written."""
        self._unsigned += lines
        if self._unsigned >= self._settings.checkpoint_rows:
            self._due.set()

    def _run(self) -> None:
        ending = False
        while not ending:
            self._due.wait(self._settings.checkpoint_seconds)
            self._due.clear()
            ending = self._ending  # looked at before signing: what was written until then is signed
            if self._unsigned or self._first:
                self._unsigned, self._first = 0, False
                self._sign()

    def _sign(self) -> None:
        try:
            with closing(sqlite3.connect(f"{self._database.path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
                connection.execute("begin")  # one moment: records may be sealed meanwhile
                before, tree = grown(connection)
            if tree.size == before:
                return
            note = self._keys.signer.sign(tree.size, tree.root())
            if self._settings.checkpoints is not None:
                keep(self._settings.checkpoints, note)
            row = (tree.size, time.time_ns(), note, b"".join(tree.frontier))
            self._database.post(lambda connection: connection.execute(STORE, row))
        except Exception as error:  # calls go on: what is missing is seen by the age of the last checkpoint, and here
            log.error("no checkpoint of the audit was kept: %s", error)  # noqa: TRY400


def grown(connection: sqlite3.Connection) -> tuple[int, Tree]:
    """The size at the last checkpoint, and the tree of all records that there are."""
    found = connection.execute("select size, frontier from checkpoint order by size desc limit 1").fetchone()
    size, frontier = found or (0, b"")
    tree = Tree(size, split(frontier))
    for (digest,) in connection.execute("select hash from journal where seq > ? order by seq", (size,)):
        tree.add(digest)
    return size, tree


def split(frontier: bytes) -> list[bytes]:
    return [frontier[at : at + 32] for at in range(0, len(frontier), 32)]


def keep(file: Path, note: str) -> None:
    """Add `note` to the end of `file`, durably."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        left = f"\n{note}".encode()  # apart from what may be left of one that found no room
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)
