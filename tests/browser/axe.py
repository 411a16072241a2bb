"""What axe-core finds wrong with a page: the checker that browsers' accessibility panels use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
SCHEMES = ("light", "dark")


def violations(page: Any, scheme: str) -> list[str]:
    """Of WCAG 2.2 A and AA and of axe's best practices: the rule, and where."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: make console")
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document)")
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found["violations"] for node in each["nodes"]]
