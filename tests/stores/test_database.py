"""What only several processes, or a lock held by one, bring up; the rest is in the tests of what stands on it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from toolgate.stores.database import Database


async def test_who_opens_a_file_that_another_process_is_just_making_waits_for_it(tmp_path: Path) -> None:
    path, locked = tmp_path / "x.db", threading.Event()

    def make() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("begin exclusive")
            other.execute("create table theirs (n)")
            locked.set()
            asked.wait(0.2)  # longer than the first tries; nobody ever sets it
            other.execute("commit")

    asked = threading.Event()
    maker = threading.Thread(target=make)
    maker.start()
    locked.wait(5)
    async with Database.open(path, "create table if not exists ours (n)") as database:
        tables = await database.read(lambda connection: connection.execute("select name from sqlite_master order by name").fetchall())
    maker.join()

    assert tables == [("ours",), ("theirs",)]
