"""The examples that `tools show` prints, held against the schemas of real tools."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from toolgate.cli.arguments import read_arguments, write_arguments
from toolgate.cli.example import example
from toolgate.openapi.load import Loaded, load
from toolgate.settings import bundled


def refused(loaded: Loaded) -> list[str]:
    """The tools whose example, typed in, is not what it was or would not pass the gate."""
    assert loaded.problem is None
    return [
        definition.name
        for definition in loaded.definitions
        if read_arguments(write_arguments(example(definition.schema), definition.schema), definition.schema) != example(definition.schema)
        or not jsonschema_rs.validator_for(dict(definition.schema)).is_valid(example(definition.schema))
    ]


@pytest.mark.parametrize(
    "folder", sorted(file.parent for file in bundled("tool-specs").glob("*/integration.yaml")), ids=lambda folder: folder.name
)
def test_every_bundled_tool_has_an_example_that_can_be_called(folder: Path, tmp_path: Path) -> None:
    loaded = load(folder, tmp_path)

    assert len(loaded.definitions) > 0
    assert refused(loaded) == []


@pytest.mark.specs
def test_all_but_three_tools_of_the_official_github_description_have_one(real_specs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gh"
    folder.mkdir()
    shutil.copy(real_specs / "github" / "api.github.com.json.gz", folder)
    (folder / "integration.yaml").write_text("name: gh\nspec: api.github.com.json.gz")

    loaded = load(folder, tmp_path / "state")

    assert len(loaded.definitions) == 1223
    # A digest that the description itself shortens, and the keys of two operations that must begin with a kind's name.
    assert len(refused(loaded)) == 3


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "pattern": "^20[0-9]{2}$"}, "2026"),
        ({"type": "string", "pattern": "^(?=look)ahead"}, "A"),
        ({"type": "string", "pattern": "^no such thing$"}, "A"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"enum": ["open", "closed"]}, "open"),
        ({"type": "integer", "minimum": 10}, 10),
        ({"oneOf": [{"type": "object", "properties": {"b": {"const": 1}}, "required": ["b"]}, {"type": "null"}]}, {"b": 1}),
    ],
)
def test_a_value_is_the_likeliest_that_the_schema_lets_in(schema: dict[str, Any], value: Any) -> None:
    assert example({"type": "object", "properties": {"a": schema}, "required": ["a"]}) == {"a": value}
