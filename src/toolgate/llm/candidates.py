"""Who may be asked at all: what the policy permits, the prompt needs, health and ceilings leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from toolgate.errors import NoModel
from toolgate.llm.decision import Health, Rates, Speeds
from toolgate.llm.messages import Errand, Prompt, User
from toolgate.llm.model import Model
from toolgate.llm.scoring import Belief
from toolgate.money import MICROS, Micros, dollars
from toolgate.policy.models import ModelRule, Models, forbidden

SIEVED = 512  # kinds of callers and tasks whose permitted models are kept ready
CACHED = 0.1  # of the price, that a read from a cache costs: both large providers' rate


class Card(NamedTuple):
    """What of a model is asked on every decision, ready to read: fifty candidates take less than a tenth of a millisecond so."""

    model: Model
    id: str
    read: float
    """Micro-US-dollars a token; as `written`."""
    written: float
    window: int
    reply: int
    tools: bool
    vision: bool
    only_named: bool


class Option(NamedTuple):
    """A model that may be first."""

    model: Model
    id: str
    belief: Belief
    cost: float
    """Micro-US-dollars that the request is expected to cost."""


Look = Callable[[str], tuple[Belief, float]]
"""What is thought of a model, by id, at the task in question, and how many tokens its answer is expected to have."""


@dataclass(frozen=True, slots=True)
class Candidates:
    able: list[Option]
    """At least one."""
    dropped: Mapping[str, str]
    rules: tuple[ModelRule, ...]
    fallback: str = ""
    """What the ceilings were passed over for, as `on_empty` says."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The lowest of each that some rules set."""

    dear: frozenset[str]
    """Models above a price, by id."""
    cost: float
    """Micro-US-dollars; infinity: none, as for the seconds."""
    p95: float
    first_token: float


@dataclass(frozen=True, slots=True)
class _Permitted:
    cards: tuple[Card, ...]
    dropped: Mapping[str, str]
    rules: tuple[ModelRule, ...]
    ceilings: Ceilings | None
    """None: there are none."""


