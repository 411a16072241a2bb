"""Words of a command line to a tool's arguments, and back: `owner=acme labels=bug labels=ui body.title=Hello n:=7`.

What a word means is the schema's to say. Of the types that it permits, the narrowest whose literal the text is wins:
null, boolean, integer, number, object, array, and text last. So `per_page=30` is a number where a number is permitted
and the text "30" where only text is. `key:=JSON` is taken as it stands. A key given several times is a list; a dot leads
into an object. Whether the values are good is not judged here but by the gate.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from typing import Any, NoReturn

from toolgate.calls import UNSET
from toolgate.errors import InvalidArguments
from toolgate.pointer import referred

INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,999})")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
TYPES = ("null", "boolean", "integer", "number", "object", "array", "string")
WANTED = {
    "null": "null",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "object": "a JSON object",
    "array": "a JSON array",
    "string": "text",
}
COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
DEPTH = 16  # of references and alternatives; a guess, the official GitHub description needs 4

Path = tuple[str, ...]


def read_arguments(words: Sequence[str], schema: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The arguments that `words` give a tool of this `schema`, laid over `base`.

    Raises:
        InvalidArguments: a word that is none, a key that the tool does not have, a value that no permitted type can
            hold. The message names the key and never the value.
    """
    given: dict[Path, list[tuple[str, bool]]] = {}
    for word in words:
        path, text, verbatim = _split(word, schema)
        given.setdefault(path, []).append((text, verbatim))
    for path in given:
        for length in range(1, len(path)):
            if path[:length] in given:
                raise InvalidArguments(f"{'.'.join(path[:length])} and {'.'.join(path)} are both given; give the whole or its parts")
    arguments = deepcopy(dict(base or {}))
    for path, texts in given.items():
        _put(arguments, path, _value(path, texts, _schema_at(path, schema), schema))
    return arguments


