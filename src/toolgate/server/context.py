"""What a caller may say beside its call: where its trace left off, which call this is, and whose yes it has."""

from __future__ import annotations

import re

from toolgate.errors import InvalidArguments

TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
APPROVAL = re.compile(r"[0-9a-f]{32}")
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def trace_parent(value: object) -> str | None:
    """A W3C `traceparent`; None for anything else, as its specification asks. It is written down as it is."""
    return value if isinstance(value, str) and TRACE_PARENT.fullmatch(value) else None


def approval(value: object) -> str | None:
    """The id of the yes that a call is to be let through by; None when none is named.

    Raises:
        InvalidArguments: it cannot be one.
    """
    if value is None or (isinstance(value, str) and APPROVAL.fullmatch(value)):
        return value
    raise InvalidArguments("an approval's id has 32 hexadecimal characters")


def idempotency_key(value: object) -> str | None:
    """The key by which a repeated call is known; None when there is none.

    Raises:
        InvalidArguments: it cannot be a key. To pass over it would repeat an effect that was meant to happen once.
    """
    if value is None or (isinstance(value, str) and IDEMPOTENCY_KEY.fullmatch(value)):
        return value
    raise InvalidArguments("an idempotency key has 1 to 255 visible ASCII characters")
