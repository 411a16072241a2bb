"""What an event may hold of a call's arguments: everything that proves what was asked for, and no secret.

Three nets, one behind the other. The tool's schema says so: `format: password`, `writeOnly`, `x-sensitive`. The operator
says so: `audit.redact` names tools and arguments. Or it looks like one: a name such as `api_key`, of a member or of a pair
of name and value, also in JSON within a text; a text in the shape of a known key. The arguments of a call that is carried
in those of another (`x-arguments-of`) go through the nets of the tool that they are for. Long texts are cut. All of that
happens before a record is hashed, so a secret is never part of the chain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import re2

from toolgate.audit.line import canonical, writable
from toolgate.calls import Tool
from toolgate.pointer import referred

HIDDEN = "[redacted]"
TEXT = 2048  # characters of one text
WHOLE = 16 * 1024  # bytes of one call's arguments
DEPTH = 64  # levels of a value that are looked at

_NAME = r"passw(?:or)?d|pass[_-]?phrase|secret|token|api[_-]?key|authorization|credential|private[_-]?key|cookie"
_KEYS = "|".join(
    (
        r"gh[opsur]_[A-Za-z0-9]{16,}",  # GitHub
        r"github_pat_[A-Za-z0-9_]{16,}",
        r"glpat-[A-Za-z0-9_-]{16,}",  # GitLab
        r"\bsk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic
        r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # AWS
        r"AIza[A-Za-z0-9_-]{30,}",  # Google
        r"xox[abeoprs]-[A-Za-z0-9-]{10,}",  # Slack
        r"\btg_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{16,}",  # ours
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",  # JWT
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s\\:,.-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
        r"(?i:\b(?:bearer|basic)(?:\s|\\[tnr])+[A-Za-z0-9._~+/=-]{12,})",
    )
)
_USERINFO = r"(://)[^/\s:@\"]+:[^/\s@\"]+@"
_MEMBER = rf'((?i:\\*"[^"\\]*(?:{_NAME})[^"\\]*\\*"\s*:\s*\\*"))(?:[^"\\]|\\[^"]|\\"[^\s,}}\]])*'
_QUERY = rf"((?i:[?&][^=&\s\"]*(?:{_NAME})[^=&\s\"]*=))[^&#\s\"]+"


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


KEYS = _compiled(_KEYS)
"""Texts in the shape of a key. RE2: the text comes from outside, and its time is linear in that."""
USERINFO = _compiled(_USERINFO)
MEMBER = _compiled(_MEMBER)
"""What JSON in the middle of a text says under a telling name."""
QUERY = _compiled(_QUERY)
"""What an address says under a telling name."""
_ANYWHERE = _KEYS.replace(r"\b", "")  # in JSON, a tab before a key is a backslash and a t: no boundary
SUSPECT = _compiled(rf"{_ANYWHERE}|{_USERINFO}|(?i:{_NAME})")
"""Whether JSON may hold something to be taken out; finds too much rather than too little."""
PLAIN = re.compile(rb'\{(?:"[a-z_]{1,19}":(?:-?[0-9.]{1,20}|true|false|null)(?:,|(?=\})))*\}')
"""Numbers by short names in lower case: calls of a kind that is common, and there is nothing to be taken out of them."""
NAME = _compiled(rf"(?i:{_NAME})")
NUMBERED = _compiled(rf"(?i:(?:{_NAME})$)")
"""Under such a name a number is a secret too; `max_tokens` and `password_length` are none."""
NAMES, VALUES = ("name", "key", "header"), ("value", "values")
"""Of the members of a pair, as headers are in HAR files and in Postman's collections."""
NESTED = 256 * 1024  # characters of a text that is read as JSON
MARKS = re.compile(rb'"format":"password"|"writeOnly":true|"x-sensitive":|"x-arguments-of":')
CARRIED = "x-arguments-of"
"""In the schema of an argument that is another call's arguments: which argument beside it names the tool."""
Find = Callable[[str], Tool | None]
"""The tool of that name; None: there is none."""


