"""GitHub as the caller may use it: tools called through the gate as the same principal, one level deeper."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from toolgate.calls import UNSET, Call, Outcome, changed
from toolgate.internal.trouble import Trouble, trouble_of

if TYPE_CHECKING:
    from toolgate.gateway import Gateway

PREFIX = "github_"
PAGE = 100  # the most that GitHub gives a page
PAGES = 20
"""The most that is read of a list: its first 2,000 entries."""
ANSWER_SECONDS = 5.0  # a guess: what is kept back of the call's time to tell how far it came; a tenth of it at most


class GitHub:
    """One repository, on behalf of one call.

    Once a limit, the budget or the time is used up, nothing is sent any more: every further question is answered alike.
    """

    def __init__(self, gateway: Gateway, call: Call, owner: str, repo: str) -> None:
        left = call.seconds_left()
        self._gateway = gateway
        self._call = changed(call, deadline=time.monotonic() + left - min(ANSWER_SECONDS, left / 10))
        self._halt: Trouble | None = None
        self.owner = owner
        self.repo = repo

    def seconds_left(self) -> float:
        """Seconds in which tools may still be called."""
        return self._call.seconds_left()

    async def ask(self, tool: str, **arguments: Any) -> Any:
        """Call `github_TOOL` on the repository; its answer as a JSON value, None when it is empty.

        Raises:
            Trouble: the gate refused the call, it failed, or it was not made because others already showed that it cannot work now.
        """
        outcome = await self._outcome(tool, arguments)
        return None if outcome.structured is UNSET else outcome.structured

    async def pages(self, tool: str, *, first: int = 1, most: int = PAGES, **arguments: Any) -> AsyncIterator[list[Any]]:
        """At most `most` pages of a list, from page `first` on. Raises Trouble as `ask` does."""
        for page in range(first, first + most):
            outcome = await self._outcome(tool, {**arguments, "per_page": PAGE, "page": page})
            if not isinstance(outcome.structured, list):
                raise odd(tool, "a list")
            yield outcome.structured
            # Pages are counted and not followed: of GitHub's links, those with cursors cannot be read back into arguments.
            if len(outcome.structured) < PAGE and "next" not in outcome.meta:
                return

    async def tell(self, done: float, total: float, sentence: str) -> None:
        """Report progress to a caller who listens."""
        if self._call.progress is not None:
            await self._call.progress(done, total, sentence)

    async def _outcome(self, tool: str, arguments: Mapping[str, Any]) -> Outcome:
        if self._halt is not None:
            raise _not_tried(self._halt)
        if self.seconds_left() <= 0:
            raise out_of_time()
        name = PREFIX + tool
        asked = {"owner": self.owner, "repo": self.repo, **arguments}
        outcome = await self._gateway.call(name, asked, self._call.principal, parent=self._call)
        if outcome.problem is None:
            return outcome
        trouble = trouble_of(name, outcome)
        if trouble.halts:
            self._halt = trouble
        raise trouble


def odd(tool: str, wanted: str) -> Trouble:
    """GitHub said yes, and then not what it always says."""
    return Trouble("upstream_failed", f"{PREFIX}{tool} did not answer with {wanted}", status=HTTPStatus.BAD_GATEWAY, tool=PREFIX + tool)


def out_of_time() -> Trouble:
    return Trouble(
        "out_of_time", "the time of this call was used up first; send the same again", status=HTTPStatus.BAD_GATEWAY, tried=False
    )


def _not_tried(halt: Trouble) -> Trouble:
    message = f"not tried, after {halt.tool} had said: {halt.message}"
    return Trouble(halt.code, message, status=halt.status, tool=halt.tool, retry_after=halt.retry_after, tried=False)
