"""What models are told before anything else: templates, each a Markdown file here with its version in front.

A change of the text is a new version. The version goes with every request as `Errand.prompt_version`, into the audit and the metrics, so
that answers before and after a change can be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from toolgate import documents

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Told:
    """What a model is told: a template, or several joined."""

    text: str
    version: str
    """Of its templates, such as `system@1+steps@1`."""


def told(*names: str) -> Told:
    """The templates called `names`, one after the other.

    Raises:
        KeyError: there is no such template.
    """
    chosen = [templates()[name] for name in names]
    return Told("\n\n".join(each.text for each in chosen), "+".join(each.version for each in chosen))


@cache
def templates() -> Mapping[str, Told]:
    """All of them, by name."""
    return MappingProxyType({file.stem: _template(file) for file in sorted(FOLDER.glob("*.md"))})


def _template(file: Path) -> Told:
    front, text = documents.front_matter(file.read_bytes(), name=file.name)
    return Told(text.strip(), f"{front['name']}@{front['version']}")
