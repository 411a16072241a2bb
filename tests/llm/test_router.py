from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from toolgate.calls import Principal
from toolgate.errors import NoModel
from toolgate.llm.messages import Errand, Prompt, User
from toolgate.llm.model import Model
from toolgate.llm.router import Router
from toolgate.policy.models import Models

ADA = Principal("local:ada", roles=("developer",), tier="pro", tenant="acme")
DEAR = Model("acme", "dear", quality=0.9, region="us")
CHEAP = Model("acme", "cheap", quality=0.6, region="eu")
PRICES = {"acme/dear": (5.0, 15.0), "acme/cheap": (0.1, 0.4)}


@dataclass
class World:
    """Models that are healthy unless `ill` says otherwise, at listed prices."""

    models: Sequence[Model] = (DEAR, CHEAP)
    policy: Models = field(default_factory=Models)
    ill: dict[str, str] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)

    def available(self, model: Model) -> str | None:
        return self.ill.get(model.id)

    def p95(self, model_id: str) -> float | None:
        return self.slow.get(model_id)

    def first_token_p95(self, model_id: str) -> float | None:
        return self.slow.get(model_id)

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
