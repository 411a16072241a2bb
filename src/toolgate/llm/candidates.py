"""Who may be asked at all: what the policy permits, the prompt needs, health and ceilings leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from toolgate.errors import NoModel
from toolgate.llm.decision import Health, Rates, Speeds
from toolgate.llm.messages import Errand, Prompt, User
from toolgate.llm.model import Model
from toolgate.money import MICROS, Micros, dollars
from toolgate.policy.models import ModelRule, Models, forbidden

SIEVED = 512  # kinds of callers and tasks whose permitted models are kept ready
CACHED = 0.1  # of the price, that a read from a cache costs: both large providers' rate


@dataclass(frozen=True, slots=True)
class Candidates:
    able: Sequence[tuple[Model, float]]
    """At least one, each with the micro-US-dollars that the request is expected to cost."""
    dropped: Mapping[str, str]
    rules: tuple[ModelRule, ...]
    fallback: str = ""
    """What the ceilings were passed over for, as `on_empty` says."""


@dataclass(frozen=True, slots=True)
class _Permitted:
    models: tuple[Model, ...]
    dropped: Mapping[str, str]
    rules: tuple[ModelRule, ...]


class Sieve:
    def __init__(self, models: Callable[[], Sequence[Model]], health: Health, speeds: Speeds, rates: Rates) -> None:
        self._source = models
        self._health, self._speeds, self._rates = health, speeds, rates
        self._models: tuple[Model, ...] = ()
        self._given: Sequence[Model] = ()
        self._policy: Models | None = None
        self._permitted: dict[tuple[object, ...], _Permitted] = {}
        self._prices: dict[str, tuple[float, float]] = {}

    def models(self) -> tuple[Model, ...]:
        given = self._source()
        if given is not self._given:
            self._given = given
            if (now := tuple(given)) != self._models:
                self._models = now
                self._permitted.clear()
                self._prices.clear()
        return self._models

    def candidates(
        self,
        policy: Models,
        prompt: Prompt,
        errand: Errand,
        task: str,
        tokens: int,
        length: Callable[[Model], float],
        left: Micros | None,
    ) -> Candidates:
        """
        Args:
            length: tokens that an answer is expected to have.
            left: what may still be spent.

        Raises:
            NoModel: nobody is left.
        """
        permitted = self._permitted_to(policy, errand, task)
        dropped = dict(permitted.dropped)
        named, tools = prompt.model, bool(prompt.tools)
        sees = any(isinstance(message, User) and message.images for message in prompt.messages)
        able: list[Model] = []
        for model in permitted.models:
            if named:
                if named not in (model.id, model.provider):
                    dropped[model.id] = f"the prompt names {named}"
                    continue
            elif model.only_named:
                dropped[model.id] = "it is only asked by its name"
                continue
            if tools and not model.tools:
                dropped[model.id] = "it takes no tools"
            elif sees and not model.vision:
                dropped[model.id] = "it sees no images"
            elif tokens + min(prompt.max_tokens, model.max_output) > model.window:
                dropped[model.id] = f"its window holds {model.window} tokens; {tokens} of input and the reply are more"
            elif why := self._health.available(model):
                dropped[model.id] = why
            else:
                able.append(model)
        if prompt.schema is not None and any(model.strict for model in able):
            dropped |= {model.id: "it cannot be held to a schema, and others can" for model in able if not model.strict}
            able = [model for model in able if model.strict]
        if not able:
            raise NoModel(dropped)
        costs = [(model, self._cost(model, tokens, length(model))) for model in able]
        return self._below_ceilings(costs, dropped, permitted.rules, policy.on_empty, left)

    def price(self, model: Model) -> float:
        """Of a usual request, to rank models by."""
        read, written = self._per_token(model)
        return 3 * read + written

    def reading(self, model: Model, tokens: int) -> float:
        """What it costs more to have `model` read what another one has in its cache."""
        return self._per_token(model)[0] * tokens * (1 - CACHED)

    def _cost(self, model: Model, tokens: int, length: float) -> float:
        read, written = self._per_token(model)
        return read * tokens + written * length

    def _per_token(self, model: Model) -> tuple[float, float]:
        found = self._prices.get(model.id)
        if found is None:
            found = self._prices[model.id] = self._rates.per_token(model)
        return found

    def _permitted_to(self, policy: Models, errand: Errand, task: str) -> _Permitted:
        models, principal = self.models(), errand.principal
        if policy is not self._policy or len(self._permitted) >= SIEVED:
            self._permitted.clear()
            self._prices.clear()
            self._policy = policy
        asker = principal.tenant, principal.tier, principal.roles, task
        found = self._permitted.get(asker)
        if found is None:
            rules = policy.applying(principal, task)
            dropped = {model.id: why for model in models if (why := forbidden(rules, model.id, model.region, model.tags))}
            found = _Permitted(tuple(model for model in models if model.id not in dropped), dropped, rules)
            self._permitted[asker] = found
        return found

    def _below_ceilings(
        self,
        costs: Sequence[tuple[Model, float]],
        dropped: dict[str, str],
        rules: tuple[ModelRule, ...],
        on_empty: str,
        left: Micros | None,
    ) -> Candidates:
        if not rules and left is None:
            return Candidates(costs, dropped, rules)
        above: dict[str, str] = {}
        for model, cost in costs:
            if left is not None and cost > left:
                above[model.id] = f"it is expected to cost {dollars(round(cost))}, and {dollars(left)} is left"
            elif why := self._above(model, cost, rules):
                above[model.id] = why
        able = [each for each in costs if each[0].id not in above]
        if able:
            return Candidates(able, dropped | above, rules)
        # What there is no money for is never asked all the same.
        affordable = [each for each in costs if left is None or each[1] <= left]
        if on_empty == "cheapest":
            affordable = sorted(affordable, key=lambda each: each[1])[:1]
        else:
            affordable = [each for each in affordable if each[0].id == on_empty]
        if not affordable:
            raise NoModel(dropped | above)
        chosen = affordable[0][0].id
        del above[chosen]
        return Candidates(affordable, dropped | above, rules, f"no model is below every ceiling, and on_empty says {on_empty}")

    def _above(self, model: Model, cost: float, rules: tuple[ModelRule, ...]) -> str | None:
        """The ceiling that the model is above, in a sentence."""
        for rule in rules:
            if rule.max_price is not None and max(self._per_token(model)) > rule.max_price:
                return f"{rule.id} allows ${rule.max_price} for a million tokens"
            if rule.max_cost is not None and cost > rule.max_cost * MICROS:
                return f"{rule.id} allows ${rule.max_cost} a request, and it is expected to cost {dollars(round(cost))}"
            if rule.max_p95 is not None and (self._speeds.p95(model.id) or 0.0) > rule.max_p95:
                return f"{rule.id} allows {rule.max_p95:g} s, and 5 of 100 answers took longer lately"
            if rule.max_first_token is not None and (self._speeds.first_token_p95(model.id) or 0.0) > rule.max_first_token:
                return f"{rule.id} allows {rule.max_first_token:g} s to the first piece, and 5 of 100 took longer lately"
        return None
