from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.llm.labelled import labelled
from toolgate.calls import Principal
from toolgate.errors import NoModel
from toolgate.llm.calibration import calibrate, tariff_of
from toolgate.llm.decision import Speed
from toolgate.llm.messages import Errand, Image, Prompt, TaskType, ToolResult, ToolSpec, User
from toolgate.llm.model import Model
from toolgate.llm.router import Router
from toolgate.policy.models import Models

ADA = Principal("local:ada", roles=("developer",), tier="pro", tenant="acme")
DEAR = Model("acme", "dear", quality=0.9, region="us")
CHEAP = Model("acme", "cheap", quality=0.6, region="eu")
PRICES = {"acme/dear": (5.0, 15.0), "acme/cheap": (0.1, 0.4), "scripted/one": (0.0, 0.0)}


@dataclass
class World:
    """Models that are healthy unless `ill` says otherwise, at listed prices."""

    models: Sequence[Model] = (DEAR, CHEAP)
    policy: Models = field(default_factory=Models)
    ill: dict[str, str] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)

    def troubled(self) -> Container[str]:
        return self.ill

    def available(self, model: Model) -> str | None:
        return self.ill.get(model.id)

    def lately(self) -> Mapping[str, Speed]:
        return {model: Speed(seconds, seconds) for model, seconds in self.slow.items()}

    def per_token(self, model: Model) -> tuple[float, float]:
        return PRICES.get(model.id, (1.0, 1.0))

    def router(self, seed: int = 0) -> Router:
        return Router(lambda: self.models, lambda: self.policy, health=self, speeds=self, rates=self, seed=seed)


def ask(run: str = "", **more: object) -> tuple[Prompt, Errand]:
    return Prompt([User("add 1 and 2")]), Errand(ADA, run=run, **more)  # type: ignore[arg-type]


def chain(router: Router, *, run: str = "", tokens: int = 100) -> list[str]:
    return [model.id for model in router.route(*ask(run), tokens).chain]


def test_the_better_model_goes_first_where_the_cheaper_one_is_much_worse() -> None:
    assert chain(World(policy=Models(explore=0)).router()) == ["acme/dear", "acme/cheap"]


def test_a_model_that_others_equal_is_not_said_to_be_better() -> None:
    decision = World((CHEAP, replace(CHEAP, name="twin")), Models(explore=0)).router().route(*ask(), 100)

    assert len({score.quality for score in decision.scores.values()}) == 1
    assert decision.reasons[0].endswith("of the time, and no other more often")


def test_a_model_that_is_only_asked_by_name_makes_no_other_look_better() -> None:
    script = Model("scripted", "one", quality=0.1, only_named=True)

    for one, other in ((DEAR, CHEAP), (replace(DEAR, quality=0.5), replace(CHEAP, quality=0.5))):  # as was said, and by price alone
        with_it, without = (World(models).router().route(*ask(), 100).scores for models in ((one, other, script), (one, other)))

        assert [with_it[model].quality for model in without] == [score.quality for score in without.values()]


def test_the_cheaper_model_goes_first_once_it_is_seen_to_be_as_good() -> None:
    router = World(policy=Models(explore=0)).router()
    for _ in range(400):
        router.learn("acme/cheap", "other", 1.0, "verifier")

    assert chain(router) == ["acme/cheap", "acme/dear"]


def test_a_model_that_cannot_be_asked_now_is_left_out_with_its_reason() -> None:
    decision = World(ill={"acme/dear": "its breaker is open"}, policy=Models(explore=0)).router().route(*ask(), 100)

    assert [model.id for model in decision.chain] == ["acme/cheap"]
    assert decision.dropped == {"acme/dear": "its breaker is open"}


def test_a_rule_keeps_a_tenants_requests_in_its_region() -> None:
    policy = Models.model_validate({"explore": 0, "rules": [{"id": "acme.eu", "tenants": ["acme"], "regions": ["eu"]}]})

    decision = World(policy=policy).router().route(*ask(), 100)

    assert [model.id for model in decision.chain] == ["acme/cheap"]
    assert decision.dropped["acme/dear"] == "acme.eu wants it to compute in eu, and it does in us"
    assert decision.policy == ("acme.eu",)


