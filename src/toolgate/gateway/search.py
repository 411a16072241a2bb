"""Search over the tools that are served, whoever asks.

One index for all callers: how rare a word is must not depend on who asks, and what is found is among what the caller may see
anyway. Nobody pays for it before the first search; then it is made in a thread, since a thousand tools take a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import anyio
from anyio.to_thread import run_sync

from toolgate.catalog import Catalog
from toolgate.search import Index


class Search:
    def __init__(self, served: Callable[[], Catalog]) -> None:
        self._served = served
        self._of: Catalog | None = None
        self._index = Index({})
        self._making = anyio.Lock()

    async def __call__(self, query: str, *, among: Container[str], limit: int) -> Sequence[str]:
        """The names of at most `limit` tools out of `among` that do what `query` says, best first."""
        async with self._making:
            if (catalog := self._served()) is not self._of:
                self._index = await run_sync(Index.of, catalog)
                self._of = catalog
        return self._index.search(query, limit=limit, among=among)
