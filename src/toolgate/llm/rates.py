"""What tokens of one model cost, as integers, and the arithmetic: pure, exact, and quick enough to price every candidate of a route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from toolgate.llm.messages import Tokens
from toolgate.money import Micros

UNIT = 10**9
"""Rates are kept in 1/UNIT of a micro-dollar a token: nine decimals of dollars for a million tokens, more than any price list has."""


@dataclass(frozen=True, slots=True)
class Step:
    """Rates that hold for a whole request whose input has more than `above` tokens. A dollar for a million tokens is UNIT."""

    above: int
    input: int
    output: int
    cached: int
    cache_written: int
    cache_written_1h: int


@dataclass(frozen=True, slots=True)
class Rates:
    """What requests of one model cost."""

    steps: tuple[Step, ...]
    """The lowest first; its `above` is -1."""
    request: int = 0
    """Besides, a request, in 1/UNIT of a micro-dollar."""
    estimated: bool = False
    """Nobody knows this model's price: it is the default rate."""

    def cost(self, tokens: Tokens) -> Micros:
        """Of one request that used `tokens`; each token counts once, and a part of a micro-dollar is a whole one."""
        step = self.step(tokens.input)
        short = tokens.cache_written - tokens.cache_written_1h
        plain = tokens.input - tokens.cached - tokens.cache_written
        exact = (
            self.request
            + max(0, plain) * step.input
            + tokens.cached * step.cached
            + max(0, short) * step.cache_written
            + tokens.cache_written_1h * step.cache_written_1h
            + tokens.output * step.output
        )
        return -(-exact // UNIT)

    def most(self, tokens_in: int, tokens_out: int) -> Micros:
        """Of one request with that much input and at most that much output.

        The cache may treat the input as it will, but to be kept for an hour, which nothing here asks for.
        """
        step = self.step(tokens_in)
        dearest = max(step.input, step.cached, step.cache_written)
        return -(-(self.request + tokens_in * dearest + tokens_out * step.output) // UNIT)

    def step(self, tokens_in: int) -> Step:
        """The rates of a request with that much input."""
        if len(self.steps) == 1:
            return self.steps[0]
        return next(step for step in reversed(self.steps) if tokens_in > step.above)


def flat(
    input: Decimal,
    output: Decimal,
    cached: Decimal | None = None,
    cache_written: Decimal | None = None,
    cache_written_1h: Decimal | None = None,
    *,
    estimated: bool = False,
) -> Rates:
    """Rates that hold for requests of any size, from US dollars for a million tokens."""
    return Rates((step(-1, (input, output, cached, cache_written, cache_written_1h)),), estimated=estimated)


def step(above: int, dollars: Sequence[Decimal | None]) -> Step:
    """A step of US dollars for a million tokens: input, output, cached, cache_written, cache_written_1h.

    What is None costs as what it is a kind of: a cached token as any of the input, an hour of cache as five minutes of it.
    """
    whole, output, cached, written, written_1h = (None if amount is None else _unit(amount) for amount in dollars)
    whole = whole or 0
    short = whole if written is None else written
    return Step(above, whole, output or 0, whole if cached is None else cached, short, short if written_1h is None else written_1h)


def _unit(dollars: Decimal) -> int:
    return int((dollars * UNIT).to_integral_value(ROUND_CEILING))