def test_where_nothing_is_left_the_refusal_names_what_dropped_each_model() -> None:
    policy = Models.model_validate({"rules": [{"id": "none", "deny": ["acme/cheap"]}]})

    with pytest.raises(NoModel) as refused:
        World(policy=policy, ill={"acme/dear": "its breaker is open"}).router().route(*ask(), 100)

    assert refused.value.dropped == {"acme/dear": "its breaker is open", "acme/cheap": "none denies it"}
    assert "acme/cheap: none denies it" in str(refused.value)


def test_a_run_stays_with_its_model() -> None:
    router = World(policy=Models(explore=0)).router()
    first = chain(router, run="r1")
    for _ in range(400):
        router.learn("acme/cheap", "other", 1.0, "verifier")

    assert chain(router, run="r1") == first
    assert chain(router, run="r2") != first


def models(**said: object) -> Models:
    return Models.model_validate({"explore": 0, **said})


EQUALS = (Model("acme", "dear", quality=0.8), Model("acme", "cheap", quality=0.8))


def one_known(router: Router, answers: int = 100) -> Router:
    """With the cheap model right four times of five, and nothing heard of the other."""
    for number in range(answers):
        router.learn("acme/cheap", "other", float(number % 5 > 0), "verifier")
    return router


def test_equal_seeds_and_states_decide_alike_and_other_seeds_try_at_other_times() -> None:
    def modes(seed: int) -> list[str]:
        router = one_known(World(EQUALS, Models(explore=0.5)).router(seed))
        return [router.route(*ask(), 100).mode for _ in range(60)]

    assert modes(1) == modes(1)
    assert modes(1) != modes(2)
    assert "explored" in modes(1)


def test_nothing_is_tried_for_tasks_of_high_risk_or_where_a_rule_says_no() -> None:
    calm = Models.model_validate({"explore": 1, "rules": [{"id": "calm", "explore": False}]})
    risky, ruled = one_known(World(EQUALS, Models(explore=1)).router()), one_known(World(EQUALS, calm).router())

    assert {risky.route(*ask(high_risk=True), 100).mode for _ in range(30)} == {"chosen"}
    assert {ruled.route(*ask(), 100).mode for _ in range(30)} == {"chosen"}


def test_less_is_tried_the_more_is_known() -> None:
    router = one_known(World(EQUALS, Models(explore=1)).router())

    def tried() -> int:
        return sum(router.route(*ask(), 100).mode == "explored" for _ in range(100))

    before = tried()
    one_known(router, 3000)

    assert 0 < tried() < before / 2


def test_what_is_left_of_a_budget_is_a_ceiling_that_on_empty_does_not_lift() -> None:
    router = World(policy=models(on_empty="cheapest")).router()

    decision = router.route(*ask(), 100, left=1649)

    assert [model.id for model in decision.chain] == ["acme/cheap"]  # 100 * 0.1 + 4096 * 0.4 micro-dollars at most
    assert decision.dropped["acme/dear"] == "it may cost $0.06194, and $0.001649 is left"
    with pytest.raises(NoModel):
        router.route(*ask(), 100, left=1600)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"max_price": 1}, "it allows $1 for a million tokens"),
        ({"max_cost": 0.001}, "it allows $0.001 a request, and it is expected to cost $0.0065"),
        ({"max_p95": "2s"}, "it allows 2 s, and 5 of 100 answers took longer lately"),
        ({"max_first_token": 2}, "it allows less time to the first piece than 5 of 100 answers took lately"),
        ({"deny": ["acme/d*"]}, "it denies it"),
        ({"models": ["acme/cheap"]}, "it allows acme/cheap only"),
        ({"tags": ["tested"]}, "it wants the tag tested"),
    ],
)
def test_each_kind_of_rule_drops_a_model_with_a_sentence(rule: dict[str, object], why: str) -> None:
    cheap = Model("acme", "cheap", quality=0.6, tags=frozenset({"tested"}))
    world = World((DEAR, cheap), models(rules=[{"id": "it", **rule}]), slow={"acme/dear": 9.0, "acme/cheap": 1.0})

    decision = world.router().route(*ask(), 100)

    assert decision.dropped == {"acme/dear": why}


