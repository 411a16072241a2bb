"""Secrets at rest open for what they were sealed for, under the key of the file, and for nothing else."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolgate.errors import Misconfigured
from toolgate.stores.sealed import Sealer

SECRET = "the secret of ada"


def test_what_is_sealed_opens_again_and_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "new" / "credentials.key"

    sealed = Sealer(file).seal(SECRET, b"ada")

    assert Sealer(file).open(sealed, b"ada") == SECRET
    assert SECRET.encode() not in base64.b64decode(sealed)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(base64.b64decode(file.read_text())) == 32


def test_equal_secrets_are_sealed_differently(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path / "key")

    assert len({sealer.seal(SECRET, b"ada") for _ in range(100)}) == 100


def test_what_was_sealed_for_one_opens_for_no_other(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path / "key")

    with pytest.raises(Misconfigured, match=r"no key in .* opens") as refused:
        sealer.open(sealer.seal(SECRET, b"ada"), b"eve")
    assert SECRET not in str(refused.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_is_overlooked(tmp_path: Path, place: int, bit: int) -> None:
    sealer = Sealer(tmp_path / "key")
    data = bytearray(base64.b64decode(sealer.seal(SECRET, b"ada")))
    data[place % len(data)] ^= 1 << bit

    with pytest.raises(Misconfigured):
        sealer.open(base64.b64encode(data).decode(), b"ada")


@pytest.mark.parametrize("sealed", ["", "AA==", "not base64!", "AAAAAAAAAAAAAAAA"])
def test_what_was_never_sealed_does_not_open(tmp_path: Path, sealed: str) -> None:
    with pytest.raises(Misconfigured, match="no key in"):
        Sealer(tmp_path / "key").open(sealed, b"ada")


def test_a_key_is_replaced_by_a_new_one_above_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    old = Sealer(file).seal(SECRET, b"ada")
    file.write_text(base64.b64encode(os.urandom(32)).decode() + "\n" + file.read_text())
    new = Sealer(file).seal(SECRET, b"ada")
    assert [Sealer(file).open(sealed, b"ada") for sealed in (old, new)] == [SECRET] * 2

    file.write_text(file.read_text().splitlines()[0])

    assert Sealer(file).open(new, b"ada") == SECRET
    with pytest.raises(Misconfigured):
        Sealer(file).open(old, b"ada")


@pytest.mark.parametrize("content", ["", "not base64!", base64.b64encode(b"short").decode(), "é"])
def test_a_file_that_holds_no_key_is_said_to(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(content)

    with pytest.raises(Misconfigured, match=r"key"):
        Sealer(file).seal(SECRET, b"ada")


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "key"
    Sealer(file).seal(SECRET, b"ada")
    file.chmod(0o640)

    with pytest.raises(Misconfigured, match="others may read"):
        Sealer(file).seal(SECRET, b"ada")
