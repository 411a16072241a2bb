"""A gate, a script for the model, and an agent between them, for the tests of the agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolgate.agent.batch import Person, Unanswered
from toolgate.agent.drive import NOTHING_KNOWN, Known
from toolgate.agent.events import Event, Finished, Wanted
from toolgate.agent.kept import read_result
from toolgate.agent.loop import Agent
from toolgate.agent.runs import Runs, Task
from toolgate.agent.turns import Limits
from toolgate.calls import Call, Outcome, Principal, Text, Tool
from toolgate.gateway import Gateway, build_gateway
from toolgate.llm.messages import Image, Prompt, ToolResult
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Settings
from toolgate.stores import Stores
from toolgate.stores.memory import memory_stores
from toolgate.testing import Line, ScriptedProvider, a_principal

ALL = Permission(id="all", tools="*")
ADA = a_principal()


def a_policy(*delegate: Permission, developer: Sequence[Permission] = (ALL,)) -> Policy:
    """Developers may do everything; their agents what `delegate` says, or everything."""
    return Policy(
        [
            Role(role="developer", permissions=tuple(developer)),
            Role(role="delegate", permissions=delegate or (Permission(id="d", tools="*"),)),
        ]
    )


ASKS = (
    Permission(id="d.reads", tools="*", conditions=[{"field": "tool.read_only", "operator": "equals", "value": True}]),  # type: ignore[arg-type]
    Permission(id="d.writes", tools="*", obligations=("approve",)),
)
"""Reads freely; a person says yes to the rest."""


@dataclass
class Answers:
    """Answers what it is asked."""

    answer: bool | None
    asked: list[Wanted] = field(default_factory=list)

    async def __call__(self, wanted: Wanted) -> bool | None:
        self.asked.append(wanted)
        return self.answer


@dataclass
class World:
    tools: Sequence[Tool] = ()
    lines: list[Line] | Callable[[Prompt], Line] = field(default_factory=list)
    policy: Policy = field(default_factory=a_policy)
    stores: Stores = field(default_factory=memory_stores)
    settings: Settings = field(default_factory=Settings)
    known: Known = NOTHING_KNOWN
    clock: Callable[[], float] = time.time
    heard: list[Event] = field(default_factory=list)
    model: ScriptedProvider = field(init=False)
    gateway: Gateway = field(init=False)
    agent: Agent = field(init=False)

    def __post_init__(self) -> None:
        self.model = ScriptedProvider(self.lines)
        runs = Runs(self.stores, self.settings.agent.keep)
        self.gateway = build_gateway([*self.tools, read_result(runs.kept)], self.policy, self.stores, self.settings)
        self.agent = Agent(self.gateway, self.model, self.stores, self.settings, known=self.known, clock=self.clock)

    async def hear(self, event: Event) -> None:
        self.heard.append(event)

    async def run(
        self,
        text: str = "Do it",
        *,
        user: Principal = ADA,
        person: Person | None = None,
        unanswered: Unanswered = "wait",
        parent: Call | None = None,
        limits: Mapping[str, Any] | None = None,
        images: Sequence[Image] = (),
        **task: Any,
    ) -> Finished:
        asked = Task(text, limits=replace(Limits(), **(limits or {})), **task)
        return await self.agent.run(asked, user, self.hear, person=person, unanswered=unanswered, parent=parent, images=images)

    async def resume(self, id: str, **more: Any) -> Finished:
        return await self.agent.resume(id, more.pop("user", ADA), self.hear, **more)

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]


def results(prompt: Prompt) -> list[ToolResult]:
    """What the model was told of its calls."""
    return [message for message in prompt.messages if isinstance(message, ToolResult)]


def inside(result: ToolResult) -> str:
    """The result without the marks around it."""
    return "\n".join(result.text.splitlines()[1:-1])


def says(text: str) -> Callable[[Call], Any]:
    async def run(call: Call) -> Outcome:
        return Outcome((Text(text),))

    return run