class Redactor:
    def __init__(self, rules: Iterable[str] = (), find: Find = lambda name: None) -> None:
        """
        Args:
            rules: `TOOL:PATH`, both with `*`: `crm_*:customer.email` hides that argument, whatever is in it.
        """
        self._find = find
        self._rules = [tuple(rule.partition(":")[::2]) for rule in rules]
        self._tools: WeakKeyDictionary[Tool, tuple[bool, bool, tuple[str, ...]]] = WeakKeyDictionary()

    def arguments(self, tool: Tool, text: bytes) -> orjson.Fragment:
        """What may be kept of the arguments that `text` is, canonical JSON."""
        marked, numbers, paths = self._of(tool)
        if not marked and not paths and len(text) <= TEXT and ((PLAIN.fullmatch(text) and not numbers) or not SUSPECT.search(text)):
            return orjson.Fragment(text)
        schemas = (tool.schema,) if marked else ()
        kept = canonical(_Walk(tool.schema, paths, self._inner).value(orjson.loads(text), schemas, ""))
        return orjson.Fragment(kept if len(kept) <= WHOLE else canonical(cut(orjson.loads(text))))

    def _inner(self, name: Any) -> _Walk:
        """The walk through the arguments of a call of the tool called so; nothing is left of those that no schema knows."""
        tool = self._find(name) if isinstance(name, str) else None
        return _Walk({"x-sensitive": True}, ()) if tool is None else _Walk(tool.schema, self._of(tool)[2], self._inner)

    def _of(self, tool: Tool) -> tuple[bool, bool, tuple[str, ...]]:
        """Whether the tool's schema marks something, and whether it lets numbers be secrets; and the operator's paths."""
        found = self._tools.get(tool)
        if found is None:
            paths = tuple(path for name, path in self._rules if fnmatchcase(tool.name, name))
            found = self._tools[tool] = (MARKS.search(canonical(tool.schema)) is not None, _may_number(tool.schema), paths)
        return found


def details(value: Mapping[str, Any]) -> Any:
    """`value` without what looks like a secret, long texts cut."""
    return _Walk({}, ()).value(writable(value), (), "")


def names(arguments: Mapping[str, Any]) -> list[str]:
    """The names alone, of arguments whose values are not to be kept."""
    return sorted(text(str(name)[:64]) for name in list(arguments)[:64])


def cut(arguments: Any) -> Mapping[str, Any]:
    """What is kept of arguments that are too large."""
    return {"cut": names(arguments if isinstance(arguments, Mapping) else {})}


def text(value: str) -> str:
    """`value` with what looks like a key taken out, cut when it is long."""
    value = writable(value)
    found = QUERY.sub(rf"\1{HIDDEN}", USERINFO.sub(rf"\1{HIDDEN}@", MEMBER.sub(rf"\1{HIDDEN}", KEYS.sub(HIDDEN, value))))
    return found if len(found) <= TEXT else f"{found[:TEXT]}… [cut, {len(value)} characters]"


