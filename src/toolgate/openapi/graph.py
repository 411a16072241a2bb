"""Cycles among things that point at each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping


def components(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected components of a graph, each after all that it points at.

    Args:
        edges: for every node the nodes it points at, all of them keys too.

    Source: Tarjan 1972, without recursion, because a chain of references may be long.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    ahead: dict[str, Iterator[str]] = {}
    open_nodes: list[str] = []
    found: list[list[str]] = []
    done: set[str] = set()
    for start in edges:
        path = [] if start in index else [start]
        while path:
            node = path[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                ahead[node] = iter(edges[node])
                open_nodes.append(node)
            target = next(ahead[node], None)
            if target is None:
                path.pop()
                if path:
                    low[path[-1]] = min(low[path[-1]], low[node])
                if low[node] == index[node]:
                    component = [open_nodes.pop()]
                    while component[-1] != node:
                        component.append(open_nodes.pop())
                    done.update(component)
                    found.append(component)
            elif target not in index:
                path.append(target)
            elif target not in done:
                low[node] = min(low[node], index[target])
    return found
