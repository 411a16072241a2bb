"""Two streams of output, cut to what an answer may hold: beginning and end, with a line between that says how much is missing. Pure."""

from __future__ import annotations

import re

import orjson

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Nothing that a reader sees, and six bytes each in JSON."""
HEAD = 1 / 3
"""Of what is kept, the part that is from the beginning; errors stand at the end."""


def shown(stdout: bytes, stderr: bytes, room: int) -> tuple[str, str, bool]:
    """Both as text that takes at most about `room` bytes of JSON, and whether anything was left out.

    A stream that is short leaves its room to the other.
    """
    texts = [CONTROL.sub("", stream.decode(errors="replace").replace("\r\n", "\n")) for stream in (stdout, stderr)]
    sizes = [len(orjson.dumps(text)) for text in texts]
    if sum(sizes) <= room:
        return texts[0], texts[1], False
    half = room // 2
    rooms = [max(half, room - sizes[1]), max(half, room - sizes[0])]
    out, err = (_cut(text, size, most) for text, size, most in zip(texts, sizes, rooms, strict=True))
    return out, err, True


def _cut(text: str, size: int, most: int) -> str:
    if size <= most:
        return text
    kept = max(0, int(len(text) * most / size) - 60)
    head = int(kept * HEAD)
    return f"{text[:head]}\n[… {len(text) - kept} characters left out …]\n{text[len(text) - kept + head :]}"
