"""What a tier may use: rates, money, tools, depth and features."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from pydantic import Field

from toolgate.settings import Strict

Feature = Literal["agent", "code_execution", "user_credentials", "providers"]


class Rates(Strict):
    """None: no limit."""

    per_minute: int | None = Field(default=None, gt=0)
    """Calls a minute of one user."""
    per_hour: int | None = Field(default=None, gt=0)
    concurrency: int | None = Field(default=None, gt=0)
    """Calls of one user at the same time."""


class Budgets(Strict):
    """US dollars; None: no limit."""

    day: Decimal | None = Field(default=None, ge=0)
    """A user's, a UTC day."""
    month: Decimal | None = Field(default=None, ge=0)
    """A user's, a UTC calendar month."""
    session: Decimal | None = Field(default=None, ge=0)
    """A session's, a UTC day, within its user's."""


class Tier(Strict):
    limits: Rates = Rates()
    budgets: Budgets = Budgets()
    tools: tuple[str, ...] = ("*",)
    """Globs of the tools that this tier may use at all; the roles still have to allow them."""
    max_depth: int = Field(default=3, ge=0)
    """Calls within calls."""
    features: frozenset[Feature] = frozenset()


class Tiers(Strict):
    """The content of `policies/tiers.yaml`."""

    tiers: Mapping[str, Tier]
