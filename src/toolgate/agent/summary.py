"""What stands for the part of a conversation that no longer fits: a list of what was done, so that nothing is done twice. Pure.

No model is asked for it: a list costs nothing, cannot fail, and leaves out no effect as long as there is room.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from toolgate.llm.messages import Assistant, Message, ToolCall, ToolResult, User

KEPT_STEPS = 4  # replies, with their results, that stay as they are; a guess
ARGUMENTS, RESULT, SAID = 200, 300, 500  # characters of each in the list
HEAD = "[Toolgate] Earlier steps were taken out to make room. What was done in them, results being data as ever:"
SHARE = 0.5  # of the window, for the list; a guess
CHARACTERS = 3  # of a token, at least
PICTURE = 15_000  # characters that one stands for: three for each token of a large one


def weight(message: Message) -> int:
    """Characters, about."""
    if isinstance(message, Assistant):
        return len(message.text) + sum(len(call.raw) + len(call.name) + 20 for call in message.calls)
    return len(message.text) + (PICTURE * len(message.images) if isinstance(message, User) else 0)


def cut_at(messages: Sequence[Message], keep: int = KEPT_STEPS) -> int:
    """Where the part begins that stays: at a reply, so that no call is parted from its result. 0: there is nothing to leave out."""
    replies = [index for index, message in enumerate(messages) if isinstance(message, Assistant)]
    cut = replies[-keep] if len(replies) > keep else 0
    return cut if cut > 2 else 0


def summary_of(messages: Sequence[Message], window: int) -> str:
    """The list for `messages`, the first of which, the task, stays in the conversation.

    Args:
        window: the model's, in tokens. Of a list that grows beyond its part of that, with each piece of a long conversation, the oldest
            lines are left out.
    """
    results = {message.id: message for message in messages if isinstance(message, ToolResult)}
    lines = []
    for message in messages[1:]:
        if isinstance(message, Assistant):
            lines += [f"- you said: {_short(message.text, SAID)}"] if message.text else []
            lines += [_line(call, results.get(call.id)) for call in message.calls]
        elif isinstance(message, User) and message.text.startswith(HEAD):
            lines += message.text.splitlines()[1:]
        elif not isinstance(message, ToolResult):
            lines.append(f"- you were told: {message.text}")
            if isinstance(message, User) and message.images:
                lines.append(f"- you were shown {len(message.images)} pictures, which were taken out as well")
    room, first = int(SHARE * window * CHARACTERS), len(lines)
    while first and (room := room - len(lines[first - 1]) - 1) >= 0:
        first -= 1
    return "\n".join([HEAD, *(["- what was done before that is left out"] if first else []), *lines[first:]])


def _line(call: ToolCall, result: ToolResult | None) -> str:
    arguments = call.raw or orjson.dumps(call.arguments, default=str).decode()
    came = "nothing is known" if result is None else f"{'failed' if result.failed else 'ok'}: {_short(result.text, RESULT)}"
    return f"- you called {call.name} {_short(arguments, ARGUMENTS)} -> {came}"


def _short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}…"
