"""One record is proven to be there without any other being shown, and nothing else can be proven."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from toolgate.audit.checkpoint import Signer
from toolgate.settings import Audit
from toolgate.stores import open_stores
from toolgate.stores.inclusion import Unproven, prove, proven
from toolgate.stores.seal import seal
from toolgate.stores.secret import keys_in
from toolgate.stores.verify import records

SIZE = 11


async def write(folder: Path) -> None:
    for size in (6, 5):  # a checkpoint after each
        async with open_stores("sqlite", folder, Audit()) as stores:
            for number in range(size):
                await stores.journal.append("audit", {"id": f"{size}-{number}", "secret": f"of {size}-{number} alone"})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    asyncio.run(write(folder))
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "copy")


def proof_of(folder: Path, event: str) -> dict[str, Any]:
    """As it is sent."""
    read: dict[str, Any] = json.loads(json.dumps(prove(folder / "toolgate.db", event)))
    return read


def test_each_event_is_proven_by_its_id_and_by_its_number_and_shows_no_other(folder: Path) -> None:
    verifier = keys_in(folder).signer.verifier
    for entry in records(folder / "toolgate.db"):
        proof = proof_of(folder, entry.body["id"])

        assert proof == proof_of(folder, str(entry.seq))
        assert json.loads(proven(proof, verifier)["body"]) == entry.body
        assert json.dumps(proof).count("alone") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"record": {"body": '{"id":"forged"}'}},
        {"record": {"seq": 4}},
        {"record": {"seq": 0}},
        {"record": {"seq": -1}},
        {"record": {"seq": 2**70}},
        {"record": {"seq": "3"}},
        {"record": {"at": 1}},
        {"record": {"stream": "other"}},
        {"record": {"before": "AAAA"}},
        {"record": {"before": "A" * 43 + "="}},
        {"path": []},
        {"path": ["A" * 43 + "="] * 3},
        {"path": ["A" * 43 + "="] * 300},
        {"path": 7},
        {"checkpoint": "x"},
        {"checkpoint": None},
        {"record": None},
    ],
)
def test_nothing_else_is_proven(folder: Path, changes: Mapping[str, Any]) -> None:
    proof = proof_of(folder, "3")
    for name, value in changes.items():
        proof[name] = {**proof[name], **value} if isinstance(value, dict) else value

    with pytest.raises(Unproven):
        proven(proof, keys_in(folder).signer.verifier)


def test_a_proof_is_of_one_journal(folder: Path) -> None:
    with pytest.raises(Unproven, match="not signed by"):
        proven(proof_of(folder, "3"), Signer(bytes(32)).verifier)


@pytest.mark.parametrize("event", ["nothing", "99", "0", "9" * 40, "' or 1=1 --", ""])
def test_what_is_not_there_has_no_proof(folder: Path, event: str) -> None:
    with pytest.raises(Unproven, match="no event"):
        prove(folder / "toolgate.db", event)


async def test_what_no_checkpoint_has_signed_yet_has_none_either(folder: Path) -> None:
    async with open_stores("sqlite", folder, Audit(checkpoint_seconds=3600)) as stores:
        await stores.journal.append("audit", {"id": "young"})

        with pytest.raises(Unproven, match="no checkpoint has signed record"):
            prove(folder / "toolgate.db", "young")


async def test_over_a_segment_that_is_there_and_not_over_one_that_is_not(folder: Path) -> None:
    newest = max(entry.at for entry in records(folder / "toolgate.db"))
    async with open_stores("sqlite", folder, Audit()) as stores:
        await stores.journal.append("audit", {"id": "later"})
    sealed = seal(folder / "toolgate.db", keys_in(folder), before=newest + 1)
    verifier = keys_in(folder).signer.verifier

    assert [json.loads(proven(proof_of(folder, event), verifier)["body"])["id"] for event in ("3", "later")] == ["6-2", "later"]
    next(folder.glob("audit-*.db")).unlink()
    with pytest.raises(Unproven, match="is not here"):
        prove(folder / "toolgate.db", "later")
    assert sealed is not None
