"""The policy in force. It is replaced whole, never changed: whoever takes `current` once decides by one policy.

A changed folder is loaded once it has been the same for two looks, so that no file is read half written, and again only
when it has changed again. What cannot be loaded, or decides one of its own tests wrongly, leaves what is in force.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

import anyio

from toolgate.errors import AuditUnavailable, Misconfigured
from toolgate.policy.load import load_tested
from toolgate.policy.rules import Policy
from toolgate.policy.tiers import Tier

log = logging.getLogger("toolgate")

LOOK_SECONDS = 1.0  # a look at the bundled folder takes 0.1 ms
Tell = Callable[[Literal["policy.changed", "policy.failed"], Mapping[str, Any]], Awaitable[Any]]
"""Writes an event down; raises AuditUnavailable when it cannot."""
Stamp = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of each file: equal when nothing was changed."""


class Live:
    def __init__(self, policy: Policy, candidate: Policy | None = None) -> None:
        self.current = policy
        """Take it once a call."""
        self.candidate = candidate
        """Decides beside it, to be seen in the audit and nowhere else."""

    def tier(self, name: str) -> Tier:
        """What the tier may use now."""
        return self.current.tier(name)


class Looking(Protocol):
    async def look(self) -> None: ...


class Watch:
    """A folder, and the place in `live` that it fills."""

    def __init__(self, live: Live, folder: Path, tell: Tell, place: Literal["current", "candidate"] = "current") -> None:
        self._live, self._folder, self._tell, self._place = live, folder, tell, place
        self._done = self._seen = stamp(folder)

    async def look(self) -> None:
        """Take over what has changed, once it has settled."""
        now = stamp(self._folder)
        settled, self._seen = now == self._seen, now
        if not settled or now == self._done:
            return
        try:
            await self._take(now)
        except AuditUnavailable as error:  # a policy that nobody will read of is not put in force; the next look tries again
            log.warning("the policy of %s is not taken over: %s", self._folder, error)

    async def _take(self, now: Stamp) -> None:
        before: Policy | None = getattr(self._live, self._place)
        told: dict[str, Any] = {"place": self._place, "before": before.digest if before else None}
        try:
            policy = await anyio.to_thread.run_sync(load_tested, self._folder)
        except (Misconfigured, OSError) as error:
            log.warning("the policy of %s cannot be used, the one before stays: %s", self._folder, error)
            await self._tell("policy.failed", {**told, "problem": str(error)})
            self._done = now
            return
        if stamp(self._folder) != now:  # it was changed while it was read
            return
        if before is None or policy.digest != before.digest:
            await self._tell("policy.changed", {**told, "after": policy.digest})
            setattr(self._live, self._place, policy)
            log.info("the policy of %s is in force: %s", self._folder, policy.digest[:12])
        self._done = now


@asynccontextmanager
async def watching(*watches: Looking, seconds: float = LOOK_SECONDS) -> AsyncIterator[None]:
    """Look at each every `seconds`, as long as the block runs."""

    async def looks() -> None:
        while True:
            await asyncio.sleep(seconds)
            for watch in watches:
                await watch.look()

    task = asyncio.create_task(looks())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def candidate_of(folder: Path | None) -> Policy | None:
    """The policy to try beside the one in force; one that cannot be used is reported and left out."""
    if folder is None:
        return None
    try:
        return load_tested(folder)
    except Misconfigured as error:
        log.warning("the candidate policy of %s is not tried: %s", folder, error)
        return None


def stamp(folder: Path, files: str = "**/*.yaml") -> Stamp:
    """What `folder` holds now of `files`, a glob, without reading them."""
    found = []
    for file in sorted(folder.glob(files)):
        with suppress(FileNotFoundError):
            status = file.stat()
            found.append((str(file.relative_to(folder)), status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
