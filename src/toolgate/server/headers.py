"""The headers of a request, which may have one several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Headers = Sequence[tuple[bytes, bytes]]


def called(name: bytes, headers: Headers, named: Mapping[bytes, bytes]) -> list[bytes]:
    """The values of all headers of that name.

    Args:
        named: `dict(headers)`. Most requests have no header twice, and then nobody has to look through all of them.
    """
    if name not in named or len(named) == len(headers):
        return [named[name]] if name in named else []
    return [value for each, value in headers if each == name]


__all__ = ["called"]
