from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.llm.routing import ERRAND, HELLO, World
from toolgate.errors import AuditUnavailable, ModelFailed, NoModel, OverBudget, TimedOut
from toolgate.llm.messages import Chosen, Delta, Done, Errand, Image, Prompt, ReasoningDelta, Reset, TextDelta, ToolSpec, User
from toolgate.llm.model import Model
from toolgate.policy.models import Models
from toolgate.policy.tiers import Budgets, Tier
from toolgate.stores.memory import MemoryJournal
from toolgate.testing import Line
from toolgate.thinking import Models as Settings

ILL = ModelFailed("a had an error", "transient", reason="server_error", status=503)
BUSY = ModelFailed("a is busy", "transient", reason="rate_limited", status=429)
NO_KEY = ModelFailed("a does not accept the key", "provider", reason="authentication", status=401)
WRONG = ModelFailed("a cannot understand the request", "request", reason="invalid", status=400)
TOO_LONG = ModelFailed("a cannot take so long a conversation", "provider", reason="context_exceeded", status=400)


def busy(seconds: float) -> ModelFailed:
    return ModelFailed("a is busy", "transient", reason="rate_limited", status=429, retry_after=seconds)


def failing(error: ModelFailed, times: int = 3) -> list[Line]:
    return [Line(error=error)] * times


async def test_the_cheapest_answers_and_what_it_cost_is_settled_measured_and_written_down() -> None:
    world = World({"a": [Line("Hi there")], "b": []})

    reply = await world.routed.reply(HELLO, ERRAND)

    assert (reply.message.text, reply.provider, reply.model, reply.cost, reply.estimated) == ("Hi there", "a", "m", 120, False)
    assert reply.route["runners_up"] == ["b/m"]
    assert await world.spent() == {"a": 120, "held": 0}
    (metric,) = world.performance.attempts
    assert (metric.model_id, metric.task_type, metric.tokens_in, metric.tokens_out, metric.cost) == ("a/m", "chat", 100, 20, 120)
    assert (metric.success, metric.attempt, metric.run_id, metric.user_id, metric.phase) == (True, 1, "run1", "local:ada", "act")
    intent, outcome = await world.events()
    assert (intent["type"], intent["run"], intent["errand"]["prompt_version"]) == ("model.intent", "run1", "system@1")
    assert (intent["route"]["chain"], intent["prompt"]["messages"]) == (["a/m", "b/m"], 1)
    assert intent["decision"] == {"effect": "allow", "rule": None, "policy": world.policy.digest}
    assert (outcome["type"], outcome["request"], outcome["result"]["ending"]) == ("model.outcome", intent["request"], "ok")
    assert outcome["money"]["settled"] == 120
    assert outcome["tokens"]["input"] == 100
    assert "Hello?" not in str(intent) + str(outcome)


async def test_what_passes_is_tried_three_times_and_then_the_next_is_asked() -> None:
    world = World({"a": failing(ILL), "b": [Line("Hi")]})

    reply = await world.routed.reply(HELLO, ERRAND)

    assert (reply.provider, world.attempts(), world.waits) == ("b", {"a": 3, "b": 1}, [0.25, 0.5])
    assert reply.route["mode"] == "fallback"
    assert reply.route["reasons"][:3] == ["a/m failed (server_error)"] * 3
    assert await world.spent() == {"b": 240, "held": 0}
    assert [(each.model_id, each.attempt, each.error_type) for each in world.performance.attempts] == [
        ("a/m", 1, "server_error"),
        ("a/m", 2, "server_error"),
        ("a/m", 3, "server_error"),
        ("b/m", 4, None),
    ]


async def test_models_of_one_provider_share_its_three_attempts() -> None:
    two = [Model("a", "m", quality=0.8), Model("a", "n", quality=0.8), Model("b", "m", quality=0.8)]
    world = World({"a": failing(ILL), "b": [Line("Hi")]}, given=two)

    await world.routed.reply(HELLO, ERRAND)

    assert world.attempts() == {"a": 3, "b": 1}


