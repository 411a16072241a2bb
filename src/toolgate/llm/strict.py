"""Schemas of tools for providers that can hold a model to one, and the way back.

A provider's strict mode takes a part of JSON Schema: closed objects, no free forms, few assertions; OpenAI's also wants every property
required. A schema goes that way only where nothing is lost by it:

- an optional property becomes a required one that may be null, and `restore` drops that null again;
- what the mode does not know (lengths, defaults, examples) is written into the description, where the model still reads it, and the gate
  still enforces it;
- what can be said in one way only is said in that way: references are put in place, `const` is an `enum` of one.

Where an object is open, a value may be anything, a schema contains itself, or null and absence mean two things, the tool is offered
without strict mode, with a schema that every provider takes. `restore` is right for both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolgate.llm.shape import (
    ANNOTATIONS,
    NAMED,
    TOLD,
    TYPES,
    Patience,
    Schema,
    apart,
    mapping,
    modern,
    names,
    null_means,
    plain,
    restored,
    same,
    type_of,
    types_of,
)
from toolgate.pointer import referred


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a provider's strict mode knows."""

    all_required: bool
    """Every property of an object has to be listed as required."""
    keeps: frozenset[str]
    """Assertions that it knows; others go into descriptions."""
    formats: frozenset[str]
    depth: int
    """Objects within each other, at most."""
    properties: int
    """Of a whole schema, at most."""
    enums: int
    """Values of all enumerations, at most."""


FORMATS = frozenset("date-time time date duration email hostname ipv4 ipv6 uuid".split())
OPENAI = Dialect(
    all_required=True,
    keeps=frozenset("pattern minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems".split()),
    formats=FORMATS,
    depth=5,
    properties=5000,
    enums=1000,
)
"""Structured outputs of OpenAI, as its guide describes them, and where it changed, as they began; others' that follow it."""
ANTHROPIC = Dialect(all_required=False, keeps=frozenset(), formats=FORMATS | {"uri"}, depth=10, properties=500, enums=500)
"""Structured outputs of Anthropic. How many optional properties all tools together may have is for who sends them."""

ASSERTIONS = frozenset(
    "pattern minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems uniqueItems "
    "minProperties maxProperties dependentRequired".split()
)
STRUCTURE = frozenset("type properties required additionalProperties items enum const anyOf oneOf allOf $ref description format".split())
BRANCHES = ("anyOf", "oneOf", "allOf")
NEWEST = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS = frozenset((*BRANCHES, "items", "prefixItems", "additionalProperties", "contains", "not", "if", "then", "else"))
NODES = 2_000
"""Schemas in a schema after references were put in place; more is no longer worth it."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A schema as one provider is given it."""

    schema: dict[str, Any]
    strict: bool
    original: Schema = field(repr=False)
    why: str = ""
    """Why it is not strict."""
    moved: frozenset[str] = frozenset()
    """Assertions that are only in descriptions now; the model may get them wrong."""
    optional: int = 0
    """Properties that may be left out."""
    unions: int = 0
    """Schemas with several types."""

    def restore(self, value: Any) -> Any:
        """What the model meant by `value`: nulls that stand for nothing are gone."""
        return restored(value, self.original, self.original)


def convert(schema: Schema, dialect: Dialect | None) -> Converted:
    """`schema`, of an object, for a model of that dialect: strict if nothing is lost by it. None: the model knows no strict mode."""
    try:
        schema = modern(schema)
        if dialect is None:
            return loosened(schema, "the model cannot be held to a schema")
        strict = _Strict(schema, dialect)
        made = strict.root()
    except _Lossy as lossy:
        return loosened(schema, str(lossy))
    except RecursionError:
        return loosened({"type": "object"}, "it is too deep")
    return Converted(made, True, schema, "", frozenset(strict.moved), strict.optional, strict.unions)


def loosened(schema: Schema, why: str = "") -> Converted:
    """`schema` as every provider takes it without strict mode: an object at the top, whose alternatives are not at the top."""
    root = plain(schema, schema)
    properties: dict[str, Any] = {}
    required: list[str] = []
    notes: list[str] = []
    for keyword in BRANCHES:
        branches = [plain(branch, schema) for branch in _list(root.get(keyword)) if isinstance(branch, Mapping)]
        for branch in branches:
            properties.update(mapping(branch.get("properties")))
            required += names(branch.get("required")) if keyword == "allOf" else ()
        named = [list(names(branch.get("required"))) for branch in branches]
        if keyword != "allOf" and any(named):
            notes.append(f"{'At least' if keyword == 'anyOf' else 'Exactly'} one of these has to be given: {json.dumps(named)}")
    rest = {
        key: value for key, value in root.items() if key not in (*BRANCHES, "not", "if", "then", "else", "enum", "const", "$schema", "$id")
    }
    for keyword in ("$defs", "definitions"):
        if keyword in schema:
            rest.setdefault(keyword, schema[keyword])
    made = rest | {"type": "object", "properties": {**properties, **mapping(root.get("properties"))}}
    if required := [*dict.fromkeys([*names(root.get("required")), *required])]:
        made["required"] = required
    else:
        made.pop("required", None)
    if notes:
        made["description"] = " ".join([*([root["description"]] if root.get("description") else []), *notes])
    return Converted(_told_of(made), False, schema, why)