def test_on_empty_passes_over_ceilings_and_never_over_who_may_ask_what() -> None:
    rules = [{"id": "low", "max_price": 0.01}, {"id": "eu", "regions": ["eu"]}]

    with pytest.raises(NoModel, match="low allows"):
        World(policy=models(rules=rules)).router().route(*ask(), 100)
    cheapest = World(policy=models(rules=rules, on_empty="cheapest")).router().route(*ask(), 100)
    with pytest.raises(NoModel):  # the named one computes elsewhere
        World(policy=models(rules=rules, on_empty="acme/dear")).router().route(*ask(), 100)

    assert ([model.id for model in cheapest.chain], cheapest.mode) == (["acme/cheap"], "fallback")


def test_a_rule_applies_where_tenant_tier_role_and_task_all_fit() -> None:
    rule = {"id": "one", "tenants": ["acme"], "tiers": ["pro"], "roles": ["dev*"], "tasks": ["coding"], "deny": ["acme/dear"]}
    router = World(policy=models(rules=[rule])).router()

    assert "acme/dear" in router.route(*ask(task="coding"), 100).dropped
    assert "acme/dear" not in router.route(*ask(task="chat"), 100).dropped


def test_a_rule_for_a_task_is_not_passed_by_declaring_another_one() -> None:
    router = World(policy=models(rules=[{"id": "one", "tasks": ["coding"], "deny": ["acme/dear"]}])).router()

    def asked(text: str, task: TaskType) -> tuple[str, bool]:
        decision = router.route(Prompt([User(text)]), Errand(ADA, task=task), 100)
        return decision.task, "acme/dear" in decision.dropped

    assert asked("Refactor this: def f(x): pass", "chat") == ("chat", True)
    assert asked("Good morning", "chat") == ("chat", False)
    assert asked("Good morning", "coding") == ("coding", True)


def test_what_a_task_only_looks_like_allows_no_more_to_be_lost() -> None:
    rules = [{"id": "one", "tasks": ["coding"], "max_quality_loss": 50}, {"id": "two", "tasks": ["math"], "max_quality_loss": 0}]
    router = World(policy=models(rules=rules, max_quality_loss=10, explore=0)).router()

    def first(text: str, task: TaskType) -> str:
        return router.route(Prompt([User(text)]), Errand(ADA, task=task), 100).chain[0].id

    assert first("Good morning", "coding") == "acme/cheap"
    assert first("def f(x): pass", "chat") == first("Good morning", "chat") == "acme/dear"
    assert first("Solve this", "coding") == "acme/dear"


def test_what_a_prompt_needs_drops_who_has_it_not() -> None:
    plain = Model("acme", "plain", tools=False, window=1000, max_output=100)
    able = Model("acme", "able", vision=True, strict=True)
    router = World((plain, able), models()).router()

    def dropped(prompt: Prompt, tokens: int = 10) -> str | None:
        return router.route(prompt, Errand(ADA), tokens).dropped.get("acme/plain")

    assert dropped(Prompt([User("x")], tools=[ToolSpec("t", "", {})])) == "it takes no tools"
    assert dropped(Prompt([User("x", (Image(b""),))])) == "it sees no images"
    assert dropped(Prompt([User("x")], schema={})) == "it cannot be held to a schema, and others can"
    assert dropped(Prompt([User("x")]), 950) == "its window holds 1000 tokens; 950 of input and the reply are more"
    assert dropped(Prompt([User("x")]), 900) is None


def test_a_run_changes_when_its_model_cannot_be_asked_and_stays_with_the_new_one() -> None:
    world = World(policy=models())
    router = world.router()
    router.route(*ask("r1"), 100)
    world.ill["acme/dear"] = "its breaker is open"

    changed = router.route(*ask("r1"), 100)
    world.ill.clear()
    after = router.route(*ask("r1"), 100)

    assert (changed.mode, changed.chain[0].id) == ("switched", "acme/cheap")
    assert changed.reasons[0] == "acme/dear, which the run began with, cannot be asked now"
    assert (after.mode, after.chain[0].id) == ("kept", "acme/cheap")