def write_arguments(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """The words that `read_arguments` reads as `arguments`, the plainest there are; unquoted."""
    return [_word(key, value, schema) for key, value in arguments.items()]


def permitted(schema: Any, root: Mapping[str, Any], depth: int = DEPTH, *, first: bool = False) -> frozenset[str]:
    """The JSON types that a value of `schema` may have, as far as its keywords tell; `first` as for `branches`."""
    if not isinstance(schema, Mapping) or depth == 0:
        return frozenset(TYPES)
    types = frozenset(TYPES)
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        types &= frozenset(names) | (frozenset({"integer"}) if "number" in names else frozenset())
    if "const" in schema:
        types &= {_type(schema["const"])}
    if isinstance(schema.get("enum"), list):
        types &= {_type(value) for value in schema["enum"]}
    if "$ref" in schema:
        types &= permitted(referred(root, schema["$ref"]), root, depth - 1, first=first)
    for part in schema.get("allOf", ()):
        types &= permitted(part, root, depth - 1, first=first)
    for keyword in ("anyOf", "oneOf"):
        if parts := schema.get(keyword):
            types &= frozenset().union(*(permitted(part, root, depth - 1, first=first) for part in parts[: 1 if first else None]))
    return types


def branches(schema: Any, root: Mapping[str, Any], depth: int = DEPTH, *, first: bool = False) -> Iterator[Mapping[str, Any]]:
    """`schema` and, through references and combinations, every schema that may say something of the same value.

    Args:
        first: of alternatives only the first, so that what all of them ask for can be had at once.
    """
    if not isinstance(schema, Mapping) or depth == 0:
        return
    yield schema
    if "$ref" in schema:
        yield from branches(referred(root, schema["$ref"]), root, depth - 1, first=first)
    for part in schema.get("allOf", ()):
        yield from branches(part, root, depth - 1, first=first)
    for keyword in ("anyOf", "oneOf"):
        for part in schema.get(keyword, ())[: 1 if first else None]:
            yield from branches(part, root, depth - 1, first=first)


def _split(word: str, schema: Mapping[str, Any]) -> tuple[Path, str, bool]:
    key, equals, text = word.partition("=")
    verbatim = key.endswith(":")
    key = key.removesuffix(":")
    if not equals or not key:
        raise InvalidArguments(f"an argument is written key=value or key:=JSON; {_place(word)} is neither")
    names = schema.get("properties", {})
    return ((key,) if key in names else tuple(key.split("."))), text, verbatim


def _place(word: str) -> str:
    """Names a word without quoting what may be a value."""
    return f"the one that begins with {word[:1]!r}" if word else "an empty one"


def _schema_at(path: Path, root: Mapping[str, Any]) -> Any:
    schema: Any = root
    for depth, name in enumerate(path):
        schema = _property(schema, name, root, path[: depth + 1])
    return schema


def _property(schema: Any, name: str, root: Mapping[str, Any], path: Path) -> Any:
    known: dict[str, None] = {}
    found: list[Any] = []
    open_ones: list[Any] = [True] if schema is True else []
    for branch in branches(schema, root):
        properties = branch.get("properties", {})
        known.update(dict.fromkeys(properties))
        if name in properties:
            found.append(properties[name])
        elif "additionalProperties" in branch:
            open_ones += [branch["additionalProperties"]] if branch["additionalProperties"] is not False else []
        elif not (schema is root and properties) and not COMBINING & branch.keys() and "object" in permitted(branch, root):
            open_ones.append(True)  # a tool that names its arguments and says nothing of others has no others
    if not found and not open_ones:
        _unknown(path, known)
    choices = found or open_ones
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _unknown(path: Path, known: Iterable[str]) -> NoReturn:
    whole = list(known)
    near = get_close_matches(path[-1], whole, n=3)
    if near:
        hint = f"did you mean {', '.join('.'.join((*path[:-1], name)) for name in near)}?"
    else:
        hint = f"there is {', '.join(sorted(whole)[:20])}" if whole else "it takes none"
    raise InvalidArguments(f"there is no argument {'.'.join(path)}; {hint}")


def _value(path: Path, texts: Sequence[tuple[str, bool]], schema: Any, root: Mapping[str, Any]) -> Any:
    if len(texts) == 1:
        return _one(path, *texts[0], schema, root)
    if "array" not in permitted(schema, root):
        raise InvalidArguments(f"{'.'.join(path)} is given {len(texts)} times, and takes one value")
    items = _items(schema, root)
    return [_one(path, text, verbatim, items, root) for text, verbatim in texts]


def _one(path: Path, text: str, verbatim: bool, schema: Any, root: Mapping[str, Any]) -> Any:
    if verbatim:
        value = _json(text)
        if value is UNSET:
            raise InvalidArguments(f"{'.'.join(path)} is not JSON, which := asks for; write {'.'.join(path)}=TEXT for text")
        return value
    types = permitted(schema, root)
    value = next((value for type_, read in LITERALS.items() if type_ in types and (value := read(text)) is not UNSET), UNSET)
    if value is not UNSET:
        return value
    if "string" in types:
        return text
    if "array" in types:
        return [_one(path, text, False, _items(schema, root), root)]
    wanted = [WANTED[type_] for type_ in TYPES if type_ in types and not (type_ == "integer" and "number" in types)]
    raise InvalidArguments(f"{'.'.join(path)} wants {' or '.join(wanted) or 'nothing'}")


def _put(target: dict[str, Any], path: Path, value: Any) -> None:
    for depth, name in enumerate(path[:-1]):
        target = target.setdefault(name, {})
        if not isinstance(target, dict):
            raise InvalidArguments(f"{'.'.join(path[: depth + 1])} is no object, so {'.'.join(path)} cannot be part of it")
    target[path[-1]] = value


def _items(schema: Any, root: Mapping[str, Any]) -> Any:
    found = [branch["items"] for branch in branches(schema, root) if "items" in branch]
    return {"anyOf": found} if found else {}


LITERALS: Mapping[str, Callable[[str], Any]] = {
    "null": lambda text: None if text == "null" else UNSET,
    "boolean": lambda text: {"true": True, "false": False}.get(text, UNSET),
    "integer": lambda text: int(text) if INTEGER.fullmatch(text) else UNSET,
    "number": lambda text: _json(text) if NUMBER.fullmatch(text) else UNSET,
    "object": lambda text: _json(text) if text.startswith("{") else UNSET,
    "array": lambda text: _json(text) if text.startswith("[") else UNSET,
}
"""What a text is as a literal of each type; UNSET: none."""


def _json(text: str) -> Any:
    """The value of strict JSON, else UNSET: no NaN, no number too large to keep."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return UNSET


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _no_number(text: str) -> NoReturn:
    raise ValueError


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for type_, name in ((int, "integer"), (float, "number"), (str, "string"), (Mapping, "object")):
        if isinstance(value, type_):
            return name
    return "array"


def _word(key: str, value: Any, schema: Mapping[str, Any]) -> str:
    whole = json.dumps(value, ensure_ascii=False)
    plain = f"{key}={value if isinstance(value, str) else whole}"
    try:
        read = read_arguments([plain], schema)
    except InvalidArguments:
        read = {}
    # By their JSON, since 1 == 1.0 == True.
    same = key in read and json.dumps(read[key], sort_keys=True) == json.dumps(value, sort_keys=True)
    return plain if same else f"{key}:={whole}"
