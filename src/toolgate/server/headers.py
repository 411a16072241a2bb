"""The headers of a request, which may have one several times."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import chain
from typing import Any, TypeVar

from starlette.types import Scope

T = TypeVar("T")
Of = TypeVar("Of", bound=Hashable)


class Headers(list[tuple[bytes, bytes]]):
    """As ASGI has them. What follows from them alone is concluded once: a connection's requests often have the same."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(headers)
        text = b"\n".join(chain.from_iterable(self)) + b"\n"
        # RFC 9110, 5.5: the white space around a value is not part of it, but httptools leaves what follows. Hardly ever is there any.
        if b" \n" in text or b"\t\n" in text or b"\n " in text or b"\n\t" in text:
            self[:] = [(name, value.strip(b" \t")) for name, value in self]
        self.size = len(text) + 2 * len(self)
        """Bytes, as they came."""
        self.named = dict(self)
        self._concluded: dict[tuple[Any, Hashable], Any] = {}

    def all(self, name: bytes) -> list[bytes]:
        """The values of all headers of that name."""
        if name not in self.named or len(self.named) == len(self):
            return [self.named[name]] if name in self.named else []
        return [value for each, value in self if each == name]

    def once(self, conclude: Callable[[Headers, Of], T], of: Of) -> T:
        """What `conclude` makes of them and `of`, and nothing else."""
        try:
            concluded: T = self._concluded[conclude, of]
        except KeyError:
            concluded = self._concluded[conclude, of] = conclude(self, of)
        return concluded


def headers_of(scope: Scope) -> Headers:
    headers = scope["headers"]
    if type(headers) is not Headers:
        headers = scope["headers"] = Headers(headers)
    return headers


__all__ = ["Headers", "headers_of"]
