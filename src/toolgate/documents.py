"""JSON and YAML text to plain values, within bounds, or a sentence that says what is wrong.

YAML is read by the core rules of YAML 1.2, so that what people write is what they get: `no` and `2024-01-01` are text,
`200:` is the key "200". Values are built from the C parser's events and not by one of PyYAML's loaders, because those
follow YAML 1.1, copy nothing, and crash the process on 50,000 `[`. Events arrive one by one: the first that passes a
bound ends the reading. An alias becomes a copy, so that every result is a plain tree, and copies are counted.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from itertools import chain
from typing import Any, NoReturn

import orjson
import yaml

from toolgate.errors import BadDocument

MAX_BYTES = 32 * 1024 * 1024  # after decompression; GitHub's description has 13 MB
MAX_DEPTH = 64  # GitHub's description has 21
MAX_NODES = 1_000_000  # GitHub's description has 0.57 million as YAML; as many as this are read in 0.9 to 1.6 s
MAX_COPIES = 200_000  # nodes that aliases and merge keys may add

GZIP = b"\x1f\x8b"
PLAIN: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)|0o(?P<oct>[0-7]+)|0x(?P<hex>[0-9a-fA-F]+)|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
)
TAG = "tag:yaml.org,2002:"
FRONT = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n(.*))?", re.DOTALL | re.MULTILINE)


def parse(data: bytes, *, name: str, strict: bool = True) -> Any:
    """`data`, plain or gzip, as the JSON or YAML (1.2 core rules, keys as text) that it holds; nothing at all is None.

    Args:
        name: how messages call the document.
        strict: for what operators write: a key that stands twice and a tag nobody knows are errors. Otherwise the
            last key wins and the tag is passed over, as in descriptions that others wrote.

    Raises:
        BadDocument: neither JSON nor YAML, or over a bound; `line` says where, when that is known.
    """
    text = unpacked(data, name=name)
    if sum(map(text.count, (b",", b"{", b"["))) > MAX_NODES:
        raise BadDocument(f"{name} has more than {MAX_NODES} nodes")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _not_json(text, error, name, strict)
    if deeper_than(value, MAX_DEPTH):
        raise BadDocument(f"{name} is nested deeper than {MAX_DEPTH} levels")
    if strict:
        json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, name))
    return value


def front_matter(data: bytes, *, name: str) -> tuple[dict[str, Any], str]:
    """The mapping between two lines of `---` at the beginning of a Markdown text, and the text below it without outer blank lines.

    Raises:
        BadDocument: there is no such mapping, it is no YAML, or the text is not UTF-8.
    """
    try:
        text = unpacked(data, name=name).decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise BadDocument(f"{name} is not UTF-8") from None
    match = FRONT.fullmatch(text)
    if match is None:
        raise BadDocument(f"{name} has to begin with front matter: YAML between two lines of ---")
    values = parse(match[1].encode(), name=name)
    if not isinstance(values, dict):
        raise BadDocument(f"{name} has to begin with a mapping between two lines of ---")
    return values, (match[2] or "").strip("\n")


def unpacked(data: bytes, *, name: str) -> bytes:
    """`data` without gzip and byte order mark, as UTF-8.

    Raises:
        BadDocument: broken gzip, or more than MAX_BYTES.
    """
    if data.startswith(GZIP):
        data = _inflated(data, name)
    if len(data) > MAX_BYTES:
        raise BadDocument(f"{name} has more than {MAX_BYTES} bytes")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", errors="replace").encode()
    return data.removeprefix(b"\xef\xbb\xbf")


def deeper_than(value: Any, levels: int) -> bool:
    """Whether lists and mappings are nested in more than `levels` levels."""
    level = [value]
    for _ in range(levels + 1):
        level = [node for node in level if type(node) is dict or type(node) is list]
        if not level:
            return False
        level = list(chain.from_iterable(node.values() if type(node) is dict else node for node in level))
    return True


def _inflated(data: bytes, name: str) -> bytes:
    parts: list[bytes] = []
    room = MAX_BYTES + 1
    try:
        while data.startswith(GZIP) and room > 0:  # a file may be several members in a row
            member = zlib.decompressobj(wbits=31)
            parts.append(member.decompress(data, room))
            room -= len(parts[-1])
            if not member.eof and room > 0:
                raise BadDocument(f"{name} is gzip that ends too early")
            data = member.unused_data
    except zlib.error as error:
        raise BadDocument(f"{name} is broken gzip: {error}") from error
    return b"".join(parts)


def _unique(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadDocument(f"{name} has the key {twice!r} twice in one object")
    return values


def _not_json(text: bytes, error: orjson.JSONDecodeError, name: str, strict: bool) -> Any:
    try:
        return _Composer(text, name, strict).document()
    except BadDocument as refused:
        if text.lstrip()[:1] not in (b"{", b"["):
            raise
        raise BadDocument(f"{refused}; read as JSON: {error}", line=error.lineno) from error


class _Composer:
    """One YAML document, from events to values."""

    def __init__(self, text: bytes, name: str, strict: bool) -> None:
        self._next = yaml.CSafeLoader(text).get_event  # its events, not its construction
        self._name = name
        self._strict = strict
        self._anchors: dict[str, Any] = {}
        self._nodes = 0
        self._copies = 0

    def document(self) -> Any:
        try:
            self._event()  # the stream's start
            if isinstance(self._event(), yaml.StreamEndEvent):
                return None
            value = self._value(self._event(), 1)
            self._event()  # the document's end
            event = self._event()
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            where = f" (line {line})" if line else ""
            raise BadDocument(f"{self._name} is neither JSON nor YAML: {error.problem}{where}", line=line) from error
        except yaml.YAMLError as error:
            raise BadDocument(f"{self._name} is neither JSON nor YAML: {error}") from error
        if not isinstance(event, yaml.StreamEndEvent):
            self._refuse(event, "begins a second document where one is expected")
        return value

    def _event(self) -> Any:
        self._nodes += 1
        event = self._next()
        if self._nodes > MAX_NODES:
            self._refuse(event, f"passes {MAX_NODES} nodes")
        return event

    def _value(self, event: Any, depth: int) -> Any:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value = self._scalar(event)
        elif kind is yaml.AliasEvent:
            return self._alias(event)
        elif depth > MAX_DEPTH:
            self._refuse(event, f"is nested deeper than {MAX_DEPTH} levels")
        elif kind is yaml.MappingStartEvent:
            value = self._mapping(event, depth)
        else:
            value = self._sequence(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _sequence(self, event: Any, depth: int) -> list[Any]:
        self._check_tag(event)
        values = []
        while type(event := self._event()) is not yaml.SequenceEndEvent:
            values.append(self._value(event, depth + 1))
        return values

    def _mapping(self, event: Any, depth: int) -> dict[str, Any]:
        self._check_tag(event)
        values: dict[str, Any] = {}
        merged: list[Any] = []
        while type(key := self._event()) is not yaml.MappingEndEvent:
            name = self._key(key)
            value_event = self._event()
            if name == "<<" and key.implicit[0]:
                merged.append((value_event, self._value(value_event, depth + 1)))
            else:
                if name in values and self._strict:
                    self._refuse(key, f"has the key {name!r} for the second time")
                values[name] = self._value(value_event, depth + 1)
        for merge_event, value in merged:
            for mapping in value if isinstance(value, list) else [value]:
                if not isinstance(mapping, dict):
                    self._refuse(merge_event, "merges (`<<`) something that is no mapping")
                for name, item in mapping.items():
                    values.setdefault(name, item)
        return values

    def _key(self, event: Any) -> str:
        if type(event) is yaml.AliasEvent and isinstance(value := self._alias(event), str):
            return value
        if type(event) is not yaml.ScalarEvent:
            self._refuse(event, "has a key that is no text")
        if event.anchor is not None:
            self._anchors[event.anchor] = event.value
        return str(event.value)  # as written: 200, 1.10 and on stay what they are

    def _scalar(self, event: Any) -> Any:
        if event.implicit[0]:
            return plain(event.value)
        self._check_tag(event)
        if event.tag in (f"{TAG}int", f"{TAG}float", f"{TAG}bool", f"{TAG}null"):
            return plain(event.value)
        return event.value

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            self._refuse(event, f"uses the alias *{event.anchor} that no anchor before it defines")
        return self._copy(self._anchors[event.anchor], event)

    def _copy(self, value: Any, event: Any) -> Any:
        self._copies += 1
        if self._copies > MAX_COPIES:
            self._refuse(event, f"grows by more than {MAX_COPIES} nodes through aliases")
        if isinstance(value, dict):
            return {key: self._copy(item, event) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copy(item, event) for item in value]
        return value

    def _check_tag(self, event: Any) -> None:
        if self._strict and event.tag and event.tag != "!" and not event.tag.startswith(TAG):
            self._refuse(event, f"has the tag {event.tag}, which means nothing here")

    def _refuse(self, event: Any, what: str) -> NoReturn:
        line = event.start_mark.line + 1
        raise BadDocument(f"{self._name}, line {line}: the document {what}", line=line)


def plain(text: str) -> Any:
    """What an unquoted YAML scalar means: null, a truth value, a number, else its text.

    Source: YAML 1.2.2, section 10.3.2, but that what JSON cannot say (`.inf`, `.nan`) stays text.
    """
    if text in PLAIN:
        return PLAIN[text]
    if text[0] not in "-+.0123456789" or (match := NUMBER.fullmatch(text)) is None:
        return text
    if match["oct"] or match["hex"]:
        return int(match["oct"] or match["hex"], 8 if match["oct"] else 16) if len(text) <= 18 else text
    if match["int"] and len(text) <= 19:
        return int(text)
    number = float(text)  # as orjson reads integers beyond 64 bits
    return number if math.isfinite(number) else text
