"""Request lines and headers that a connection had before. Clients send the same ones each time, but for the length of the body.

What the parser has read once it would read again in the same way, whatever came between two requests: so it is not asked, and
what was concluded from the headers (`Headers.once`) stays with them. Learnt is what leaves nothing open, of a POST whose
connection goes on: one line for each header, one `Content-Length`, the body after it and not in chunks.
"""

from __future__ import annotations

import re

from starlette.types import Scope

from toolgate.server.headers import Headers

HEADS = 8
"""Kept of one connection."""
LARGEST = 4096
"""Bytes of what is kept of one."""
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})\r\n", re.IGNORECASE)
EACH = frozenset({"headers", "state", "extensions"})
"""What of a scope each request has its own of."""


def learnt(data: bytes, scope: Scope) -> Head | None:
    """The head that `data` begins with; None: there is something about it that the parser has to read each time.

    Args:
        scope: what it was read as.
    """
    end = data.find(b"\r\n\r\n") + 4
    head, names = data[:end], [name for name, _ in scope["headers"]]
    lines, length = len(names) + 2, LENGTH.search(head)
    if length is None or end > LARGEST or scope["method"] != "POST":
        return None
    if not lines == head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n"):
        return None
    if names.count(b"content-length") != 1 or b"transfer-encoding" in names:
        return None
    return Head(head[: length.start(1)], length[1], head[length.end(1) :], scope)


class Head:
    def __init__(self, before: bytes, length: bytes, after: bytes, scope: Scope) -> None:
        """
        Args:
            before: what stands before the length of the body.
            after: what follows it, to the end of the headers.
        """
        self._before, self._length, self._after = before, length, after
        self._whole = before + length + after
        self._headers = Headers(scope["headers"])
        self.size = len(before) + len(after)
        """Bytes without the length."""
        self.scope = {name: value for name, value in scope.items() if name not in EACH}

    def length(self, data: bytes) -> bytes:
        """The length of the body, where `data` begins with this head; else nothing."""
        if data.startswith(self._whole):
            return self._length
        if not data.startswith(self._before):
            return b""
        end = data.find(b"\r", len(self._before))
        length = data[len(self._before) : end]
        is_ours = len(length) <= 9 and length.isdigit() and length.strip(b"0") and data.startswith(self._after, end)
        return length if is_ours else b""

    def headers_with(self, length: bytes) -> Headers:
        if length != self._length:
            others = [(name, length if name == b"content-length" else value) for name, value in self._headers]
            self._length, self._headers, self._whole = length, Headers(others), self._before + length + self._after
        return self._headers


__all__ = ["HEADS", "Head", "learnt"]
