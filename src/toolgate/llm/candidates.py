"""Who may be asked at all: what the policy permits, the prompt needs, health and ceilings leave.

What does not depend on the very prompt is worked out once for each kind of asker and prompt, a `Slate`, and kept in columns; a decision
among fifty models is a few passes over these, and writes a sentence only for those that it drops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import filterfalse
from math import inf
from operator import itemgetter, mul
from typing import Any, NamedTuple

from toolgate.errors import BLIND, NoModel
from toolgate.llm.decision import Health, Rates, Speed, Speeds
from toolgate.llm.messages import Errand, Prompt, User
from toolgate.llm.model import OFF, Model
from toolgate.llm.standing import Columns
from toolgate.money import MICROS, Micros, dollars
from toolgate.policy.models import ModelRule, Models, forbidden

SIEVED = 512  # kinds of askers and prompts whose permitted models are kept ready
CACHED = 0.1  # of the price, that a read from a cache costs: both large providers' rate


class Card(NamedTuple):
    """What of a model is asked again and again, ready to read."""

    model: Model
    id: str
    number: int
    """In the roster."""
    read: float
    """Micro-US-dollars a token; as `written`."""
    written: float


@dataclass(slots=True)
class Options:
    """A slate's models, in columns of equal length; whoever decides among them passes positions around."""

    models: Sequence[Model]
    ids: Sequence[str]
    means: Sequence[float]
    """Of these and the next two as `standing.Columns`."""
    sure: Sequence[float]
    seen: Sequence[float]
    costs: Sequence[float]
    """Micro-US-dollars that the request is expected to cost."""
    ranking: Ranking
    """Who of them may be asked."""


@dataclass(slots=True)
class Ranking:
    """A slate's models in the order of what is thought of them, kept until something else is thought or others may be asked."""

    columns: Columns | None = None
    """Of the whole roster, that what follows is picked from."""
    means: Sequence[float] = ()
    sure: Sequence[float] = ()
    tables: Sequence[float | None] = ()
    seen: Sequence[float] = ()
    rates: Sequence[tuple[float, float]] = ()
    """Micro-US-dollars: of a token read, and of the whole answer."""
    ranked: Sequence[int] = ()
    """Positions of all of them, the best first."""
    able: Sequence[int] = ()
    """Positions of those that may be asked; so with the next."""
    first: Sequence[int] = ()
    """Of whom prompt and price decide: those whose quality is predicted for each prompt, or where that is nobody the good enough."""
    rest: Sequence[int] = ()
    """The others, the best first."""
    predicted: bool = False
    best: int = 0
    """The one best thought of."""

    def divide(self, able: Sequence[int], loss: float) -> None:
        """
        Args:
            loss: points that may be lost against the best; of a slate always the same.
        """
        if able == self.able:
            return
        sure, tables, ranked = self.sure, self.tables, self.ranked
        if len(able) < len(ranked):
            ranked = list(filter(frozenset(able).__contains__, ranked))
        first = [at for at in able if tables[at] is not None] if tables.count(None) < len(tables) else []
        self.predicted = bool(first)
        if not first:
            enough = max(sure if len(able) == len(sure) else [sure[at] for at in able]) - loss / 100
            first = [at for at in ranked if sure[at] >= enough]
        self.able, self.best, self.first = able, ranked[0], first
        front = first == ranked[: len(first)]
        self.rest = ranked[len(first) :] if front else list(filterfalse(frozenset(first).__contains__, ranked))


class Candidates(NamedTuple):
    options: Options
    """Of which at least one may be asked."""
    dropped: Mapping[str, str]
    slate: Slate
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