class _Walk:
    """Through a value, with the schemas that apply at each place."""

    def __init__(self, root: Mapping[str, Any], paths: Sequence[str], inner: Callable[[Any], _Walk] | None = None) -> None:
        """
        Args:
            inner: the walk through the arguments of a call that is carried, by the name of its tool.
        """
        self._root = root
        self._paths = paths
        self._inner = inner

    def value(self, value: Any, schemas: Sequence[Any], path: str, depth: int = DEPTH) -> Any:
        applicable = [schema for each in schemas for schema in self._flat(each, frozenset())]
        if any(_marked(schema) for schema in applicable) or any(fnmatchcase(path, pattern) for pattern in self._paths):
            return HIDDEN
        if depth == 0 and not isinstance(value, str):
            return HIDDEN
        if isinstance(value, str):
            return text(_inside(value, depth))
        if isinstance(value, dict):
            kept = {text(name): self._member(value, name, applicable, path, depth) for name in value}
            return _without(kept, [value[name] for name in NAMES if isinstance(value.get(name), str)])
        if isinstance(value, list):
            below = [schema for each in applicable for schema in _of_items(each)]
            return [_second(self.value(item, below, path, depth - 1), item) for item in value]
        return value

    def _member(self, of: Mapping[str, Any], name: str, applicable: Sequence[Mapping[str, Any]], path: str, depth: int) -> Any:
        item = of[name]
        below = [schema for each in applicable for schema in _of_member(each, name)]
        carried = next((schema[CARRIED] for schema in below if isinstance(schema, Mapping) and CARRIED in schema), None)
        if carried is not None and self._inner is not None:
            walk = self._inner(of.get(carried))
            item = walk.value(item, (walk._root,), "", depth - 1)  # then through our own nets too
        kept = self.value(item, below, f"{path}.{name}" if path else name, depth - 1)
        return _untold(kept, name) if NAME.search(name) else kept

    def _flat(self, schema: Any, seen: frozenset[str]) -> Iterator[Mapping[str, Any]]:
        """`schema` and those that apply to the same value: behind references and in combinations."""
        if not isinstance(schema, Mapping):
            return
        yield schema
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            yield from self._flat(referred(self._root, reference), seen | {reference})
        for keyword in ("allOf", "anyOf", "oneOf"):
            for each in schema.get(keyword, ()):
                yield from self._flat(each, seen)
        for keyword in ("if", "then", "else"):
            yield from self._flat(schema.get(keyword), seen)


def _may_number(schema: Mapping[str, Any]) -> bool:
    """Whether arguments may have a number under the name of a secret."""
    named = schema.get("properties")
    if schema.get("additionalProperties") is not False or not isinstance(named, Mapping):
        return True
    return any(NUMBERED.search(name) for name in named)


def _inside(value: str, depth: int) -> str:
    """A text that is JSON, without what looks like a secret there; any other as it is."""
    if depth > 0 and len(value) <= NESTED and value.lstrip()[:1] in ("{", "["):
        with suppress(ValueError):
            inner = orjson.loads(value)
            kept = _Walk({}, ()).value(inner, (), "", depth - 1)
            return value if kept == inner else canonical(kept).decode()
    return value


def _without(kept: dict[str, Any], said: Sequence[str]) -> dict[str, Any]:
    """A pair of a telling name and a value, without its value; any other object as it is."""
    for name in said:
        if NAME.search(name):
            kept |= {each: _untold(kept[each], name) for each in VALUES if each in kept}
    return kept


def _second(kept: Any, item: Any) -> Any:
    """A pair in a list of such, `["Authorization", "…"]`, without its value."""
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and NAME.search(item[0]) and isinstance(kept, list):
        return [kept[0], _untold(kept[1], item[0])]
    return kept


def _untold(kept: Any, name: str) -> Any:
    """What is kept of what is under a telling name: no text, and where the name speaks of a single secret no number."""
    if isinstance(kept, dict):
        return {key: _untold(item, name) for key, item in kept.items()}
    if isinstance(kept, list):
        return [_untold(item, name) for item in kept]
    hidden = isinstance(kept, str) or (isinstance(kept, int | float) and not isinstance(kept, bool) and NUMBERED.search(name))
    return HIDDEN if hidden else kept


def _marked(schema: Mapping[str, Any]) -> bool:
    return schema.get("format") == "password" or schema.get("writeOnly") is True or bool(schema.get("x-sensitive"))


def _of_member(schema: Mapping[str, Any], name: str) -> Iterator[Any]:
    """The schemas for a member; those for patterns of names all count, which hides too much rather than too little."""
    named = schema.get("properties", {})
    if name in named:
        yield named[name]
    yield from schema.get("patternProperties", {}).values()
    yield schema.get("additionalProperties")


def _of_items(schema: Mapping[str, Any]) -> Iterator[Any]:
    yield schema.get("items")
    yield schema.get("contains")
    yield from schema.get("prefixItems", ())
