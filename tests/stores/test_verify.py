"""Whatever is done to what was written, `verify` names the first record that is not as it was."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolgate.audit.chain import chained
from toolgate.audit.checkpoint import Signer, Verifier, notes
from toolgate.settings import Audit
from toolgate.stores import open_stores
from toolgate.stores.seal import seal
from toolgate.stores.secret import keys_in
from toolgate.stores.verify import Report, records, verify

SIZE = 12
BATCHES = (5, 4, 3)  # a checkpoint after each: at 5, 9 and 12


async def write(folder: Path) -> None:
    for size in BATCHES:
        async with open_stores("sqlite", folder, Audit(checkpoints=folder / "kept")) as stores:
            for n in range(size):
                await stores.journal.append("audit", {"n": n, "text": f"record {n} of {size}"})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a journal of twelve records, and checkpoints kept beside it."""
    folder = tmp_path_factory.mktemp("written")
    asyncio.run(write(folder))
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy to be tampered with."""
    return shutil.copytree(written, tmp_path / "copy")


def checked(folder: Path, *, kept: bool = False) -> Report:
    elsewhere = notes((folder / "kept").read_text()) if kept else []
    return verify(folder / "toolgate.db", keys_in(folder).signer.verifier, elsewhere)


def change(folder: Path, *statements: str | tuple[str, Sequence[Any]]) -> None:
    with closing(sqlite3.connect(folder / "toolgate.db")) as database, database:
        for statement in statements:
            database.execute(*((statement,) if isinstance(statement, str) else statement))


def first_bad(report: Report) -> int | None:
    assert report.flaw is not None
    return report.flaw.seq


def test_what_was_written_is_found_intact_and_signed(folder: Path) -> None:
    assert checked(folder) == checked(folder, kept=True) == Report(SIZE, SIZE, None)
    assert [Verifier.open(keys_in(folder).signer.verifier, note).size for note in notes((folder / "kept").read_text())] == [5, 9, 12]


COPIED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


@COPIED
@given(st.integers(1, SIZE), st.sampled_from(["stream", "body", "hash"]), st.data())
def test_a_byte_of_a_record_that_is_another_is_found_at_that_record(written: Path, folder: Path, seq: int, column: str, data: Any) -> None:
    shutil.copy(written / "toolgate.db", folder)
    with closing(sqlite3.connect(folder / "toolgate.db")) as database:
        (value,) = database.execute(f"select cast({column} as blob) from journal where seq = ?", (seq,)).fetchone()
    edited = bytearray(value)
    edited[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    change(folder, (f"update journal set {column} = ? where seq = ?", (bytes(edited), seq)))

    assert first_bad(checked(folder)) == seq


@COPIED
@given(st.data())
def test_a_byte_of_the_file_that_is_another_is_found_or_has_changed_no_record(written: Path, folder: Path, data: Any) -> None:
    original = (written / "toolgate.db").read_bytes()
    edited = bytearray(original)
    edited[data.draw(st.integers(0, len(original) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (folder / "toolgate.db").write_bytes(edited)

    if checked(folder).flaw is None:
        assert list(records(folder / "toolgate.db")) == list(records(written / "toolgate.db"))


@pytest.mark.parametrize("seq", range(1, SIZE + 1))
def test_a_changed_time_is_found_at_its_record(folder: Path, seq: int) -> None:
    change(folder, ("update journal set at = at + 1 where seq = ?", (seq,)))

    assert first_bad(checked(folder)) == seq


@pytest.mark.parametrize("seq", range(1, SIZE))
def test_a_record_that_was_taken_out_is_missed_at_its_place(folder: Path, seq: int) -> None:
    change(folder, ("delete from journal where seq = ?", (seq,)))

    assert first_bad(checked(folder)) == seq


@pytest.mark.parametrize("seq", range(1, SIZE))
def test_a_gap_that_was_closed_is_found_where_it_was(folder: Path, seq: int) -> None:
    change(folder, ("delete from journal where seq = ?", (seq,)))
    for later in range(seq + 1, SIZE + 1):
        change(folder, ("update journal set seq = ? where seq = ?", (later - 1, later)))

    assert first_bad(checked(folder)) == seq


@pytest.mark.parametrize(("one", "other"), [(1, 2), (4, 9), (11, 12)])
def test_records_that_changed_places_are_found_at_the_first(folder: Path, one: int, other: int) -> None:
    change(
        folder,
        ("update journal set seq = 0 where seq = ?", (one,)),
        ("update journal set seq = ? where seq = ?", (one, other)),
        ("update journal set seq = ? where seq = 0", (other,)),
    )

    assert first_bad(checked(folder)) == one


def test_a_record_between_two_others_is_found(folder: Path) -> None:
    for later in range(SIZE, 6, -1):
        change(folder, ("update journal set seq = ? where seq = ?", (later + 1, later)))
    change(folder, "insert into journal select 7, stream, at, body, hash from journal where seq = 6")

    assert first_bad(checked(folder)) == 7


@pytest.mark.parametrize("left", range(SIZE))
def test_an_end_that_was_cut_off_is_missed_by_a_checkpoint_kept_elsewhere(folder: Path, left: int) -> None:
    change(folder, ("delete from journal where seq > ?", (left,)), ("delete from checkpoint where size > ?", (left,)))

    assert checked(folder).flaw is None  # nothing in the file itself can show it
    assert first_bad(checked(folder, kept=True)) == left + 1


def rehash(folder: Path, since: int) -> None:
    """What somebody who can write to the file, and has not the key, would do."""
    with closing(sqlite3.connect(folder / "toolgate.db")) as database, database:
        last = database.execute("select hash from journal where seq = ?", (since - 1,)).fetchone()
        digest = last[0] if last else bytes(32)
        for seq, stream, at, body in database.execute(
            "select seq, stream, at, body from journal where seq >= ? order by seq", (since,)
        ).fetchall():
            digest = chained(digest, seq, at, stream.encode(), body.encode())
            database.execute("update journal set hash = ? where seq = ?", (digest, seq))


@pytest.mark.parametrize(("seq", "among"), [(1, (1, 5)), (5, (1, 5)), (6, (6, 9)), (11, (10, 12))])
def test_a_past_that_was_written_anew_is_found_between_two_checkpoints(folder: Path, seq: int, among: tuple[int, int]) -> None:
    change(folder, ("update journal set body = '{}' where seq = ?", (seq,)))
    rehash(folder, seq)

    report = checked(folder)

    assert first_bad(report) == among[0]
    assert report.flaw is not None
    assert f"one of {among[0]} to {among[1]}" in report.flaw.sentence


def test_a_past_that_was_written_anew_and_signed_by_another_key_is_not_believed(folder: Path) -> None:
    rightful = keys_in(folder).signer.verifier
    forged = Signer(bytes(32)).sign(SIZE, bytes(32))
    change(folder, ("update checkpoint set note = ? where size = ?", (forged, SIZE)))

    report = verify(folder / "toolgate.db", rightful)

    assert report.flaw is not None
    assert (report.flaw.seq, "is not signed by" in report.flaw.sentence) == (None, True)


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: b"no journal at all" * 400, lambda data: b""])
def test_a_file_that_cannot_be_read_is_a_flaw_and_no_crash(folder: Path, spoil: Callable[[bytes], bytes]) -> None:
    file = folder / "toolgate.db"
    file.write_bytes(spoil(file.read_bytes()))

    assert checked(folder, kept=True).flaw is not None


def test_a_journal_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no journal"):
        verify(tmp_path / "none.db", Signer(bytes(32)).verifier)


class TestSealed:
    @pytest.fixture
    def sealed(self, folder: Path) -> Path:
        change(folder, "update journal set at = seq")  # nanoseconds: told apart by hand
        change(folder, "delete from checkpoint")
        rehash(folder, 1)
        first = seal(folder / "toolgate.db", keys_in(folder), before=5)
        second = seal(folder / "toolgate.db", keys_in(folder), before=9)
        assert first is not None
        assert second is not None
        assert (first.size, first.file, second.size) == (4, "audit-000000000001-000000000004.db", 8)
        (folder / "kept").write_text("")
        return folder

    def test_the_chain_goes_on_over_segments(self, sealed: Path) -> None:
        with closing(sqlite3.connect(sealed / "toolgate.db")) as database:
            assert database.execute("select min(seq), max(seq) from journal").fetchone() == (9, 12)
        assert checked(sealed) == Report(12, 8, None)
        assert [entry.seq for entry in records(sealed / "toolgate.db")] == list(range(1, 13))
        assert [entry.seq for entry in records(sealed / "toolgate.db", after=3, since=6)] == list(range(6, 13))

    @pytest.mark.parametrize("gone", [(1,), (2,), (1, 2)])
    def test_segments_that_are_kept_elsewhere_do_not_break_it_and_are_counted(self, sealed: Path, gone: tuple[int, ...]) -> None:
        for file in [sorted(sealed.glob("audit-*.db"))[number - 1] for number in gone]:
            file.unlink()

        assert checked(sealed) == Report(12, 8, None, elsewhere=4 * len(gone))

    @pytest.mark.parametrize("seq", range(1, 13))
    def test_an_edit_is_found_in_a_segment_as_in_the_journal(self, sealed: Path, seq: int) -> None:
        file = sealed / "toolgate.db" if seq > 8 else sorted(sealed.glob("audit-*.db"))[(seq - 1) // 4]
        file.chmod(0o600)
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("update journal set body = '{}' where seq = ?", (seq,))

        assert first_bad(checked(sealed)) == seq

    def test_a_segment_may_not_end_too_early(self, sealed: Path) -> None:
        file = sorted(sealed.glob("audit-*.db"))[0]
        file.chmod(0o600)
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("delete from journal where seq = 4")

        assert first_bad(checked(sealed)) == 4

    def test_what_the_journal_says_of_missing_segments_has_to_be_signed(self, sealed: Path) -> None:
        for file in sealed.glob("audit-*.db"):
            file.unlink()
        change(sealed, "update sealed set frontier = zeroblob(32) where size = 8")

        assert checked(sealed).flaw is not None

    def test_the_last_record_and_calls_under_way_stay(self, folder: Path) -> None:
        change(folder, "insert into underway values ('c', 3, 'i')")

        found = seal(folder / "toolgate.db", keys_in(folder), before=2**62)
        assert found is not None
        assert found.size == 2

        change(folder, "delete from underway")
        found = seal(folder / "toolgate.db", keys_in(folder), before=2**62)
        assert found is not None
        assert found.size == SIZE - 1
        assert seal(folder / "toolgate.db", keys_in(folder), before=2**62) is None
        assert checked(folder, kept=True).flaw is None

    def test_records_that_are_sealed_while_others_are_read_are_not_missed(self, sealed: Path) -> None:
        reading = records(sealed / "toolgate.db")
        first = next(reading).seq

        assert seal(sealed / "toolgate.db", keys_in(sealed), before=11) is not None

        assert [first, *(entry.seq for entry in reading)] == list(range(1, 13))

    def test_what_a_crash_left_of_a_segment_in_the_journal_is_passed_over_and_goes_the_next_time(self, sealed: Path) -> None:
        left = sealed / "audit-000000000005-000000000008.db"
        change(sealed, ("attach ? as segment", (str(left),)), "insert into journal select * from segment.journal where seq >= 6")

        assert checked(sealed) == Report(12, 8, None)
        assert [entry.seq for entry in records(sealed / "toolgate.db")] == list(range(1, 13))

        third = seal(sealed / "toolgate.db", keys_in(sealed), before=11)
        assert third is not None
        assert [entry.seq for entry in records(sealed / third.file)] == [9, 10]
        with closing(sqlite3.connect(sealed / "toolgate.db")) as database:
            assert database.execute("select min(seq), max(seq) from journal").fetchone() == (11, 12)
        assert checked(sealed) == Report(12, 10, None)

    async def test_writing_goes_on_after_sealing(self, sealed: Path) -> None:
        async with open_stores("sqlite", sealed) as stores:
            assert await stores.journal.append("audit", {"n": 13}) == 13

        assert checked(sealed) == Report(13, 13, None)
