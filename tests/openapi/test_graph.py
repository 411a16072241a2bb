from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolgate.openapi.graph import components

GRAPHS = st.dictionaries(st.sampled_from("abcdefg"), st.lists(st.sampled_from("abcdefg"), max_size=4), max_size=7).map(
    lambda edges: {node: [target for target in targets if target in edges] for node, targets in edges.items()}
)


def reached(edges: dict[str, list[str]], start: str) -> set[str]:
    found, pending = set[str](), list(edges[start])
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += edges[node]
    return found


@given(GRAPHS)
def test_nodes_are_together_that_reach_each_other_after_all_that_they_point_at(edges: dict[str, list[str]]) -> None:
    found = components(edges)

    place = {node: index for index, members in enumerate(found) for node in members}
    assert sorted(place) == sorted(edges) == sorted(node for members in found for node in members)
    for one in edges:
        for other in edges:
            together = one == other or (other in reached(edges, one) and one in reached(edges, other))
            assert (place[one] == place[other]) == together
        assert all(place[target] <= place[one] for target in edges[one])


def test_a_long_chain_needs_no_recursion() -> None:
    edges = {str(n): [str(n + 1)] for n in range(50_000)} | {"50000": []}

    assert [members[0] for members in components(edges)] == [str(n) for n in range(50_000, -1, -1)]
