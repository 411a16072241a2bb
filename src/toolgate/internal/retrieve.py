"""retrieve_context: passages of the operator's documents that say something of a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync

from toolgate.errors import Misconfigured
from toolgate.internal.desk import Desk
from toolgate.internal.trouble import Trouble
from toolgate.library.shelf import Found, Shelf

FRESH = 30.0  # seconds in which folders are not looked through again; a guess between stale answers and wasted looks


@dataclass(frozen=True)
class Documents:
    shelf: Shelf

    def names(self) -> list[str]:
        """Of the folders, made up to date."""
        self.shelf.update(FRESH)
        return [one.name for one in self.shelf.folders()]

    def find(self, question: str, limit: int, folders: Sequence[str]) -> Sequence[Found]:
        return self.shelf.find(question, limit=limit, folders=folders)


async def retrieve_context(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Passages of the folder that is named, or of all those that the policy would let the caller name.

    Raises:
        Trouble: there is no folder of that name, or the index cannot be read.
    """
    documents, folder = desk.backends.documents, asked.get("folder")
    assert documents is not None
    try:
        names = await run_sync(documents.names)
        # A folder that was named has passed the gate already.
        wanted = [name for name in names if name == folder or (folder is None and await desk.may(folder=name))]
        if folder is not None and not wanted:
            others = [name for name in names if await desk.may(folder=name)]
            raise Trouble("unknown_folder", f"no folder is called so; {', '.join(others) or 'none'} would work")
        found = await run_sync(documents.find, asked["query"], asked.get("limit", 5), wanted)
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
                "score": round(one.score, 3),
            }
            for one in found
        ]
    }
