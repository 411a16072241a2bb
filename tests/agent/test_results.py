"""Long results, long conversations, many tools, skills."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.agent.world import ADA, World, inside, results, says
from toolgate.agent.drive import Known
from toolgate.agent.events import Called, Noted
from toolgate.calls import Call, Outcome, Text
from toolgate.llm.messages import Assistant, Prompt
from toolgate.policy.rules import Policy
from toolgate.prompts import Prompt as Written
from toolgate.prompts import tool_of
from toolgate.settings import Settings
from toolgate.testing import Echo, Line, a_principal, a_tool
from toolgate.thinking import Agent as Uses

LONG = "".join(f"line {number}\n" for number in range(20_000))


async def test_a_long_result_is_cut_in_its_middle_and_the_rest_can_be_read() -> None:
    def say(prompt: Prompt) -> Line:
        match results(prompt):
            case []:
                return Line(calls=(("log", {}),))
            case [one]:
                found = re.search(r"read_result (\w+) from offset (\d+)", one.text)
                assert found
                return Line(calls=(("read_result", {"id": found[1], "offset": int(found[2]), "length": 100}),))
            case _:
                return Line("read")

    world = World([a_tool(says(LONG), name="log")], say)

    end = await world.run()

    cut, rest = (called.text for called in world.told(Called))
    head, marker, tail = cut.partition("[Toolgate: ")
    assert len(cut.encode()) < 50_300
    assert LONG.startswith(head[:-1])
    assert LONG.endswith(tail.partition("shows them]\n")[2])
    assert abs(len(head) / 50_000 - 0.75) < 0.01
    assert LONG[len(head) - 1 :].startswith(rest.partition("\n[Toolgate")[0])
    assert [noted.kind for noted in world.told(Noted)] == ["kept"]
    assert (end.status, bool(marker)) == ("done", True)


async def test_what_is_kept_is_read_by_its_user_alone() -> None:
    world = World([a_tool(says(LONG), name="log")], [Line(calls=(("log", {}),)), Line("ok")])
    await world.run()
    found = re.search(r"read_result (\w+)", world.told(Called)[0].text)
    assert found

    async def read(who: Any) -> str | None:
        outcome = await world.gateway.call("read_result", {"id": found[1]}, who)
        return outcome.problem.code if outcome.problem else None

    assert [await read(ADA), await read(ADA.delegate()), await read(a_principal(id="local:eve"))] == [None, None, "invalid_arguments"]


async def test_many_results_at_once_share_the_room() -> None:
    world = World([a_tool(says(LONG), name="log")], [Line(calls=tuple(("log", {"n": n}) for n in range(8))), Line("ok")])

    await world.run()

    assert sum(len(called.text) for called in world.told(Called)) < 110_000


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        (Settings(agent=Uses(window=4000)), Known()),
        (Settings(), Known(window=lambda model: 4000 if model.startswith("scripted/") else 200_000)),
    ],
    ids=["as the operator says", "the window of the model that the run stays with"],
)
async def test_a_full_conversation_is_made_shorter_by_whole_pairs_and_the_run_goes_on(settings: Settings, known: Known) -> None:

    def say(prompt: Prompt) -> Line:
        size = sum(len(message.text) for message in prompt.messages)
        assert size < 16_000
        called = [call for message in prompt.messages if isinstance(message, Assistant) for call in message.calls]
        assert [call.id for call in called] == [result.id for result in results(prompt)]
        known = re.findall(r"you called log \{\"n\": (\d+)\}", prompt.messages[2].text if len(prompt.messages) > 2 else "")
        done = len(known) + len(called)
        return Line("All ten.") if done == 10 else Line(calls=(("log", {"n": done}),), tokens=_tokens(size))

    world = World([a_tool(_numbered, name="log")], say, settings=settings, known=known)

    end = await world.run()

    assert (end.status, end.calls) == ("done", 10)
    assert "compacted" in [noted.kind for noted in world.told(Noted)]
    assert world.model.asked[-1].messages[1].text == "Do it"


def _tokens(size: int) -> Any:
    from toolgate.llm.messages import Tokens

    return Tokens(size // 4, 10)


async def _numbered(call: Call) -> Outcome:
    return Outcome((Text(f"{call.arguments['n']} " + "x" * 1500),))


def many(count: int) -> list[Any]:
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string", "description": "x" * 60} for n in range(10)}}
    return [a_tool(says("ok"), name=f"tool_{n}", description=f"Does thing {n}.", schema=schema, listed=n < 3) for n in range(count)]


async def test_all_tools_are_shown_while_they_take_little_of_the_window() -> None:
    world = World(many(20), [Line("ok")])

    await world.run()

    assert [tool.name for tool in world.model.asked[0].tools] == [*sorted(f"tool_{n}" for n in range(20)), "read_result"]


async def test_else_those_that_find_others_and_what_they_find_is_added_at_the_end() -> None:
    lines = [Line(calls=(("search_tools", {"query": "thing 77", "limit": 2}),)), Line(calls=(("tool_77", {}),)), Line("ok")]
    world = World(many(120), lines)

    end = await world.run()

    first, second, third = ([tool.name for tool in prompt.tools] for prompt in world.model.asked)
    assert first == ["search_tools", "describe_tool", "call_tool", "read_result"]
    assert second[:4] == first
    assert second[4] == "tool_77"
    assert (third, end.status) == (second, "done")


async def test_skills_are_listed_by_name_and_read_when_they_are_needed() -> None:
    skill = tool_of(Written(name="triage", description="Sort issues. Use when asked to.", text="1. Look.\n2. Label."), "skills")
    lines = [Line(calls=(("load_skill", {"name": "triage"}), ("load_skill", {"name": "nothing"}), ("load_skill", {}))), Line("ok")]
    world = World([skill], lines)

    await world.run()

    prompt = world.model.asked[0]
    assert "- triage: Sort issues. Use when asked to." in prompt.messages[0].text
    assert [tool.name for tool in prompt.tools] == ["read_result", "load_skill"]
    assert inside(results(world.model.asked[1])[0]) == "1. Look.\n2. Label."
    assert [called.code for called in world.told(Called)] == ["invalid_arguments", None, "unknown_tool"]


async def test_while_a_skill_is_followed_only_what_it_allows_is_called_until_another_task_or_skill_allows_more() -> None:
    skills = [tool_of(Written(name=name, description="For it.", text="Do."), "skills") for name in ("look", "paint")]
    echo = Echo()
    tools = [a_tool(echo, name="look_up"), a_tool(echo, name="paint_it"), *skills]
    lines = [
        Line(calls=(("load_skill", {"name": "look"}),)),
        Line(calls=(("look_up", {}), ("paint_it", {"n": 1}), ("call_tool", {"name": "paint_it", "arguments": {"n": 2}}))),
        Line(calls=(("load_skill", {"name": "paint"}),)),
        Line(calls=(("paint_it", {"n": 3}), ("look_up", {"again": True}))),
        Line("ok"),
        Line(calls=(("paint_it", {"n": 4}),)),
        Line("ok"),
    ]
    world = World(tools, lines, known=Known(skills={"look": ("look_*",), "paint": ("paint_*",)}))

    end = await world.run()
    await world.resume(end.run, text="And now paint")

    assert [(call.tool.name, dict(call.arguments)) for call in echo.seen] == [
        ("look_up", {}),
        ("paint_it", {"n": 3}),
        ("look_up", {"again": True}),
        ("paint_it", {"n": 4}),
    ]
    refused = [called.text for called in world.told(Called) if called.failed]
    assert refused == ["not called: the skill you read allows look_*; read another one for paint_it, or do without"] * 2


async def test_a_small_window_shows_fewer_tools() -> None:
    world = World(many(20), [Line("ok")], known=Known(window=lambda model: 8192 if model == "local" else None))

    await world.run(model="local")

    assert [tool.name for tool in world.model.asked[0].tools] == ["search_tools", "describe_tool", "call_tool", "read_result"]


async def test_a_skill_that_policy_hides_is_not_listed() -> None:
    from toolgate.policy.rules import Permission, Role

    skill = tool_of(Written(name="secret", description="Nobody's.", text="…"), "skills")
    rules = (Permission(id="all", tools="*"), Permission(id="no", tools="skills/*", effect="deny"))
    policy = Policy([Role(role="developer", permissions=rules), Role(role="delegate", permissions=(Permission(id="d", tools="*"),))])
    world = World([skill], [Line("ok")], policy)

    await world.run()

    assert "secret" not in world.model.asked[0].messages[0].text


async def test_an_answer_by_a_schema_is_asked_for_again_until_it_fits() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    world = World([], [Line("seven"), Line('{"n": "7"}'), Line('```json\n{"n": 7}\n```')])

    end = await world.run(schema=schema)

    assert (end.status, end.output, end.steps) == ("done", {"n": 7}, 3)
    assert 'n: "7" is not of type "integer"' in world.model.asked[2].messages[-1].text