@pytest.mark.parametrize(
    ("error", "waits", "attempts"),
    [
        (busy(7), [7.25], {"a": 2, "b": 0}),
        (busy(20), [20.25], {"a": 2, "b": 0}),
        (busy(21), [], {"a": 1, "b": 1}),
        (BUSY, [0.25], {"a": 2, "b": 0}),
        (NO_KEY, [], {"a": 1, "b": 1}),
    ],
)
async def test_a_pause_that_is_asked_for_is_kept_up_to_twenty_seconds(
    error: ModelFailed, waits: list[float], attempts: dict[str, int]
) -> None:
    world = World({"a": [Line(error=error), Line("Hi")], "b": [Line("Hi")]})

    await world.routed.reply(HELLO, ERRAND)

    assert (world.waits, world.attempts()) == (waits, attempts)


async def test_a_key_that_is_refused_is_not_shown_again_for_another_model() -> None:
    two = [*(Model("a", name, window=10_000, max_output=1000, quality=0.9) for name in ("m", "n")), Model("b", "m", window=10_000)]
    world = World({"a": failing(NO_KEY), "b": [Line("Hi")]}, given=two)

    reply = await world.routed.reply(HELLO, ERRAND)

    assert (reply.provider, world.attempts()) == ("b", {"a": 1, "b": 1})


async def test_a_request_that_is_wrong_is_sent_once() -> None:
    world = World({"a": failing(WRONG), "b": []})

    with pytest.raises(ModelFailed) as failed:
        await world.routed.reply(HELLO, ERRAND)

    assert failed.value is WRONG
    assert world.attempts() == {"a": 1, "b": 0}
    assert (await world.events())[-1]["result"] == {"ending": "failed", "code": "model_failed", "reason": "invalid", "effect": "unknown"}
    assert await world.spent() == {"held": 0}


async def test_when_all_fail_it_says_what_was_wrong_with_each() -> None:
    world = World({"a": failing(ILL), "b": failing(NO_KEY)})

    with pytest.raises(ModelFailed, match=r"^no model answered\. a/m: a had an error; b/m: a does not accept the key$") as failed:
        await world.routed.reply(HELLO, ERRAND)

    assert failed.value.kind == "transient"


async def test_a_model_that_failed_three_times_is_not_asked_by_the_next_request() -> None:
    world = World({"a": failing(ILL), "b": [Line("Hi"), Line("Hi again")]})
    await world.routed.reply(HELLO, ERRAND)

    reply = await world.routed.reply(HELLO, replace(ERRAND, run="run2"))

    assert (reply.provider, world.attempts()) == ("b", {"a": 3, "b": 2})
    dropped = (await world.events())[-2]["route"]["dropped"]
    assert dropped["a/m"].startswith("it kept failing, and is left alone for")


async def test_where_all_are_paused_for_a_bearable_while_that_is_waited() -> None:
    world = World({"a": [Line(error=busy(30)), Line("Hi")]})
    with pytest.raises(ModelFailed):
        await world.routed.reply(HELLO, ERRAND)
    world.clock.now += 20

    reply = await world.routed.reply(HELLO, ERRAND)

    assert (reply.message.text, world.waits) == ("Hi", [10.5])


async def test_where_all_are_paused_for_longer_it_says_for_how_long() -> None:
    world = World({"a": [Line(error=busy(300)), Line("Hi")]})
    with pytest.raises(ModelFailed):
        await world.routed.reply(HELLO, ERRAND)

    with pytest.raises(NoModel, match="left alone for 300 s") as denied:
        await world.routed.reply(HELLO, ERRAND)

    assert denied.value.retry_after == 300
    assert [event["type"] for event in await world.events()][-1] == "model.denied"


async def test_a_stream_falls_back_before_anything_was_seen() -> None:
    world = World({"a": failing(ILL), "b": [Line("Hi there")]})

    deltas = await world.deltas()

    assert [type(delta).__name__ for delta in deltas] == ["Chosen"] * 4 + ["TextDelta", "TextDelta", "Done"]
    assert [delta.provider for delta in deltas if isinstance(delta, Chosen)] == ["a", "a", "a", "b"]


