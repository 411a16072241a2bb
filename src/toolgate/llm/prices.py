"""What a request of a model costs: what the operator wrote, else the price list of genai-prices, else a default, marked as estimated.

The list comes with the package and is never fetched. Importing it takes a third of a second, so that it waits for the first price.
Prices may begin on a date or hold for hours of the day, so what was found holds for a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from toolgate.llm.messages import Tokens
from toolgate.llm.model import Model
from toolgate.llm.rates import UNIT, Rates, flat, step
from toolgate.money import Micros, told
from toolgate.policy.prices import Prices

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

HOLDS = 60.0  # seconds; the finest step of the list is a minute of the day
KEPT = 1024  # models whose rates are kept
FIELDS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok")


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs, and how sure that is."""

    micros: Micros
    estimated: bool = False
    """At the default rate, since nobody knows the model's."""


@dataclass
class PriceList:
    """What models cost, to everyone who asks."""

    prices: Callable[[], Prices]
    """The operator's, as they are now; the same object for as long as nothing changed."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    _kept: dict[tuple[str, str, str, str], tuple[float, Prices, Rates]] = field(default_factory=dict, init=False, repr=False)

    def cost(self, model: Model, tokens: Tokens, *, tier: str = "", said: Any = None) -> Cost:
        """What a request has cost.

        Args:
            tokens: as its provider counted them.
            tier: the service tier that it was answered in, as the provider calls it: `flex`, `priority`, `batch`.
            said: the cost in US dollars that the provider itself tells, where it does (OpenRouter); that counts then.
        """
        if isinstance(said, int | float | str) and not isinstance(said, bool) and (amount := told(str(said))) is not None:
            return Cost(amount)
        rates = self.rates(model, tier)
        return Cost(rates.cost(tokens), rates.estimated)

    def most(self, model: Model, tokens_in: int, tokens_out: int) -> Micros:
        """What a request may cost that has `tokens_in` of input and is answered in `tokens_out` at most."""
        return self.rates(model).most(tokens_in, tokens_out)

    def per_token(self, model: Model) -> tuple[float, float]:
        """Micro-US-dollars for a token read and one written, without caches and tiers: what a router asks."""
        step = self.rates(model).step(1)
        return step.input / UNIT, step.output / UNIT

    def rates(self, model: Model, tier: str = "") -> Rates:
        """What holds for `model` now."""
        key, now, prices = (model.provider, model.name, model.priced_as, tier), self.clock(), self.prices()
        kept = self._kept.get(key)
        if kept is not None and kept[1] is prices and 0 <= now - kept[0] < HOLDS:
            return kept[2]
        rates = self._found(model, tier, prices, now)
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[key] = (now - now % HOLDS, prices, rates)
        return rates

    def _found(self, model: Model, tier: str, prices: Prices, now: float) -> Rates:
        written = prices.written(model.id)
        if written is not None:
            return flat(written.input, written.output, written.cached, written.cache_written, written.cache_written_1h)
        if model.priced_as == "free":
            return flat(Decimal(0), Decimal(0))
        listed = listing(model)
        if listed is not None:
            rates = _read(listed.get_prices(datetime.fromtimestamp(now, UTC), _context(tier)))
            if rates is not None:
                return rates
        default = prices.defaults.token * 1_000_000
        return flat(default, default, estimated=True)


def load() -> None:
    """Read the list, which takes a third of a second the first time."""
    from genai_prices.data_snapshot import get_snapshot

    get_snapshot()


def listing(model: Model) -> ModelInfo | None:
    """What genai-prices has of `model`; None: nothing."""
    from genai_prices.data_snapshot import get_snapshot

    provider = (model.priced_as or model.provider).lower()
    try:
        return get_snapshot().find_provider_model(model.name, None, provider, None)[1]
    except LookupError:
        return None


def _context(tier: str) -> Mapping[str, str] | None:
    if tier in ("", "default", "standard", "auto"):
        return None
    return {"processing": "batch"} if tier == "batch" else {"service_tier": tier}


def _read(price: ModelPrice) -> Rates | None:
    """The rates of tokens in `price`; None: it is not sold by tokens."""
    if price.input_mtok is None and price.output_mtok is None:
        return None
    found = [getattr(price, name) for name in FIELDS]
    starts = sorted({tier.start for value in found if not isinstance(value, Decimal | None) for tier in value.tiers})
    steps = [step(above, [_at(value, above) for value in found]) for above in (-1, *starts)]
    thousand = price.requests_kcount
    request = int(thousand * 1000 * UNIT) if isinstance(thousand, Decimal) else 0
    return Rates(tuple(steps), request)


def _at(value: Any, above: int) -> Decimal | None:
    """What `value` is for inputs just over `above` tokens."""
    if value is None or isinstance(value, Decimal):
        return value
    tiers = [tier.price for tier in value.tiers if tier.start <= above]
    price: Decimal = tiers[-1] if tiers else value.base
    return price
