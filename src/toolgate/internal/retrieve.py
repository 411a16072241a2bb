"""retrieve_context: passages of the operator's documents that say something of a question."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync

from toolgate.errors import AuditUnavailable, Failed, Misconfigured, Refused, ToolgateError
from toolgate.internal.desk import Desk
from toolgate.internal.trouble import Trouble
from toolgate.library.shelf import Found, Shelf
from toolgate.llm.messages import Errand

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from toolgate.internal.meanings import Meanings

FRESH = 30.0  # seconds in which folders are not looked through again; a guess between stale answers and wasted looks
log = logging.getLogger("toolgate")


@dataclass
class Documents:
    shelf: Shelf
    meanings: Meanings | None
    """None: passages are found by words alone."""
    tasks: TaskGroup
    """Runs what is done beside a call."""
    _completed: float = field(default=-math.inf, init=False)
    """When passages were begun to be embedded last, or infinity while they are; monotonic seconds."""

    async def names(self) -> list[str]:
        """Of the folders, made up to date. What is new is found by its words at once, and by its meaning as soon as it is embedded."""
        await run_sync(self.shelf.update, FRESH)
        if self.meanings is not None and time.monotonic() - self._completed >= FRESH:
            self._completed = math.inf
            self.tasks.start_soon(self._complete, self.meanings)
        return [one.name for one in await run_sync(self.shelf.folders)]

    async def find(self, question: str, limit: int, folders: Sequence[str], errand: Errand) -> tuple[Sequence[Found], Sequence[str]]:
        """Passages, and what went wrong without keeping them from being found."""
        meaning, problems = None, []
        if self.meanings is not None and folders:
            try:
                meaning = await self.meanings.of(question, errand)
            except (Failed, Refused, AuditUnavailable) as error:
                problems = [f"looked for by words alone: {error}"]
        find = partial(self.shelf.find, question, limit=limit, folders=folders, meaning=meaning)
        return await run_sync(find), problems

    async def _complete(self, meanings: Meanings) -> None:
        try:
            done = await meanings.complete()
            if done.problem:
                log.warning("%d passages have no embedding yet: %s", done.missing, done.problem)
        except ToolgateError as error:  # of the index, or of the ledger; the next call says so too
            log.warning("no passages were embedded: %s", error)
        finally:
            self._completed = time.monotonic()


async def retrieve_context(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Passages of the folder that is named, or of all those that the policy would let the caller name.

    Raises:
        Trouble: there is no folder of that name, or the index cannot be read.
    """
    documents, folder = desk.backends.documents, asked.get("folder")
    assert documents is not None
    try:
        names = await documents.names()
        # A folder that was named has passed the gate already.
        wanted = [name for name in names if name == folder or (folder is None and await desk.may(folder=name))]
        if folder is not None and not wanted:
            others = [name for name in names if await desk.may(folder=name)]
            raise Trouble("unknown_folder", f"no folder is called so; {', '.join(others) or 'none'} would work")
        errand = Errand(desk.call.principal, phase=desk.call.tool.name, run=desk.call.session or "")
        found, problems = await documents.find(asked["query"], asked.get("limit", 5), wanted, errand)
    except Misconfigured as error:
        raise Trouble("index_unreadable", str(error), status=502) from error
    return {
        "passages": [
            {
                "source": f"{one.folder}/{one.path}",
                "start": one.start,
                "end": one.end,
                "heading": one.heading,
                "text": one.text,
                "score": round(one.score, 4),
            }
            for one in found
        ],
        **({"problems": problems} if problems else {}),
    }
