from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolgate.errors import BadDocument
from toolgate.openapi.bundle import no_files, refers_outward
from toolgate.openapi.folder import files_of
from toolgate.openapi.read import Document, read_document
from toolgate.openapi.resolve import Dangling, Resolver


def read(folder: Path, schema: Any, **files: Any) -> Document:
    """A description with one schema X, and the given files (`__` is `/`, `_` is `.`) beside it."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    root = {"openapi": "3.1.0", "info": {}, "paths": {}, "components": {"schemas": {"X": schema, "Y": {"type": "null"}}}}
    return read_document(json.dumps(root).encode(), name="api.json", files=files_of(folder))


def target(document: Document) -> Any:
    return Resolver(document.root).deref(document.root["components"]["schemas"]["X"])[0]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("pet.json", {"type": "object", "properties": {"a": {"$ref": "#/x-files/sub~1deep.json/B"}}}),
        ("./pet.json", {"type": "object", "properties": {"a": {"$ref": "#/x-files/sub~1deep.json/B"}}}),
        ("pet.json#/properties", {"a": {"$ref": "#/x-files/sub~1deep.json/B"}}),
        ("sub/deep.json#/B", {"type": "string"}),
        ("sub/../sub/deep.json#/B", {"type": "string"}),
        ("sub/deep%2Ejson#/B", {"type": "string"}),
        ("sub/deep.json#/C", {"type": "string"}),  # through its own `#/B`
        ("sub/deep.json#/D", {"type": "null"}),  # back to the description
        ("api.json#/components/schemas/Y", {"type": "null"}),
    ],
)
def test_a_reference_to_a_file_becomes_a_local_one(tmp_path: Path, reference: str, found: Any) -> None:
    deep = {"B": {"type": "string"}, "C": {"$ref": "#/B"}, "D": {"$ref": "../api.json#/components/schemas/Y"}}
    pet = {"type": "object", "properties": {"a": {"$ref": "sub/deep.json#/B"}}}

    document = read(tmp_path, {"$ref": reference}, pet_json=pet, sub__deep_json=deep)

    assert document.diagnostics == ()
    assert target(document) == found


@pytest.mark.parametrize("own", ["https://x.example/v1/api.json", "https://x.example/v1/other"])
def test_a_description_refers_to_itself_by_the_uri_that_it_gives_itself(own: str) -> None:
    schemas = {
        "X": {"$ref": f"{own}#/components/schemas/Y"},
        "Z": {"$ref": f"{own.rpartition('/')[2]}#/components/schemas/Y"},
        "Y": {"type": "null"},
    }
    root = {"openapi": "3.2.0", "$self": own, "info": {}, "paths": {}, "components": {"schemas": schemas}}

    document = read_document(json.dumps(root).encode(), name="api.json")

    resolver = Resolver(document.root)
    assert document.diagnostics == ()
    assert [resolver.deref(document.root["components"]["schemas"][name])[0] for name in "XZ"] == [{"type": "null"}, {"type": "null"}]


@pytest.mark.parametrize("reference", ["http://[x", "//[y/z#/a", "http://a]b/"])
def test_what_is_no_reference_costs_its_place_and_no_more(tmp_path: Path, reference: str) -> None:
    document = read(tmp_path, {"$ref": reference})

    assert [one.code for one in document.diagnostics] == ["bad-reference"]
    with pytest.raises(Dangling):
        target(document)


def test_links_in_a_circle_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "loop.json").symlink_to("loop.json")

    assert [one.code for one in read(tmp_path, {"$ref": "loop.json"}).diagnostics] == ["unreadable-file"]


def test_files_that_refer_to_each_other_are_read_once(tmp_path: Path) -> None:
    document = read(tmp_path, {"$ref": "a.json"}, a_json={"properties": {"b": {"$ref": "b.json"}}}, b_json={"items": {"$ref": "a.json"}})

    assert document.diagnostics == ()
    assert document.root["x-files"] == {
        "a.json": {"properties": {"b": {"$ref": "#/x-files/b.json"}}},
        "b.json": {"items": {"$ref": "#/x-files/a.json"}},
    }


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("https://example.com/pet.json", "remote-reference"),
        ("//example.com/pet.json", "remote-reference"),
        ("file:///etc/passwd", "remote-reference"),
        ("/etc/passwd", "outside-reference"),
        ("../secret.json", "outside-reference"),
        ("sub/../../secret.json", "outside-reference"),
        ("%2e%2e/secret.json", "outside-reference"),
        ("..\\secret.json", "outside-reference"),
        ("nowhere.json", "missing-file"),
        ("sub", "missing-file"),
        ("link.json", "unreadable-file"),
        ("sub/out/secret.json", "unreadable-file"),
        ("broken.json", "unreadable-file"),
        ("a\0b", "outside-reference"),
        ("sub/deep.json#anchor", "anchor-in-file"),
    ],
)
def test_a_reference_to_elsewhere_is_told_and_left_to_dangle(tmp_path: Path, reference: str, code: str) -> None:
    (tmp_path / "secret.json").write_text('{"secret": true}')
    folder = tmp_path / "integration"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    (folder / "sub" / "out").symlink_to(tmp_path)
    (folder / "broken.json").write_text("a: [")

    document = read(folder, {"$ref": reference}, sub__deep_json={"$anchor": "anchor"})

    assert [(finding.level, finding.code, finding.pointer) for finding in document.diagnostics] == [
        ("warning", code, "/components/schemas/X")
    ]
    assert "secret" not in json.dumps({key: value for key, value in document.root.items() if key == "x-files"})
    with pytest.raises(Dangling):
        target(document)


def test_what_looks_like_a_reference_inside_data_is_data(tmp_path: Path) -> None:
    schema = {
        "examples": [{"$ref": "nowhere.json"}],
        "enum": [{"$ref": "nowhere.json"}],
        "properties": {"$ref": {"type": "string"}, "default": {"$ref": "pet.json"}},
    }

    document = read(tmp_path, schema, pet_json={"type": "object"})

    assert document.diagnostics == ()
    assert document.root["components"]["schemas"]["X"] == {
        **schema,
        "properties": {"$ref": {"type": "string"}, "default": {"$ref": "#/x-files/pet.json"}},
    }


def test_no_more_than_two_hundred_files_are_read(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.json").write_text(json.dumps({"$ref": f"{number + 1}.json"}))

    document = read(tmp_path, {"$ref": "0.json"})

    assert len(document.root["x-files"]) == 200
    assert [finding.code for finding in document.diagnostics] == ["too-many-files"]


def test_a_folder_gives_what_it_has_and_nothing_above(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a.json").write_bytes(b"{}")
    files = files_of(tmp_path / "inside")

    assert (files("a.json"), files("b.json"), files("."), no_files("a.json")) == (b"{}", None, None, None)
    with pytest.raises(BadDocument, match="leads out"):
        files("../inside-out.json")


@pytest.mark.parametrize(
    ("text", "outward"),
    [
        ('{"$ref": "#/a"}', False),
        ("$ref: '#/a'", False),
        ('{"$ref":"a.json"}', True),
        ("$ref: a.yaml#/b", True),
        ("$ref:\n  a.yaml", True),
        ("'$ref' : \"a.yaml\"", True),
    ],
)
def test_a_look_at_the_text_tells_whether_it_refers_outward(text: str, outward: bool) -> None:
    assert refers_outward(text.encode()) is outward
