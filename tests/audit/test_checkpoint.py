"""Checkpoints have the form of C2SP's tlog-checkpoint and signed-note, and only ours are believed."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.audit.checkpoint import Checkpoint, Signer, Unsigned, Verifier, notes
from toolgate.audit.keys import Keys

SIGNER = Signer(bytes(range(32)))
ROOT = sha256(b"root").digest()


def test_a_note_has_the_lines_that_the_specification_asks_for() -> None:
    name = SIGNER.verifier.name

    note = SIGNER.sign(20852163, ROOT)

    origin, size, root, empty, signature, end = note.split("\n")
    assert (origin, size, root, empty, end) == (name, "20852163", base64.b64encode(ROOT).decode(), "", "")
    dash, signer, encoded = signature.split(" ")
    assert (dash, signer) == ("\u2014", name)
    raw = base64.b64decode(encoded, validate=True)
    key_id = sha256(name.encode() + b"\x0a\x01" + SIGNER.verifier.public).digest()[:4]
    assert (raw[:4], len(raw[4:])) == (key_id, 64)


def test_the_key_reads_back_from_the_form_in_which_it_is_printed() -> None:
    text = str(SIGNER.verifier)

    name, key_id, encoded = text.split("+", 2)
    assert (name, len(bytes.fromhex(key_id)), base64.b64decode(encoded)[:1]) == (SIGNER.verifier.name, 4, b"\x01")
    assert Verifier.parse(f" {text}\n") == SIGNER.verifier


@pytest.mark.parametrize("text", ["", "a+b+c", "x+00000000+AQ==", f"other{SIGNER.verifier}", str(SIGNER.verifier)[:-4]])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no Ed25519 key"):
        Verifier.parse(text)


@given(st.integers(0, 2**63), st.binary(min_size=32, max_size=32))
def test_what_was_signed_is_what_is_read(size: int, root: bytes) -> None:
    assert SIGNER.verifier.open(SIGNER.sign(size, root)) == Checkpoint(SIGNER.verifier.name, size, root)


@given(st.data())
def test_no_byte_of_what_is_signed_may_be_another(data: st.DataObject) -> None:
    note = SIGNER.sign(1234, ROOT).encode()
    text = note.index(b"\n\n")
    at, bit = data.draw(st.integers(0, text)), data.draw(st.integers(0, 7))
    changed = bytearray(note)
    changed[at] ^= 1 << bit

    with pytest.raises(Unsigned):
        SIGNER.verifier.open(changed.decode(errors="replace"))


def test_a_note_of_another_key_is_not_believed_even_under_our_name() -> None:
    other = Signer(bytes(32))
    forged = other.sign(5, ROOT).replace(other.verifier.name, SIGNER.verifier.name)

    with pytest.raises(Unsigned, match="not signed by"):
        SIGNER.verifier.open(forged)


def test_other_signatures_on_a_note_do_not_matter() -> None:
    witness = Signer(bytes(32))
    note = SIGNER.sign(5, ROOT) + witness.sign(5, ROOT).split("\n\n")[1] + "\u2014 broken !!\n"

    assert SIGNER.verifier.open(note).size == 5


def test_notes_in_a_file_are_told_apart() -> None:
    written = [SIGNER.sign(size, ROOT) for size in (1, 22, 333)]

    assert notes("".join(f"{note}\n" for note in written)) == written
    assert notes("".join(f"\n{note}" for note in written).replace("\n", "\r\n")) == written
    assert notes("") == []


@given(st.integers(0, len(SIGNER.sign(22, ROOT)) - 1))
def test_what_is_left_of_a_note_that_was_cut_off_spoils_no_other(at: int) -> None:
    one, cut, other = (SIGNER.sign(size, ROOT) for size in (1, 22, 333))

    found = notes(f"\n{one}\n{cut[:at]}\n{other}")

    assert [note for note in found if note != cut] == [one, other]
    assert all(SIGNER.verifier.open(note) for note in found)


def test_a_note_with_signatures_of_witnesses_is_one_and_a_changed_signature_is_seen() -> None:
    note = SIGNER.sign(1, ROOT)
    witnessed = f"{note}\u2014 witness.example/w1 {'A' * 104}\n"
    changed = note[:-4] + ("AA=\n" if note[-4:] != "AA=\n" else "BA=\n")

    assert notes(f"\n{witnessed}\n{note}") == [witnessed, note]
    with pytest.raises(Unsigned):
        SIGNER.verifier.open(notes(changed)[0])


def test_one_secret_makes_the_same_keys_again_and_shows_none_of_them() -> None:
    first, second, other = Keys(bytes(32)), Keys(bytes(32)), Keys(bytes([1] * 32))

    assert first.signer.verifier == second.signer.verifier
    assert first.digest("acme", b"x") == second.digest("acme", b"x")
    assert len({first.digest("acme", b"x"), first.digest("evil", b"x"), first.digest("acme", b"y"), other.digest("acme", b"x")}) == 4
    assert repr(first) == "Keys(********)"
