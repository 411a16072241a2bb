"""What is typed into a tool's form is what is sent, character by character and by the keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.gate import Gate, signed_in

LONG = 9_007_199_254_740_993
"""Two to the 53rd, and one: the first integer that no number of JavaScript's holds."""


def shape(kind: str, size: str) -> Mapping[str, Any]:
    return {"type": "object", "title": kind, "properties": {"kind": {"const": kind}, size: {"type": "number"}}, "required": ["kind"]}


def drawn(page: Any, gate: Gate, schema: Mapping[str, Any], arguments: Mapping[str, Any] | None = None, answer: str = "null") -> list[str]:
    """Have `page` show the form of a tool that takes `schema`; the bodies of the calls that it makes, as they come."""
    sent: list[str] = []
    outcome = f'{{"content":[],"structured":{answer},"problem":null,"meta":{{}},"effect":"none"}}'
    shown = {"name": "x", "title": "A tool", "description": "", "integration": "i", "inputSchema": schema}

    def called(route: Any) -> None:
        sent.append(route.request.post_data)
        route.fulfill(status=200, content_type="application/json", body=outcome)

    page.route("**/v1/tools/x", lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(shown)))
    page.route("**/v1/tools/x/call", called)
    signed_in(page, gate, "admin", "#/tools/x" + (f"?args={json.dumps(arguments)}" if arguments else ""))
    expect(page.get_by_role("heading", name="A tool")).to_be_visible()
    return sent


def run(page: Any) -> None:
    page.locator("button.main").click()
    expect(page.get_by_role("region", name="Result")).to_be_visible()


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize("typed", ["0.05", "1.50", "-0.5", "100.001", "1.5e3", ".5", str(LONG), f"-{LONG}"])
def test_a_number_is_sent_as_it_was_typed(page: Any, gate: Gate, typed: str) -> None:
    sent = drawn(page, gate, of(price={"type": "number"}))

    page.get_by_label("price").press_sequentially(typed)

    expect(page.get_by_label("price")).to_have_value(typed)
    run(page)
    assert json.loads(sent[0]) == {"arguments": {"price": float(typed) if str(LONG) not in typed else int(typed)}}


def test_what_is_taken_out_of_a_row_leaves_it_empty(page: Any, gate: Gate) -> None:
    sent = drawn(page, gate, of(names={"type": "array", "items": {"type": "string"}}, sizes={"type": "array", "items": {"type": "number"}}))
    page.get_by_role("button", name="Add to names").click()
    page.get_by_role("button", name="Add to sizes").click()

    page.get_by_label("names 1", exact=True).press_sequentially("a")
    page.keyboard.press("Backspace")
    page.keyboard.type("b")
    page.get_by_label("sizes 1", exact=True).press_sequentially("-1.5")

    run(page)
    assert json.loads(sent[0]) == {"arguments": {"names": ["b"], "sizes": [-1.5]}}


def test_a_row_that_is_removed_takes_its_own_text_along(page: Any, gate: Gate) -> None:
    sent = drawn(page, gate, of(parts={"type": "array", "items": {"type": "object"}}))
    for number in (1, 2):
        page.get_by_role("button", name="Add to parts").click()
        page.get_by_label(f"parts {number}", exact=True).fill(f'{{"part": {number}}}')

    page.get_by_role("button", name="Remove parts 1").click()

    assert json.loads(page.get_by_label("parts 1", exact=True).input_value()) == {"part": 2}
    run(page)
    assert json.loads(sent[0]) == {"arguments": {"parts": [{"part": 2}]}}


def test_long_integers_pass_through_json_links_and_answers_as_they_are(page: Any, gate: Gate) -> None:
    sent = drawn(page, gate, of(id={"type": "integer"}), {"id": LONG}, answer=f'{{"id":{LONG}}}')
    expect(page.get_by_label("id")).to_have_value(str(LONG))
    run(page)
    expect(page.get_by_role("region", name="Result")).to_contain_text(f'"id": {LONG}')

    page.get_by_role("button", name="JSON").click()
    page.get_by_label("Arguments", exact=True).fill(f'{{"id": {LONG + 2}}}')
    run(page)

    expect(page.locator("button.main")).to_be_enabled()
    assert [json.loads(body)["arguments"]["id"] for body in sent] == [LONG, LONG + 2]


@pytest.mark.parametrize("keys", ["Enter on Run", "Control+Enter", "Control+Shift+Enter"])
def test_json_that_is_none_yet_is_not_run_as_what_it_was_before(page: Any, gate: Gate, keys: str) -> None:
    sent = drawn(page, gate, of(title={"type": "string"}), {"title": "before"})
    page.get_by_role("button", name="JSON").click()
    box = page.get_by_label("Arguments", exact=True)
    box.fill('{"title": "after"')

    if keys == "Enter on Run":
        page.locator("button.main").press("Enter")
    else:
        box.press(keys)

    expect(box).to_be_focused()
    expect(box).to_have_accessible_description(re.compile("Not JSON yet"))
    assert sent == []
    box.fill('{"title": "after"}')
    run(page)
    assert json.loads(sent[0]) == {"arguments": {"title": "after"}}


def test_arguments_that_a_link_brings_are_shown_in_the_form_that_they_have(page: Any, gate: Gate) -> None:
    sent = drawn(
        page, gate, of(shape={"oneOf": [shape("circle", "radius"), shape("square", "side")]}), {"shape": {"kind": "square", "side": 2}}
    )

    expect(page.get_by_label("side")).to_have_value("2")
    page.get_by_label("side").fill("3")

    run(page)
    assert json.loads(sent[0]) == {"arguments": {"shape": {"kind": "square", "side": 3}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]},
        {"type": "object", "properties": {f"p{n}": {"$ref": "#"} for n in range(10)}, "required": [f"p{n}" for n in range(10)]},
        of(one={"$ref": "#/$defs/one"}) | {"$defs": {"one": {"oneOf": [{"$ref": "#/$defs/one"}, {"type": "object"}]}}, "required": ["one"]},
        of(any={"$ref": "#/$defs/any"}) | {"$defs": {"any": {"anyOf": [{"$ref": "#/$defs/any"}]}}},
        of(all={"$ref": "#/$defs/all"}) | {"$defs": {"all": {"allOf": [{"$ref": "#/$defs/all"}] * 3}}},
        of(broken={"$ref": "#/$defs/%zz"}) | {"$defs": {}},
    ],
    ids=["requires itself", "ten times", "oneOf", "anyOf", "allOf", "no such"],
)
def test_a_schema_without_an_end_has_a_form_that_can_be_used(page: Any, gate: Gate, schema: Mapping[str, Any]) -> None:
    sent = drawn(page, gate, schema)

    page.get_by_role("button", name="JSON").click()
    page.get_by_label("Arguments", exact=True).fill('{"a": 1}')

    run(page)
    assert json.loads(sent[0]) == {"arguments": {"a": 1}}
