"""Apply an OpenAPI Overlay (1.0, 1.1) to a description: its actions in order, each on what the one before left.

Source: Overlay Specification 1.1.0, "Action Object". Version 1.0 knows neither `copy` nor updates of primitive values;
nothing that it does allow means something else in 1.1, so both are read by the rules of 1.1. An action that cannot be
carried out is a finding, and the others still apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import jsonpath_rfc9535 as jsonpath

from toolgate.openapi.diagnostics import Diagnostic, Findings
from toolgate.pointer import join


class _CannotApply(Exception):
    """One action, or one node of it, asks for what the specification calls an error."""


def apply(root: dict[str, Any], overlay: Any, *, name: str = "the overlay") -> list[Diagnostic]:
    """Change `root`, a plain tree, in place as `overlay` says.

    Args:
        name: how findings call the overlay.

    Returns:
        Every action, or node of one, that was not applied, and every action that matched nothing.
    """
    findings = Findings()
    actions = overlay.get("actions") if isinstance(overlay, Mapping) else None
    if not isinstance(actions, list):
        findings.warning("overlay-unreadable", "", f"{name} holds no list of actions and changes nothing")
        return findings
    version = str(overlay.get("overlay"))
    if not version.startswith(("1.0", "1.1")):
        findings.info("overlay-version", "", f"{name} is of version {version}; it is read as 1.1")
    for number, action in enumerate(actions, 1):
        try:
            _act(root, action, f"action {number} of {name}", findings)
        except (_CannotApply, jsonpath.JSONPathError) as error:
            findings.warning("overlay-action-failed", "", f"action {number} of {name} was not applied: {error}")
    return findings


def _act(root: dict[str, Any], action: Any, name: str, findings: Findings) -> None:
    if not isinstance(action, Mapping) or not isinstance(action.get("target"), str):
        raise _CannotApply("it has no target")
    nodes = list(jsonpath.find(action["target"], root))
    if not nodes:
        findings.info("overlay-matches-nothing", "", f"{name} changes nothing: {action['target']} selects no node")
    elif action.get("remove") is True:
        _remove(nodes)
    else:
        value = _value(root, action)
        for node in nodes:
            try:
                _update(node, value)
            except _CannotApply as error:
                findings.warning("overlay-action-failed", _pointer(node), f"{name} was not applied here: {error}")


def _value(root: dict[str, Any], action: Mapping[str, Any]) -> Any:
    if ("copy" in action) == ("update" in action):
        raise _CannotApply("it needs exactly one of update, copy and remove")
    if "update" in action:
        return action["update"]
    sources = list(jsonpath.find(str(action["copy"]), root))
    if len(sources) != 1:
        raise _CannotApply(f"`copy` must select one node; {action['copy']} selects {len(sources)}")
    return deepcopy(sources[0].value)  # the target may lie inside the source


def _remove(nodes: list[jsonpath.JSONPathNode]) -> None:
    places: dict[int, tuple[Any, set[str | int]]] = {}
    for node in nodes:
        if node.parent is None:
            raise _CannotApply("the whole description cannot be removed")
        places.setdefault(id(node.parent.value), (node.parent.value, set()))[1].add(node.location[-1])
    for container, keys in places.values():
        for key in sorted(keys, reverse=True) if isinstance(container, list) else keys:  # from the end, so that indices stay right
            del container[key]


def _update(node: jsonpath.JSONPathNode, value: Any) -> None:
    target: Any = node.value
    if isinstance(target, list):
        target.extend(deepcopy(value if isinstance(value, list) else [value]))
    elif isinstance(target, dict):
        if not isinstance(value, dict):
            raise _CannotApply("an object takes only an object")
        _check(target, value, "")
        _merge(target, value)
    elif isinstance(value, dict | list):
        raise _CannotApply("a primitive value takes only a primitive value")
    else:
        assert node.parent is not None, "the whole description is an object"
        container: Any = node.parent.value
        container[node.location[-1]] = value


def _check(target: dict[str, Any], update: dict[str, Any], path: str) -> None:
    """Before anything is merged, so that an update applies wholly or not at all."""
    for key in target.keys() & update.keys():
        if _shape(target[key]) is not _shape(update[key]):
            raise _CannotApply(f"{join(path, key)} is of another kind than its update")
        if isinstance(target[key], dict):
            _check(target[key], update[key], join(path, key))


def _merge(target: dict[str, Any], update: dict[str, Any]) -> None:
    for key, value in update.items():
        present = target.get(key)
        if isinstance(present, dict):
            _merge(present, value)
        elif isinstance(present, list):
            present.extend(deepcopy(value))
        else:
            target[key] = deepcopy(value)


def _shape(value: Any) -> type:
    return type(value) if isinstance(value, dict | list) else object


def _pointer(node: jsonpath.JSONPathNode) -> str:
    return join("", *node.location)
