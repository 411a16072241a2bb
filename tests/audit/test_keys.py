"""RFC 4231 has HMAC-SHA256's test vectors; Python's own `hmac` stands for them here, with keys that are derived as ours are."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from toolgate.audit.keys import Keys

SECRET = bytes(range(32))


@given(st.text(), st.binary(max_size=5000))
def test_a_digest_is_hmac_sha256_with_the_tenants_key(tenant: str, data: bytes) -> None:
    key = hmac.digest(SECRET, f"toolgate audit digest:{tenant}".encode(errors="surrogatepass"), "sha256")
    assert Keys(SECRET).digest(tenant, data) == hmac.digest(key, data, "sha256").hex()


def test_two_tenants_have_different_digests_of_the_same() -> None:
    keys = Keys(SECRET)
    assert keys.digest("a", b"the same") != keys.digest("b", b"the same")
    assert keys.digest("a", b"the same") == keys.digest("a", b"the same")