def shown(schema: Schema) -> Mapping[str, Any]:
    """`schema` of arguments for providers: Claude refuses a whole request for alternatives at the top."""
    return convert(schema, None).schema if any(keyword in schema for keyword in BRANCHES) else schema


def current(schema: Schema) -> dict[str, Any]:
    """`schema` in 2020-12, which is all that some clients and providers know."""
    made: dict[str, Any] = _told_of(modern(schema))
    if made.get("$schema") != NEWEST:
        made.pop("$schema", None)
    return made


def _told_of(schema: Any) -> Any:
    """`schema`, whose arrays all say what they are of: OpenAI refuses a tool with one that does not."""
    if isinstance(schema, list):
        return [_told_of(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {key: _told_of(value) if key in SCHEMAS else value for key, value in schema.items()}
    for key in NAMED & made.keys():
        made[key] = {name: _told_of(each) for name, each in mapping(made[key]).items()}
    return made if "array" not in types_of(schema) or "type" not in schema else {**made, "items": made.get("items", {})}


class _Lossy(Exception):
    """Strict mode cannot say this."""


class _Strict:
    """One conversion: counts what limits are set on."""

    def __init__(self, schema: Schema, dialect: Dialect) -> None:
        self._whole = schema
        self._dialect = dialect
        self._nodes = self._properties = self._enums = 0
        self._patience = Patience()
        self.moved: set[str] = set()
        self.optional = 0
        self.unions = 0

    def root(self) -> dict[str, Any]:
        made = self._schema(self._whole, (), 0, root=True)
        if made.get("type") != "object":
            raise _Lossy("it is not an object")
        return made

    def _schema(self, schema: Any, seen: tuple[str, ...], depth: int, *, root: bool = False) -> dict[str, Any]:
        self._nodes += 1
        if self._nodes > NODES:
            raise _Lossy("it is too large")
        if not isinstance(schema, Mapping):
            raise _Lossy("a value may be anything" if schema is True else "a schema is no object")
        if isinstance(ref := schema.get("$ref"), str):
            if ref in seen:
                raise _Lossy("it contains itself")
            if not isinstance(referred(self._whole, ref), Mapping):
                raise _Lossy("a reference leads nowhere")
            seen = (*seen, ref)
        node = plain(schema, self._whole)
        if unknown := [key for key in node if key not in STRUCTURE | ASSERTIONS | ANNOTATIONS | TOLD and not key.startswith("x-")]:
            raise _Lossy(f"{unknown[0]} cannot be said")
        told = {key: node[key] for key in node if key in TOLD}
        if "enum" in node or "const" in node:
            made = self._enum(node)
        elif branches := node.get("anyOf") or node.get("oneOf"):
            if not isinstance(branches, list):
                raise _Lossy("alternatives are no list")
            made = self._branches(node, branches, seen, depth, root=root)
        elif (
            isinstance(node.get("type"), list)
            and len(types := types_of(node)) > 1
            and {"object", "array"} & set(types)
            and set(types) - {"null"} != {types[0]}
        ):
            # What else it says is said in each branch.
            return self._branches({}, [{**node, "type": each} for each in types], seen, depth)
        else:
            made = self._typed(node, seen, depth, root=root)
        for key in ASSERTIONS & node.keys():
            if key in self._dialect.keeps and "anyOf" not in made:
                made[key] = node[key]
            else:
                told[key] = node[key]
                self.moved.add(key)
        if isinstance(form := node.get("format"), str):
            (made if form in self._dialect.formats and "enum" not in made else told)["format"] = form
        if description := _description((node.get("description"), made.get("description")), told):
            made["description"] = description
        return made

    def _enum(self, node: Schema) -> dict[str, Any]:
        values = list(node["enum"]) if isinstance(node.get("enum"), list) else [node.get("const")]
        if "const" in node:
            values = [value for value in values if same(value, node["const"])]
        if not values or any(isinstance(value, dict | list) for value in values):
            raise _Lossy("an enumeration holds objects or nothing")
        if "type" in node:
            allowed = types_of(node)
            values = [value for value in values if type_of(value) in allowed or (type_of(value) == "integer" and "number" in allowed)]
            if not values:
                raise _Lossy("an enumeration fits no type")
        self._enums += len(values)
        if self._enums > self._dialect.enums:
            raise _Lossy("its enumerations are too long")
        return {"type": self._type(dict.fromkeys(type_of(value) for value in values)), "enum": values}

    def _branches(self, node: Schema, branches: Any, seen: tuple[str, ...], depth: int, *, root: bool = False) -> dict[str, Any]:
        more = node.keys() - {"anyOf", "oneOf", "description", "type", "format"} - ANNOTATIONS - TOLD
        if root or more or ("anyOf" in node and "oneOf" in node):
            return self._required_groups(node, seen, depth)
        if "type" in node:
            allowed = set(types_of(node))
            branches = [branch for branch in branches if isinstance(branch, Mapping)]
            if any(not set(types_of(plain(branch, self._whole))) <= allowed for branch in branches):
                raise _Lossy("alternatives contradict their type")
        if "oneOf" in node and not self._disjoint(branches):
            raise _Lossy("alternatives may hold at the same time")
        made = [self._schema(branch, seen, depth) for branch in branches]
        if len(made) == 1:
            return made[0]
        self.unions += 1
        if all(branch.keys() <= {"type"} and isinstance(branch["type"], str) for branch in made):
            return {"type": self._type(dict.fromkeys(branch["type"] for branch in made))}
        flat = [inner for branch in made for inner in (branch["anyOf"] if branch.keys() == {"anyOf"} else [branch])]
        return {"anyOf": _told_apart(flat) if self._dialect.all_required else flat}

    def _required_groups(self, node: Schema, seen: tuple[str, ...], depth: int) -> dict[str, Any]:
        """An object that also says which of its properties go together, which no strict mode knows."""
        groups = [branch for key in ("anyOf", "oneOf") for branch in _list(node.get(key))]
        if not all(isinstance(branch, Mapping) and branch.keys() <= {"required", "title", "description"} for branch in groups):
            raise _Lossy("it has alternatives beside properties")
        if "properties" not in node:
            raise _Lossy("it has alternatives without properties")
        self.moved.add("anyOf")
        inner = {key: value for key, value in node.items() if key not in ("anyOf", "oneOf")}
        made = self._typed(inner, seen, depth, root=not depth)
        made["description"] = f"One of these has to be given: {json.dumps([list(names(each.get('required'))) for each in groups])}"
        return made

    def _disjoint(self, branches: Sequence[Any]) -> bool:
        found = [plain(branch, self._whole) if isinstance(branch, Mapping) else {} for branch in branches]
        return all(apart(one, other) for index, one in enumerate(found) for other in found[index + 1 :])

    def _typed(self, node: Schema, seen: tuple[str, ...], depth: int, *, root: bool) -> dict[str, Any]:
        types = types_of(node)
        if len(types) in (0, len(TYPES)):
            raise _Lossy("a value may be anything")
        made: dict[str, Any] = {"type": self._type(dict.fromkeys(types))}
        if "object" in types:
            made |= self._object(node, seen, depth, root=root)
        if "array" in types:
            if "items" not in node:
                raise _Lossy("the items of an array may be anything")
            made["items"] = self._schema(node["items"], seen, depth)
        return made

    def _object(self, node: Schema, seen: tuple[str, ...], depth: int, *, root: bool) -> dict[str, Any]:
        # An object that names its properties is taken to name them all; a tool without any takes none.
        properties, more = mapping(node.get("properties")), node.get("additionalProperties", not (root or node.get("properties")))
        if more is not False:
            raise _Lossy("an object may have any properties")
        required = set(names(node.get("required")))
        if required - properties.keys():
            raise _Lossy("a property is required of which nothing is said")
        self._properties += len(properties)
        if depth >= self._dialect.depth or self._properties > self._dialect.properties:
            raise _Lossy("it is too deep or too large")
        made = {}
        for name, inner in properties.items():
            made[name] = self._schema(inner, seen, depth + 1)
            if name not in required:
                self.optional += 1
                if self._dialect.all_required:
                    if null_means(inner, self._whole, self._patience):
                        raise _Lossy(f"{name} may be null or absent, which are not the same")
                    made[name] = self._nullable(made[name])
        listed = list(properties) if self._dialect.all_required else [name for name in properties if name in required]
        return {"properties": made, "required": listed, "additionalProperties": False}

    def _nullable(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "anyOf" in schema:
            if any("null" in types_of(branch) for branch in schema["anyOf"]):
                return schema
            return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
        types = types_of(schema)
        if "null" in types:
            return schema
        self.unions += len(types) == 1
        made = {**schema, "type": [*types, "null"]}
        if "enum" in schema:
            made["enum"] = [*schema["enum"], None]
        return made

    def _type(self, types: Iterable[str]) -> str | list[str]:
        found = list(types)
        if "number" in found and "integer" in found:
            found.remove("integer")
        self.unions += len(found) > 1
        return found[0] if len(found) == 1 else found


def _told_apart(branches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects whose first properties have different names: OpenAI tells alternatives apart by them."""
    taken: set[str] = set()
    made = []
    for branch in branches:
        if "properties" not in branch:
            made.append(branch)
            continue
        properties = branch["properties"]
        first = next((name for name in properties if name not in taken), None)
        if first is None:
            raise _Lossy("alternatives have the same properties")
        taken.add(first)
        order = [first, *(name for name in properties if name != first)]
        made.append({**branch, "properties": {name: properties[name] for name in order}, "required": order})
    return made


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _description(own: Iterable[Any], told: Mapping[str, Any]) -> str:
    parts = [each for each in own if isinstance(each, str) and each]
    words = [f"{key}: {json.dumps(value, ensure_ascii=False, default=str)}" for key, value in sorted(told.items())]
    return " ".join([*parts, *([f"({'; '.join(words)})"] if words else [])])