@dataclass(slots=True)
class Slate:
    """Whom one kind of asker may ask with one kind of prompt, as long as policy and roster stay."""

    models: tuple[Model, ...]
    ids: tuple[str, ...]
    reads: tuple[float, ...]
    """Micro-US-dollars a token; as `writes`."""
    writes: tuple[float, ...]
    pick: Callable[[Sequence[Any]], Sequence[Any]]
    """These models' values from a column of the whole roster."""
    everyone: Sequence[int]
    """All positions."""
    dearest: tuple[float, float]
    """The highest of these rates."""
    room: int
    """Tokens of input that each of them takes together with its longest reply."""
    dropped: Mapping[str, str]
    rules: tuple[ModelRule, ...]
    names: tuple[str, ...]
    """Of the rules."""
    costs: Sequence[tuple[ModelRule, float, str]]
    """Each rule, the micro-US-dollars that it allows a request, perhaps infinity, and how to begin to say so."""
    loss: float
    """Points of quality that may be lost."""
    explore: float
    """Share of requests to try something with at first."""
    ceilings: Ceilings | None
    """None: there are none."""
    speeds: Mapping[str, Speed] = field(default_factory=dict)
    """Those that `above` is of."""
    above: Mapping[str, str] = field(default_factory=dict)
    """Models above a ceiling of price or seconds, by id, each with a sentence that names it."""
    ranking: Ranking = field(default_factory=Ranking)


