"""The vectors of passages in the index: which are missing, which are nearest. All are of one model and have one length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from toolgate.library.vectors import BYTES, Meaning, Vector, alike, by_cosine

TABLE = """
CREATE TABLE IF NOT EXISTS meaning (passage INTEGER PRIMARY KEY, model TEXT NOT NULL, signs BLOB NOT NULL, vector BLOB NOT NULL);
"""
SAID = "trim(words.heading || char(10) || words.text, char(10))"
MISSING = (
    "FROM passage JOIN words ON words.rowid = passage.id LEFT JOIN meaning"
    " ON meaning.passage = passage.id AND meaning.model = :model AND length(meaning.vector) = coalesce(:size, length(meaning.vector))"
    " WHERE meaning.passage IS NULL"
)


@dataclass(frozen=True, slots=True)
class Unread:
    """A passage without a vector."""

    id: int
    text: str
    """With what it stands under, which often names what it is about."""


def missing(database: Connection, model: str, dimensions: int | None, *, after: int, limit: int) -> Sequence[Unread]:
    """Passages without a vector of `model`, by id.

    Args:
        dimensions: that its vectors have now; None: nobody knows.
    """
    rows = database.execute(
        f"SELECT passage.id, {SAID} {MISSING} AND passage.id > :after ORDER BY passage.id LIMIT :limit",
        {"model": model, "size": _size(dimensions), "after": after, "limit": limit},
    )
    return [Unread(*row) for row in rows]


def count_missing(database: Connection, model: str, dimensions: int | None) -> int:
    (count,) = database.execute(f"SELECT count(*) {MISSING}", {"model": model, "size": _size(dimensions)}).fetchone()
    return int(count)


def keep(database: Connection, model: str, read: Iterable[tuple[Unread, Vector]]) -> int:
    """Keep vectors of passages that still say what was read, instead of those that cannot be compared with them. How many."""
    kept = 0
    for passage, vector in read:
        there = database.execute(f"SELECT {SAID} FROM words WHERE rowid = ?", (passage.id,)).fetchone()  # noqa: S608
        if there != (passage.text,):
            continue  # its file has changed meanwhile
        if database.execute("SELECT model, length(vector) FROM meaning LIMIT 1").fetchone() not in (None, (model, len(vector.floats))):
            database.execute("DELETE FROM meaning")
        row = (passage.id, model, vector.signs, vector.floats)
        database.execute("INSERT OR REPLACE INTO meaning (passage, model, signs, vector) VALUES (?, ?, ?, ?)", row)
        kept += 1
    return kept


def nearest(database: Connection, meaning: Meaning, among: str, folders: Sequence[str]) -> list[int]:
    """Passages by how near they are to `meaning`, the nearest first.

    Args:
        among: a condition on `file`, with `folders` as its parameters.
    """
    rows = database.execute(
        "SELECT meaning.passage, meaning.signs FROM file"  # noqa: S608
        " JOIN passage ON passage.file = file.id JOIN meaning ON meaning.passage = passage.id"
        f" WHERE meaning.model = ? AND length(meaning.vector) = ? AND {among}",
        (meaning.model, len(meaning.vector.floats), *folders),
    )
    close = alike(meaning.vector, rows)
    marks = ", ".join("?" * len(close))
    vectors = database.execute(f"SELECT passage, vector FROM meaning WHERE passage IN ({marks})", close)  # noqa: S608
    return by_cosine(meaning.vector, dict(vectors))


def _size(dimensions: int | None) -> int | None:
    return None if dimensions is None else dimensions * BYTES
