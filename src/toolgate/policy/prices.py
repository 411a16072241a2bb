"""What a call of a tool costs: what the operator wrote, else what its integration says, else a default that is never nothing.

And what the operator wrote of models' tokens; what is not written is in the price list of `llm.prices`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal
from weakref import WeakKeyDictionary

from pydantic import Field, PrivateAttr

from toolgate.calls import Tool
from toolgate.integration import Charge, Dollars, price_of
from toolgate.money import Micros, Price, micros
from toolgate.settings import Strict


class Unpriced(Strict):
    """US dollars, where nothing better is known; never 0, since then an unknown price would be no price."""

    call: Decimal = Field(default=Decimal("0.005"), gt=0)
    """A call of a tool."""
    token: Decimal = Field(default=Decimal("0.000002"), gt=0)
    """A token of a language model."""


class TokenRates(Strict):
    """US dollars for a million tokens of a language model."""

    input: Dollars
    """Of the prompt."""
    output: Dollars
    """Of the reply, reasoning included."""
    cached: Dollars | None = None
    """Of the prompt, read from the provider's cache; absent: as `input`."""
    cache_written: Dollars | None = None
    """Of the prompt, written to the provider's cache; absent: as `input`."""
    cache_written_1h: Dollars | None = None
    """Of the prompt, written to the provider's cache for an hour; absent: as `cache_written`."""


FREE_OF_CHARGE = TokenRates(input=Decimal(0), output=Decimal(0))


class Prices(Strict):
    """The content of `policies/prices.yaml`."""

    defaults: Unpriced = Unpriced()
    tools: Mapping[str, Dollars | Charge] = {}
    """By tool name or glob, over what integrations say. A name goes before globs, and of globs the first one counts."""
    models: Mapping[str, Literal[0] | TokenRates] = {}
    """By model as `provider/name`, or glob, over the price list that comes with Toolgate; 0: free. A name goes before globs."""
    _kept: WeakKeyDictionary[Tool, Price] = PrivateAttr(default_factory=WeakKeyDictionary)

    def of(self, tool: Tool) -> Price:
        """What a call of `tool` costs. Kept once computed."""
        price = self._kept.get(tool)
        if price is None:
            price = self._kept[tool] = self._found(tool)
        return price

    @property
    def token(self) -> Micros:
        """What a token costs of a model that nobody knows."""
        return micros(self.defaults.token)

    def written(self, model: str) -> TokenRates | None:
        """What the operator wrote of `model`, such as `openai/gpt-5`; None: nothing."""
        for pattern in (model, *self.models):
            if pattern in self.models and fnmatchcase(model, pattern):
                return self.models[pattern] or FREE_OF_CHARGE
        return None

    def _found(self, tool: Tool) -> Price:
        for pattern in (tool.name, *self.tools):
            if pattern in self.tools and fnmatchcase(tool.name, pattern):
                return price_of(self.tools[pattern])
        return tool.price or Price(call=micros(self.defaults.call), estimated=True)
