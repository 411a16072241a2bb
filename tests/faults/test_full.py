"""A disk that takes no more, and files that cannot be used (cases F3, F6 and F37 of docs/reliability.md)."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.effort import within
from tests.faults.disk import fill
from toolgate.app import open_app
from toolgate.calls import Outcome
from toolgate.errors import AuditUnavailable, Misconfigured
from toolgate.gateway import Gateway, build_gateway
from toolgate.policy.load import load_policy
from toolgate.settings import Audit, Settings, bundled
from toolgate.stores import Stores, open_stores
from toolgate.stores.secret import keys_in
from toolgate.stores.verify import records, verify
from toolgate.testing import Echo, a_principal, a_tool


def a_gateway(stores: Stores, echo: Echo) -> Gateway:
    return build_gateway([a_tool(echo, name="act", reads=False)], load_policy(bundled("policies")), stores, Settings())


async def call(gateway: Gateway, n: int) -> Outcome:
    return await gateway.call("act", {"n": n}, a_principal("admin"))


async def recovered(stores: Stores) -> None:
    """Once writing works again; nobody asks it to."""
    async with asyncio.timeout(10):
        while stores.journal.fault is not None:
            await asyncio.sleep(0.05)  # for a thread that tries every second


async def test_while_the_disk_is_full_nothing_runs_and_afterwards_it_goes_on_by_itself(small: Path) -> None:
    echo = Echo()
    async with open_stores("sqlite", small) as stores:
        gateway = a_gateway(stores, echo)
        assert (await call(gateway, 0)).ok
        filling = fill(small)
        while (outcome := await call(gateway, len(echo.seen))).ok:
            pass  # what SQLite had room for already
        ran = len(echo.seen)

        refused = [await call(gateway, 10_000 + n) for n in range(20)]

        assert outcome.problem is not None
        assert {each.problem.code for each in refused if each.problem} == {outcome.problem.code} == {"audit_unavailable"}
        assert len(refused) == 20
        assert len(echo.seen) == ran
        assert stores.journal.fault is not None
        assert "full" in stores.journal.fault

        filling.unlink()
        await recovered(stores)
        assert (await call(gateway, 30_000)).ok

    events = [entry.body for entry in records(small / "toolgate.db")]
    intents = {event["call"] for event in events if event["type"] == "call.intent"}
    outcomes = {event["call"] for event in events if event["type"] == "call.outcome"}
    assert {seen.id for seen in echo.seen} <= intents <= outcomes
    assert [event["type"] for event in events].count("audit.restored") >= 1
    assert verify(small / "toolgate.db", keys_in(small).signer.verifier).flaw is None


async def test_an_effect_whose_outcome_cannot_be_written_is_not_answered_and_is_written_later(tmp_path: Path) -> None:
    """The disk fills up between intent and outcome; a trigger stands for it, so that it happens at that very moment."""
    async with open_stores("sqlite", tmp_path) as stores:

        async def act(_call: object) -> Outcome:
            with sqlite3.connect(tmp_path / "toolgate.db") as database:
                database.execute("create trigger full before insert on journal begin select raise(abort, 'disk is full'); end")
            return Outcome(structured="a secret that nobody may see")

        gateway = build_gateway([a_tool(act, name="act", reads=False)], load_policy(bundled("policies")), stores, Settings())

        outcome = await call(gateway, 1)

        assert outcome.problem is not None
        assert (outcome.problem.code, outcome.structured, outcome.content, outcome.effect) == (
            "audit_unavailable",
            Outcome().structured,
            (),
            "unknown",
        )
        with sqlite3.connect(tmp_path / "toolgate.db") as database:
            database.execute("drop trigger full")
        await recovered(stores)
        types = [entry.body["type"] for entry in await stores.journal.read("audit")]
        assert types == ["call.outcome", "audit.restored", "call.intent"]
        assert await stores.journal.recover() == 0


@pytest.mark.parametrize("spoil", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_journal_that_is_none_stops_the_start(tmp_path: Path, spoil: bytes) -> None:
    (tmp_path / "toolgate.db").write_bytes(spoil)

    with pytest.raises(AuditUnavailable, match=r"toolgate\.db cannot be opened"):
        async with open_app(Settings(data_dir=tmp_path, integrations=())):
            raise AssertionError("it started unaudited")


async def test_a_journal_that_can_only_be_read_stops_the_start(small: Path) -> None:
    async with open_stores("sqlite", small) as stores:
        await stores.journal.append("audit", {})
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)

    with pytest.raises(AuditUnavailable, match="cannot be opened"):
        async with open_app(Settings(data_dir=small, integrations=())):
            raise AssertionError("it started unaudited")


async def test_an_end_that_was_changed_stops_the_start_and_says_what_to_do(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        for n in range(5):
            await stores.journal.append("audit", {"n": n})
    with sqlite3.connect(tmp_path / "toolgate.db") as database:
        database.execute("update journal set body = '{}' where seq = 4")

    with pytest.raises(AuditUnavailable, match="record 4 of the audit is not what was written; `toolgate audit verify` says more"):
        async with open_app(Settings(data_dir=tmp_path, integrations=())):
            raise AssertionError("it started unaudited")


POLICIES: dict[str, dict[str, str | None] | None] = {
    "no folder": None,
    "an empty folder": {},
    "a file that cannot be read": {"admin.yaml": None},
    "a broken file": {"admin.yaml": "{role: admin, permissions: ["},
    "an empty file": {"admin.yaml": ""},
    "a circle": {"a.yaml": "{role: a, inherits: [a], permissions: []}"},
}


@pytest.mark.parametrize("files", POLICIES.values(), ids=POLICIES)
async def test_without_a_policy_that_can_be_used_nothing_is_served(tmp_path: Path, files: dict[str, str | None] | None) -> None:
    roles = tmp_path / "policies" / "roles"
    if files is not None:
        roles.mkdir(parents=True)
        for name, text in files.items():
            (roles / name).mkdir() if text is None else (roles / name).write_text(text)

    with pytest.raises(Misconfigured, match=r"roles"):
        async with open_app(Settings(data_dir=tmp_path / "state", policies=tmp_path / "policies", integrations=())):
            raise AssertionError("it started without a policy")


async def test_a_key_that_others_may_read_stops_the_start(tmp_path: Path) -> None:
    keys_in(tmp_path)
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "audit.key").chmod(0o644)

    with pytest.raises(AuditUnavailable, match="others may read"):
        async with open_stores("sqlite", tmp_path):
            raise AssertionError("it started with a key that others know")


async def test_a_second_place_that_cannot_be_written_stops_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = tmp_path / "no" / "such" / "folder"
    async with open_stores("sqlite", tmp_path, Audit(checkpoints=nowhere)) as stores:
        await stores.journal.append("audit", {})

    assert "no checkpoint of the audit was kept" in caplog.text
    report = verify(tmp_path / "toolgate.db", keys_in(tmp_path).signer.verifier)
    assert (report.records, report.signed, report.flaw) == (1, 0, None)


async def test_a_hundred_thousand_calls_of_a_dead_process_are_found_within_seconds(tmp_path: Path) -> None:
    if os.environ.get("TOOLGATE_FAULT_RUNS") is None:
        pytest.skip("`make faults` runs it; writing 100,000 intents takes some seconds")
    async with open_stores("sqlite", tmp_path) as stores:
        echo = {
            "version": 1,
            "type": "call.intent",
            "tenant": "t",
            "instance": stores.journal.instance,
            "principal": {"id": "a"},
            "tool": {},
        }

        async def begin(of: int) -> None:
            for n in range(500):
                await stores.journal.append("audit", {**echo, "call": f"{of}-{n}"}, opens=f"{of}-{n}")

        await asyncio.gather(*(begin(of) for of in range(200)))

    async with open_stores("sqlite", tmp_path) as stores:
        with within(4):
            assert await stores.journal.recover() == 100_000
        assert await stores.journal.recover() == 0
