"""A tool as a description defines it: a value, JSON there and back, which execution later gives its `run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache, cached_property
from hashlib import sha256
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from toolgate.calls import Annotations
from toolgate.money import Price
from toolgate.openapi.diagnostics import Diagnostic
from toolgate.openapi.operation import BodyPlan, FieldPlan, Key, Paging, ParameterPlan, Plan, ServerTemplate

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PLAIN = frozenset({str, int, float, bool, NoneType, dict, list})
"""Types that JSON has."""


@dataclass(frozen=True)
class Definition:
    """Everything about one tool but the means to run it."""

    name: str
    description: str
    """What a model reads before it chooses: at most 400 characters."""
    schema: Mapping[str, Any]
    """The full JSON Schema of the arguments."""
    advertised: Mapping[str, Any]
    """The slim one; takes whatever the full one takes."""
    annotations: Annotations
    key: str
    """Of the operation: `GET /repos/{owner}/{repo}`."""
    plan_data: Mapping[str, Any]
    """`plan` as JSON, read only when the tool is first called."""
    title: str | None = None
    full_description: str = ""
    tags: tuple[str, ...] = ()
    listed: bool = True
    price: Price | None = None
    """None: not known."""
    timeout: float = 30.0
    """Seconds."""
    cache: float = 0.0
    """Seconds that an answer may be given again."""
    search_text: str = ""
    fingerprint: str = ""
    """SHA-256 of everything a model sees, and of where the calls go if the description decides that."""

    @cached_property
    def plan(self) -> Plan:
        """How a call becomes a request."""
        return plan_from_json(self.plan_data)

    def to_json(self) -> dict[str, Any]:
        """As JSON values; what has its default is left out."""
        return plain(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Definition:
        """
        Args:
            data: what `to_json` gave, by way of any JSON library.
        """
        price = Price(**data["price"]) if "price" in data else None
        tags = tuple(data.get("tags", ()))
        return cls(**{**data, "annotations": Annotations(**data["annotations"]), "price": price, "tags": tags})


class Defined(NamedTuple):
    """What became of a description's operations, or of a server's tools."""

    definitions: tuple[Definition, ...]
    diagnostics: tuple[Diagnostic, ...]


def fingerprint(definition: Definition, servers: Sequence[Mapping[str, Any]] = ()) -> str:
    """SHA-256 of everything that a model sees of the tool, in hexadecimal.

    Args:
        servers: where calls and credentials go, if the description decides that: nobody sees it, and no tool may move unnoticed.
    """
    seen: list[Any] = [
        definition.name,
        definition.title,
        definition.description,
        definition.full_description,
        definition.advertised,
        definition.schema,
        plain(definition.annotations),
        *servers,
    ]
    return sha256(orjson.dumps(seen, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)).hexdigest()


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """The plan that `plain` told, by way of any JSON library."""
    return Plan(
        **{
            **data,
            "servers": _several(ServerTemplate, data, "servers"),
            "parameters": _several(ParameterPlan, data, "parameters"),
            "bodies": tuple(BodyPlan(**{**body, "fields": _several(_field, body, "fields")}) for body in data.get("bodies", ())),
            "keys": _several(Key, data, "keys"),
            "paging": Paging(**data["paging"]) if "paging" in data else None,
        }
    )


def _field(**data: Any) -> FieldPlan:
    return FieldPlan(**{**data, "headers": tuple((name, value) for name, value in data.get("headers", ()))})


def _several(make: Any, data: Mapping[str, Any], key: str) -> tuple[Any, ...]:
    return tuple(make(**item) for item in data.get(key, ()))


def plain(value: DataclassInstance) -> dict[str, Any]:
    """A dataclass as JSON values, without what has its default."""
    found: dict[str, Any] = {}
    for name, default in _defaults(type(value)):
        item = getattr(value, name)
        if item is not default and item != default:
            found[name] = _to_json(item)
    return found


def _to_json(value: Any) -> Any:
    if type(value) in PLAIN:
        return value
    return [_to_json(item) for item in value] if isinstance(value, tuple) else plain(value)


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    """The fields of a dataclass with their defaults."""
    return tuple((item.name, item.default if item.default_factory is MISSING else item.default_factory()) for item in fields(kind))