class Sieve:
    def __init__(self, models: Callable[[], Sequence[Model]], health: Health, speeds: Speeds, rates: Rates) -> None:
        self._source = models
        self._health, self._speeds, self._rates = health, speeds, rates
        self._models: tuple[Model, ...] = ()
        self._given: Sequence[Model] = ()
        self._policy: Models | None = None
        self._slates: dict[tuple[object, ...], Slate] = {}
        self._cards: dict[str, Card] = {}

    def models(self, policy: Models) -> tuple[Model, ...]:
        """The roster now; to be taken before `candidates` under the same policy."""
        given = self._source()
        changed = given is not self._given and tuple(given) != self._models
        if changed or policy is not self._policy:  # prices may have changed with the policy
            self._models, self._policy = tuple(given), policy
            self._slates.clear()
            self._cards = {each.id: Card(each, each.id, number, *self._rates.per_token(each)) for number, each in enumerate(self._models)}
        self._given = given
        return self._models

    def candidates(
        self, policy: Models, prompt: Prompt, errand: Errand, tasks: Sequence[str], tokens: int, columns: Columns, left: Micros | None
    ) -> Candidates:
        """
        Args:
            tasks: types that the prompt may be of, what it was said to be in front; a rule for any of them holds.
            columns: what is thought of the roster's models.
            left: what may still be spent: who may cost more, with the longest answer asked for, is not asked.

        Raises:
            NoModel: nobody is left.
        """
        slate = self._slate(policy, prompt, errand, tasks)
        ranking = _ranking(slate, columns)
        count = float(tokens)  # by which a float is multiplied quicker than by an int
        costs = [read * count + written for read, written in ranking.rates]
        dropped: dict[str, str] = {}
        if tokens > slate.room:
            for model, id in zip(slate.models, slate.ids, strict=True):  # noqa: A001 - a model's
                if tokens + min(prompt.max_tokens, model.max_output) > model.window:
                    dropped[id] = f"its window holds {model.window} tokens; {tokens} of input and the reply are more"
        troubled = self._health.troubled()
        if troubled:
            for model, id in zip(slate.models, slate.ids, strict=True):  # noqa: A001
                if id in troubled and id not in dropped and (why := self._health.available(model)):
                    dropped[id] = why
        if left is not None and slate.dearest[0] * tokens + slate.dearest[1] * prompt.max_tokens > left:
            there = dollars(left)
            for model, id, read, written in zip(slate.models, slate.ids, slate.reads, slate.writes, strict=True):  # noqa: A001
                most = read * tokens + written * min(prompt.max_tokens, model.max_output)
                if most > left and id not in dropped:
                    dropped[id] = f"it may cost {dollars(round(most))}, and {there} is left"
        if prompt.schema is not None and any(model.strict and model.id not in dropped for model in slate.models):
            dropped |= {
                model.id: "it cannot be held to a schema, and others can"
                for model in slate.models
                if not model.strict and model.id not in dropped
            }
        able = [at for at, each in enumerate(slate.ids) if each not in dropped] if dropped else slate.everyone
        if not able:
            raise NoModel({**slate.dropped, **dropped}, self._barred(slate, prompt.model))
        fallback = ""
        if slate.ceilings is not None and (above := self._above(able, costs, slate, slate.ceilings)):
            able, fallback = _below(able, costs, slate.ids, above, policy.on_empty)
            if not able:
                raise NoModel({**slate.dropped, **dropped, **above}, "" if dropped else "model_forbidden")
            dropped |= {id: why for id, why in above.items() if id != slate.ids[able[0]]}  # noqa: A001 - whom `on_empty` lets pass
        ranking.divide(able, slate.loss)
        options = Options(slate.models, slate.ids, ranking.means, ranking.sure, ranking.seen, costs, ranking)
        return Candidates(options, {**slate.dropped, **dropped} if dropped else slate.dropped, slate, fallback)

    def _barred(self, slate: Slate, named: str) -> str:
        """The reason of `NoModel`, where the policy permits none of those that could be meant."""
        meant = [card.model for card in self._cards.values() if not named or named in (card.id, card.model.provider)]
        barred = all(forbidden(slate.rules, model.id, model.region, model.tags) for model in meant)
        return "model_forbidden" if barred else ""

    def prices(self) -> Mapping[str, float]:
        """Of a usual request, by model, to rank models by."""
        return {card.id: 3 * card.read + card.written for card in self._cards.values()}

    def reading(self, model: Model, tokens: int) -> float:
        """What it costs more to have `model` read what another one has in its cache."""
        return self._cards[model.id].read * tokens * (1 - CACHED)

    def _slate(self, policy: Models, prompt: Prompt, errand: Errand, tasks: Sequence[str]) -> Slate:
        if len(self._slates) >= SIEVED:
            self._slates.clear()
        principal, named, tools = errand.principal, prompt.model, bool(prompt.tools)
        sees = any(isinstance(message, User) and message.images for message in prompt.messages)
        key = principal.tenant, principal.tier, principal.roles, tasks, named, tools, sees
        found = self._slates.get(key)
        if found is None:
            rules = policy.applying(principal, *tasks)
            # Rules for what the task only looks like bind; they permit no more than those for what it was said to be.
            most = min(_losses(policy.applying(principal, tasks[0])), default=policy.max_quality_loss)
            found = self._slates[key] = self._made(policy, rules, min((most, *_losses(rules))), named, tools, sees)
        return found

    def _made(self, policy: Models, rules: tuple[ModelRule, ...], loss: float, named: str, tools: bool, sees: bool) -> Slate:
        cards: list[Card] = []
        dropped: dict[str, str] = {}
        for card in self._cards.values():
            model = card.model
            if why := forbidden(rules, card.id, model.region, model.tags):
                dropped[card.id] = why
            elif named and named not in (card.id, model.provider):
                dropped[card.id] = f"the prompt names {named}"
            elif model.off:
                dropped[card.id] = OFF
            elif model.only_named and not named:
                dropped[card.id] = "it is only asked by its name"
            elif tools and not model.tools:
                dropped[card.id] = "it takes no tools"
            elif sees and not model.vision:
                dropped[card.id] = BLIND
            else:
                cards.append(card)
        reads, writes = tuple(card.read for card in cards), tuple(card.written for card in cards)
        return Slate(
            models=tuple(card.model for card in cards),
            ids=tuple(card.id for card in cards),
            reads=reads,
            writes=writes,
            dearest=(max(reads, default=0.0), max(writes, default=0.0)),
            pick=_picking([card.number for card in cards], len(self._cards)),
            everyone=list(range(len(cards))),
            room=min((card.model.window - card.model.max_output for card in cards), default=0),
            dropped=dropped,
            rules=rules,
            names=tuple(rule.id for rule in rules),
            costs=[_cost(rule) for rule in rules],
            loss=loss,
            explore=policy.explore if all(rule.explore for rule in rules) else 0.0,
            ceilings=_ceilings(rules, cards),
        )

    def _above(self, able: Sequence[int], costs: Sequence[float], slate: Slate, ceilings: Ceilings) -> Mapping[str, str]:
        """Those above a ceiling, with a sentence that names it."""
        lately, ids = self._speeds.lately(), slate.ids
        if slate.speeds is not lately:  # as long as nobody measures anew the same are slow
            out = [id for id in ids if id in ceilings.dear or _slow(lately.get(id), ceilings)]  # noqa: A001
            slate.speeds, slate.above = lately, {id: self._named(id, 0.0, slate) for id in out}  # noqa: A001
        above, most = slate.above, ceilings.cost
        if not above and (most == inf or max(costs) <= most):
            return {}
        return {
            ids[at]: above[ids[at]] if costs[at] <= most else self._named(ids[at], costs[at], slate)
            for at in able
            if ids[at] in above or costs[at] > most
        }

    def _named(self, id: str, cost: float, slate: Slate) -> str:
        card, speed = self._cards[id], self._speeds.lately().get(id)
        for rule, most, said in slate.costs:
            if rule.max_price is not None and max(card.read, card.written) > rule.max_price:
                return f"{rule.id} allows ${rule.max_price:f} for a million tokens"
            if cost > most:
                return f"{said}{dollars(round(cost))}"
            if rule.max_p95 is not None and speed is not None and (speed.p95 or 0.0) > rule.max_p95:
                return f"{rule.id} allows {rule.max_p95:g} s, and 5 of 100 answers took longer lately"
        return f"{_first_token(slate.rules)} allows less time to the first piece than 5 of 100 answers took lately"


