"""What a provider of language models is, to everyone who asks one; routing and retries are providers too, around others."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from toolgate.llm.messages import Delta, Done, Errand, Prompt, Reply


class Provider(Protocol):
    """Answers prompts."""

    async def reply(self, prompt: Prompt, errand: Errand) -> Reply:
        """The whole answer; raises as `stream`."""
        return await whole(self.stream(prompt, errand))

    def stream(self, prompt: Prompt, errand: Errand) -> AsyncGenerator[Delta, None]:
        """The answer in pieces, ending with `Done`. To leave the loop takes the request back.

        A model that thinks without a word gives a sign of life by an empty `ReasoningDelta`; who is silent for too long is left.

        Raises:
            ModelFailed: the provider did not answer well; its `kind` says what may be done about it.
            TimedOut: `prompt.seconds` passed.
            OverBudget: what it may cost is not there; nothing was sent.
        """


async def whole(stream: AsyncGenerator[Delta, None]) -> Reply:
    """What an answer in pieces comes to."""
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            if isinstance(delta, Done):
                return delta.reply
    raise AssertionError("an answer ends with Done or an error")
