from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from toolgate.errors import BadDocument
from toolgate.openapi.read import Document, read_document
from toolgate.openapi.repair import ENTRY

DESCRIPTION = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {}}


def read(text: str | dict[str, Any], **more: Any) -> Document:
    return read_document((text if isinstance(text, str) else json.dumps(text)).encode(), name="api.yaml", **more)


def codes(document: Document) -> list[str]:
    return [finding.code for finding in document.diagnostics]


def test_a_sound_description_is_read_as_it_is() -> None:
    assert read(DESCRIPTION) == Document(DESCRIPTION, "3.1", ())
    assert read_document(gzip.compress(json.dumps(DESCRIPTION).encode()), name="api.json.gz") == Document(DESCRIPTION, "3.1", ())


@pytest.mark.parametrize(
    ("said", "version", "found"),
    [
        ("swagger: '2.0'", "2.0", []),
        ("swagger: 2.0", "2.0", ["version-not-text"]),
        ("swagger: 2", "2.0", ["version-not-text"]),
        ("openapi: 3.0.4", "3.0", []),
        ("openapi: 3.0", "3.0", ["version-not-text"]),
        ("openapi: 3.1.2", "3.1", []),
        ("openapi: 3.2.0", "3.2", []),
        ("openapi: 3.7.0", "3.2", ["unknown-version"]),
        ("openapi: 4.0.0", "3.2", ["unknown-version"]),
    ],
)
def test_the_version_is_known(said: str, version: str, found: list[str]) -> None:
    document = read(f"{said}\ninfo: {{title: t, version: '1'}}\npaths: {{}}")

    assert (document.version, codes(document)) == (version, found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing and not a mapping"),
        ("- a", "a list and not a mapping"),
        ("just words", "text and not a mapping"),
        ("asyncapi: 3.0.0", "neither `openapi` nor `swagger`"),
        ("swagger: '1.2'", "swagger 1.2"),
        ("openapi: soon", "openapi soon"),
        ("paths: {}", "fragment: true"),
        ("/pets: {get: {}}", "fragment: true"),
        ("a: [", "neither JSON nor YAML"),
    ],
)
def test_what_is_no_description_is_refused_with_a_reason(text: str, says: str) -> None:
    with pytest.raises(BadDocument, match=r"^api\.yaml") as refused:
        read(text)

    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "root", "version"),
    [
        ("/pets: {get: {produces: [a/b]}}", {"swagger": "2.0", "paths": {"/pets": {"get": {"produces": ["a/b"]}}}}, "2.0"),
        ("/pets: {}\ndefinitions: {A: {}}", {"swagger": "2.0", "paths": {"/pets": {}}, "definitions": {"A": {}}}, "2.0"),
        (
            "/pets: {get: {parameters: [{name: a, in: query, type: string}]}}",
            {"swagger": "2.0", "paths": {"/pets": {"get": {"parameters": [{"name": "a", "in": "query", "type": "string"}]}}}},
            "2.0",
        ),
        ("paths: {/pets: {get: {}}}", {"openapi": "3.0.3", "paths": {"/pets": {"get": {}}}}, "3.0"),
        ("paths: {/a: {}}\n/b: {}\ncomponents: {}", {"openapi": "3.0.3", "paths": {"/a": {}, "/b": {}}, "components": {}}, "3.0"),
    ],
)
def test_a_fragment_is_wrapped_when_the_integration_says_so(text: str, root: dict[str, Any], version: str) -> None:
    document = read(text, fragment=True)

    assert document.root == {**root, "info": {"title": "api.yaml", "version": ""}}
    assert (document.version, codes(document)) == (version, ["wrapped-fragment", "no-info"])


def test_a_whole_description_may_be_called_a_fragment_and_nothing_may_not() -> None:
    assert read(DESCRIPTION, fragment=True) == Document(DESCRIPTION, "3.1", ())
    with pytest.raises(BadDocument, match="neither `paths`"):
        read("get: {}", fragment=True)


@pytest.mark.parametrize(
    ("text", "root", "found"),
    [
        ("openapi: 3.1.0\ninfo: {title: 1, version: 2.0}\npaths: {}", {"info": {"title": "1", "version": "2.0"}}, ["info-not-text"] * 2),
        ("openapi: 3.1.0\npaths: {}", {"info": {"title": "api.yaml", "version": ""}}, ["no-info"]),
        ("openapi: 3.1.0\ninfo: []\npaths: {}", {"info": {"title": "api.yaml", "version": ""}}, ["no-info"]),
        ("openapi: 3.1.0\ninfo: {}", {"info": {}, "paths": {}}, ["no-paths"]),
        ("openapi: 3.1.0\ninfo: {}\npaths: [a]", {"info": {}, "paths": {}}, ["no-paths"]),
    ],
)
def test_what_the_root_lacks_is_added(text: str, root: dict[str, Any], found: list[str]) -> None:
    document = read(text)

    assert document.root == {"openapi": "3.1.0", "paths": {}, **root}
    assert codes(document) == found