def test_a_run_gives_a_cache_up_only_where_it_can_spare_that() -> None:
    def second(share: float) -> str:
        router = World(policy=models(switch_share=share)).router()
        router.route(*ask("r1"), 100)
        for _ in range(400):
            router.learn("acme/cheap", "other", 1.0, "verifier")
        router.used("acme/dear", "other", 100, 400, 6500, run="r1")
        return router.route(*ask("r1"), 100).mode

    assert second(0.0) == "kept"
    assert second(0.1) == "switched"


def test_a_checked_task_begins_cheap_and_goes_up_when_a_check_fails() -> None:
    router = World(policy=models()).router()

    first = router.route(*ask("r1", checkable=True), 100)
    router.learn(first.chain[0].id, first.task, 0.0, "verifier", run="r1")
    second = router.route(*ask("r1", checkable=True), 100)

    assert (first.mode, first.chain[0].id) == ("cascade", "acme/cheap")
    assert (second.mode, second.chain[0].id) == ("escalated", "acme/dear")
    assert World(policy=models(cascade=False)).router().route(*ask(checkable=True), 100).chain[0].id == "acme/dear"


def test_only_what_a_prompt_names_is_asked() -> None:
    router = World(policy=models()).router()

    decision = router.route(Prompt([User("x")], model="acme/cheap"), Errand(ADA), 100)

    assert ([model.id for model in decision.chain], decision.mode) == (["acme/cheap"], "named")


def test_of_models_at_one_price_the_quicker_goes_first() -> None:
    twins = (Model("acme", "one", quality=0.8), Model("acme", "two", quality=0.8))

    assert chain(World(twins, models(), slow={"acme/one": 3.0, "acme/two": 1.0}).router()) == ["acme/two", "acme/one"]


def test_the_form_of_tool_calls_says_less_than_a_checked_answer() -> None:
    by_form, by_answer = World(policy=models()).router(), World(policy=models()).router()
    for _ in range(40):
        by_form.learn("acme/dear", "other", 0.0, "arguments")
        by_answer.learn("acme/dear", "other", 0.0, "verifier")

    quality = [router.route(*ask(), 100).scores["acme/dear"].quality for router in (by_form, by_answer)]

    assert quality[0] > quality[1]


def test_what_came_of_the_tools_that_a_reply_called_is_heard_once() -> None:
    router, untold = World(policy=models()).router(), World(policy=models()).router()
    results = [ToolResult("call_1", "no such repository", failed=True), ToolResult("call_2", "7 issues")]
    for one in (router, untold):
        one.route(*ask("r1"), 100)

    router.results("r1", results)
    once = router.route(*ask(), 100).scores["acme/dear"].quality
    router.results("r1", results)  # the same prompt again, as after a failure
    router.results("a run of which nothing is known", results)

    assert once < untold.route(*ask(), 100).scores["acme/dear"].quality
    assert router.route(*ask(), 100).scores["acme/dear"].quality == once


def test_a_task_that_nobody_declared_is_guessed_and_marked_so() -> None:
    router = World(policy=models()).router()

    said = [router.route(Prompt([User(text)]), Errand(ADA), 10) for text in ("Summarize this thread", "def f(x): pass", "Hello")]
    declared = router.route(Prompt([User("Summarize this")]), Errand(ADA, task="chat"), 10)

    assert [(each.task, each.guessed) for each in said] == [("summarization", True), ("coding", True), ("other", True)]
    assert (declared.task, declared.guessed) == ("chat", False)


def test_models_of_which_the_same_is_thought_keep_the_operators_order_behind_those_that_labelled_prompts_know() -> None:
    roster = tuple(Model("acme", f"m{number}", quality=0.6) for number in range(20))
    router = World(roster, Models(explore=0)).router()
    kept = tuple(model.id for model in roster if model.name not in ("m9", "m16"))
    router.calibration = replace(LABELLED, models=kept, table={"": (0.6,) * 18}, kept=kept, weights=((0.2,) * 18,) * len(LABELLED.weights))

    assert chain(router)[-2:] == ["acme/m9", "acme/m16"]


