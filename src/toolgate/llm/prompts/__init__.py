"""What models are told before anything else: templates, each a Markdown file here with its version in front.

A change of the text is a new version. The version goes with every request as `Errand.prompt_version`, into the audit and the metrics, so
that answers before and after a change can be told apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from toolgate import documents

PLACE = re.compile(r"\{\{(\w+)\}\}")
FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places such as `{{user}}`."""

    name: str
    version: int
    text: str

    @property
    def id(self) -> str:
        """`system@3`."""
        return f"{self.name}@{self.version}"

    @property
    def places(self) -> frozenset[str]:
        return frozenset(PLACE.findall(self.text))

    def filled(self, **values: object) -> str:
        """The text with `values` in their places, in one pass, so that a value that looks like a place stays what it is.

        Raises:
            KeyError: a place has no value.
        """
        return PLACE.sub(lambda place: str(values[place[1]]), self.text)


@dataclass(frozen=True, slots=True)
class Told:
    """Templates, filled and joined: what a model is told, and which versions that are."""

    text: str
    version: str
    """Such as `system@1+steps@1`."""


def told(*names: str, **values: object) -> Told:
    """The templates called `names`, one after the other.

    Raises:
        KeyError: there is no such template, or a place has no value.
    """
    chosen = [templates()[name] for name in names]
    return Told("\n\n".join(each.filled(**values) for each in chosen), "+".join(each.id for each in chosen))


@cache
def templates() -> Mapping[str, Template]:
    """All of them, by name."""
    return MappingProxyType({file.stem: _template(file) for file in sorted(FOLDER.glob("*.md"))})


def _template(file: Path) -> Template:
    front, text = documents.front_matter(file.read_bytes(), name=file.name)
    return Template(front["name"], front["version"], text.strip())
