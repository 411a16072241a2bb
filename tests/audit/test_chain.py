"""The tree is RFC 6962's, and the chain is one that nothing fits into."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.audit.chain import START, Tree, chained, led, path
from toolgate.audit.chain import leaf as leaf_of


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_root_is_that_of_rfc_6962_at_every_size(leaves: list[bytes]) -> None:
    tree = Tree()
    for size, leaf in enumerate(leaves):
        assert tree.root() == by_definition(leaves[:size])
        tree.add(leaf)

    assert (tree.size, tree.root()) == (len(leaves), by_definition(leaves))


def test_the_first_roots_are_those_of_the_reference_implementation() -> None:
    """Leaves and roots of certificate-transparency's own tests (merkletree_test.cc), for data of any length."""
    tree = Tree()
    tree.add(b"")
    assert tree.root().hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    tree.add(b"\x00")
    assert tree.root().hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    tree.add(b"\x10")
    assert tree.root().hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40), st.integers(0, 40))
def test_a_tree_goes_on_from_its_frontier(leaves: list[bytes], stop: int) -> None:
    whole, first = Tree(), Tree()
    for leaf in leaves:
        whole.add(leaf)
    for leaf in leaves[:stop]:
        first.add(leaf)

    second = Tree(first.size, first.frontier)
    for leaf in leaves[stop:]:
        second.add(leaf)

    assert second.root() == whole.root()


def test_a_frontier_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a tree of 3 has 2 complete subtrees, not 1"):
        Tree(3, [bytes(32)])


RECORDS = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.binary(max_size=9), st.binary(max_size=30))


@given(st.lists(RECORDS, min_size=2, max_size=2, unique=True), st.binary(min_size=32, max_size=32))
def test_different_records_have_different_hashes_even_where_their_parts_join_up_alike(
    records: list[tuple[int, int, bytes, bytes]], previous: bytes
) -> None:
    for one, other in pairwise(records):
        assert chained(previous, *one) != chained(previous, *other)
    assert chained(START, 1, 2, b"audit", b"{}") != chained(START, 1, 2, b"audi", b"t{}")


@given(st.integers(1, 70), st.data())
def test_the_way_from_any_leaf_leads_to_the_root_and_from_no_other(size: int, data: st.DataObject) -> None:
    hashes = [sha256(bytes([number])).digest() for number in range(size)]
    tree = Tree()
    for each in hashes:
        tree.add(each)
    index = data.draw(st.integers(0, size - 1))
    way = path(index, [leaf_of(each) for each in hashes])

    assert led(leaf_of(hashes[index]), index, size, way) == tree.root()
    assert len(way) <= size.bit_length()
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index)) if size > 1 else 1
    assert led(leaf_of(hashes[index]), other, size, way) != tree.root()
    assert led(leaf_of(b"x"), index, size, way) != tree.root()
    assert led(leaf_of(hashes[index]), index, size, [*way, bytes(32)]) != tree.root()
    for at in range(len(way)):
        assert led(leaf_of(hashes[index]), index, size, [*way[:at], bytes(32), *way[at + 1 :]]) != tree.root()
        assert led(leaf_of(hashes[index]), index, size, way[:at]) != tree.root()
