"""Runs that were shown pictures: what the model is told, what is kept, and what is left of them when the conversation is cut."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.agent.world import ADA, World, says
from toolgate.agent.facts import Asked, Compacted, from_json, to_json
from toolgate.agent.runs import Task
from toolgate.agent.summary import summary_of, weight
from toolgate.agent.turns import after
from toolgate.errors import InvalidArguments
from toolgate.llm.messages import Assistant, Image, Message, Prompt, User
from toolgate.llm.pictures import MOST_PICTURES
from toolgate.stores.lease import Alone
from toolgate.testing import Line, a_tool

CAT, DOG = Image(b"\x89PNG\r\n\x1a\n the cat"), Image(b"\xff\xd8\xff the dog", "image/jpeg")


def users(prompt: Prompt) -> list[Message]:
    return [message for message in prompt.messages if isinstance(message, User)]


async def test_every_request_of_a_run_has_its_pictures_and_so_has_whoever_takes_it_up_in_another_process() -> None:
    world = World([a_tool(says("7"))], [Line("I look.", (("echo", {}),)), Line("A cat."), Line("A cat and a dog.")])
    first = await world.run("What is this?", images=[CAT])
    later = World(lines=world.lines, stores=world.stores)

    end = await later.resume(first.run, text="And this?", images=[DOG])

    assert end.answer == "A cat and a dog."
    assert [users(prompt) for prompt in world.model.asked] == [[User("What is this?", (CAT,))]] * 2
    assert users(later.model.asked[0]) == [User("What is this?", (CAT,)), User("And this?", (DOG,))]


def test_a_fact_with_pictures_is_json_and_one_without_says_nothing_of_them() -> None:
    shown = Asked(1.0, "What is this?", (CAT, DOG))

    assert from_json(json.loads(json.dumps(to_json(shown)))) == shown
    assert to_json(replace(shown, images=())) == {"kind": "asked", "at": 1.0, "text": "What is this?"}


async def test_who_looks_at_a_run_reads_none_of_its_pictures() -> None:
    world = World(lines=[Line("A cat.")])
    first = await world.run("What is this?", images=[CAT])
    records = world.stores.records
    [kept] = await records.list("run.picture")
    await records.delete("run.picture", kept.id)

    events = await world.agent.replay(first.run, ADA)

    assert events[-1] == replace(first, output=None)
    assert CAT.base64 not in str([each.body for each in await records.list("run.fact")])


async def test_pictures_that_a_fact_itself_holds_are_read_too() -> None:
    world = World(lines=[Line("A cat.")])
    run = await world.agent.runs.begin(Task("What is this?"), ADA, None)
    shown = Asked(1.0, "What is this?", (CAT, DOG))
    await world.stores.records.put("run.fact", f"{run.id}-00000000", to_json(shown))

    facts, number = await world.agent.runs.facts(run, pictures=True)

    assert (list(facts), number) == ([shown], 1)


async def test_a_run_whose_process_died_before_its_pictures_were_written_down_says_so() -> None:
    world = World(lines=[])
    run = await world.agent.runs.begin(Task("What are these?", pictures=2), ADA, None)
    later = World(stores=replace(world.stores, lives=Alone("another process")))

    with pytest.raises(InvalidArguments, match=f"the run {run.id} ended before its 2 pictures were written down; give the task again"):
        await later.resume(run.id)


async def test_a_conversation_has_as_many_pictures_as_every_provider_takes() -> None:
    world = World(lines=[Line("Cats.")])

    with pytest.raises(InvalidArguments, match="the conversation would have 9 pictures"):
        await world.run("What are these?", images=[CAT] * (MOST_PICTURES + 1))
    first = await world.run("What are these?", images=[CAT] * MOST_PICTURES)
    with pytest.raises(InvalidArguments, match="begin a new conversation"):
        await world.resume(first.run, text="And this?", images=[DOG])

    assert len(world.model.asked) == 1


def test_what_is_cut_from_a_conversation_says_that_there_were_pictures() -> None:
    messages: list[Message] = [User("Look.", (CAT,)), Assistant("A cat."), User("And these?", (CAT, DOG)), Assistant("A dog.")]

    assert weight(messages[2]) > weight(User("And these?")) + 10_000
    assert summary_of(messages, 128_000).splitlines()[1:] == [
        "- you said: A cat.",
        "- you were told: And these?",
        "- you were shown 2 pictures, which were taken out as well",
        "- you said: A dog.",
    ]
    asked = after([Asked(0.0, "Look.", (CAT,)), Asked(1.0, "And this?", (DOG,)), Compacted(2.0, 2, "…")])
    assert asked.images == [CAT]  # the task stays as it was
