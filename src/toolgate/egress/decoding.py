"""Take an answer's bytes in, undo its content encoding, and stop as soon as a cap is passed.

zlib is fed piece by piece with a bound on what one step may give, so a bomb costs the memory of one step and not of
what it would have become.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from toolgate.egress.wire import Caps
from toolgate.errors import AnswerTooLarge, UpstreamFailed

ACCEPTED = "gzip, identity"
STEP = 256 * 1024
"""Bytes that one step of decoding may give."""
RATIO_FROM = 64 * 1024
"""Decoded bytes up to which any ratio is fine: small answers of one repeated character are common."""
GZIP = 16 + zlib.MAX_WBITS


class Intake:
    """One answer's body on its way in."""

    def __init__(self, codings: Sequence[str], caps: Caps, who: str) -> None:
        """
        Args:
            codings: the values of the Content-Encoding headers.
            who: the origin, for messages.

        Raises:
            UpstreamFailed: an encoding that was not asked for, or several over each other.
        """
        self._caps = caps
        self._who = who
        self._received = 0
        self._decoded = 0
        self._gzip = zlib.decompressobj(GZIP) if codings and is_gzip(codings, who) else None

    def expect(self, length: int) -> None:
        """Hear that `length` bytes are announced. Raises AnswerTooLarge when these are too many."""
        if length > self._caps.received:
            raise AnswerTooLarge(f"the answer of {self._who} has {length} bytes; {self._caps.received} are taken at most")

    def take(self, chunk: bytes) -> bytes:
        """`chunk`, decoded; may be empty.

        Raises:
            AnswerTooLarge: a cap is passed.
            UpstreamFailed: the bytes are not what their encoding promises.
        """
        self._received += len(chunk)
        if self._received > self._caps.received:
            raise AnswerTooLarge(f"the answer of {self._who} has more than the {self._caps.received} bytes that are taken at most")
        if self._gzip is None:
            if self._received > self._caps.decoded:
                self._count(self._received)
            return chunk
        return b"".join(self._inflate(chunk))

    def end(self) -> None:
        """Hear that nothing follows. Raises UpstreamFailed when something should."""
        if self._gzip is not None and self._received and not self._gzip.eof:
            raise UpstreamFailed(f"the compressed answer of {self._who} ends in the middle")

    def _inflate(self, chunk: bytes) -> Iterator[bytes]:
        assert self._gzip is not None
        while chunk:
            if self._gzip.eof:  # RFC 1952, 2.2: a file is one member after another, as servers send it that compress piece by piece
                self._gzip = zlib.decompressobj(GZIP)
            try:
                piece = self._gzip.decompress(chunk, STEP)
            except zlib.error:
                raise UpstreamFailed(f"the answer of {self._who} is not the gzip that it says") from None
            self._count(len(piece))
            yield piece
            chunk = self._gzip.unused_data or self._gzip.unconsumed_tail

    def _count(self, size: int) -> None:
        self._decoded += size
        if self._decoded > self._caps.decoded:
            raise AnswerTooLarge(f"the answer of {self._who} has more than the {self._caps.decoded} bytes that are taken at most, decoded")
        if self._decoded > RATIO_FROM and self._decoded > self._caps.ratio * self._received:
            raise AnswerTooLarge(f"the answer of {self._who} unpacks to more than {self._caps.ratio} times its size")


def is_gzip(codings: Sequence[str], who: str) -> bool:
    """Whether the body is gzip; False: as it is. Raises UpstreamFailed for anything else."""
    names = [name for value in codings for part in value.split(",") if (name := part.strip().lower()) and name != "identity"]
    if not names:
        return False
    if names in (["gzip"], ["x-gzip"]):
        return True
    raise UpstreamFailed(f"{who} answered in a content encoding that was not asked for; only gzip, once, is understood")
