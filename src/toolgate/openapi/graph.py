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
    open_nodes: list[str] = []
    found: list[list[str]] = []
    done: set[str] = set()
    for start in edges:
        if start in index:
            continue
        path: list[tuple[str, Iterator[str]]] = []
        _enter(start, index, low, open_nodes, path, edges)
        while path:
            node, following = path[-1]
            target = next(following, None)
            if target is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == index[node]:
                    component = _close(node, open_nodes)
                    done.update(component)
                    found.append(component)
            elif target not in index:
                _enter(target, index, low, open_nodes, path, edges)
            elif target not in done:
                low[node] = min(low[node], index[target])
    return found


def _enter(
    node: str,
    index: dict[str, int],
    low: dict[str, int],
    open_nodes: list[str],
    path: list[tuple[str, Iterator[str]]],
    edges: Mapping[str, Iterable[str]],
) -> None:
    index[node] = low[node] = len(index)
    open_nodes.append(node)
    path.append((node, iter(edges[node])))


def _close(node: str, open_nodes: list[str]) -> list[str]:
    component: list[str] = []
    while not component or component[-1] != node:
        component.append(open_nodes.pop())
    return component
