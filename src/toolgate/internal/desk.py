"""What an operation that is not about one repository works with: its call, the gate, and what the operator configured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toolgate.calls import Call, Outcome, changed
from toolgate.internal.github import CallTool
from toolgate.internal.trouble import trouble_of

if TYPE_CHECKING:
    from toolgate.internal.code import Coding
    from toolgate.internal.jobs import Jobs
    from toolgate.internal.retrieve import Documents
    from toolgate.internal.web import Web
    from toolgate.internal.workflows import Workflows
    from toolgate.llm.models import Models
    from toolgate.stores import Stores


@dataclass(frozen=True)
class Backends:
    """What our own tools stand on; None: not configured, or not to be had here."""

    code: Coding | None = None
    documents: Documents | None = None
    web: Web | None = None
    workflows: Workflows | None = None
    models: Models | None = None
    jobs: Jobs | None = None
    stores: Stores | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    """Operations that are not served, and why, in a sentence."""


@dataclass(frozen=True)
class Desk:
    call: Call
    call_tool: CallTool
    backends: Backends

    def seconds_left(self) -> float:
        return self.call.seconds_left()

    async def ask(self, tool: str, **arguments: Any) -> Outcome:
        """Call a tool through the gate, as the caller.

        Raises:
            Trouble: the gate refused, or the tool failed.
        """
        left = self.call.seconds_left()
        call = changed(self.call, deadline=time.monotonic() + left - min(1.0, left / 10))
        outcome = await self.call_tool(tool, arguments, self.call.principal, parent=call)
        if outcome.problem is not None:
            raise trouble_of(tool, outcome)
        return outcome

    async def tell(self, done: float, total: float | None, sentence: str) -> None:
        """Report progress to a caller who listens."""
        if self.call.progress is not None:
            await self.call.progress(done, total, sentence)
