"""A conversation that was recorded, played once more through loop and gate, does what the same calls do when they are made directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.world import ADA, World
from toolgate.agent.events import Called, Finished
from toolgate.agent.facts import Fact, Replied, from_json, to_json
from toolgate.calls import Call, Outcome, Text, Tool
from toolgate.errors import ToolFailed
from toolgate.llm.messages import Tokens
from toolgate.testing import Line, a_call, a_tool

NUMBER = {"type": "object", "properties": {"of": {"type": "string"}, "n": {"type": "integer"}}, "required": ["of", "n"]}


@dataclass
class Bank:
    """Tools with a state that every call depends on."""

    accounts: dict[str, int] = field(default_factory=dict)

    async def pay_in(self, call: Call) -> Outcome:
        of, n = call.arguments["of"], call.arguments["n"]
        if n < 0:
            raise ToolFailed(f"{of} cannot take less than nothing")
        self.accounts[of] = self.accounts.get(of, 0) + n
        return Outcome((Text(f"{of} has {self.accounts[of]}"),), structured={"of": of, "has": self.accounts[of]})

    async def balance(self, call: Call) -> Outcome:
        of = call.arguments["of"]
        if of not in self.accounts:
            raise ToolFailed(f"there is no account of {of}")
        return Outcome((Text(str(self.accounts[of])),))

    def tools(self) -> list[Tool]:
        return [a_tool(self.pay_in, name="pay_in", reads=False, schema=NUMBER), a_tool(self.balance, name="balance")]

    async def directly(self, name: str, arguments: Mapping[str, Any]) -> str:
        tool = next(tool for tool in self.tools() if tool.name == name)
        try:
            outcome = await tool.run(a_call(tool, arguments))
        except ToolFailed as error:
            return str(error)
        return "".join(piece.text for piece in outcome.content if isinstance(piece, Text))


WHO = ("ada", "grace", "mary")
calls = st.tuples(st.sampled_from(["pay_in", "balance"]), st.sampled_from(WHO), st.integers(-5, 50))
# Calls of one reply do not depend on each other, as models are told; those of different replies may.
replies = st.lists(st.lists(calls, min_size=1, max_size=3, unique_by=lambda one: one[1]), min_size=1, max_size=8)


async def played(lines: list[Line]) -> tuple[Bank, Finished, Sequence[Fact], list[tuple[str, str]]]:
    bank = Bank()
    world = World(bank.tools(), lines)
    end = await world.run(limits={"calls": 100})
    [run] = await world.agent.runs.seen_by(ADA)
    facts, _ = await world.agent.runs.facts(run)
    return bank, end, facts, sorted((called.id, called.text) for called in world.told(Called))


def recorded(facts: Sequence[Fact]) -> list[Line]:
    """The model's part of a recorded run, from JSON as it is kept."""
    kept = [from_json(to_json(fact)) for fact in facts]
    said = [fact for fact in kept if isinstance(fact, Replied)]
    return [
        Line(fact.message.text, tuple((call.name, call.arguments or {}) for call in fact.message.calls), tokens=Tokens(1, 1))
        for fact in said
    ]


@settings(max_examples=60, deadline=None)
@given(replies)
async def test_a_recorded_conversation_played_again_equals_its_calls_made_directly(wanted: list[list[tuple[str, str, int]]]) -> None:
    lines = [Line("", tuple((name, {"of": of, "n": n}) for name, of, n in one)) for one in wanted]

    first, end, facts, told = await played([*lines, Line("Done."), Line("Enough.")])
    again, end_again, _, told_again = await played([*recorded(facts), Line("Enough.")])
    bank = Bank()
    made = [call for fact in facts if isinstance(fact, Replied) for call in fact.message.calls]
    directly = [(call.id, await bank.directly(call.name, call.arguments or {})) for call in made]

    assert told == told_again == sorted(directly)
    assert first.accounts == again.accounts == bank.accounts
    assert (end.status, end.answer) == (end_again.status, end_again.answer)
