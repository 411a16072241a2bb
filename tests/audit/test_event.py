from __future__ import annotations

import pytest

from toolgate.audit.event import unknown


@pytest.mark.parametrize("kind", ["call", "model"])
def test_an_intent_whose_process_is_gone_is_unknown_in_its_own_kind(kind: str) -> None:
    intent = {"version": 1, "id": "a", "type": f"{kind}.intent", "tenant": "t", "instance": "gone", "request": "r"}

    found = unknown(intent, 7, "here")

    assert (found["type"], found["intent"], found["instance"], found["began_by"]) == (f"{kind}.unknown", 7, "here", "gone")
    assert (found["tenant"], found["request"], found["result"]["effect"]) == ("t", "r", "unknown")
