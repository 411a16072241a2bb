"""Is the journal what was written? The first record that is not, and why.

Read as bytes from the file, record after record: the hash of each from the one before, and the tree of all up to each
checkpoint. An edit, a deletion or a swap shows at its record; a past written anew with all its hashes shows at the next
checkpoint; a past that ends too early shows by a checkpoint that was kept elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson

from toolgate.audit.chain import START, Tree, chained
from toolgate.audit.checkpoint import Checkpoint, Unsigned, Verifier
from toolgate.stores import Entry
from toolgate.stores.journal import RAW
from toolgate.stores.notary import split

OLDEST = "select seq, at, body from journal where stream = ? and seq > ? and at >= ? order by seq"


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first thing that is wrong."""

    seq: int | None
    """The first bad record; None: what is wrong is not a record."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Report:
    records: int
    """Found to be what was written, from the first on."""
    signed: int
    """Of these, so many are covered by a checkpoint with a valid signature."""
    flaw: Flaw | None
    elsewhere: int = 0
    """Of these, so many are in segments that are not here, so that only their hashes were checked."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Records up to `size` that were moved to a file of their own."""

    size: int
    digest: bytes
    """The hash of the last of them."""
    frontier: bytes
    """Of their tree."""
    file: str
    """In the journal's folder."""


def records(path: Path, *, stream: str = "audit", after: int = 0, since: int = 0) -> Iterator[Entry]:
    """The records of the journal `path` and of its segments that are still there, oldest first.

    Args:
        after: only those with a higher number.
        since: only those written from then on, nanoseconds since 1970, UTC.
    """
    with closing(opened(path)) as journal:
        for size, name in journal.execute("select size, file from sealed where size > ? order by size", (after,)).fetchall():
            if (path.parent / name).is_file():
                with closing(opened(path.parent / name)) as segment:
                    yield from _entries(segment, stream, after, since)
            after = size  # some of them may still be in the journal
        yield from _entries(journal, stream, after, since)


def _entries(connection: sqlite3.Connection, stream: str, after: int, since: int) -> Iterator[Entry]:
    for seq, at, body in connection.execute(OLDEST, (stream, after, since)):
        yield Entry(seq, stream, at, orjson.loads(body))


class _Flawed(Exception):
    def __init__(self, seq: int | None, sentence: str) -> None:
        super().__init__(sentence)
        self.flaw = Flaw(seq, sentence)


def verify(path: Path, verifier: Verifier, notes: Iterable[str] = ()) -> Report:
    """Check the journal in the file `path`, and the sealed segments that lead to it where they are still there.

    Args:
        notes: checkpoints kept elsewhere.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no journal {path}")
    state = _State(verifier)
    try:
        with closing(opened(path)) as connection:
            state.expect(notes, "kept elsewhere")
            state.expect((str(row[0]) for row in connection.execute("select note from checkpoint")), "in the journal")
            for segment in connection.execute("select size, hash, frontier, file from sealed order by size"):
                _segment(path.parent, Segment(*segment), state)
            state.records(connection)
        state.missing()
    except _Flawed as flawed:
        return state.report(flawed.flaw)
    except (sqlite3.DatabaseError, ValueError, TypeError) as error:
        return state.report(Flaw(state.seq + 1, f"the file cannot be read after record {state.seq}: {error}"))
    return state.report(None)


class _State:
    """How far the check has come."""

    def __init__(self, verifier: Verifier) -> None:
        self.seq = 0
        self._verifier = verifier
        self._last = START
        self._tree = Tree()
        self._signed = 0
        self._elsewhere = 0
        self._due: dict[int, list[tuple[Checkpoint, str]]] = {}

    def report(self, flaw: Flaw | None) -> Report:
        return Report(self.seq, self._signed, flaw, self._elsewhere)

    def expect(self, notes: Iterable[str], where: str) -> None:
        """Hold the records against `notes` as well."""
        for note in notes:
            try:
                checkpoint = self._verifier.open(note)
            except Unsigned as error:
                raise _Flawed(None, f"{error} ({where})") from None
            self._due.setdefault(checkpoint.size, []).append((checkpoint, where))

    def records(self, connection: sqlite3.Connection) -> None:
        """Go on with those in a file."""
        seq, last, tree, due = self.seq, self._last, self._tree, self._due
        for found, at, stream, body, digest in connection.execute(RAW, (seq,)):
            seq += 1
            if found != seq:
                raise _Flawed(seq, f"record {seq} is missing; the next one there is {found}")
            last = chained(last, seq, at, stream, body)
            if last != digest:
                raise _Flawed(seq, f"record {seq} is not what was written, or does not follow the one before it")
            tree.add(last)
            self.seq, self._last = seq, last
            if seq in due:
                self._check(seq)

    def _check(self, size: int) -> None:
        for checkpoint, where in self._due.pop(size):
            if self._tree.root() != checkpoint.root:
                first = self._signed + 1
                raise _Flawed(
                    first,
                    f"a checkpoint {where} signed other records up to {size}; the first bad one is one of {first} to {size}, "
                    "and those from there on were hashed anew",
                )
        self._signed = size

    def skip(self, segment: Segment) -> None:
        """Go on after records that are not here to be checked; a checkpoint has to have signed what they hashed to.

        Of other checkpoints on the way nothing can be told.
        """
        self._tree = Tree(segment.size, split(segment.frontier))
        self._elsewhere += segment.size - self.seq
        self.seq, self._last = segment.size, segment.digest
        if segment.size not in self._due:
            raise _Flawed(None, f"no checkpoint signed the {segment.size} records that were sealed")
        self._check(segment.size)
        self._due = {size: due for size, due in self._due.items() if size > segment.size}

    def missing(self) -> None:
        """Say so when a checkpoint knows of more records than there are."""
        if beyond := [size for size in self._due if size > self.seq]:
            where = self._due[max(beyond)][0][1]
            raise _Flawed(self.seq + 1, f"records {self.seq + 1} to {max(beyond)} are missing; a checkpoint {where} signed them")


def _segment(folder: Path, segment: Segment, state: _State) -> None:
    """Check a segment, or step over it when it is no longer kept here."""
    file = folder / segment.file
    if not file.is_file():
        state.skip(segment)
        return
    with closing(opened(file)) as connection:
        state.records(connection)
    if state.seq != segment.size:
        raise _Flawed(state.seq + 1, f"records {state.seq + 1} to {segment.size} are missing in {segment.file}")


def opened(path: Path) -> sqlite3.Connection:
    """A journal or a segment, for reading only, as it is when it is first read: what is sealed meanwhile stays where it was."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
    connection.execute("begin")
    return connection
