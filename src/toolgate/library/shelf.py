"""The index: an SQLite file with FTS5, ranked by BM25 and, where passages have vectors, by meaning; made up to date file by file.

What has neither another size nor another time than before is not read again. Links are not followed, so nothing outside of a named
folder gets in; what begins with a dot stays out, as what belongs to programs.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolgate.errors import Misconfigured
from toolgate.library import meanings
from toolgate.library.passages import passages
from toolgate.library.text import KINDS, LARGEST, text_of
from toolgate.library.vectors import CLOSE, Meaning, Vector, fused

MOST_FILES = 20_000
"""Of a folder; the rest is left out, and said."""
WORD = re.compile(r"[^\W_]+")
MOST_WORDS = 40
"""Of a question."""
TABLES = """
CREATE TABLE IF NOT EXISTS folder (name TEXT PRIMARY KEY, path TEXT UNIQUE NOT NULL, looked REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS file (
    id INTEGER PRIMARY KEY, folder TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, changed INTEGER NOT NULL, UNIQUE (folder, path)
);
CREATE TABLE IF NOT EXISTS passage (id INTEGER PRIMARY KEY, file INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS passage_file ON passage (file);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (path, heading, text, tokenize = 'porter unicode61 remove_diacritics 2');
"""
WEIGHTS = "1.0, 2.0, 1.0"
"""Of path, heading and text: a heading says in few words what stands below it."""


@dataclass(frozen=True, slots=True)
class Folder:
    name: str
    path: Path
    files: int
    passages: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of a look through a folder."""

    read: int
    """Files that were new or had changed."""
    gone: int
    left_out: int
    """Files that are too large, no text, unreadable, or too many."""


@dataclass(frozen=True, slots=True)
class Found:
    folder: str
    path: str
    """Relative to the folder."""
    start: int
    end: int
    """Characters from the beginning of the file's text; of HTML, of what it shows."""
    heading: str
    text: str
    score: float
    """Higher is better; compares passages of one answer only."""


class Shelf:
    """One index file. Every method blocks."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def exists(self) -> bool:
        return self._file.is_file() and bool(self.folders())

    def add(self, path: Path, name: str | None = None) -> tuple[Folder, Looked]:
        """Index a folder, from now on under `name`, its own without.

        Raises:
            Misconfigured: it is no folder, or another has that name.
        """
        path = path.resolve()
        name = name or path.name or "root"
        if not path.is_dir():
            raise Misconfigured(f"{path} is no folder")
        with self._open(write=True) as database:
            try:
                database.execute(
                    "INSERT INTO folder (name, path) VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET name = name", (name, str(path))
                )
            except sqlite3.IntegrityError:
                raise Misconfigured(f"another folder is called {name!r} already; give this one a name with --name") from None
            (name,) = database.execute("SELECT name FROM folder WHERE path = ?", (str(path),)).fetchone()
            looked = self._look(database, name, path)
        return next(folder for folder in self.folders() if folder.name == name), looked

    def remove(self, name: str) -> bool:
        """Forget a folder, by its name or path. Whether there was one."""
        with self._open(write=True) as database:
            row = database.execute("SELECT name FROM folder WHERE name = ? OR path = ?", (name, str(Path(name).resolve()))).fetchone()
            if row is None:
                return False
            for (file,) in database.execute("SELECT id FROM file WHERE folder = ?", row).fetchall():
                _forget(database, file)
            database.execute("DELETE FROM folder WHERE name = ?", row)
            return True

    def folders(self) -> Sequence[Folder]:
        with self._open() as database:
            rows = database.execute(
                "SELECT folder.name, folder.path, count(DISTINCT file.id), count(passage.id) FROM folder"
                " LEFT JOIN file ON file.folder = folder.name LEFT JOIN passage ON passage.file = file.id"
                " GROUP BY folder.name ORDER BY folder.name"
            ).fetchall()
        return [Folder(name, Path(path), files, count) for name, path, files, count in rows]

    def update(self, older: float = 0.0) -> Looked:
        """Look through all folders again, but for those looked through in the last `older` seconds."""
        total = Looked(0, 0, 0)
        with self._open() as database:
            if database.execute("SELECT 1 FROM folder WHERE looked <= ?", (time.time() - older,)).fetchone() is None:
                return total
        with self._open(write=True) as database:
            due = database.execute("SELECT name, path FROM folder WHERE looked <= ?", (time.time() - older,)).fetchall()
            for name, path in due:
                one = self._look(database, name, Path(path))
                total = Looked(total.read + one.read, total.gone + one.gone, total.left_out + one.left_out)
        return total

    def find(self, question: str, *, limit: int, folders: Sequence[str] | None = None, meaning: Meaning | None = None) -> Sequence[Found]:
        """The passages that say most of `question`, best first; any of its words may be missing.

        Args:
            folders: that they are in; None: any.
            meaning: of the question; passages near to it are found whatever their words. None: by words alone.
        """
        among = "1" if folders is None else f"file.folder IN ({', '.join('?' * len(folders))})"
        within = tuple(folders or ())
        with self._open() as database:
            if meaning is None:
                scored = _by_words(database, question, among, within, limit)
            else:
                said = [passage for passage, _ in _by_words(database, question, among, within, CLOSE)]
                scored = fused(said, meanings.nearest(database, meaning, among, within))[:limit]
            return [_found(database, passage, score) for passage, score in scored]

    def unread(self, model: str, dimensions: int | None, *, after: int, limit: int) -> Sequence[meanings.Unread]:
        """As `meanings.missing`."""
        with self._open() as database:
            return meanings.missing(database, model, dimensions, after=after, limit=limit)

    def count_unread(self, model: str, dimensions: int | None) -> int:
        with self._open() as database:
            return meanings.count_missing(database, model, dimensions)

    def keep(self, model: str, read: Iterable[tuple[meanings.Unread, Vector]]) -> int:
        """As `meanings.keep`."""
        with self._open(write=True) as database:
            return meanings.keep(database, model, read)

    def _look(self, database: sqlite3.Connection, name: str, path: Path) -> Looked:
        known = {row[1]: row for row in database.execute("SELECT id, path, size, changed FROM file WHERE folder = ?", (name,))}
        read = left_out = seen = 0
        for file in _files(path):
            seen += 1
            if seen > MOST_FILES:
                left_out += 1
                continue
            relative = file.relative_to(path).as_posix()
            try:
                relative.encode()  # a name that is no UTF-8 can be written nowhere
                state = file.stat(follow_symlinks=False)
                before = known.pop(relative, None)
                if before is not None and before[2:] == (state.st_size, state.st_mtime_ns):
                    continue
                text = text_of(_content(file), file.suffix) if state.st_size <= LARGEST else None
            except (OSError, UnicodeEncodeError):
                text, before = None, known.pop(relative, None)
            if before is not None:
                _forget(database, before[0])
            if text is None:
                left_out += 1
                continue
            _shelve(database, name, relative, text, (state.st_size, state.st_mtime_ns))
            read += 1
        for row in known.values():
            _forget(database, row[0])
        database.execute("UPDATE folder SET looked = ? WHERE name = ?", (time.time(), name))
        return Looked(read, len(known), left_out)

    @contextmanager
    def _open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        """
        Args:
            write: nobody else writes until the block ends, so that what it has read stays so.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with closing(sqlite3.connect(self._file, timeout=10.0)) as database, database:
                database.executescript(f"PRAGMA journal_mode = WAL; {TABLES}{meanings.TABLE}")
                if write:
                    database.execute("BEGIN IMMEDIATE")
                yield database
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise Misconfigured(f"the index {self._file} cannot be used: {error}; remove it and add the folders again") from error


def _by_words(database: sqlite3.Connection, question: str, among: str, folders: tuple[str, ...], limit: int) -> list[tuple[int, float]]:
    """Passages, best first, and their scores."""
    asked = list(dict.fromkeys(WORD.findall(question)))[:MOST_WORDS]
    if not asked:
        return []
    match = " OR ".join(f'"{word}"' for word in asked)
    return database.execute(
        f"SELECT passage.id, -bm25(words, {WEIGHTS})"  # noqa: S608
        " FROM words JOIN passage ON passage.id = words.rowid JOIN file ON file.id = passage.file"
        f" WHERE words MATCH ? AND {among} ORDER BY bm25(words, {WEIGHTS}), words.rowid LIMIT ?",
        (match, *folders, limit),
    ).fetchall()


def _found(database: sqlite3.Connection, passage: int, score: float) -> Found:
    row = database.execute(
        "SELECT file.folder, file.path, passage.start, passage.stop, words.heading, words.text, ?"
        " FROM passage JOIN file ON file.id = passage.file JOIN words ON words.rowid = passage.id WHERE passage.id = ?",
        (score, passage),
    ).fetchone()
    return Found(*row)


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in KINDS:
                file = Path(where, name)
                if not file.is_symlink() and file.is_file():
                    yield file


def _content(file: Path) -> bytes:
    """What a file holds, read through no link, and no more than one byte over what is taken."""
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
        return opened.read(LARGEST + 1)


def _shelve(database: sqlite3.Connection, folder: str, path: str, text: str, state: tuple[int, int]) -> None:
    file = database.execute("INSERT INTO file (folder, path, size, changed) VALUES (?, ?, ?, ?)", (folder, path, *state)).lastrowid
    for passage in passages(text):
        if text[passage.start : passage.end].isspace():
            continue
        row = database.execute("INSERT INTO passage (file, start, stop) VALUES (?, ?, ?)", (file, passage.start, passage.end)).lastrowid
        said = (row, path, passage.heading, text[passage.start : passage.end])
        database.execute("INSERT INTO words (rowid, path, heading, text) VALUES (?, ?, ?, ?)", said)


def _forget(database: sqlite3.Connection, file: int) -> None:
    database.execute("DELETE FROM meaning WHERE passage IN (SELECT id FROM passage WHERE file = ?)", (file,))
    database.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM passage WHERE file = ?)", (file,))
    database.execute("DELETE FROM passage WHERE file = ?", (file,))
    database.execute("DELETE FROM file WHERE id = ?", (file,))
