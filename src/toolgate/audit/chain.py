"""Hashes that hold records in their order.

Rule 1. A record's hash covers the hash before it, its number, time, stream and exact text. So an edit, a deletion or a
swap breaks the chain at the first record concerned, and hiding that means to compute every later hash anew.

Rule 2. The record hashes are the leaves of an RFC 6962 tree (leaf = SHA-256 of 0x00 and the record's hash, node = SHA-256
of 0x01 and both children). Its root at some size is what a checkpoint signs; a root that left this machine cannot be
met by other records. `Tree` keeps only the roots of the complete subtrees: 20 hashes for a million records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        node = leaf(hash)
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


def leaf(hash: bytes) -> bytes:
    """The leaf that a record is in the tree."""
    return sha256(b"\0" + hash).digest()


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """What leads from the leaf `index`, counted from 0, to the root: its sibling, then that of the node above, and so on.

    Source: RFC 6962, 2.1.1. A node without a sibling goes up as it is.
    """
    nodes, found = leaves, []
    while len(nodes) > 1:
        if (sibling := index ^ 1) < len(nodes):
            found.append(nodes[sibling])
        pairs = [sha256(b"\1" + nodes[at] + nodes[at + 1]).digest() for at in range(0, len(nodes) - 1, 2)]
        nodes = [*pairs, nodes[-1]] if len(nodes) & 1 else pairs
        index >>= 1
    return found


def led(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that `path` leads to from the leaf `index` of `size`; None: it has not the length that it needs.

    Source: RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    at, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            node = sha256(b"\1" + sibling + node).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = sha256(b"\1" + node + sibling).digest()
        at, last = at >> 1, last >> 1
    return node if last == 0 else None
