from __future__ import annotations

from dataclasses import replace

import pytest

from toolgate.calls import Annotations
from toolgate.errors import Misconfigured
from toolgate.openapi.definition import Definition
from toolgate.openapi.lock import Changes, Entry, compare, dumps, loads, lock, split


def definition(name: str, fingerprint: str = "f") -> Definition:
    return Definition(name, "", {}, {}, Annotations(), f"GET /{name}", {}, fingerprint=fingerprint)


SAME, CHANGED, NEW = definition("same"), definition("changed", "new"), definition("new")
ACCEPTED = {"same": Entry("f", "GET /same"), "changed": Entry("old", "GET /changed"), "gone": Entry("f", "GET /gone")}


def test_what_is_new_gone_and_different_is_told() -> None:
    assert compare(ACCEPTED, [NEW, CHANGED, SAME]) == Changes(added=("new",), removed=("gone",), changed=("changed",))


def test_a_lock_accepts_what_it_was_made_of() -> None:
    definitions = [NEW, CHANGED, SAME]

    assert not compare(lock(definitions), definitions)


def test_only_what_is_new_or_different_is_kept_back() -> None:
    assert split([NEW, CHANGED, SAME], ACCEPTED) == ((SAME,), (NEW, CHANGED))


def test_what_calls_another_operation_than_was_accepted_is_different() -> None:
    moved = replace(SAME, key="DELETE /same")

    assert split([moved], ACCEPTED) == ((), (moved,))
    assert compare(ACCEPTED, [moved]).changed == ("same",)


def test_without_a_lock_everything_is_served() -> None:
    assert split([NEW, SAME], None) == ((NEW, SAME), ())


def test_a_lock_is_written_one_tool_a_line_in_order_and_read_back() -> None:
    written = dumps(ACCEPTED)

    assert written.decode() == (
        "{\n"
        '  "version": 1,\n'
        '  "tools": {\n'
        '    "changed": {"fingerprint":"old","operation":"GET /changed"},\n'
        '    "gone": {"fingerprint":"f","operation":"GET /gone"},\n'
        '    "same": {"fingerprint":"f","operation":"GET /same"}\n'
        "  }\n"
        "}\n"
    )
    assert loads(written, name="tools.lock.json") == ACCEPTED


def test_an_empty_lock_is_one_too() -> None:
    assert loads(dumps({}), name="x") == {}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "x is not JSON"),
        (b"[]", "no tools lock of version 1"),
        (b'{"version":2,"tools":{}}', "version 1"),
        (b'{"version":1,"tools":{"a":5}}', "an entry"),
    ],
)
def test_a_file_that_is_no_lock_is_refused_with_a_sentence(content: bytes, why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        loads(content, name="x")
