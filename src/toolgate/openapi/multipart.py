"""Parts to one multipart body (RFC 2046, 5.1; names and files as RFC 7578 and browsers write them)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from toolgate.openapi.media import Unfit
from toolgate.openapi.style import field_value, is_token

ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""In names and file names: the HTML standard, "multipart/form-data boundary string"."""


@dataclass(frozen=True, slots=True)
class Part:
    data: bytes = field(repr=False)
    name: str | None = None
    """None: a part of a multipart that is no form."""
    filename: str | None = None
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


def encode(parts: Sequence[Part]) -> tuple[str, bytes]:
    """The boundary and the body. The same parts make the same body: the boundary is their hash."""
    pieces = [(_head(part), part.data) for part in parts]
    boundary = _boundary(pieces)
    body = b"".join(b"--%s\r\n%s\r\n%s\r\n" % (boundary, head, data) for head, data in pieces)
    return boundary.decode(), body + b"--%s--\r\n" % boundary


def _head(part: Part) -> bytes:
    lines = []
    if part.name is not None:
        filename = "" if part.filename is None else f'; filename="{part.filename.translate(ESCAPES)}"'
        lines.append(f'Content-Disposition: form-data; name="{part.name.translate(ESCAPES)}"{filename}')
    if part.content_type is not None:
        lines.append(f"Content-Type: {field_value(part.content_type)}")
    for name, value in part.headers:
        if not is_token(name):
            raise Unfit("a part's header has an impossible name")
        lines.append(f"{name}: {field_value(value)}")
    return "".join(f"{line}\r\n" for line in lines).encode()


def _boundary(pieces: Sequence[tuple[bytes, bytes]]) -> bytes:
    """128 bits of a hash of everything: content that holds its own hash takes 2**128 tries to make."""
    digest = sha256()
    for head, data in pieces:
        digest.update(b"%d %d " % (len(head), len(data)))
        digest.update(head)
        digest.update(data)
    return b"toolgate-" + digest.hexdigest()[:32].encode()