@pytest.mark.parametrize(
    ("text", "value", "says"),
    [
        ("host: ***REMOVED***", {"host": "***REMOVED***"}, ["line 3: the value is quoted now"]),
        ("a: *.example.com\nb: {c: 1}", {"a": "*.example.com", "b": {"c": 1}}, ["line 3: the value is quoted now"]),
        ("a: @home\nb: `code`", {"a": "@home", "b": "`code`"}, ["line 3: the value is quoted now", "line 4: the value is quoted now"]),
        ("a: see: this", {"a": "see: this"}, ["line 3: the value is quoted now"]),
        ('a:\n  - one: two: "three"', {"a": [{"one": 'two: "three"'}]}, ["line 4: the value is quoted now"]),
        ("a:\n  /pets\n    get: {}", {"a": {"/pets": {"get": {}}}}, ["line 4: a path without its colon"]),
        ("a:\n\tb: 1", {"a": {"b": 1}}, ["line 4: tabs"]),
    ],
)
def test_text_that_is_not_quite_yaml_is_mended_and_told(text: str, value: Any, says: list[str]) -> None:
    document = read(f"openapi: 3.1.0\nx-here:\n{text}\ninfo: {{}}\npaths: {{}}".replace("x-here:\n", "# mended below\n"))

    assert document.root == {"openapi": "3.1.0", **value, "info": {}, "paths": {}}
    assert [(finding.level, finding.code) for finding in document.diagnostics] == [("info", "mended-text")] * len(says)
    assert all(said in finding.message for said, finding in zip(says, document.diagnostics, strict=True))


def test_a_block_of_text_that_looks_broken_is_left_alone() -> None:
    document = read("openapi: 3.1.0\ninfo:\n  description: |\n    /a/path\n    host: ***X***\n  title: ***Y***\npaths: {}")

    assert document.root["info"] == {"description": "/a/path\nhost: ***X***\n", "title": "***Y***"}


def test_a_file_in_windows_1252_is_read() -> None:
    document = read_document("openapi: 3.1.0\ninfo: {title: Café}\npaths: {}".encode("cp1252"), name="api.yaml")

    assert document.root["info"]["title"] == "Café"
    assert codes(document) == ["mended-text"]


def test_json_with_halves_of_surrogate_pairs_is_read() -> None:
    data = rb'{"openapi": "3.1.0", "info": {"title": "a\ud83d", "x": "\ud83d\ude00\udE00", "y": "\\ud800", "z": "\u00e9"}, "paths": {}}'

    document = read_document(data, name="api.json")

    assert document.root["info"] == {"title": "a\ufffd", "x": "\U0001f600\ufffd", "y": r"\ud800", "z": "\u00e9"}
    assert codes(document) == ["mended-text"]


def test_what_no_repair_explains_is_refused_with_the_first_complaint() -> None:
    with pytest.raises(BadDocument, match=r"mapping values are not allowed in this context \(line 1\)"):
        read("a: b: c\nd: [\n")


def test_overlays_apply_in_order_before_the_version_is_known() -> None:
    first = b"overlay: 1.1.0\nactions: [{target: $, update: {servers: [{url: https://a.example}]}}]"
    second = b"overlay: 1.1.0\nactions: [{target: '$.servers[0].url', update: https://b.example}, {target: $.nothing, remove: true}]"

    document = read("/pets: {get: {}}", fragment=True, overlays=[first, second])

    assert document.root["servers"] == [{"url": "https://b.example"}]
    assert [finding.message for finding in document.diagnostics if "overlay" in finding.code] == [
        "action 2 of overlay 2 of api.yaml changes nothing: $.nothing selects no node"
    ]


def test_an_overlay_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(BadDocument, match=r"overlay 1 of api\.yaml"):
        read(DESCRIPTION, overlays=[b"a: ["])


@pytest.mark.parametrize("filling", ["- ", "a", " ", "a: ", "'a", "-", ": "])
def test_a_line_made_to_be_mended_for_hours_is_given_up_at_once(filling: str) -> None:
    line = filling * (500_000 // len(filling))  # a reading that is quadratic in it would not end today

    found = ENTRY.match(line)

    assert found is None or found["before"] + found["value"] == line
