"""Public fakes: small working objects for tests of Toolgate and of what is built on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolgate.calls import Annotations, Call, Outcome, Principal, Text, Tool

READS = Annotations(read_only=True, destructive=False, idempotent=True)
WRITES = Annotations()
OPEN: dict[str, Any] = {"type": "object"}


@dataclass
class FakeClock:
    """A clock that stands still until `now` is moved."""

    now: float = 0.0
    """Seconds."""

    def __call__(self) -> float:
        return self.now


@dataclass
class Echo:
    """A handler that remembers its calls and answers with their arguments."""

    seen: list[Call] = field(default_factory=list)

    async def __call__(self, call: Call) -> Outcome:
        self.seen.append(call)
        return Outcome(content=(Text(f"{call.tool.name} was called"),), structured=dict(call.arguments))


def a_principal(*roles: str, id: str = "local:ada") -> Principal:  # noqa: A002  # the field's name
    return Principal(id=id, roles=roles or ("developer",), tier="pro", via="terminal")


def a_tool(run: Any = None, *, name: str = "echo", reads: bool = True, schema: Mapping[str, Any] | None = None, **more: Any) -> Tool:
    """A tool that echoes unless `run` says otherwise, and takes any arguments unless `schema` does."""
    return Tool(
        name=name,
        description=more.pop("description", f"Echo as {name}."),
        schema=dict(schema) if schema is not None else OPEN,
        run=run or Echo(),
        annotations=READS if reads else WRITES,
        **more,
    )


def a_call(tool: Tool | None = None, arguments: Mapping[str, Any] | None = None, principal: Principal | None = None, **more: Any) -> Call:
    return Call(tool=tool or a_tool(), arguments=arguments or {}, principal=principal or a_principal(), **more)