async def test_a_stream_that_breaks_off_after_something_was_seen_fails_and_pays_for_what_came() -> None:
    world = World({"a": [Line("Half of", error=ModelFailed("a broke off", "transient", reason="cut_off"))], "b": []})

    with pytest.raises(ModelFailed, match="broke off"):
        await world.deltas()

    assert world.attempts() == {"a": 1, "b": 0}
    spent = await world.spent()
    assert 0 < spent["a"] < 120
    assert spent["held"] == 0


async def test_a_stream_of_which_nobody_sees_a_piece_is_begun_anew_without_a_word() -> None:
    world = World({"a": [Line("Half of", error=ModelFailed("a broke off", "transient", reason="cut_off")), Line("All of it.")]})

    deltas = await world.deltas(errand=replace(ERRAND, seen=False))

    assert world.attempts() == {"a": 2}
    assert not any(isinstance(delta, Reset) for delta in deltas)
    assert isinstance(deltas[-1], Done)
    assert deltas[-1].reply.message.text == "All of it."


async def test_a_stream_that_breaks_off_begins_anew_where_the_operator_wants_that() -> None:
    cut = ModelFailed("a broke off", "transient", reason="cut_off")
    world = World({"a": [Line("Half", error=cut)] * 3, "b": [Line("Whole")]}, settings=Settings(cut_off="restart"))

    deltas = await world.deltas()

    kinds = [type(delta).__name__ for delta in deltas]
    assert kinds == ["Chosen", "TextDelta", *["Reset", "Chosen", "TextDelta"] * 3, "Done"]
    assert heard(deltas) == "Whole"
    done = deltas[-1]
    assert isinstance(done, Done)
    assert done.reply.message.text == "Whole"


async def test_what_is_under_way_ends_as_it_began_when_its_provider_is_switched_off() -> None:
    world = World({"a": [Line("Hi there")], "b": []})
    deltas = list[Delta]()

    async for delta in world.routed.stream(HELLO, ERRAND):
        deltas.append(delta)
        if isinstance(delta, TextDelta):
            world.switches.off = frozenset({"a"})

    assert heard(deltas) == "Hi there"


async def test_a_provider_that_is_switched_off_after_the_decision_is_not_begun_with_nor_asked_once_more() -> None:
    world = World({"a": [], "b": [], "c": [Line("Hi")]})

    def ill(_: Prompt) -> Line:
        world.switches.off = frozenset({"a", "b"})
        return Line(error=ILL)

    world.asked["a"].lines = ill

    deltas = await world.deltas()

    assert heard(deltas) == "Hi"
    assert world.attempts() == {"a": 1, "b": 0, "c": 1}


def heard(deltas: list[Delta]) -> str:
    """What somebody has in the end who obeys every `Reset`."""
    text = ""
    for delta in deltas:
        text = "" if isinstance(delta, Reset) else text + delta.text if isinstance(delta, TextDelta) else text
    return text


async def test_a_reply_that_nobody_saw_grow_is_asked_for_again_though_it_had_begun() -> None:
    world = World({"a": [Line("Half", error=ModelFailed("a broke off", "transient", reason="cut_off")), Line("Whole")]})

    assert (await world.routed.reply(HELLO, ERRAND)).message.text == "Whole"


async def test_after_a_window_was_too_small_only_larger_ones_are_asked_the_largest_first() -> None:
    windows = {"a": 9000, "b": 8000, "c": 10_000, "d": 20_000}
    models = [Model(name, "m", window=window, quality=0.8) for name, window in windows.items()]
    world = World({"a": failing(TOO_LONG), "b": [], "c": [], "d": [Line("Hi")]}, given=models)

    await world.routed.reply(HELLO, ERRAND)

    assert world.attempts() == {"a": 1, "b": 0, "c": 0, "d": 1}


async def test_what_no_window_holds_is_refused_before_anybody_is_asked() -> None:
    world = World({"a": [], "b": []})

    with pytest.raises(ModelFailed, match=r"the prompt has about \d+ tokens and asks for a reply of up to 100; the largest") as refused:
        await world.routed.reply(replace(HELLO, messages=[User("word " * 20_000)]), ERRAND)

    assert (refused.value.kind, refused.value.reason) == ("request", "context_exceeded")
    assert world.attempts() == {"a": 0, "b": 0}
    assert [event["type"] for event in await world.events()] == ["model.denied"]