class Sieve:
    def __init__(self, models: Callable[[], Sequence[Model]], health: Health, speeds: Speeds, rates: Rates) -> None:
        self._source = models
        self._health, self._speeds, self._rates = health, speeds, rates
        self._models: tuple[Model, ...] = ()
        self._policy: Models | None = None
        self._permitted: dict[tuple[object, ...], _Permitted] = {}
        self._cards: dict[str, Card] = {}

    def models(self) -> tuple[Model, ...]:
        given = self._source()
        if given is not self._models and (now := tuple(given)) != self._models:
            self._models = now
            self._permitted.clear()
            self._cards.clear()
        return self._models

    def candidates(
        self, policy: Models, prompt: Prompt, errand: Errand, task: str, tokens: int, look: Look, left: Micros | None
    ) -> Candidates:
        """
        Args:
            left: what may still be spent.

        Raises:
            NoModel: nobody is left.
        """
        permitted = self._permitted_to(policy, errand, task)
        dropped = dict(permitted.dropped)
        named, tools, most = prompt.model, bool(prompt.tools), prompt.max_tokens
        sees = any(isinstance(message, User) and message.images for message in prompt.messages)
        available = self._health.available
        able: list[Option] = []
        for model, id, read, written, window, reply, takes_tools, vision, only_named in permitted.cards:  # noqa: A001 - a field's name
            if named:
                if named not in (id, model.provider):
                    dropped[id] = f"the prompt names {named}"
                    continue
            elif only_named:
                dropped[id] = "it is only asked by its name"
                continue
            if tools and not takes_tools:
                dropped[id] = "it takes no tools"
            elif sees and not vision:
                dropped[id] = "it sees no images"
            elif tokens + (most if most < reply else reply) > window:
                dropped[id] = f"its window holds {window} tokens; {tokens} of input and the reply are more"
            elif why := available(model):
                dropped[id] = why
            else:
                belief, length = look(id)
                able.append(Option(model, id, belief, read * tokens + written * length))
        if prompt.schema is not None and any(option.model.strict for option in able):
            dropped |= {option.id: "it cannot be held to a schema, and others can" for option in able if not option.model.strict}
            able = [option for option in able if option.model.strict]
        if not able:
            raise NoModel(dropped)
        return self._below_ceilings(able, dropped, permitted, policy.on_empty, left)

    def price(self, model: Model) -> float:
        """Of a usual request, to rank models by."""
        card = self._card(model)
        return 3 * card.read + card.written

    def reading(self, model: Model, tokens: int) -> float:
        """What it costs more to have `model` read what another one has in its cache."""
        return self._card(model).read * tokens * (1 - CACHED)

    def _card(self, model: Model) -> Card:
        found = self._cards.get(model.id)
        if found is None:
            read, written = self._rates.per_token(model)
            able = model.tools, model.vision, model.only_named
            found = self._cards[model.id] = Card(model, model.id, read, written, model.window, model.max_output, *able)
        return found

    def _permitted_to(self, policy: Models, errand: Errand, task: str) -> _Permitted:
        models, principal = self.models(), errand.principal
        if policy is not self._policy or len(self._permitted) >= SIEVED:
            self._permitted.clear()
            self._cards.clear()  # prices may have changed with the policy
            self._policy = policy
        asker = principal.tenant, principal.tier, principal.roles, task
        found = self._permitted.get(asker)
        if found is None:
            rules = policy.applying(principal, task)
            dropped = {model.id: why for model in models if (why := forbidden(rules, model.id, model.region, model.tags))}
            cards = tuple(self._card(model) for model in models if model.id not in dropped)
            found = _Permitted(cards, dropped, rules, _ceilings(rules, cards))
            self._permitted[asker] = found
        return found

    def _below_ceilings(
        self, able: list[Option], dropped: dict[str, str], permitted: _Permitted, on_empty: str, left: Micros | None
    ) -> Candidates:
        rules, ceilings = permitted.rules, permitted.ceilings
        if ceilings is None and left is None:
            return Candidates(able, dropped, rules)
        above: dict[str, str] = {}
        if left is not None:
            above = {
                option.id: f"it is expected to cost {dollars(round(option.cost))}, and {dollars(left)} is left"
                for option in able
                if option.cost > left
            }
        if ceilings is not None:
            above |= self._above(able, ceilings, rules)
        if not above:
            return Candidates(able, dropped, rules)
        if len(above) < len(able):
            return Candidates([option for option in able if option.id not in above], dropped | above, rules)
        # What there is no money for is never asked all the same.
        affordable = [option for option in able if left is None or option.cost <= left]
        if on_empty == "cheapest":
            affordable = sorted(affordable, key=lambda option: option.cost)[:1]
        else:
            affordable = [option for option in affordable if option.id == on_empty]
        if not affordable:
            raise NoModel(dropped | above)
        del above[affordable[0].id]
        return Candidates(affordable, dropped | above, rules, f"no model is below every ceiling, and on_empty says {on_empty}")

    def _above(self, able: Sequence[Option], ceilings: Ceilings, rules: tuple[ModelRule, ...]) -> dict[str, str]:
        """Those above a ceiling, with a sentence that names it."""
        found = {option.id: self._named(option, rules) for option in able if option.id in ceilings.dear or option.cost > ceilings.cost}
        for asked, most in ((self._speeds.p95, ceilings.p95), (self._speeds.first_token_p95, ceilings.first_token)):
            if most < inf:
                found |= {option.id: self._named(option, rules) for option in able if (asked(option.id) or 0.0) > most}
        return found

    def _named(self, option: Option, rules: tuple[ModelRule, ...]) -> str:
        card, speeds = self._card(option.model), self._speeds
        for rule in rules:
            if rule.max_price is not None and max(card.read, card.written) > rule.max_price:
                return f"{rule.id} allows ${rule.max_price} for a million tokens"
            if rule.max_cost is not None and option.cost > float(rule.max_cost) * MICROS:
                return f"{rule.id} allows ${rule.max_cost} a request, and it is expected to cost {dollars(round(option.cost))}"
            if rule.max_p95 is not None and (speeds.p95(option.id) or 0.0) > rule.max_p95:
                return f"{rule.id} allows {rule.max_p95:g} s, and 5 of 100 answers took longer lately"
        return f"{_first_token(rules)} allows less time to the first piece than 5 of 100 answers took lately"


def _first_token(rules: tuple[ModelRule, ...]) -> str:
    return min((rule.max_first_token, rule.id) for rule in rules if rule.max_first_token is not None)[1]


def _ceilings(rules: tuple[ModelRule, ...], cards: Sequence[Card]) -> Ceilings | None:
    def lowest(name: str) -> float:
        return min((float(most) for rule in rules if (most := getattr(rule, name)) is not None), default=inf)

    price = lowest("max_price")
    dear = frozenset(card.id for card in cards if max(card.read, card.written) > price)
    found = Ceilings(dear, lowest("max_cost") * MICROS, lowest("max_p95"), lowest("max_first_token"))
    return None if found == Ceilings(frozenset(), inf, inf, inf) else found
