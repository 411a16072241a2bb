"""docs/audit.md leaves nothing out."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from toolgate.audit.event import Type
from toolgate.settings import Audit

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "audit.md").read_text()


def test_every_type_of_event_is_documented() -> None:
    assert [kind for kind in get_args(Type) if f"`{kind}`" not in PAGE] == []


def test_every_setting_is_documented_with_its_default() -> None:
    rows = {cells[1].strip(" `"): cells[2].strip(" `") for cells in (line.split("|") for line in PAGE.splitlines()) if len(cells) == 5}
    defaults = {name: field.default for name, field in Audit.model_fields.items()}

    assert {name: rows.get(name) for name in defaults} == {
        name: f"{value:g}" if isinstance(value, int | float) else value or "" for name, value in defaults.items()
    }