async def test_a_refusal_of_one_model_is_not_the_last_word() -> None:
    class Refusing:
        name = "a"

        async def stream(self, prompt: Prompt, errand: Errand) -> AsyncIterator[Delta]:
            async for delta in World({"a": [Line("")]}).asked["a"].stream(prompt, errand):
                yield replace(delta, reply=replace(delta.reply, stop="refusal")) if isinstance(delta, Done) else delta

    world = World({"a": [], "b": [Line("Hi")]})
    world.asked["a"] = Refusing()  # type: ignore[assignment]

    assert (await world.routed.reply(HELLO, ERRAND)).provider == "b"


def poor(day: str) -> dict[str, Tier]:
    return {"pro": Tier(budgets=Budgets(day=Decimal(day)))}


async def test_what_may_cost_more_than_is_left_is_not_asked() -> None:
    world = World({"a": [], "b": []}, tiers=poor("0.0001"))

    with pytest.raises(OverBudget, match=r"the budget of local:ada, \$0.0001 a day, has \$0.0001 left, and a request of a/m may cost"):
        await world.routed.reply(HELLO, ERRAND)

    assert world.attempts() == {"a": 0, "b": 0}
    (denied,) = await world.events()
    assert (denied["type"], denied["result"]["code"]) == ("model.denied", "over_budget")


async def test_a_cheaper_model_is_asked_where_the_dearer_one_may_cost_too_much() -> None:
    models = [Model("b", "m", window=10_000, quality=0.9), Model("a", "m", window=10_000, quality=0.1)]
    world = World({"a": [Line("Hi")], "b": []}, given=models, tiers=poor("0.00018"))

    reply = await world.routed.reply(HELLO, ERRAND)

    assert reply.provider == "a"
    intent, _ = await world.events()
    assert (intent["model"]["provider"], intent["route"]["chain"]) == ("a", ["a/m"])
    assert intent["route"]["dropped"] == {"b/m": "it may cost $0.000284, and $0.00018 is left"}


async def test_the_ledger_decides_where_what_is_left_was_heard_a_moment_ago() -> None:
    models = [Model("b", "m", window=10_000, quality=0.9), Model("a", "m", window=10_000, quality=0.1)]
    world = World({"a": [Line("Hi")], "b": [Line("Hi")]}, given=models, tiers=poor("0.00045"))

    first, second = await world.routed.reply(HELLO, ERRAND), await world.routed.reply(HELLO, ERRAND)

    assert (first.provider, second.provider) == ("b", "a")
    assert "b/m may cost more than is left" in second.route["reasons"]


async def test_nothing_is_asked_when_it_cannot_be_written_down() -> None:
    class Broken(MemoryJournal):
        async def append(self, stream: str, body: Any, *, opens: str | None = None, closes: str | None = None) -> int:
            raise AuditUnavailable("the disk is full")

    world = World({"a": []}, journal=Broken())

    with pytest.raises(AuditUnavailable):
        await world.routed.reply(HELLO, ERRAND)

    assert world.attempts() == {"a": 0}


async def test_an_answer_is_not_whole_when_its_end_cannot_be_written_down() -> None:
    class Breaking(MemoryJournal):
        async def append(self, stream: str, body: Any, *, opens: str | None = None, closes: str | None = None) -> int:
            if closes is not None:
                raise AuditUnavailable("the disk is full")
            return await super().append(stream, body)

    world = World({"a": [Line("Hi")]}, journal=Breaking())
    deltas: list[Delta] = []

    with pytest.raises(AuditUnavailable):
        await collect(world, deltas)

    assert not any(isinstance(delta, Done) for delta in deltas)


async def collect(world: World, deltas: list[Delta]) -> None:
    async for delta in world.routed.stream(HELLO, ERRAND):
        deltas.append(delta)


