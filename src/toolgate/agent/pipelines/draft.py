"""Issues as a model drafts them for a specification, read and checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from toolgate.agent.output import read

KEY = "^[a-z0-9][a-z0-9-]{0,48}$"
MOST = 40
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "summary": {"type": "string", "description": "The feature in one or two sentences"},
        "issues": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST,
            "items": {
                "type": "object",
                "properties": {
                    "key": {"type": "string", "pattern": KEY, "description": "Short and stable, such as login-form"},
                    "title": {"type": "string", "minLength": 3, "maxLength": 200, "pattern": "^[^\\r\\n]+$"},
                    "body": {"type": "string", "description": "Markdown: what and why, without the acceptance criteria"},
                    "acceptance": {"type": "array", "minItems": 1, "items": {"type": "string"}, "description": "Each can be checked"},
                    "labels": {
                        "type": "array",
                        "maxItems": 10,
                        "items": {"type": "string", "minLength": 1, "maxLength": 50, "pattern": "^[^,]+$"},
                    },
                    "depends_on": {
                        "type": "array",
                        "maxItems": 20,
                        "items": {"type": "string"},
                        "description": "Keys of issues done before",
                    },
                },
                "required": ["key", "title", "body", "acceptance", "labels", "depends_on"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["summary", "issues"],
    "additionalProperties": False,
}
TRACKING = "tracking"
HEADING = re.compile(r"^#{2,3} +(.+?) *#*$", re.MULTILINE)
BULLET = re.compile(r"^[-*] +(?:\[[ x]\] +)?(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Drafted:
    """One issue to be."""

    key: str
    title: str
    body: str
    acceptance: tuple[str, ...]
    labels: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The issue's text."""
        criteria = "\n".join(f"- [ ] {one}" for one in self.acceptance)
        return f"{self.body.strip()}\n\n## Acceptance criteria\n\n{criteria}\n".lstrip()


@dataclass(frozen=True, slots=True)
class Draft:
    summary: str
    issues: tuple[Drafted, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def batch(self, name: str, tracking: str | None) -> list[dict[str, Any]]:
        """The `issues` of `internal_create_issues`.

        Args:
            tracking: the title of an issue that all others are parts of; None: there is none.
        """
        parts = [
            {
                "key": one.key,
                "title": one.title,
                "body": one.text,
                "labels": list(dict.fromkeys(one.labels)),
                "depends_on": list(dict.fromkeys(one.depends_on)),
                **({"parent": TRACKING} if tracking else {}),
            }
            for one in self.issues
        ]
        whole = {"key": TRACKING, "title": tracking, "body": f"{self.summary}\n\nMade from the specification `{name}`."}
        return [whole, *parts] if tracking else parts


def read_draft(text: str) -> Draft | str:
    """The draft that `text` is, or what is wrong with it."""
    value, wrong = read(text, SCHEMA)
    return wrong or _checked(from_json(value))


def from_json(value: Mapping[str, Any]) -> Draft:
    """The draft that `to_json` told."""
    return Draft(value["summary"], tuple(_drafted(one) for one in value["issues"]))


def _drafted(one: Mapping[str, Any]) -> Drafted:
    lists = {name: tuple(one[name]) for name in ("acceptance", "labels", "depends_on")}
    return Drafted(one["key"], one["title"], one["body"], **lists)


def _checked(draft: Draft) -> Draft | str:
    keys = [one.key for one in draft.issues]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        return f"the keys {', '.join(twice)} stand twice"
    if TRACKING in keys:
        return f"{TRACKING} is no key for an issue of yours; an issue that tracks all others is made for you"
    if unknown := sorted({to for one in draft.issues for to in one.depends_on} - set(keys)):
        return f"depends_on names {', '.join(unknown)}, which no issue has as its key"
    try:
        TopologicalSorter({one.key: one.depends_on for one in draft.issues}).prepare()
    except CycleError as error:
        return f"these wait for each other in a circle: {' → '.join(error.args[1])}"
    return draft


def outline(text: str) -> Draft:
    """What can be drafted without understanding: an issue for each part of the specification, its list as acceptance criteria.

    For the scripted provider, which asks no model; each part waits for the one before.
    """
    title = heading(text, "the specification")
    pieces = HEADING.split(text)
    parts: Sequence[tuple[str, str]] = list(zip(pieces[1::2], pieces[2::2], strict=False)) or [(title, text)]
    issues: list[Drafted] = []
    for head, body in parts[:MOST]:
        name = " ".join(head.split()) if len(" ".join(head.split())) > 2 else f"Part {len(issues) + 1} {head}".strip()
        key = _key(name, {one.key for one in issues})
        criteria = tuple(match.strip() for match in BULLET.findall(body)) or (f"{name} is as the specification says",)
        said = BULLET.sub("", body).strip()
        before = (issues[-1].key,) if issues else ()
        issues.append(Drafted(key, name[:200], said, criteria, ("specification",), before))
    return Draft(f"[scripted: no language model was asked] {title}, part by part", tuple(issues))


def heading(text: str, otherwise: str) -> str:
    """The first heading of a specification."""
    return next((line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("# ")), otherwise)


def _key(name: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "part"
    base = f"{base}-part" if base == TRACKING else base
    return next(key for number in range(1, MOST + 2) if (key := base if number == 1 else f"{base}-{number}") not in taken)
