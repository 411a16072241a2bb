"""Texts as vectors, by a provider's `/embeddings`: OpenAI's form, which most services and Ollama, vLLM and llama.cpp speak too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import orjson

from toolgate.egress.wire import Caps, Request
from toolgate.errors import Misconfigured, ModelFailed, NoModel
from toolgate.library.vectors import BYTES, Vector, vector
from toolgate.llm.breaker import Attempt
from toolgate.llm.classify import answered, malformed, unanswered
from toolgate.llm.count import count_text, family
from toolgate.llm.declared import Declared
from toolgate.llm.messages import Errand, Tokens
from toolgate.llm.model import OFF, Model
from toolgate.llm.prices import load
from toolgate.llm.retry import pause
from toolgate.policy.models import forbidden

if TYPE_CHECKING:
    from toolgate.llm.models import Models

CAPS = Caps(received=32 * 1024 * 1024, decoded=32 * 1024 * 1024, ratio=1000)
"""Of an answer: a number is up to 25 bytes of JSON."""
WITHOUT = ("anthropic", "scripted")
"""Kinds of providers that have no `/embeddings`."""


@dataclass
class Embedder:
    """One model, asked as other models are: guarded, permitted, paid for, tried again, and left alone where it keeps failing."""

    models: Models
    provider: Declared
    model: Model
    asked_for: int | None
    """Numbers of a vector; None: as many as the model gives."""
    _given: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.provider.kind in WITHOUT:
            raise Misconfigured(f"library.embeddings: {self.provider.name} is {self.provider.kind}, which has no embeddings; name another")

    @property
    def dimensions(self) -> int | None:
        """Of its vectors, as the last answer had them; None: nobody knows yet."""
        return self._given or self.asked_for

    async def embed(self, texts: Sequence[str], errand: Errand, seconds: float) -> Sequence[Vector]:
        """A vector for each of `texts`, none of which is empty, within `seconds`.

        Raises:
            NoModel: a rule keeps `errand` from the model, or an operator has switched its provider off.
            OverBudget: there is no money for it.
            ModelFailed: it did not answer, or not with vectors.
        """
        rules = self.models.policy.applying(errand.principal, errand.task)
        if (why := forbidden(rules, self.model.id, self.model.region, self.model.tags)) is not None:
            raise NoModel({self.model.id: why})
        now, switches, breakers = asyncio.get_running_loop().time, self.models.roster.switches, self.models.provider.breakers
        deadline, before = now() + seconds, None
        await switches.fresh()
        await asyncio.to_thread(load)  # the price list, a third of a second the first time
        for attempt in count(1):
            if self.provider.name in switches.off:
                raise NoModel({self.model.id: OFF})
            before = breakers.enter(self.model, before)
            if before is None:
                raise ModelFailed(f"{self.model.id}: {breakers.available(self.model)}", "provider", reason="resting")
            try:
                return await self._attempt(before, texts, errand, deadline - now())
            except ModelFailed as failed:
                wait = pause(failed, attempt, self.models.settings.models, left=deadline - now(), chance=random.random)
                if wait is None:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError

    async def _attempt(self, passed: Attempt, texts: Sequence[str], errand: Errand, seconds: float) -> Sequence[Vector]:
        """One request, and what it has cost."""
        name, breakers = family(self.model), self.models.provider.breakers
        tokens = sum(count_text(text, name) for text in texts)
        try:
            held = await self.models.provider.purse.reserve(self.model, errand, tokens, 0, seconds)
        except BaseException:
            breakers.gave_up(passed)
            raise
        try:
            vectors, told = await self._asked(texts, seconds)
        except ModelFailed as failed:
            breakers.ended(passed, failed)
            if failed.reason == "timeout":  # it may have read them all the same
                held.settle(held.amount, estimated=True)
            else:
                held.release()
            raise
        except BaseException:
            breakers.gave_up(passed)
            held.settle(held.amount, estimated=True)
            raise
        breakers.ended(passed, None)
        cost = self.models.provider.prices.cost(self.model, Tokens(input=told or tokens))
        held.settle(cost.micros, estimated=cost.estimated or not told)
        self._given = len(vectors[0].floats) // BYTES
        return vectors

    async def _asked(self, texts: Sequence[str], seconds: float) -> tuple[Sequence[Vector], int]:
        """The vectors, and how many tokens the provider says it has read; 0: it does not say."""
        provider = self.provider
        url = f"{provider.base_url}/embeddings"
        key = (("Authorization", f"Bearer {provider.api_key.get_secret_value()}"),) if provider.api_key else ()
        wanted = {} if self.asked_for is None else {"dimensions": self.asked_for}
        body = orjson.dumps({"model": self.model.name, "input": list(texts), "encoding_format": "float", **wanted})
        headers = (("Content-Type", "application/json"), ("Accept", "application/json"), *key)
        try:
            request = Request("POST", url, headers, body)
            response = await self.models.transport.send(request, reach=provider.reach, seconds=seconds, caps=CAPS)
        except Exception as error:
            raise unanswered(provider.name, error) from None
        if response.status != 200:
            headers_in = {name.lower(): value for name, value in response.headers}
            raise answered(provider.name, response.status, headers_in, _json(response.body))
        try:
            return await asyncio.to_thread(read, response.body, len(texts))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise malformed(provider.name) from None


def read(body: bytes, wanted: int) -> tuple[Sequence[Vector], int]:
    """The vectors in an answer, in the order of the texts, and the tokens that it counts.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, OverflowError: it is no such answer, or not for that many texts.
    """
    answer = orjson.loads(body)
    by_index = {entry["index"]: vector(entry["embedding"]) for entry in answer["data"]}
    vectors = [by_index[index] for index in range(wanted)]
    if len({len(each.floats) for each in vectors}) != 1:
        raise ValueError("vectors of one model have one length")
    tokens = (answer.get("usage") or {}).get("prompt_tokens")
    return vectors, tokens if isinstance(tokens, int) and tokens > 0 else 0


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except ValueError:
        return body.decode(errors="replace")
