"""The audit's keys, all from one secret: one signs checkpoints, one a tenant makes digests."""

from __future__ import annotations

import hmac
import secrets
from functools import cached_property
from hashlib import sha256

from toolgate.audit.checkpoint import Signer

KEPT = 1024  # tenants' keys


class Keys:
    def __init__(self, secret: bytes) -> None:
        """
        Args:
            secret: 32 bytes. Whoever has it can sign checkpoints and guess what digests stand for.
        """
        self._secret = secret
        self._tenants: dict[str, _Hmac] = {}

    @classmethod
    def random(cls) -> Keys:
        return cls(secrets.token_bytes(32))

    def __repr__(self) -> str:
        return "Keys(********)"

    def digest(self, tenant: str, data: bytes) -> str:
        """HMAC-SHA256 of `data`, hexadecimal: the same for the same data of one tenant, and of no use to others."""
        made = self._tenants.get(tenant)
        if made is None:
            if len(self._tenants) >= KEPT:
                self._tenants.clear()
            made = self._tenants[tenant] = _Hmac(self._derived(f"digest:{tenant}"))
        return made.digest(data)

    def key(self, purpose: str) -> bytes:
        """32 bytes for something else than the audit, the same in every process that has the secret."""
        return self._derived(f"key:{purpose}")

    @cached_property
    def signer(self) -> Signer:
        """Made on first use: cryptography takes 30 ms to import."""
        return Signer(self._derived("checkpoint"))

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self._secret, f"toolgate audit {purpose}".encode(errors="surrogatepass"), "sha256")


class _Hmac:
    """HMAC-SHA256 (RFC 2104) with one key: what the key does to the hash is done once. `hmac.digest` takes twice the time."""

    def __init__(self, key: bytes) -> None:
        """
        Args:
            key: at most 64 bytes, one block of the hash.
        """
        block = key.ljust(64, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, data: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.hexdigest()