def _below(
    able: Sequence[int], costs: Sequence[float], ids: Sequence[str], above: Mapping[str, str], on_empty: str
) -> tuple[Sequence[int], str]:
    """Those of `able` that are below every ceiling, or whom `on_empty` names where nobody is, and what these were passed over for."""
    below = [at for at in able if ids[at] not in above]
    if below:
        return below, ""
    if on_empty == "cheapest":
        below = [min(able, key=costs.__getitem__)]
    else:
        below = [at for at in able if ids[at] == on_empty]
    return below, f"no model is below every ceiling, and on_empty says {on_empty}"


def _ranking(slate: Slate, columns: Columns) -> Ranking:
    ranking, pick, was = slate.ranking, slate.pick, slate.ranking.columns
    if was is columns:
        return ranking
    ranking.columns, ranking.seen = columns, pick(columns.seen)
    if was is None or was.means is not columns.means or was.sure is not columns.sure or was.tables is not columns.tables:
        ranking.means, ranking.sure, ranking.tables = pick(columns.means), pick(columns.sure), pick(columns.tables)
        ranking.ranked, ranking.able = sorted(slate.everyone, key=ranking.means.__getitem__, reverse=True), ()
    if was is None or was.lengths is not columns.lengths:
        ranking.rates = list(zip(slate.reads, map(mul, slate.writes, pick(columns.lengths)), strict=True))
    return ranking


def _picking(numbers: Sequence[int], whole: int) -> Callable[[Sequence[Any]], Sequence[Any]]:
    if len(numbers) == whole:
        return lambda column: column
    if len(numbers) > 1:
        return itemgetter(*numbers)
    return lambda column: [column[number] for number in numbers]


def _losses(rules: tuple[ModelRule, ...]) -> list[float]:
    return [rule.max_quality_loss for rule in rules if rule.max_quality_loss is not None]


def _cost(rule: ModelRule) -> tuple[ModelRule, float, str]:
    if rule.max_cost is None:
        return rule, inf, ""
    return rule, float(rule.max_cost) * MICROS, f"{rule.id} allows ${rule.max_cost:f} a request, and it is expected to cost "


def _slow(speed: Speed | None, ceilings: Ceilings) -> bool:
    return speed is not None and ((speed.p95 or 0.0) > ceilings.p95 or (speed.first_token_p95 or 0.0) > ceilings.first_token)


def _first_token(rules: tuple[ModelRule, ...]) -> str:
    return min((rule.max_first_token, rule.id) for rule in rules if rule.max_first_token is not None)[1]


def _ceilings(rules: tuple[ModelRule, ...], cards: Sequence[Card]) -> Ceilings | None:
    def lowest(name: str) -> float:
        return min((float(most) for rule in rules if (most := getattr(rule, name)) is not None), default=inf)

    price = lowest("max_price")
    dear = frozenset(card.id for card in cards if max(card.read, card.written) > price)
    found = Ceilings(dear, lowest("max_cost") * MICROS, lowest("max_p95"), lowest("max_first_token"))
    return None if found == Ceilings(frozenset(), inf, inf, inf) else found