async def test_who_leaves_takes_the_request_back_and_pays_for_what_came() -> None:
    world = World({"a": [Line("One two three")]})

    async with aclosing(world.routed.stream(HELLO, ERRAND)) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                break

    assert (await world.events())[-1]["result"]["ending"] == "GeneratorExit"
    assert (await world.spent())["held"] == 0
    assert world.breakers.enter(world.known[0])


async def test_who_leaves_before_the_first_word_pays_for_what_was_read() -> None:
    world = World({"a": [Line("late", delay=60)]})

    with anyio.move_on_after(0.05):
        await world.routed.reply(HELLO, ERRAND)
    cancelled = await world.spent()
    async with aclosing(world.routed.stream(HELLO, ERRAND)) as deltas:
        async for _chosen in deltas:
            break

    assert (world.attempts(), cancelled["held"]) == ({"a": 1}, 0)
    assert cancelled["a"] > 0
    assert await world.spent() == cancelled  # nothing had left


async def test_a_model_that_does_not_begin_is_left_for_the_next() -> None:
    world = World({"a": [Line("late", delay=60)] * 3, "b": [Line("Hi")]}, settings=Settings(first=0.01))

    with anyio.fail_after(30):
        reply = await world.routed.reply(HELLO, ERRAND)

    assert (reply.provider, world.attempts()) == ("b", {"a": 3, "b": 1})
    assert [each.error_type for each in world.performance.attempts][:3] == ["timeout"] * 3


async def test_a_sign_of_life_is_enough_and_nobody_sees_it() -> None:
    class Thinking:
        name = "a"

        async def stream(self, prompt: Prompt, errand: Errand) -> AsyncIterator[Delta]:
            for _ in range(5):
                yield ReasoningDelta("")
            async for delta in World({"a": [Line("Hi")]}).asked["a"].stream(prompt, errand):
                yield delta

    world = World({"a": []})
    world.asked["a"] = Thinking()  # type: ignore[assignment]

    assert [type(delta).__name__ for delta in await world.deltas()] == ["Chosen", "TextDelta", "Done"]


async def test_the_deadline_ends_it_all() -> None:
    world = World({"a": [Line("late", delay=60)], "b": []})

    with anyio.fail_after(30), pytest.raises(TimedOut, match="a had not answered when the time for the request was over"):
        await world.routed.reply(replace(HELLO, seconds=0.01), ERRAND)

    assert world.attempts() == {"a": 1, "b": 0}
    assert world.breakers.available(world.known[0]) is None


async def test_a_model_that_is_named_is_asked_and_no_other() -> None:
    world = World({"a": [], "b": failing(NO_KEY)})

    with pytest.raises(ModelFailed, match="does not accept the key"):
        await world.routed.reply(replace(HELLO, model="b/m"), ERRAND)

    assert world.attempts() == {"a": 0, "b": 1}


async def test_who_may_ask_which_model_is_policy() -> None:
    world = World({"a": [], "b": [Line("Hi")]}, rules=Models.model_validate({"rules": [{"id": "no-a", "deny": ["a/*"]}]}))

    reply = await world.routed.reply(HELLO, ERRAND)

    assert reply.provider == "b"
    intent, _ = await world.events()
    assert intent["decision"]["rule"] == "no-a"


async def test_a_model_that_policy_forbids_is_not_asked_by_its_name_either() -> None:
    world = World({"a": [], "b": []}, rules=Models.model_validate({"rules": [{"id": "no-a", "deny": ["a/*"]}]}))

    with pytest.raises(NoModel, match="a/m: no-a denies it") as none:
        await world.routed.reply(replace(HELLO, model="a/m"), ERRAND)

    assert none.value.reason == "model_forbidden"
    assert world.attempts() == {"a": 0, "b": 0}
    assert [event["type"] for event in await world.events()] == ["model.denied"]


