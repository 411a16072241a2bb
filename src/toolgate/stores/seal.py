"""Move old records to a segment: a file that is a journal too, with the checkpoint that ends it.

The journal keeps what the segment hashes to, so its own chain goes on and can be checked with the segment, or without it once
that is archived or deleted. First the segment is written, then the journal says so, and from there on nobody looks for its
records in the journal. A crash before that leaves both, and the next try replaces the segment. Last they are taken out, piece
by piece, since all at once would keep those who write waiting for longer than they do; what a crash leaves goes the next time.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from toolgate.audit.chain import Tree
from toolgate.audit.keys import Keys
from toolgate.stores.journal import SCHEMA
from toolgate.stores.notary import STORE, split
from toolgate.stores.verify import Segment, opened

DELETE = "delete from journal where seq in (select seq from journal where seq <= ? order by seq limit ?)"
PIECE, PAUSE = 5000, 0.05
"""Records, and seconds after them in which others write. To delete a million at once took 6 s, and others wait 5 s."""


def seal(path: Path, keys: Keys, before: int) -> Segment | None:
    """Move the records of the journal `path` that were written before `before`; None: there are none that may go.

    Records of calls under way stay, and so do those after them, and the very last one.

    Args:
        before: nanoseconds since 1970, UTC.
    """
    with closing(opened(path)) as journal:
        size = _size(journal, before)
        start = journal.execute("select size, hash, frontier, file from sealed order by size desc limit 1").fetchone()
        done = Segment(*start) if start else None
        if size <= (done.size if done else 0):
            return None
        tree, digest = _tree(journal, done, size)
    note = keys.signer.sign(size, tree.root())
    after = done.size if done else 0
    segment = Segment(size, digest, b"".join(tree.frontier), f"audit-{after + 1:012}-{size:012}.db")
    _write(path, path.parent / segment.file, after, segment, note)
    _take_out(path, segment, note)
    return segment


def _size(journal: sqlite3.Connection, before: int) -> int:
    """The number of the last record that may go."""
    newer = journal.execute("select min(seq) from journal where at >= ?", (before,)).fetchone()[0]
    running = journal.execute("select min(seq) from underway").fetchone()[0]
    newest = journal.execute("select max(seq) from journal").fetchone()[0]
    return min(each for each in (newer, running, newest or 1) if each is not None) - 1


def _tree(journal: sqlite3.Connection, done: Segment | None, size: int) -> tuple[Tree, bytes]:
    """The tree of `size` records, and the hash of the last of them."""
    tree = Tree(done.size, split(done.frontier)) if done else Tree()
    digest = b""
    for (digest,) in journal.execute("select hash from journal where seq > ? and seq <= ? order by seq", (tree.size, size)):
        tree.add(digest)
    return tree, digest


def _write(path: Path, file: Path, after: int, segment: Segment, note: str) -> None:
    file.unlink(missing_ok=True)
    with closing(sqlite3.connect(file, isolation_level=None)) as target:
        target.execute("pragma synchronous = full")
        target.executescript(SCHEMA)
        target.execute("attach ? as source", (f"{path.absolute()}",))
        target.execute("begin")
        target.execute("insert into main.journal select * from source.journal where seq > ? and seq <= ?", (after, segment.size))
        target.execute("insert into main.checkpoint select * from source.checkpoint where size < ?", (segment.size,))
        target.execute(
            f"insert into main.{STORE.removeprefix('insert or ignore into ')}", (segment.size, time.time_ns(), note, segment.frontier)
        )
        target.execute("commit")
    file.chmod(0o400)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _take_out(path: Path, segment: Segment, note: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30.0)) as journal:
        journal.execute("pragma synchronous = full")
        journal.execute("begin immediate")
        journal.execute(STORE, (segment.size, time.time_ns(), note, segment.frontier))
        journal.execute("insert into sealed values (?, ?, ?, ?)", (segment.size, segment.digest, segment.frontier, segment.file))
        journal.execute("delete from checkpoint where size < ? and size not in (select size from sealed)", (segment.size,))
        journal.execute("commit")
        while journal.execute(DELETE, (segment.size, PIECE)).rowcount:
            time.sleep(PAUSE)
