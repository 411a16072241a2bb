"""What a program that sends a whole conversation each time asks the agent for: the last that was said, with what came before it.

The agent's run is the conversation to us. Of one that it has not had itself, what was said before goes along as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolgate.errors import InvalidArguments

OVER = ("system", "developer")
"""Roles that stand over the conversation."""
SHOWN = 20_000
"""Characters of one earlier message that go along."""


@dataclass(frozen=True, slots=True)
class Asked:
    text: str
    """What the user said last; empty: somebody else did."""
    earlier: str
    """What was said before, as text; empty: nothing."""
    instructions: str

    @property
    def task(self) -> str:
        """The whole of it, for a run that has not heard any of it."""
        if not self.earlier:
            return self.text
        return f"What was said before:\n\n{self.earlier}\n\nWhat is asked now:\n\n{self.text}"


def asked(messages: Sequence[Any]) -> Asked:
    """What `messages`, in OpenAI's or AG-UI's form, ask for.

    Raises:
        InvalidArguments: something in them is no message, or holds what the agent does not take.
    """
    said = [_said(message, place) for place, message in enumerate(messages)]
    conversation = [(role, text) for role, text in said if role not in OVER]
    instructions = "\n\n".join(text for role, text in said if role in OVER and text)
    text = conversation[-1][1] if conversation and conversation[-1][0] == "user" else ""
    before = conversation[:-1] if text else conversation
    return Asked(text, "\n\n".join(f"{role}: {_cut(earlier)}" for role, earlier in before if earlier), instructions)


def _said(message: Any, place: int) -> tuple[str, str]:
    role = message.get("role") if isinstance(message, Mapping) else None
    if not isinstance(message, Mapping) or not isinstance(role, str):
        raise InvalidArguments(f"messages.{place} is no message: it has to be an object with a role")
    return role, text_of(message.get("content"), f"messages.{place}.content")


def text_of(content: Any, where: str) -> str:
    """The text of a content, which is a text or a list of parts.

    Raises:
        InvalidArguments: it is something else, or has parts that are no text.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = []
    for part in parts:
        text = part.get("text", part.get("refusal")) if isinstance(part, Mapping) else None
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise InvalidArguments(f"{where} has a part of type {str(kind)[:40]}; the agent takes text")
        texts.append(text)
    return "\n".join(texts)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} … (cut)"
