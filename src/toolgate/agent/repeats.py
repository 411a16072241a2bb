"""Whether a run goes in circles: the same call with the same result, the same error, or two calls in turn, again and again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolgate.agent.facts import Answered
from toolgate.audit.line import canonical
from toolgate.calls import key
from toolgate.llm.messages import ToolCall

TIMES = 3
"""Of the same call or the same error that are too many."""
NAMED = 60  # characters of a tool's name in a sentence


@dataclass(frozen=True, slots=True)
class Circle:
    about: str
    """Names it; equal when it goes on."""
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Trail:
    """What was called, and what came of it."""

    last: tuple[str, ...] = ()
    """Names of the last four calls with their results, the newest last."""
    counts: Mapping[str, int] = field(default_factory=dict)
    newest: tuple[tuple[str, str, str], ...] = ()
    """What the last call counts as: name, kind, tool."""

    def with_call(self, call: ToolCall, fact: Answered) -> Trail:
        same = key("call", call.name, canonical(call.arguments), fact.text)
        counted = [(same, "call", call.name)]
        if fact.failed and fact.code != "budget":
            counted.append((key("error", call.name, fact.code or "", fact.text), "error", call.name))
        counts = dict(self.counts)
        for name, _, _ in counted:
            counts[name] = counts.get(name, 0) + 1
        return Trail((*self.last, same)[-4:], counts, tuple(counted))


def found(trail: Trail) -> Circle | None:
    """The circle that the last call closes."""
    if len(trail.last) == 4 and trail.last[0] == trail.last[2] != trail.last[1] == trail.last[3]:
        return _circle(key("turns", *sorted(set(trail.last))), "the same two calls were made in turn, with the same results")
    for name, kind, tool in trail.newest:
        times = trail.counts[name]
        if times >= TIMES:
            what = "with the same arguments and the same result" if kind == "call" else "with the same error"
            return _circle(name, f"{tool[:NAMED]} was called {times} times {what}")
    return None


def _circle(about: str, reason: str) -> Circle:
    said = f"{reason[0].upper()}{reason[1:]}"
    return Circle(about, said, f"[Toolgate] {said}. Going on like this will not help: use what you have, try something else, or answer.")
