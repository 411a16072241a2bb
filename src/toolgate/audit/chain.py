"""Hashes that hold records in their order.

Rule 1. A record's hash covers the hash before it, its number, time, stream and exact text. So an edit, a deletion or a
swap breaks the chain at the first record concerned, and hiding that means to compute every later hash anew.

Rule 2. The record hashes are the leaves of an RFC 6962 tree (leaf = SHA-256 of 0x00 and the record's hash, node = SHA-256
of 0x01 and both children). Its root at some size is what a checkpoint signs; a root that left this machine cannot be
met by other records. `Tree` keeps only the roots of the complete subtrees: 20 hashes for a million records.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct

START = bytes(32)
"""Stands for the hash before the first record."""
_HEAD = Struct(">QQH")


def chained(previous: bytes, seq: int, at: int, stream: bytes, body: bytes) -> bytes:
    """The hash of record `seq`.

    Args:
        at: nanoseconds since 1970, UTC.
        body: UTF-8, exactly as kept.
    """
    return sha256(b"%b%b%b%b" % (previous, _HEAD.pack(seq, at, len(stream)), stream, body)).digest()


class Tree:
    """The RFC 6962 tree over record hashes, growing at its end."""

    def __init__(self, size: int = 0, frontier: Iterable[bytes] = ()) -> None:
        """
        Args:
            frontier: the roots of the complete subtrees, the largest first: one for each 1 in `size`, written in binary.
        """
        self.size = size
        self._frontier = list(frontier)
        if len(self._frontier) != size.bit_count():
            raise ValueError(f"a tree of {size} has {size.bit_count()} complete subtrees, not {len(self._frontier)}")

    @property
    def frontier(self) -> tuple[bytes, ...]:
        return tuple(self._frontier)

    def add(self, hash: bytes) -> None:
        """One more record."""
        node = sha256(b"\0" + hash).digest()
        size = self.size
        while size & 1:
            node = sha256(b"\1" + self._frontier.pop() + node).digest()
            size >>= 1
        self._frontier.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root over all records so far; of none, the hash of nothing."""
        if not self._frontier:
            return sha256(b"").digest()
        *larger, node = self._frontier
        for left in reversed(larger):
            node = sha256(b"\1" + left + node).digest()
        return node
