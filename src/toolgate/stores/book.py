"""The journal as a whole, from its first record on: to be checked, and to be handed on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio

from toolgate.audit.keys import Keys
from toolgate.errors import Misconfigured
from toolgate.stores import Entry
from toolgate.stores.verify import Report, records, verify


class Book:
    def __init__(self, file: Path | None, keys: Keys) -> None:
        """
        Args:
            file: of the SQLite journal; None: it is kept in memory only.
        """
        self._file = file
        self._keys = keys
        self._one = anyio.Lock()

    @property
    def name(self) -> str:
        return self._keys.signer.verifier.name

    async def verify(self) -> Report:
        """Hold all records against the chain and this installation's checkpoints. One check at a time: it reads everything.

        Raises:
            Misconfigured: nothing is kept beyond the process.
        """
        file = self._there()
        async with self._one:
            return await anyio.to_thread.run_sync(verify, file, self._keys.signer.verifier)

    def records(self, since: int = 0) -> Iterator[Entry]:
        """The records from then on, oldest first, those of segments that are still there too.

        Args:
            since: nanoseconds since 1970.

        Raises:
            Misconfigured: nothing is kept beyond the process.
        """
        return records(self._there(), since=since)

    def _there(self) -> Path:
        if self._file is None:
            raise Misconfigured("this server keeps its audit in memory only: there is nothing to check or to hand on")
        return self._file
