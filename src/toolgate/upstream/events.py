"""Server-sent events, read piece by piece with a bound on what one event may weigh (WHATWG HTML, 9.2.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from toolgate.errors import AnswerTooLarge
from toolgate.upstream.messages import MARK


@dataclass(slots=True)
class Event:
    data: bytes = b""
    kind: str = "message"
    id: str | None = None
    """What a stream that broke off can be taken up from."""
    retry: float | None = None
    """Seconds that the server asks to wait before that."""


@dataclass(slots=True)
class _Growing:
    lines: list[bytes] = field(default_factory=list)
    event: Event = field(default_factory=Event)
    seen: bool = False


async def events(read: Callable[[], Awaitable[bytes]], most: int) -> AsyncIterator[Event]:
    """The events of a stream, those without data too when they say an id or a time to wait.

    Args:
        read: the next piece of the stream; empty at its end.
        most: bytes that one event may have.

    Raises:
        AnswerTooLarge: an event has more.
    """
    rest, growing, size = bytearray(), _Growing(), 0
    searched, begun = 0, False
    while piece := await read():
        rest += piece
        if not begun and len(rest) >= len(MARK):
            begun = True
            if rest.startswith(MARK):
                del rest[: len(MARK)]
        while (cut := _line_end(rest, searched)) is not None:
            end, after = cut
            line = bytes(rest[:end])
            del rest[:after]
            searched = 0
            size += len(line)
            if size > most:
                break
            if line:
                _take(growing, line)
                continue
            if growing.seen:
                growing.event.data = b"\n".join(growing.lines)
                yield growing.event
            growing, size = _Growing(), 0
        else:
            searched = max(0, len(rest) - 1)
        if size + len(rest) > most:
            raise AnswerTooLarge(f"an event has more than the {most} bytes that are taken at most")


def _line_end(data: bytearray, start: int) -> tuple[int, int] | None:
    """Where the first line ends and the next begins. A CR at the very end may be half of a CRLF, so it waits."""
    newline, carriage = data.find(b"\n", start), data.find(b"\r", start)
    if newline < 0 and (carriage < 0 or carriage == len(data) - 1):
        return None
    if carriage < 0 or 0 <= newline < carriage:
        return newline, newline + 1
    if carriage == len(data) - 1:
        return None
    return carriage, carriage + (2 if data[carriage + 1] == 0x0A else 1)


def _take(growing: _Growing, line: bytes) -> None:
    name, _, value = line.partition(b":")
    value = value.removeprefix(b" ")
    event = growing.event
    match name:
        case b"data":
            growing.lines.append(value)
        case b"event":
            event.kind = value.decode(errors="replace") or "message"
        case b"id" if b"\0" not in value:
            event.id = value.decode(errors="replace")
        case b"retry" if value.isdigit() and len(value) < 9:
            event.retry = int(value) / 1000
        case _:
            return
    growing.seen = True
