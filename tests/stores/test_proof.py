"""What the proof stands on: keys that are made once, leases that end with their process, checkpoints in time, old journals."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from toolgate.audit.checkpoint import notes
from toolgate.errors import AuditUnavailable
from toolgate.settings import Audit
from toolgate.stores import open_stores
from toolgate.stores.lease import Lease, alive
from toolgate.stores.secret import keys_in
from toolgate.stores.verify import Report, records, verify


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not true():
            await anyio.sleep(0.01)  # for a thread


def test_of_many_that_start_at_once_all_have_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        verifiers = list(pool.map(lambda _: str(keys_in(tmp_path).signer.verifier), range(32)))

    assert len(set(verifiers)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["audit.key"]


@pytest.mark.parametrize(("content", "message"), [("", "0 bytes"), ("00" * 31, "31 bytes"), ("zz" * 32, "cannot be used")])
def test_a_key_that_is_none_stops_the_start(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "audit.key").write_text(content)
    (tmp_path / "audit.key").chmod(0o600)

    with pytest.raises(AuditUnavailable, match=message):
        keys_in(tmp_path)


def test_a_lease_is_held_until_it_is_closed_and_leaves_nothing_behind(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    assert not alive(tmp_path, lease.instance)

    lease.hold()
    lease.hold()
    assert [alive(tmp_path, lease.instance) for _ in range(3)] == [True] * 3

    lease.close()
    assert not alive(tmp_path, lease.instance)
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_left_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "dead").touch()

    assert not alive(tmp_path, "dead")
    assert list(tmp_path.iterdir()) == []


async def test_a_checkpoint_is_signed_after_so_many_records_while_writing_goes_on(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    async with open_stores("sqlite", tmp_path, Audit(checkpoints=kept, checkpoint_rows=10, checkpoint_seconds=3600)) as stores:
        for n in range(9):
            await stores.journal.append("audit", {"n": n})
        await stores.journal.append("audit", {"n": 9})
        await until(kept.exists)

        [note] = notes(kept.read_text())
        assert keys_in(tmp_path).signer.verifier.open(note).size == 10


async def test_a_checkpoint_is_signed_after_so_long(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    async with open_stores("sqlite", tmp_path, Audit(checkpoints=kept, checkpoint_seconds=0.05)) as stores:
        await stores.journal.append("audit", {})

        await until(kept.exists)


async def test_where_nothing_is_new_nothing_is_signed(tmp_path: Path) -> None:
    settings = Audit(checkpoints=tmp_path / "kept")
    for _ in range(3):
        async with open_stores("sqlite", tmp_path, settings) as stores:
            await stores.journal.read("audit")
    assert not (tmp_path / "kept").exists()

    async with open_stores("sqlite", tmp_path, settings) as stores:
        await stores.journal.append("audit", {})
    async with open_stores("sqlite", tmp_path, settings):
        pass

    assert len(notes((tmp_path / "kept").read_text())) == 1


async def test_a_journal_from_before_there_was_a_chain_is_put_into_one(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "toolgate.db")) as database, database:
        database.execute(
            "create table journal (seq integer primary key autoincrement, stream text not null, at integer not null, body text not null)"
        )
        database.execute("insert into journal (stream, at, body) values ('audit', 1, '{\"n\":1}'), ('audit', 2, '{\"n\":2}')")

    async with open_stores("sqlite", tmp_path) as stores:
        assert await stores.journal.append("audit", {"n": 3}) == 3

    assert verify(tmp_path / "toolgate.db", keys_in(tmp_path).signer.verifier) == Report(3, 3, None)
    assert [entry.body for entry in records(tmp_path / "toolgate.db")] == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_what_a_process_left_open_is_recorded_as_unknown_once_with_all_that_the_intent_said(tmp_path: Path) -> None:
    intent = {
        "version": 1,
        "id": "i",
        "type": "call.intent",
        "tenant": "acme",
        "call": "c1",
        "tool": {"name": "act"},
        "arguments": {"names": []},
    }
    async with open_stores("sqlite", tmp_path) as stores:
        dead = stores.journal.instance
        await stores.journal.append("audit", {**intent, "instance": dead}, opens="c1")
        await stores.journal.append("audit", {**intent, "instance": dead, "call": "c2"}, opens="c2")
        await stores.journal.append("audit", {"type": "call.outcome", "call": "c2"}, closes="c2")
        assert await stores.journal.recover() == 0  # this process lives

    async with open_stores("sqlite", tmp_path) as stores:
        assert [await stores.journal.recover(), await stores.journal.recover()] == [1, 0]
        [entry] = await stores.journal.read("audit", limit=1)
        assert entry.body == {
            **intent,
            "id": entry.body["id"],
            "type": "call.unknown",
            "instance": stores.journal.instance,
            "intent": 1,
            "began_by": dead,
            "result": {"ending": "unknown", "code": None, "effect": "unknown"},
        }
