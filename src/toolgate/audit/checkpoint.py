"""Checkpoints: signed notes that say how many records there were and what they hashed to.

The form is C2SP's tlog-checkpoint in a signed-note with Ed25519, so that other tools can read and witness it:

    toolgate/audit/6b86b273ff34fce1          origin: whose log
    20852163                                 records
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=   root of their tree

    — toolgate/audit/6b86b273ff34fce1 Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = b"\x01"
DASH = "— "
NOTE = re.compile(rf"[^\n]+\n\d+\n[^\n]+\n\n(?:{DASH}[^\n]+\n)*{DASH}\S+ [A-Za-z0-9+/]{{91}}=\n(?:{DASH}[^\n]+\n)*")
"""With a signature of ours, 68 bytes in base64, and perhaps others."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a note says."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


class Unsigned(ValueError):
    """It is no checkpoint, or not one signed by that key."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """The public half: tells whether a note is ours."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """The key in signed-note form, `name+hash+base64`.

        Raises:
            ValueError: it is something else.
        """
        name, _, rest = text.strip().partition("+")
        stated, _, encoded = rest.partition("+")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != 33 or key[:1] != ED25519 or (verifier := cls(name, key[1:])).id.hex() != stated:
            raise ValueError("this is no Ed25519 key in the form name+hash+base64, as `toolgate audit key` prints it")
        return verifier

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(ED25519 + self.public)}"

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def open(self, note: str) -> Checkpoint:
        """What `note` says.

        Raises:
            Unsigned: it has not the form, or no valid signature by this key.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        text, _, signatures = note.partition("\n\n")
        signature = next((found for found in map(self._signature, signatures.splitlines()) if found), None)
        if signature is None:
            raise Unsigned(f"a checkpoint is not signed by {self.name}")
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, f"{text}\n".encode())
        except InvalidSignature:
            raise Unsigned(f"a checkpoint's signature is not valid for the key {self}") from None
        return _read(text)

    def _signature(self, line: str) -> bytes | None:
        name, _, encoded = line.removeprefix(DASH).partition(" ")
        if not line.startswith(DASH) or name != self.name:
            return None
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return None
        return raw[4:] if raw[:4] == self.id and len(raw) == 68 else None


class Signer:
    """The private half."""

    def __init__(self, seed: bytes) -> None:
        """
        Args:
            seed: 32 random bytes.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes_raw()
        self.verifier = Verifier(f"toolgate/audit/{sha256(public).hexdigest()[:16]}", public)

    def sign(self, size: int, root: bytes) -> str:
        """The note for `size` records with `root`."""
        text = Checkpoint(self.verifier.name, size, root).text()
        signature = self._private.sign(text.encode())
        return f"{text}\n{DASH}{self.verifier.name} {_base64(self.verifier.id + signature)}\n"


def notes(text: str) -> list[str]:
    """The notes in a file to which they were appended one after the other; what was left when a disk was full is passed over."""
    return NOTE.findall(text.replace("\r\n", "\n"))


def _read(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) < 3 or not lines[0] or not lines[1].isdecimal() or not lines[1].isascii():
        raise Unsigned("a note is no checkpoint: origin, size and root are expected, a line each")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except binascii.Error:
        root = b""
    if len(root) != 32:
        raise Unsigned("a checkpoint's root is not the base64 of 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
