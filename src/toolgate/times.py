"""Times as people and protocols write them: moments, in seconds since 1970 here, and spans, in seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SPAN = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|[smhd])", re.ASCII)
NUMBER = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)


def stamp(at: float, timespec: str = "seconds") -> str:
    """A moment as RFC 3339 writes it, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def moment(text: str) -> float:
    """A day or a moment of ISO 8601, in UTC where it says nothing else.

    Raises:
        ValueError: it is none; says what would be.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a time such as 2026-11-20 or 2026-11-20T09:30:00Z") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def span(text: str) -> float | None:
    """`500ms`, `45s`, `30m`, `12h`, `90d`; None: it is none of these."""
    found = SPAN.fullmatch(text)
    return float(found[1]) * UNITS[found[2]] if found else None


def http_date(text: str | None) -> float | None:
    """The moment of a header such as `Date` (RFC 9110, 5.6.7); None: it says none."""
    try:
        at = parsedate_to_datetime(text or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, IndexError, TypeError, OverflowError):
        return None


def retry_after(header: str | None, now: float | None = None) -> float | None:
    """Seconds that a `Retry-After` says (RFC 9110, 10.2.3), with a fraction too, as some write; None: it says none.

    Args:
        now: what a date in it is counted from; None: a date says nothing.
    """
    text = (header or "").strip()
    if NUMBER.fullmatch(text):
        return float(text)
    until = None if now is None else http_date(text)
    return None if now is None or until is None else max(0.0, until - now)