def test_to_explain_changes_nothing() -> None:
    router, beside = World(policy=Models(explore=0.5)).router(), World(policy=Models(explore=0.5)).router()

    for _ in range(20):
        beside.explain(*ask("r1"), 100)

    assert [router.route(*ask(), 100).mode for _ in range(30)] == [beside.route(*ask(), 100).mode for _ in range(30)]
    assert beside.feedback("r1", 1.0, ADA) is None


def test_a_decision_is_json_without_the_prompt() -> None:
    said = json.dumps(World(policy=models()).router().route(Prompt([User("my secret plan")]), Errand(ADA), 100).to_json())

    assert "acme/dear" in said
    assert "secret" not in said


FEW = tuple(Model("acme", f"m{number}", quality=0.6 + number % 3 / 10, window=1000 if number == 4 else 128_000) for number in range(6))
SAMPLES = labelled(90, [{"coding": 0.3 + number / 10, "chat": 0.8 - number / 20} for number in range(4)], [1.0, 5.0, 25.0, 125.0])
NAMES = [model.id for model in FEW[:4]]
LABELLED = calibrate(NAMES, SAMPLES, tariff_of(NAMES, SAMPLES))
POLICIES = tuple(
    models(**said)
    for said in (
        {"max_quality_loss": 5},
        {"max_quality_loss": 1, "on_empty": "cheapest", "rules": [{"id": "quick", "max_p95": 2, "max_cost": "0.002"}]},
        {"rules": [{"id": "dear", "tasks": ["coding"], "max_price": 4}, {"id": "not", "deny": ["acme/m2"], "max_quality_loss": 50}]},
    )
)
ids = st.sampled_from([model.id for model in FEW])
tasks = st.sampled_from(["coding", "chat", "other"])
events = st.one_of(
    st.tuples(st.just("learn"), ids, tasks, st.floats(0, 1), st.sampled_from(["verifier", "arguments"])),
    st.tuples(st.just("used"), ids, tasks, st.integers(0, 5000)),
    st.tuples(st.just("ill"), st.dictionaries(ids, st.just("its breaker is open"), max_size=3)),
    st.tuples(st.just("slow"), st.dictionaries(ids, st.sampled_from([0.5, 5.0]), max_size=6)),
    st.tuples(st.just("policy"), st.sampled_from(POLICIES)),
    st.tuples(st.just("models"), st.integers(4, 6)),
    st.tuples(st.just("labelled"), st.booleans()),
)
asked = st.tuples(tasks, st.sampled_from([10, 300, 2000]), st.none() | st.integers(500, 90_000))


@dataclass
class Steady(World):
    """Speeds are the same object until they are measured anew, as those of `Performance`."""

    measured: Mapping[str, Speed] = field(default_factory=dict)

    def lately(self) -> Mapping[str, Speed]:
        return self.measured

    def per_token(self, model: Model) -> tuple[float, float]:
        return 1.0 + FEW.index(model) // 2, 2.0 + FEW.index(model) % 4


@given(st.sampled_from(POLICIES), st.lists(st.tuples(events, asked), max_size=12))
def test_what_was_decided_before_changes_no_decision(
    policy: Models, story: list[tuple[tuple[Any, ...], tuple[TaskType, int, int | None]]]
) -> None:
    """What is kept ready between decisions is as good as what is worked out anew."""
    world = Steady(FEW, policy)
    router = world.router()

    def decided(by: Router, task: TaskType, tokens: int, left: int | None) -> object:
        try:
            return by.explain(*ask(task=task), tokens, left=left).to_json()
        except NoModel as none:
            return none.dropped

    for (kind, *said), question in story:
        match kind:
            case "learn":
                router.learn(*said)
            case "used":
                router.used(said[0], said[1], 100, said[2], 0)
            case "ill":
                world.ill = said[0]
            case "slow":
                world.measured = {model: Speed(seconds, seconds) for model, seconds in said[0].items()}
            case "policy":
                world.policy = said[0]
            case "models":
                world.models = FEW[: said[0]]
            case "labelled":
                router.calibration = LABELLED if said[0] else None
        anew = world.router()
        anew.beliefs, anew.calibration = router.beliefs, router.calibration

        assert decided(router, *question) == decided(anew, *question)
