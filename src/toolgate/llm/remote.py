"""A provider on another machine: its wire form over the client that its SDK has for it.

One request is one attempt: the SDK's own retries are off, and what comes of it is `ModelFailed` or an answer. The wire form is pure: it
makes the body of a request and reads the events of the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from toolgate.errors import ModelFailed, TimedOut
from toolgate.llm.classify import malformed
from toolgate.llm.messages import CallDelta, Chosen, Delta, Done, Errand, Prompt, ReasoningDelta, Reply, TextDelta
from toolgate.llm.model import Model
from toolgate.llm.offer import Offer, Offers
from toolgate.llm.provider import Provider
from toolgate.llm.strict import Dialect

LENIENT = 600.0
"""Seconds for which a model that refused schemas in strict mode is asked without it; its next prompts may have other tools."""
ODD = (KeyError, TypeError, AttributeError, ValueError, RecursionError)
"""What reading raises where an event is not what its protocol says."""


class Exchange(Protocol):
    """One request in a provider's form, and its answer as it comes."""

    def body(self) -> dict[str, Any]:
        """The request, as its SDK takes it."""

    def take(self, event: Mapping[str, Any]) -> Iterable[Delta]:
        """Raises ModelFailed when the event says that it went wrong."""

    def reply(self) -> Reply:
        """The whole of the answer. Raises ModelFailed (`cut_off`) when its last event has not come."""


Form = Callable[[str, Prompt, Model, Offer], Exchange]
"""Of the provider's name, what is asked of which model, and what that is offered."""
Events = Callable[[dict[str, Any], float], AsyncGenerator[Mapping[str, Any], None]]
"""Send a body and hear the answer's events, within so many seconds. Raises ModelFailed."""


@dataclass
class Remote(Provider):
    """A `Provider`."""

    name: str
    form: Form
    dialect: Dialect
    events: Events
    model: Callable[[str], Model]
    """What is known of the model of that name; the provider's default for the empty name."""
    _offers: Offers = field(init=False, repr=False)
    _lenient: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    """Models that refused schemas in strict mode, and when they did."""

    def __post_init__(self) -> None:
        self._offers = Offers(self.dialect)

    async def stream(self, prompt: Prompt, errand: Errand) -> AsyncGenerator[Delta, None]:
        model = self.model(prompt.model.partition("/")[2])
        self._check(prompt, model)
        now = asyncio.get_running_loop().time()
        offer = self._offers.of(prompt, model, strict=now - self._lenient.get(model.name, -LENIENT) >= LENIENT)
        exchange = self.form(self.name, prompt, model, offer)
        deadline = now + prompt.seconds
        yield Chosen(self.name, model.name)
        async with aclosing(self.events(exchange.body(), prompt.seconds)) as events:
            try:
                event = await self._next(events, deadline, prompt.seconds)
            except ModelFailed as error:
                if error.reason != "schema" or not offer.strict:
                    raise
                # What strict mode takes is only known when it has refused: how large a grammar, which combinations.
                self._lenient[model.name] = now
                raise ModelFailed(f"{error}; it is asked without strict mode", "transient", reason="schema", status=error.status) from error
            while event is not None:
                with self._understanding():
                    deltas = list(exchange.take(_sound(event)))
                    if not all(_is_text(delta) for delta in deltas):
                        raise TypeError
                for delta in deltas:
                    yield delta
                event = await self._next(events, deadline, prompt.seconds)
        with self._understanding():
            reply = exchange.reply()
        yield Done(reply)

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        try:
            yield
        except ODD:
            raise malformed(self.name) from None

    async def _next(self, events: AsyncIterator[Mapping[str, Any]], deadline: float, seconds: float) -> Mapping[str, Any] | None:
        try:
            async with asyncio.timeout_at(deadline):
                return await anext(events, None)
        except TimeoutError:
            raise TimedOut(f"{self.name} had not completed its answer within {seconds:g} s") from None

    def _check(self, prompt: Prompt, model: Model) -> None:
        if prompt.tools and not model.tools:
            raise ModelFailed(f"{model.id} calls no tools; ask another model", "provider", reason="unsupported")
        if prompt.pictures and not model.vision:
            raise ModelFailed(f"{model.id} sees no pictures; ask another model", "provider", reason="unsupported")


def _sound(value: Any) -> Any:
    """`value` without halves of surrogate pairs, which nobody can write down or send on; each becomes U+FFFD."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case Mapping():
            return {_sound(key): _sound(inner) for key, inner in value.items()}
        case list():
            return [_sound(inner) for inner in value]
    return value


def _is_text(delta: Delta) -> bool:
    """Whether the pieces are what they have to be; a server may send anything."""
    match delta:
        case TextDelta(text) | ReasoningDelta(text):
            return isinstance(text, str)
        case CallDelta(id, name, raw):
            return isinstance(id, str) and isinstance(name, str) and isinstance(raw, str)
    return True
