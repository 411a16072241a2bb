"""What a program that sends a whole conversation each time asks the agent for: the last that was said, with what came before it.

The agent's run is the conversation to us. Of one that it has not had itself, what was said before goes along as text, and its pictures
with those of the last message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolgate.errors import InvalidArguments
from toolgate.llm.messages import Image
from toolgate.llm.pictures import bounded, decoded, of_url

OVER = ("system", "developer")
"""Roles that stand over the conversation."""
SHOWN_ONLY = ("activity", "reasoning")
"""Roles of what AG-UI's front ends show and send back with the conversation, which nobody has said in it."""
TOOLS = ("tool", "function")
"""Roles of what tools have answered."""
SHOWN = 20_000
"""Characters of one earlier message that go along."""
PICTURES = {
    "image_url": '{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}',
    "input_image": '{"type": "input_image", "image_url": "data:image/png;base64,…"}',
    "image": '{"type": "image", "source": {"type": "data", "value": "…", "mimeType": "image/png"}}',
    "binary": '{"type": "binary", "data": "…", "mimeType": "image/png"}',
}
"""Parts that are pictures, by type: of Chat Completions, of Responses, of AG-UI, of AG-UI before it had one for pictures alone."""


@dataclass(frozen=True, slots=True)
class Asked:
    text: str
    """What the user said last; empty: nothing in words, or somebody else did."""
    earlier: str
    """What was said before, as text; empty: nothing."""
    instructions: str
    images: tuple[Image, ...] = ()
    """What the user showed last."""
    shown: tuple[Image, ...] = ()
    """What was shown before."""
    tainted: bool = False
    """What was said before has answers of tools, which strangers may have written."""

    @property
    def spoken(self) -> bool:
        """The user has said or shown something."""
        return bool(self.text or self.images)

    @property
    def task(self) -> str:
        """The whole of it, for a run that has not heard any of it; its pictures are all."""
        if not self.earlier:
            return self.text
        return f"What was said before:\n\n{self.earlier}\n\nWhat is asked now:\n\n{self.text}"

    @property
    def all_images(self) -> tuple[Image, ...]:
        return (*self.shown, *self.images)


@dataclass(frozen=True, slots=True)
class Said:
    role: str
    text: str
    images: tuple[Image, ...]


def asked(messages: Sequence[Any]) -> Asked:
    """What `messages`, in OpenAI's or AG-UI's form, ask for.

    Raises:
        InvalidArguments: something in them is no message, or holds what the agent does not take.
    """
    said = [_said(message, place) for place, message in enumerate(messages)]
    bounded([image for each in said for image in each.images])
    conversation = [each for each in said if each.role not in (*OVER, *SHOWN_ONLY)]
    instructions = "\n\n".join(each.text for each in said if each.role in OVER and each.text)
    last = conversation[-1] if conversation and conversation[-1].role == "user" else Said("", "", ())
    before = conversation[:-1] if last.text or last.images else conversation
    shown: list[Image] = []
    earlier = []
    for each in before:
        marks = [f"[picture {len(shown) + number}]" for number, _ in enumerate(each.images, 1)]
        shown += each.images
        if text := " ".join([*marks, _cut(each.text)] if each.text else marks):
            earlier.append(f"{each.role}: {text}")
    tainted = any(each.role in TOOLS for each in before)
    return Asked(last.text, "\n\n".join(earlier), instructions, last.images, tuple(shown), tainted)


def _said(message: Any, place: int) -> Said:
    role = message.get("role") if isinstance(message, Mapping) else None
    if not isinstance(message, Mapping) or not isinstance(role, str):
        raise InvalidArguments(f"messages.{place} is no message: it has to be an object with a role")
    content, where = message.get("content"), f"messages.{place}.content"
    if role in SHOWN_ONLY:  # an activity's content is an object of its own form
        return Said(role, "", ())
    if role != "user" or not isinstance(content, list):
        return Said(role, text_of(content, where), ())
    words = [part for part in content if not _is_picture(part)]
    images = tuple(_picture(part, f"{where}.{number}") for number, part in enumerate(content) if _is_picture(part))
    return Said(role, text_of(words, where), images)


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
            raise InvalidArguments(f"{where} has a part of type {str(kind)[:40]}; the agent takes text, and pictures from its user")
        texts.append(text)
    return "\n".join(texts)


def _is_picture(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in PICTURES


def _picture(part: Mapping[str, Any], where: str) -> Image:
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}} | {"type": "input_image", "image_url": str(url)}:
            return of_url(url, where)
        case {"type": "image", "source": {"type": "url", "value": str(url)}}:
            return of_url(url, where)
        case {"type": "image", "source": {"type": "data", "value": str(base64), "mimeType": str(media_type)}}:
            return decoded(base64, where, media_type)
        case {"type": "binary", "data": str(base64), "mimeType": str(media_type)}:
            return decoded(base64, where, media_type)
        case {"type": "binary", "url": str(url)}:
            return of_url(url, where)
    raise InvalidArguments(f"{where} holds no picture: it comes with the request, as {PICTURES[part['type']]}")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} … (cut)"