async def test_arguments_that_fit_no_tool_tell_against_their_model() -> None:
    tool = ToolSpec("add", "", {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    world = World({"a": [Line(calls=(("add", {"n": "two"}),))], "b": []})
    before = world.router.route(HELLO, ERRAND, 10).scores["a/m"].quality

    await world.routed.reply(replace(HELLO, tools=[tool]), ERRAND)

    assert world.router.route(HELLO, ERRAND, 10).scores["a/m"].quality < before


ENDINGS = st.sampled_from([None, ILL, BUSY, busy(3), busy(40), NO_KEY, WRONG, TOO_LONG, ModelFailed("cut", "transient", reason="cut_off")])


@given(st.lists(st.tuples(ENDINGS, st.booleans()), min_size=1, max_size=20), st.booleans(), st.booleans())
def test_no_provider_is_ever_asked_more_than_three_times_and_nothing_stays_held(
    endings: list[tuple[ModelFailed | None, bool]], seen: bool, restart: bool
) -> None:
    def line(_: Prompt) -> Line:
        error, half = next(script, (None, False))
        return Line("Half" if half or error is None else "", error=error)

    async def run() -> None:
        world = World({"a": line, "b": line, "c": line}, settings=Settings(cut_off="restart" if restart else "fail"))
        with suppress(ModelFailed):
            await (world.deltas() if seen else world.routed.reply(HELLO, ERRAND))

        assert max(world.attempts().values()) <= 3
        assert sum(world.waits) <= 3 * 2 * 28
        assert (await world.spent())["held"] == 0
        events = await world.events()
        assert [event["type"] for event in events] == ["model.intent", "model.outcome"]
        assert len(events[-1]["attempts"]) == sum(world.attempts().values())

    script = iter(endings)
    asyncio.run(run())


SHOWN = Prompt([User("What is this?", (Image(b"\x89PNG"),))], max_tokens=100)
BLIND, SEEING = Model("a", "m", quality=0.8), Model("b", "m", quality=0.8, vision=True)


async def test_a_picture_goes_to_a_model_with_vision_and_to_no_other_whoever_fails() -> None:
    world = World({"a": [Line("Hi")], "b": failing(ILL)}, given=[BLIND, SEEING])

    with pytest.raises(ModelFailed):
        await world.routed.reply(SHOWN, ERRAND)

    assert world.attempts() == {"a": 0, "b": 3}


async def test_a_run_that_is_shown_a_picture_leaves_its_model_for_one_with_vision_and_words_later_too() -> None:
    world = World({"a": [Line("Hi")], "b": [Line("A cat."), Line("Black.")]}, given=[BLIND, SEEING])
    first = await world.routed.reply(HELLO, ERRAND)
    shown = await world.routed.reply(SHOWN, ERRAND)
    later = replace(SHOWN, messages=[*SHOWN.messages, shown.message, User("Of which colour?")])

    asked = await world.routed.reply(later, ERRAND)

    assert (first.provider, shown.provider, asked.provider) == ("a", "b", "b")


@pytest.mark.parametrize("named", ["", "a/m"])
async def test_where_no_model_sees_the_refusal_says_which_and_what_would_work(named: str) -> None:
    small = replace(BLIND, window=5000)  # a picture would not fit it either, which is not why
    world = World({"a": []}, given=[small])

    with pytest.raises(NoModel) as none:
        await world.routed.reply(replace(SHOWN, model=named), ERRAND)

    assert str(none.value) == (
        "no language model can be asked. a/m: it sees no images. "
        "For pictures set up, or name, a model with vision: `toolgate providers list` shows which have it"
    )
    assert none.value.reason == "no_vision"
    assert world.attempts() == {"a": 0}
    (denied,) = await world.events()
    assert denied["type"] == "model.denied"


async def test_what_is_written_down_of_a_picture_is_part_of_a_digest() -> None:
    world = World({"b": [Line("A cat."), Line("A dog.")]}, given=[SEEING])

    for data in (b"\x89PNG the cat", b"\x89PNG the dog"):
        await world.routed.reply(Prompt([User("What?", (Image(data),))], max_tokens=100), ERRAND)

    cat, _, dog, _ = events = await world.events()
    assert cat["prompt"]["digest"] != dog["prompt"]["digest"]
    assert "PNG" not in str(events)
    assert Image(b"\x89PNG the cat").base64 not in str(events)
