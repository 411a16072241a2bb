"""One contract for every journal, and what only SQLite can break."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from toolgate.errors import AuditUnavailable
from toolgate.stores import Journal, open_stores


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    async with open_stores(request.param, tmp_path) as opened:
        yield opened.journal


async def test_lines_come_back_newest_first_each_stream_for_itself(journal: Journal) -> None:
    for n in range(5):
        await journal.append("audit", {"n": n})
        await journal.append("other", {"n": -n})

    newest = await journal.read("audit", limit=2)
    older = await journal.read("audit", limit=2, before=newest[-1].seq)

    assert [entry.body for entry in (*newest, *older)] == [{"n": 4}, {"n": 3}, {"n": 2}, {"n": 1}]
    assert {entry.stream for entry in newest} == {"audit"}


async def test_many_at_once_are_all_written_once(journal: Journal) -> None:
    await asyncio.gather(*(journal.append("audit", {"n": n}) for n in range(300)))

    entries = await journal.read("audit", limit=1000)

    assert sorted(entry.body["n"] for entry in entries) == list(range(300))
    assert len({entry.seq for entry in entries}) == 300


async def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        journal = stores.journal
        await journal.append("audit", {"text": "a\nb\u2028\x1b[0m"})

    async with open_stores("sqlite", tmp_path) as stores:
        journal = stores.journal
        entries = await journal.read("audit")

    assert [entry.body for entry in entries] == [{"text": "a\nb\u2028\x1b[0m"}]


async def test_an_append_that_cannot_be_written_says_so_and_later_ones_work_again(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        journal = stores.journal
        await journal.append("audit", {"n": 1})
        with sqlite3.connect(tmp_path / "toolgate.db") as database:
            database.execute("create trigger full before insert on journal begin select raise(abort, 'disk is full'); end")
        with pytest.raises(AuditUnavailable, match="disk is full"):
            await journal.append("audit", {"n": 2})
        with sqlite3.connect(tmp_path / "toolgate.db") as database:
            database.execute("drop trigger full")
        await journal.append("audit", {"n": 3})

        newest, restored, oldest = await journal.read("audit")
        assert (newest.body, oldest.body) == ({"n": 3}, {"n": 1})
        assert (restored.body["type"], restored.body["details"]["reason"]) == ("audit.restored", "disk is full")


async def test_a_file_that_is_no_journal_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "toolgate.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)

    with pytest.raises(AuditUnavailable, match="cannot be opened"):
        async with open_stores("sqlite", tmp_path):
            pass


async def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        pass

    with pytest.raises(AuditUnavailable, match="is closed"):
        await stores.journal.append("audit", {})
