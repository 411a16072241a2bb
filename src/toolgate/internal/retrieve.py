"""retrieve_context: passages of the operator's documents that say something of a question."""

from __future__ import annotations

from collections.abc import Mapping
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

    def find(self, question: str, limit: int, folder: str | None) -> tuple[list[Found], list[str]]:
        self.shelf.update(FRESH)
        names = [one.name for one in self.shelf.folders()]
        return list(self.shelf.find(question, limit=limit, folder=folder)), names


async def retrieve_context(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: there is no folder of that name, or the index cannot be read.
    """
    documents, folder = desk.backends.documents, asked.get("folder")
    assert documents is not None
    try:
        found, names = await run_sync(documents.find, asked["query"], asked.get("limit", 5), folder)
    except Misconfigured as error:
        raise Trouble("index_unreadable", str(error), status=502) from error
    if folder is not None and folder not in names:
        raise Trouble("unknown_folder", f"no folder is called so; {', '.join(names)} would work")
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
