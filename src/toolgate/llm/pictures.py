"""Pictures that a caller sends: what is taken as one, and how much of it. Pure; nothing is fetched."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence

from toolgate.errors import InvalidArguments
from toolgate.llm.messages import Image

# What all take: Anthropic 5 MiB of base64 a picture and 32 MB a request, Mistral 8 pictures, OpenAI 50 MB.
MOST = 5 * 1024 * 1024 * 3 // 4
"""Bytes of a picture."""
MOST_OF_ALL = 4 * MOST
"""Bytes of all pictures of a conversation, which every request to a model carries."""
MOST_PICTURES = 8
BEGINNINGS = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
)
TYPES = "image/png, image/jpeg, image/gif and image/webp"
URL = re.compile(r"data:([^;,]{1,100});base64,", re.IGNORECASE)


def picture(data: bytes, where: str, media_type: str = "") -> Image:
    """
    Args:
        where: it came from, for messages.
        media_type: as it is said to be; empty: nobody says.

    Raises:
        InvalidArguments: it is none that is taken, or too large.
    """
    if len(data) > MOST:
        raise _too_large(where)
    found = next((name for name, beginning in BEGINNINGS if beginning.match(data)), None)
    if found is None:
        raise InvalidArguments(f"{where} does not begin as a picture does of a type that is taken: {TYPES}")
    if media_type and found != media_type.lower():
        raise InvalidArguments(f"{where} begins as {found} does and is said to be another type; say {found}")
    return Image(data, found)


def decoded(base64: str, where: str, media_type: str) -> Image:
    """The picture that `base64` is; raises as `picture` does."""
    if len(base64) > (MOST + 2) // 3 * 4:
        raise _too_large(where)
    try:
        data = b64decode(base64, validate=True)
    except ValueError:
        raise InvalidArguments(f"{where} is not base64") from None
    return picture(data, where, media_type)


def of_url(url: str, where: str) -> Image:
    """The picture that a `data:` URL holds; raises as `picture` does."""
    head = URL.match(url)
    if head is None:
        raise InvalidArguments(
            f"{where} is no data: URL. Nothing is fetched for a caller: send the picture itself, as data:image/png;base64,… "
            f"({TYPES} are taken)"
        )
    return decoded(url[head.end() :], where, head[1])


def bounded(images: Sequence[Image]) -> tuple[Image, ...]:
    """All pictures of one conversation.

    Raises:
        InvalidArguments: they are too many or too large together.
    """
    size = sum(len(image.data) for image in images)
    if len(images) > MOST_PICTURES or size > MOST_OF_ALL:
        raise InvalidArguments(
            f"the conversation would have {len(images)} pictures of {size} bytes in all; {MOST_PICTURES} of {MOST_OF_ALL} bytes are taken. "
            "Send fewer or smaller ones, or begin a new conversation"
        )
    return tuple(images)


def told(images: Sequence[Image]) -> str:
    """What may be written down of them: a line for each, with its type, its size, and a digest that tells it from others."""
    return "\n".join(f"[picture: {each.media_type}, {len(each.data)} bytes, sha256 {each.digest}]" for each in images)


def _too_large(where: str) -> InvalidArguments:
    return InvalidArguments(f"{where} is larger than {MOST} bytes; make the picture smaller")
