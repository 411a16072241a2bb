"""Link the issues of a batch: by GitHub's own blockers and sub-issues, and by mentioning each other in the text.

Only what does not stand yet is made. Where a repository offers no links of a kind (404 or 410 though both issues exist)
the text says it instead. A text is written once, after everything that it has to say is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from toolgate.internal.batch import Batch, Item, Link, related
from toolgate.internal.github import GitHub
from toolgate.internal.issue import Issue, read_issue
from toolgate.internal.mention import missing, with_mentions
from toolgate.internal.trouble import Trouble

AT_ONCE = 4  # a guess: GitHub asks for few writes at a time
WORDS = {"depends_on": "Depends on", "parent": "Part of"}
"""How a text says what could not be linked."""

Status = Literal["linked", "mentioned", "planned", "failed"]


@dataclass(frozen=True, slots=True)
class Linked:
    """How it went with one link."""

    link: Link
    status: Status
    trouble: Trouble | None = None

    def as_json(self) -> dict[str, Any]:
        error = self.trouble.as_json() if self.trouble else None
        return {"kind": self.link.kind, "to": self.link.to, "status": self.status, "error": error}


class NotOffered(Exception):
    """The repository has no links of this kind."""


@dataclass
class Linking:
    """The links of one batch."""

    github: GitHub
    batch: Batch
    issues: Mapping[str, Issue]
    """By key and by `#number`; what could not be made is absent."""
    fresh: frozenset[str]
    """Keys of issues made just now, which have no links yet."""

    def __post_init__(self) -> None:
        self._related = related(self.batch.items)
        self._at_once = anyio.CapacityLimiter(AT_ONCE)
        # GitHub numbers the parts of an issue, and refuses one of two that come at the same time.
        self._one_part_at_a_time = anyio.Lock()
        self._native: dict[str, dict[Link, Linked]] = {}
        self._texts: dict[str, Trouble | None] = {}
        """Why the text of an item does not say what it shall; None: it does."""

    async def link(self, tell: Callable[[str, int], Awaitable[None]]) -> dict[str, tuple[Linked, ...]]:
        """Make every link that can be made.

        Returns:
            How it went, by key and in the item's order; nothing for items without an issue.
        """

        async def one(item: Item, issue: Issue) -> None:
            async with self._at_once:
                await self._link_one(item, issue)
                await tell(item.key, len(self._texts))

        async with anyio.create_task_group() as tasks:
            for item in self.batch.items:
                if (issue := self.issues.get(item.key)) is not None:
                    tasks.start_soon(one, item, issue)
        return {item.key: tuple(self._ending(item, link) for link in item.links) for item in self.batch.items if item.key in self.issues}

    async def _link_one(self, item: Item, issue: Issue) -> None:
        native = self._native[item.key] = {}
        blockers: set[int] | None = None if item.key not in self.fresh else set()
        for link in item.links:
            target = self.issues.get(link.to)
            if link.kind == "related" or target is None:
                continue
            try:
                if link.kind == "parent":
                    await self._join(issue, target)
                else:
                    blockers = await self._blockers(issue) if blockers is None else blockers
                    await self._block(issue, target, blockers)
                native[link] = Linked(link, "linked")
            except NotOffered:
                native[link] = Linked(link, "mentioned")
            except Trouble as trouble:
                native[link] = Linked(link, "failed", trouble)
        self._texts[item.key] = await self._tell(item, issue)

    async def _block(self, issue: Issue, target: Issue, blockers: set[int]) -> None:
        """Make `issue` wait for `target`, unless it does."""
        if target.number in blockers:
            return
        try:
            await self.github.ask("add_issue_blocker", issue_number=issue.number, issue_id=_long(target))
        except Trouble as trouble:
            if trouble.absent:
                raise NotOffered from None
            # Somebody else may have linked them meanwhile.
            if not trouble.invalid or target.number not in await self._blockers(issue):
                raise

    async def _blockers(self, issue: Issue) -> set[int]:
        found: set[int] = set()
        try:
            async for page in self.github.pages("list_issue_blockers", issue_number=issue.number):
                issues = [read_issue(answer, "list_issue_blockers") for answer in page]
                # Blockers may stand in other repositories, under the same numbers.
                found |= {issue.number for issue in issues if self._here(issue.url)}
        except Trouble as trouble:
            if trouble.absent:
                raise NotOffered from None
            raise
        return found

    async def _join(self, issue: Issue, target: Issue) -> None:
        """Make `issue` a part of `target`, unless it is."""
        if issue.parent is None:
            try:
                async with self._one_part_at_a_time:
                    await self.github.ask("add_sub_issue", issue_number=target.number, sub_issue_id=_long(issue))
                return
            except Trouble as trouble:
                if trouble.absent:
                    raise NotOffered from None
                if not trouble.invalid:
                    raise
                issue = read_issue(await self.github.ask("get_issue", issue_number=issue.number), "get_issue")
                if issue.parent is None:
                    raise
        if not self._here(issue.parent) or issue.parent.rpartition("/")[2] != str(target.number):
            raise Trouble("other_parent", f"#{issue.number} cannot become a part of #{target.number}: it is a part of another issue")

    def _here(self, url: str) -> bool:
        return f"/{self.github.owner}/{self.github.repo}/issues/".casefold() in url.casefold()

    async def _tell(self, item: Item, issue: Issue) -> Trouble | None:
        """Make the text mention what it shall; why it does not, if so."""
        mentions = self._mentions(item)
        try:
            if not missing(issue.body, mentions):
                return None
            if item.key not in self.fresh:  # people may have edited it since the list was read
                issue = read_issue(await self.github.ask("get_issue", issue_number=issue.number), "get_issue")
            if missing(issue.body, mentions):
                await self.github.ask("update_issue", issue_number=issue.number, body=with_mentions(issue.body, mentions))
        except Trouble as trouble:
            return trouble
        return None

    def _mentions(self, item: Item) -> dict[str, list[int]]:
        targets = [self.issues.get(to) for to in self._related.get(item.key, ())]
        mentions = {"Related": [issue.number for issue in targets if issue is not None]}
        for link, linked in self._native[item.key].items():
            if linked.status == "mentioned":
                mentions.setdefault(WORDS[link.kind], []).append(self.issues[link.to].number)
        return mentions

    def _ending(self, item: Item, link: Link) -> Linked:
        if link.to not in self.issues:
            message = f"{link.to!r} has no issue to link to: it could not be made; send the same again"
            return Linked(link, "failed", Trouble("missing_target", message))
        ending = self._native[item.key].get(link, Linked(link, "linked"))
        told = self._texts[item.key]
        if link.kind == "related":
            told = told or self._texts.get(link.to)
        elif ending.status != "mentioned":
            told = None
        return Linked(link, "failed", told) if told else ending


def _long(issue: Issue) -> int:
    if issue.id is None:
        raise Trouble("upstream_failed", f"GitHub did not tell the id of #{issue.number}, by which issues are linked")
    return issue.id
