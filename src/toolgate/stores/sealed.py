"""Small secrets at rest: AES-256-GCM under a key in a file of its own, each bound to what it is for.

A sealed text opens only for the same purpose: moved to another user's record it is of no use, even to us.
The first key of the file seals; the others still open what was sealed before, so that a key can be replaced.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from toolgate.errors import Misconfigured
from toolgate.stores.secret import place

if TYPE_CHECKING:  # cryptography takes 30 ms to import
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SIZE, NONCE = 32, 12
"""Bytes of a key and, as NIST SP 800-38D (8.2) has it, of a random nonce: good for 2^32 texts under one key."""


class Sealer:
    def __init__(self, file: Path) -> None:
        """
        Args:
            file: a key a line, in base64; made when it is first needed and absent.
        """
        self._file = file

    def __repr__(self) -> str:
        return f"Sealer({self._file})"

    def seal(self, text: str, purpose: bytes) -> str:
        """`text`, unreadable.

        Raises:
            Misconfigured: the file with the key cannot be used.
        """
        return base64.b64encode(sealed(self._keys[0], text.encode(), purpose)).decode()

    def open(self, text: str, purpose: bytes) -> str:
        """What `seal` made for the same purpose.

        Raises:
            Misconfigured: no key of the file opens it for this purpose: the file was replaced, or the store was changed.
        """
        for key in self._keys:
            with suppress(ValueError):
                return unsealed(key, base64.b64decode(text, validate=True), purpose).decode()
        raise Misconfigured(f"no key in {self._file} opens what is kept; it was sealed under another, or was changed")

    @cached_property
    def _keys(self) -> Sequence[bytes]:
        return _keys_in(self._file)


def sealed(key: bytes, data: bytes, purpose: bytes | None = None) -> bytes:
    """`data`, unreadable without `key`."""
    nonce = secrets.token_bytes(NONCE)
    return nonce + _cipher(key).encrypt(nonce, data, purpose)


def unsealed(key: bytes, data: bytes, purpose: bytes | None = None) -> bytes:
    """What `sealed` was given, with the same key for the same purpose. Raises ValueError: it was not."""
    from cryptography.exceptions import InvalidTag

    try:
        return _cipher(key).decrypt(data[:NONCE], data[NONCE:], purpose)
    except InvalidTag:
        raise ValueError("it was not sealed by this key for this purpose") from None


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _keys_in(file: Path) -> Sequence[bytes]:
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place(file, base64.b64encode(secrets.token_bytes(SIZE)).decode() + "\n")
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise Misconfigured(f"others may read {file}, which protects callers' credentials; `chmod 600` it")
        keys = [base64.b64decode(line, validate=True) for line in file.read_text().split()]
    except (OSError, ValueError) as error:  # ValueError: neither text nor base64
        raise Misconfigured(f"{file}, which protects callers' credentials, cannot be used: {type(error).__name__}") from error
    if not keys or any(len(key) != SIZE for key in keys):
        raise Misconfigured(f"{file} must hold keys of {SIZE} bytes in base64, one a line")
    return keys
