"""What a caller is asked for: one key an argument, and how each goes onto the wire.

Parameters are arguments at the top level. So are the properties of a body where nothing is lost by it; otherwise there
is one argument, `body`. Keys are what clients accept everywhere, `[A-Za-z0-9_-]{1,64}`; the plan keeps the wire's own.
The schema never has an alternative at its top, because OpenAI and Anthropic refuse a whole list for one that has, and
it takes no key that it does not name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

from toolgate.calls import UNSET
from toolgate.integration import Integration
from toolgate.openapi.bodies import Way, as_file, field_plan, flattened, is_file, only_value, resolved, ways, whole_fields
from toolgate.openapi.bound import binding, is_idempotency_key
from toolgate.openapi.keywords import MAX_EXAMPLE, Schema
from toolgate.openapi.lift import Fragment, Lifter, Reference
from toolgate.openapi.operation import BodyPlan, Operation, Parameter, ParameterPlan
from toolgate.openapi.prose import clean
from toolgate.openapi.share import stand_alone

LONGEST_KEY = 64
KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
ORDER = ("path", "query", "header", "cookie", "querystring", "body", "content_type")
"""Who keeps the plain key when two want it: the earlier one."""


class Unservable(Exception):
    """An operation cannot become a tool; the message says why, for the end of a sentence."""


@dataclass(slots=True, eq=False)
class Wanted:
    """A value to ask for."""

    name: str
    location: str
    schema: Schema
    required: bool
    key: str = ""
    """Its argument's, once all are known."""


@dataclass
class Arguments:
    """What a caller is asked for, and how it is sent."""

    schema: dict[str, Any]
    parameters: tuple[ParameterPlan, ...] = ()
    bodies: tuple[BodyPlan, ...] = ()
    content_type_argument: str | None = None
    idempotency_header: str | None = None
    """Not asked for: the call has a name of its own."""


def arguments(operation: Operation, lifter: Lifter, integration: Integration) -> Arguments:
    """The arguments of an operation.

    Raises:
        Unservable: the integration hides a part of the path and says no value for it.
    """
    asking = _Asking(operation, lifter, integration)
    asking.parameters()
    if operation.body is not None and operation.body.content:
        asking.body()
    return asking.arguments()


def keys(wanted: Sequence[tuple[str, str]]) -> list[str]:
    """The argument keys for names on the wire, given as (name, location), whatever the order they come in.

    Legal names keep themselves; of two that want the same key the one later in `ORDER` gets its location as a suffix.
    """
    taken: dict[str, int] = {}
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))  # thousands may want one key
    for index, (name, location) in sorted(enumerate(wanted), key=_precedence):
        taken[_free_key(_key(name), location, taken, numbers)] = index
    return sorted(taken, key=taken.__getitem__)


def _precedence(numbered: tuple[int, tuple[str, str]]) -> tuple[bool, int, str]:
    _, (name, location) = numbered
    return KEY.fullmatch(name) is None, ORDER.index(location), name


def _key(name: str) -> str:
    if KEY.fullmatch(name):
        return name
    legal = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "value"
    if len(legal) <= LONGEST_KEY:
        return legal
    return f"{legal[: LONGEST_KEY - 7]}_{sha256(name.encode()).hexdigest()[:6]}"


def _free_key(key: str, location: str, taken: Collection[str], numbers: Mapping[str, Iterator[int]]) -> str:
    if key not in taken:
        return key
    suffixed = f"{key[: LONGEST_KEY - len(location) - 1]}_{location}"
    if suffixed not in taken:
        return suffixed
    stem = suffixed[: LONGEST_KEY - 6]
    return next(numbered for number in numbers[stem] if (numbered := f"{stem}_{number}") not in taken)


