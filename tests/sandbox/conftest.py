"""The sandboxes that this machine has: as whoever runs the tests, and as a user without rights."""

from __future__ import annotations

import pytest

from toolgate.sandbox.sandbox import Sandbox, Unavailable, Way, find_sandbox


@pytest.fixture(params=["bubblewrap", "landlock"])
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    way: Way = request.param
    found = await find_sandbox(way)
    if isinstance(found, Unavailable):
        pytest.skip(f"this machine has no such sandbox: {found.why}")
    return found
