"""The audit's keys, all from one secret: one signs checkpoints, one a tenant makes digests."""

from __future__ import annotations

import hmac
import secrets
from functools import cached_property

from toolgate.audit.checkpoint import Signer

KEPT = 1024  # tenants' keys


class Keys:
    def __init__(self, secret: bytes) -> None:
        """
        Args:
            secret: 32 bytes. Whoever has it can sign checkpoints and guess what digests stand for.
        """
        self._secret = secret
        self._tenants: dict[str, bytes] = {}

    @classmethod
    def random(cls) -> Keys:
        return cls(secrets.token_bytes(32))

    def __repr__(self) -> str:
        return "Keys(********)"

    def digest(self, tenant: str, data: bytes) -> str:
        """HMAC-SHA256 of `data`, hexadecimal: the same for the same data of one tenant, and of no use to others."""
        key = self._tenants.get(tenant)
        if key is None:
            if len(self._tenants) >= KEPT:
                self._tenants.clear()
            key = self._tenants[tenant] = self._derived(f"digest:{tenant}")
        return hmac.digest(key, data, "sha256").hex()

    def key(self, purpose: str) -> bytes:
        """32 bytes for something else than the audit, the same in every process that has the secret."""
        return self._derived(f"key:{purpose}")

    @cached_property
    def signer(self) -> Signer:
        """Made on first use: cryptography takes 30 ms to import."""
        return Signer(self._derived("checkpoint"))

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self._secret, f"toolgate audit {purpose}".encode(errors="surrogatepass"), "sha256")