@dataclass
class _Asking:
    """The gathering of one operation's arguments."""

    operation: Operation
    lifter: Lifter
    integration: Integration
    wanted: list[Wanted] = field(default_factory=list)
    fragments: list[Fragment] = field(default_factory=list)
    asked: list[tuple[Parameter, Wanted]] = field(default_factory=list)
    bound: list[ParameterPlan] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    flat: list[tuple[Wanted, bool]] | None = None
    """The properties of a flat body, and whether each is a file."""
    constants: dict[str, Any] = field(default_factory=dict)
    whole: Wanted | None = None
    choice: Wanted | None = None
    idempotency_header: str | None = None

    def parameters(self) -> None:
        for parameter in self.operation.parameters:
            value = binding(parameter, self.operation, self.integration, self.lifter.findings)
            if value is UNSET and is_idempotency_key(parameter):
                self.idempotency_header = parameter.name
            elif value is UNSET:
                self._parameter(parameter)
            elif value is not None:
                self.bound.append(_plan(parameter, constant=value))
            elif parameter.location == "path":
                raise Unservable(f"`hide` names {parameter.name} of its path without a value")

    def _parameter(self, parameter: Parameter) -> None:
        fragment = self.lifter.lift(parameter.schema, parameter.pointer)
        required = parameter.required or parameter.location == "path"
        only = only_value(resolved(fragment.schema, self.lifter)) if required else UNSET
        if only is not UNSET:
            self.bound.append(_plan(parameter, constant=only))
            return
        self.asked.append((parameter, self._want(parameter.name, parameter.location, _described(fragment.schema, parameter), required)))
        self.fragments.append(fragment)

    def _want(self, name: str, location: str, schema: Schema, required: bool) -> Wanted:
        wanted = Wanted(name, location, schema, required)
        self.wanted.append(wanted)
        return wanted

    def body(self) -> None:
        body = self.operation.body
        assert body is not None
        self.ways = ways(body, self.lifter)
        self.fragments += [way.fragment for way in self.ways if not (way.binary or way.text)]
        first = self.ways[0]
        flat = None if len(self.ways) > 1 or first.binary or first.text else flattened(first.fragment, self.lifter)
        if flat is not None and (body.required or not flat.required):
            self.flat = []
            for name, schema in flat.properties.items():
                self._field(name, schema, first, required=name in flat.required)
            return
        schema = first.schema if len(self.ways) == 1 else {"anyOf": [way.schema for way in self.ways]}
        self.whole = self._want("body", "body", _with(schema, description=clean(body.description or "")), body.required)
        if len(self.ways) > 1:
            kinds = [way.media_type for way in self.ways]
            asked = {"type": "string", "enum": kinds, "default": kinds[0], "description": "The media type that the body is sent as."}
            self.choice = self._want("content_type", "content_type", asked, False)

    def _field(self, name: str, schema: Schema, way: Way, *, required: bool) -> None:
        assert self.flat is not None
        only = only_value(resolved(schema, self.lifter)) if required else UNSET
        if only is not UNSET:
            self.constants[name] = only
            return
        file = way.kind in ("form", "multipart") and is_file(schema, self.lifter)
        self.flat.append((self._want(name, "body", as_file(schema, self.lifter) if file else schema, required), file))

    def arguments(self) -> Arguments:
        for wanted, key in zip(self.wanted, keys([(wanted.name, wanted.location) for wanted in self.wanted]), strict=True):
            wanted.key = key
        return Arguments(
            self._schema(),
            (*(_plan(parameter, wanted.key, kind=self._kind(wanted)) for parameter, wanted in self.asked), *self.bound),
            tuple(map(self._body_plan, self.ways)),
            self.choice.key if self.choice else None,
            self.idempotency_header,
        )

    def _schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object", "properties": {wanted.key: wanted.schema for wanted in self.wanted}}
        required = [wanted.key for wanted in self.wanted if wanted.required]
        if required:
            schema["required"] = required
        schema["additionalProperties"] = False
        return stand_alone(schema, self.fragments, self.lifter)

    def _kind(self, wanted: Wanted) -> str | None:
        schema = resolved(wanted.schema, self.lifter)
        kind = schema.get("type") if isinstance(schema, dict) else None
        return kind if isinstance(kind, str) else None

    def _body_plan(self, way: Way) -> BodyPlan:
        body = self.operation.body
        assert body is not None
        if self.flat is None:
            assert self.whole is not None
            fields = whole_fields(way, self.lifter)
            return BodyPlan(way.media_type, "whole", self.whole.key, body.required, fields, binary=way.binary, encoded=way.encoded)
        fields = tuple(field_plan(wanted.name, wanted.key, way, binary=file) for wanted, file in self.flat)
        return BodyPlan(way.media_type, "flat", None, body.required, fields, self.constants)


def _plan(parameter: Parameter, argument: str | None = None, *, constant: Any = UNSET, kind: str | None = None) -> ParameterPlan:
    return ParameterPlan(
        name=parameter.name,
        location=parameter.location,
        argument=argument,
        style=parameter.style,
        explode=parameter.explode,
        allow_reserved=parameter.allow_reserved,
        content_type=parameter.content_type,
        multi_segment=parameter.multi_segment,
        required=parameter.required or parameter.location == "path",
        constant=constant,
        type=kind,
    )


def _described(schema: Schema, parameter: Parameter) -> Schema:
    said: dict[str, Any] = {"description": clean(parameter.description or "")}
    if parameter.deprecated:
        said["deprecated"] = True
    if parameter.example is not UNSET and parameter.example is not None and len(str(parameter.example)) <= MAX_EXAMPLE:
        said["examples"] = [clean(parameter.example) if isinstance(parameter.example, str) else parameter.example]
    return _with(schema, **said)


def _with(schema: Schema, **said: Any) -> Schema:
    """`schema` with more said about it; an empty word leaves what the schema says itself."""
    said = {key: value for key, value in said.items() if value}
    if not said or schema is False:
        return schema
    if isinstance(schema, Reference):
        return Reference(schema.pointer, in_place=False, beside={**schema, **said})
    return {**schema, **said} if isinstance(schema, dict) else said
