"""What an operation that is not about one repository works with: its call, the gate, and what the operator configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toolgate.calls import Call
from toolgate.errors import Refused

if TYPE_CHECKING:
    from toolgate.gateway import Gateway
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

    jobs: Jobs
    stores: Stores
    code: Coding | None = None
    documents: Documents | None = None
    web: Web | None = None
    workflows: Workflows | None = None
    models: Models | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    """Operations that are not served, and why, in a sentence."""


@dataclass(frozen=True)
class Desk:
    call: Call
    gateway: Gateway
    backends: Backends

    async def may(self, **arguments: Any) -> bool:
        """Whether its caller may make the same call with these arguments, without anybody's yes."""
        call = self.call
        try:
            like = await self.gateway.permitted(call.tool.name, {**call.arguments, **arguments}, call.principal, parent=call)
        except Refused:
            return False
        return not like.obligations

    def seconds_left(self) -> float:
        return self.call.seconds_left()

    async def tell(self, done: float, total: float | None, sentence: str) -> None:
        """Report progress to a caller who listens."""
        if self.call.progress is not None:
            await self.call.progress(done, total, sentence)
