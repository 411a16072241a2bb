"""An issue as GitHub's tools give it, read into what we use of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolgate.internal.github import odd
from toolgate.internal.marker import Marker, marker_in


@dataclass(frozen=True, slots=True)
class Issue:
    number: int
    """The one after #."""
    id: int | None
    """The long one, by which issues are linked."""
    url: str
    title: str = ""
    body: str = ""
    state: str = "open"
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    milestone: int | None = None
    parent: str | None = None
    """The API's URL of the issue that this one is a part of."""
    said: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The whole answer."""

    @property
    def marker(self) -> Marker | None:
        return marker_in(self.body)


def read_issue(answer: Any, tool: str) -> Issue:
    """
    Raises:
        Trouble: `answer`, which `tool` gave, is no issue.
    """
    try:
        return Issue(
            number=int(answer["number"]),
            id=answer.get("id"),
            url=str(answer["html_url"]),
            title=answer.get("title") or "",
            body=answer.get("body") or "",
            state=answer.get("state") or "open",
            labels=tuple(label if isinstance(label, str) else label["name"] for label in answer.get("labels") or ()),
            assignees=tuple(user["login"] for user in answer.get("assignees") or ()),
            milestone=(answer.get("milestone") or {}).get("number"),
            parent=answer.get("parent_issue_url"),
            said=answer,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise odd(tool, "an issue") from None


def is_pull_request(answer: Any) -> bool:
    """Whether an entry of a list of issues is a pull request: GitHub mixes them in."""
    return isinstance(answer, Mapping) and bool(answer.get("pull_request"))


def folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}  # labels and logins differ in more than case


def without(names: Iterable[str], others: Iterable[str]) -> list[str]:
    gone = folded(others)
    return [name for name in names if name.casefold() not in gone]
