"""A provider without a model: it says what its script says, or improvises, the same for the same conversation. Clearly labelled as that."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import anyio

from toolgate.errors import ModelFailed
from toolgate.llm.classify import answered, cut_off
from toolgate.llm.improvised import improvised
from toolgate.llm.messages import Assistant, CallDelta, Chosen, Delta, Done, Errand, Message, Prompt, Reply, TextDelta, Tokens, ToolCall
from toolgate.llm.provider import Provider
from toolgate.llm.script import Line, Trouble, filled, line_of

CHARACTERS = 4
"""That count as a token: a script has no tokenizer."""
KEPT = 1024
"""Replies whose failed attempts are remembered."""


class Scripted(Provider):
    """Says the lines of `script`; without one, what `improvised` says."""

    def __init__(self, name: str, script: Sequence[Line] | None) -> None:
        self.name = name
        self._script = script
        self._failed: OrderedDict[tuple[str, int, int], int] = OrderedDict()

    async def stream(self, prompt: Prompt, errand: Errand) -> AsyncGenerator[Delta, None]:
        model = prompt.model.partition("/")[2] or "scripted-1"
        yield Chosen(self.name, model)
        trouble: Trouble | None = None
        if self._script is None:
            said = improvised(prompt.messages, prompt.tools if prompt.choice != "none" else ())
            text, calls = said.text, said.calls
        else:
            found = line_of(self._script, prompt.messages)
            if found is None:
                raise ModelFailed(f"the script of {self.name} has no line for this reply", "request", reason="script_ended")
            place, line = found
            await anyio.sleep(line.delay)
            trouble = self._trouble(line.errors, (errand.run, place, len(prompt.messages)))
            text, calls = filled(line.text, prompt.messages), tuple((wish.tool, wish.arguments) for wish in line.calls)
        for delta in spoken(text, trouble.after if trouble else None):
            yield delta
        if trouble is not None:
            raise self._error(trouble)
        wanted = tool_calls(calls, prompt.messages)
        for call in wanted:
            yield CallDelta(call.id, call.name, call.raw)
        tokens = Tokens(_count(prompt), (len(text) + sum(len(call.raw) for call in wanted)) // CHARACTERS + 1)
        yield Done(Reply(Assistant(text, wanted), "calls" if wanted else "end", tokens, self.name, model, estimated=True))

    def _trouble(self, errors: Sequence[Trouble], attempt: tuple[str, int, int]) -> Trouble | None:
        """How this attempt at a reply fails; None: it does not."""
        failed = self._failed.pop(attempt, 0)
        if failed >= len(errors):
            return None
        self._failed[attempt] = failed + 1
        if len(self._failed) > KEPT:
            self._failed.popitem(last=False)
        return errors[failed]

    def _error(self, trouble: Trouble) -> ModelFailed:
        if trouble.status is None:
            return cut_off(self.name)
        asked = {} if trouble.retry_after is None else {"retry-after": f"{trouble.retry_after:g}"}
        return answered(self.name, trouble.status, asked)


def spoken(text: str, words: int | None = None) -> Iterator[TextDelta]:
    """`text` word by word; only the first `words` of it where that is given."""
    for word in re.findall(r"\s*\S+\s*", text)[:words]:
        yield TextDelta(word)


def tool_calls(calls: Sequence[tuple[str, Mapping[str, Any]]], messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """`calls` with ids that no other reply of the conversation has."""
    turn = sum(isinstance(message, Assistant) for message in messages) + 1
    return tuple(
        ToolCall(f"call_{turn}_{index}", name, arguments, json.dumps(dict(arguments))) for index, (name, arguments) in enumerate(calls)
    )


def _count(prompt: Prompt) -> int:
    said = sum(len(message.text) for message in prompt.messages)
    return (said + sum(len(tool.description) + len(json.dumps(tool.schema)) for tool in prompt.tools)) // CHARACTERS + 1
