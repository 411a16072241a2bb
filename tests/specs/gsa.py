"""What the tests of the GSA integrations read: our descriptions, operation by operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolgate import documents

SPECS = Path(__file__).resolve().parents[2] / "tool-specs"
FOLDERS = tuple(sorted(path.name for path in SPECS.glob("gsa-*")))
CREDENTIALS = {"api_key", "apikey", "x-api-key", "access_key", "authorization", "token", "password"}
"""Names of parameters that the gate fills in, in lower case."""


@dataclass(frozen=True)
class Ours:
    """One operation of our descriptions, references followed."""

    folder: str
    method: str
    path: str
    described: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> str:
        return f"{self.folder} {self.described['operationId']}"


def document(folder: str) -> Any:
    return documents.parse((SPECS / folder / "openapi.yaml").read_bytes(), name=folder)


def followed(root: Any, node: Any) -> Any:
    """`node` with every local reference in it replaced by its target."""
    if isinstance(node, list):
        return [followed(root, item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(ref := node.get("$ref"), str):
        target = root
        for part in ref.removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        return followed(root, target)
    return {key: followed(root, value) for key, value in node.items()}


def operations() -> Iterator[Ours]:
    for folder in FOLDERS:
        root = document(folder)
        for path, item in root["paths"].items():
            for method, described in item.items():
                yield Ours(folder, method, path, described, tuple(followed(root, described.get("parameters", []))))


OURS = tuple(operations())
BY_ID = {ours.id: ours for ours in OURS}
