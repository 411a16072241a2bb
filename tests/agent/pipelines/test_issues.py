"""What `spec-to-issues` wants next, by what its conversation holds."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from toolgate.agent.pipelines.draft import SCHEMA
from toolgate.agent.pipelines.issues import CREATE, LIST, PULL, SpecToIssues, Wanted
from toolgate.errors import ModelFailed
from toolgate.llm.messages import Assistant, Errand, Message, Prompt, Reply, ToolResult, User
from toolgate.stores.memory import MemoryRecords
from toolgate.testing import Line, ScriptedProvider, a_principal

SPEC = "# Landing\n\nIt shall land.\n"
DRAFT = {
    "summary": "It lands",
    "issues": [{"key": "legs", "title": "Legs unfold", "body": "Why.", "acceptance": ["They do"], "labels": ["engine"], "depends_on": []}],
}
CREATED = {"issues": [{"key": "legs", "status": "created", "number": 7, "url": "https://x/7", "links": [], "error": None}]}
ERRAND = Errand(a_principal(), run="r")


class World:
    def __init__(self, *lines: Line, **wanted: Any) -> None:
        self.model = ScriptedProvider(list(lines), name="play")
        self.records = MemoryRecords()
        self.wanted = Wanted(SPEC, "landing.md", "ada", "engine", **wanted)
        self.messages: list[Message] = [User(SPEC)]

    async def next(self, choice: Literal["auto", "none"] = "auto") -> Reply:
        pipeline = SpecToIssues(self.wanted, self.model, self.records, "default", "local:ada")
        reply = await pipeline.reply(Prompt(self.messages, choice=choice), ERRAND)
        self.messages.append(reply.message)
        return reply

    def answer(self, value: Any, failed: bool = False) -> None:
        said = self.messages[-1]
        assert isinstance(said, Assistant)
        text = value if isinstance(value, str) else json.dumps(value)
        self.messages.append(ToolResult(said.calls[0].id, f"<result ab of x>\n{text}\n</result ab>", failed))


async def test_it_looks_drafts_creates_opens_a_pull_request_and_says_what_there_is() -> None:
    world = World(Line(json.dumps(DRAFT), cost=9), pull_request=True)

    looks = await world.next()
    world.answer({"issues": [{"key": "fuel", "title": "There is fuel", "state": "open"}]})
    creates = await world.next()
    world.answer(CREATED)
    opens = await world.next()
    world.answer({"number": 8, "url": "https://x/8"})
    says = await world.next()

    assert [reply.message.calls[0].name for reply in (looks, creates, opens)] == [LIST, CREATE, PULL]
    batch = creates.message.calls[0].arguments or {}
    assert (batch["batch"], [issue["key"] for issue in batch["issues"]], creates.cost) == ("spec-landing", ["tracking", "legs"], 9)
    pull = opens.message.calls[0].arguments or {}
    assert (pull["branch"], pull["files"]) == ("spec-landing", [{"path": "docs/specs/landing.md", "content": SPEC}])
    assert "- #7" in pull["body"]
    assert says.message.text == "created #7 legs https://x/7\npull request #8 https://x/8"
    [asked] = world.model.asked
    assert (asked.schema, asked.tools, world.model.errands[0].task) == (SCHEMA, (), "planning")
    assert "- fuel: There is fuel (open)" in asked.messages[-1].text


async def test_a_draft_that_was_made_is_used_again_and_no_model_is_asked() -> None:
    world = World(Line(json.dumps(DRAFT)), dry_run=True)
    shown = await world.next()
    again = World()
    again.records = world.records

    creates = await again.next()

    assert "legs: Legs unfold [engine]\n  - They do" in shown.message.text
    assert creates.message.calls[0].name == CREATE
    assert again.model.asked == []


async def test_what_was_not_let_through_is_said_and_nothing_more_is_tried() -> None:
    world = World(Line(json.dumps(DRAFT)), pull_request=True)
    await world.next()
    world.answer({"issues": []})
    await world.next()
    world.answer("somebody said no", failed=True)

    says = await world.next()

    assert (says.message.text, says.message.calls) == ("The issues were not made. somebody said no", ())


async def test_a_model_that_never_drafts_what_fits_has_failed() -> None:
    world = World(Line("no"), Line("{}"), Line("[]"), dry_run=True)

    with pytest.raises(ModelFailed, match="no draft of 3 fits"):
        await world.next()


async def test_stopped_by_a_budget_it_says_how_to_go_on() -> None:
    assert (await World().next(choice="none")).message.text == "It was stopped before everything was done; the same command goes on."
