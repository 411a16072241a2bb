"""A stand-in for any described service, which holds every request against the description.

It shares no code with the converter and the serializer: it reads the raw description, decodes the way OpenAPI tells servers
to, and validates with `jsonschema`, the oracle. A request that is not what the description asks for is answered 400 with the
reasons; others get 200 and the first JSON example of nothing in particular.
"""

from __future__ import annotations

import copy
import email.parser
import email.policy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
IGNORED_HEADERS = {"accept", "content-type", "authorization"}
Pairs = list[tuple[str, str]]
DELIMITERS = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|", "simple": ","}


@dataclass
class Described:
    """One operation of the description."""

    method: str
    template: str
    parameters: list[Mapping[str, Any]]
    body: Mapping[str, Any] | None
    multi: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        return f"{self.method} {self.template}"

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        path = self.template.partition("?")[0]
        parts = re.split(r"\{([^}]+)\}", path)
        made = [re.escape(part) if i % 2 == 0 else f"({'.+' if part in self.multi else '[^/]+'})" for i, part in enumerate(parts)]
        return re.compile("".join(made))

    @cached_property
    def names(self) -> list[str]:
        return re.findall(r"\{([^}]+)\}", self.template.partition("?")[0])


@dataclass
class Checked:
    """What arrived and what was wrong with it."""

    method: str
    target: str
    keys: list[str]
    """The operations that the request may be meant for."""
    problems: dict[str, list[str]]
    """By operation."""


class Service:
    """An ASGI application that checks requests against `document`, OpenAPI 2.0 or 3.x."""

    def __init__(self, document: Mapping[str, Any], *, base: str = "", credentials: frozenset[str] = frozenset()) -> None:
        """
        Args:
            base: path before the templates, such as `/v2`.
            credentials: names of parameters that the gateway adds, not the caller.
        """
        self.document: Any = _as_2020_12(copy.deepcopy(document))
        self.base = base.rstrip("/")
        self.credentials = credentials
        self.seen: list[Checked] = []
        resource = DRAFT202012.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource("urn:description", resource)
        self.operations = list(self._described())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        target = scope["raw_path"].decode() + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        checked = self.check(scope["method"], target, headers, body)
        self.seen.append(checked)
        fine = any(not problems for problems in checked.problems.values())
        answer = json.dumps({"checked": True} if fine else {"problems": checked.problems}).encode()
        await send({"type": "http.response.start", "status": 200 if fine else 400, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer})

    def check(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Checked:
        path, _, query = target.partition("?")
        path = path.removeprefix(self.base)
        meant = [(one, match) for one in self.operations if one.method == method and (match := one.pattern.fullmatch(path))]
        problems = {one.key: self._problems(one, match, query, headers, body) for one, match in meant}
        return Checked(method, target, list(problems), problems)

    def _problems(self, operation: Described, match: re.Match[str], query: str, headers: Mapping[str, str], body: bytes) -> list[str]:
        found = dict(zip(operation.names, match.groups(), strict=True))
        problems = [f"path {name} is not a segment" for name, raw in found.items() if unquote(raw) in (".", "..", "")]
        pairs = [(name, value) for name, value in _pairs(query)]
        used: set[str] = set(self.credentials)
        used.update(unquote_plus(name) for name, _ in _pairs(operation.template.partition("?")[2]))
        for parameter in operation.parameters:
            problems += self._parameter(parameter, found, pairs, headers, used)
        problems += [f"query {name} is not described" for name, _ in pairs if unquote_plus(name) not in used]
        return problems + self._body(operation, headers, body)

    def _parameter(
        self,
        parameter: Mapping[str, Any],
        path: Mapping[str, str],
        pairs: Pairs,
        headers: Mapping[str, str],
        used: set[str],
    ) -> list[str]:
        name, place = parameter["name"], parameter["in"]
        if place == "header" and name.lower() in IGNORED_HEADERS:
            return []
        schema = parameter.get("schema", parameter if "type" in parameter else {})
        if place == "path":
            raw: Any = path.get(name)
        elif place == "query":
            raw = _from_query(parameter, schema, self._resolved(schema), pairs, used)
        elif place == "header":
            raw = headers.get(name.lower())
        else:
            cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
            raw = cookies.get(name)
        if raw is None:
            # An object without members is sent as nothing at all, and published files say `required: No`.
            wanted = parameter.get("required") is True and name not in self.credentials and _kind(self._resolved(schema)) != "object"
            return [f"{place} {name} is missing"] if wanted else []
        if name in self.credentials:
            return []
        if "content" in parameter:
            value: Any = json.loads(unquote_plus(raw))
            schema = next(iter(parameter["content"].values())).get("schema", {})
        else:
            value = raw if isinstance(raw, dict) else self._decoded(raw, parameter, schema)
        return [f"{place} {name}: {problem}" for problem in self._invalid(value, schema)]

    def _decoded(self, raw: Any, parameter: Mapping[str, Any], schema: Any) -> Any:
        """A value as the schema's type wants it, from one text or the list of several."""
        whole = self._resolved(schema)
        kind = _kind(whole)
        plain = unquote if parameter["in"] in ("path", "header") else unquote_plus
        if kind == "array":
            delimiter = DELIMITERS.get(parameter.get("style", "simple"), ",")
            if parameter.get("collectionFormat") in ("pipes", "ssv", "tsv"):
                delimiter = {"pipes": "|", "ssv": " ", "tsv": "\t"}[parameter["collectionFormat"]]
            items = raw if isinstance(raw, list) else [raw] if delimiter == "," and raw == "" else _split(raw, delimiter)
            return [self._scalar(plain(item), whole.get("items", {})) for item in items]
        text = raw[0] if isinstance(raw, list) else raw
        return self._scalar(plain(text), whole)

    def _scalar(self, text: str, schema: Any) -> Any:
        """`text` as the first JSON type among those that the schema allows that it can be."""
        candidates: list[Any] = []
        if text in ("true", "false"):
            candidates.append(text == "true")
        if re.fullmatch(r"-?\d+", text):
            candidates.append(int(text))
        elif re.fullmatch(r"-?\d+\.\d+([eE][+-]?\d+)?", text):
            candidates.append(float(text))
        candidates.append(text)
        return next((value for value in candidates if not self._invalid(value, schema)), text)

    def _body(self, operation: Described, headers: Mapping[str, str], body: bytes) -> list[str]:
        if operation.body is None:
            return ["there is a body where none is described"] if body else []
        if not body and "content-type" not in headers:
            return ["the body is missing"] if operation.body.get("required") else []
        sent = headers.get("content-type", "").partition(";")[0].strip()
        content = operation.body["content"]
        media = content.get(sent) or content.get(f"{sent.partition('/')[0]}/*") or content.get("*/*")
        if media is None:
            return [f"the body is {sent or 'of no type'}, described are {', '.join(content)}"]
        media = media or {}
        schema = media.get("schema", {})
        if sent.endswith("json") or sent == "*/*":
            return [f"body: {problem}" for problem in self._invalid(json.loads(body), schema)]
        if sent == "application/x-www-form-urlencoded":
            return self._form(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True), schema)
        if sent == "multipart/form-data":
            return self._form(list(_parts(headers["content-type"], body)), schema)
        return []

    def _form(self, pairs: Pairs, schema: Any) -> list[str]:
        whole = self._resolved(schema)
        value: dict[str, Any] = {}
        for name, text in pairs:
            described = self._resolved(whole.get("properties", {}).get(name, {}))
            if _kind(described) == "array":
                value.setdefault(name, []).append(self._scalar(text, described.get("items", {})))
            elif _kind(described) == "object":
                value[name] = json.loads(text)
            else:
                value[name] = self._scalar(text, described)
        return [f"body: {problem}" for problem in self._invalid(value, schema)]

    def _invalid(self, value: Any, schema: Any) -> list[str]:
        validator = Draft202012Validator(_rooted(schema), registry=self._registry)
        return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)][:3]

    def _resolved(self, schema: Any) -> dict[str, Any]:
        while isinstance(schema, Mapping) and "$ref" in schema:
            schema = self._lookup(schema["$ref"])
        merged = dict(schema) if isinstance(schema, Mapping) else {}
        for part in merged.pop("allOf", []):
            inner = self._resolved(part)
            merged = {**inner, **merged, "properties": {**inner.get("properties", {}), **merged.get("properties", {})}}
        return merged

    def _lookup(self, reference: str) -> Any:
        node = self.document
        for part in reference.removeprefix("urn:description").removeprefix("#").split("/")[1:]:
            node = node[unquote(part).replace("~1", "/").replace("~0", "~")]
        return node

    def _deref(self, node: Any) -> Any:
        while isinstance(node, Mapping) and "$ref" in node:
            node = self._lookup(node["$ref"])
        return node

    def _described(self) -> Iterator[Described]:
        for template, item in self.document.get("paths", {}).items():
            item = self._deref(item)
            for method in METHODS:
                if isinstance(item.get(method), Mapping):
                    yield self._operation(method.upper(), template, item, item[method])

    def _operation(self, method: str, template: str, item: Any, operation: Any) -> Described:
        listed = [self._deref(one) for one in (*item.get("parameters", ()), *operation.get("parameters", ()))]
        parameters = {(one["name"], one["in"]): one for one in listed if isinstance(one, Mapping) and "in" in one and "name" in one}
        body = self._deref(operation.get("requestBody"))
        if "swagger" in self.document:
            body = _body_of_2(parameters, operation.get("consumes") or self.document.get("consumes") or ["application/json"])
        names = set(re.findall(r"\{([^}]+)\}", template))
        kept = [
            one
            for one in parameters.values()
            if one["in"] in ("path", "query", "header", "cookie") and (one["in"] != "path" or one["name"] in names)
        ]
        multi = {one["name"] for one in kept if one.get("x-multi-segment") and one["in"] == "path"}
        return Described(method, template, kept, body if body and body.get("content") else None, multi)


def _from_query(parameter: Mapping[str, Any], schema: Any, whole: Mapping[str, Any], pairs: Pairs, used: set[str]) -> Any:
    """The raw texts of one query parameter, by its style; its names are marked as used."""
    name, style = parameter["name"], parameter.get("style", "form")
    if style == "deepObject" or (
        _kind(whole) == "object" and style == "form" and parameter.get("explode", True) and "content" not in parameter
    ):
        return _object_from_query(parameter, whole, pairs, used)
    values = [value for key, value in pairs if unquote_plus(key) == name]
    used.add(name)
    if not values:
        return None
    exploded = (
        parameter.get("explode", style == "form") if "collectionFormat" not in parameter else parameter["collectionFormat"] == "multi"
    )
    if "type" in parameter and "schema" not in parameter and "collectionFormat" not in parameter:
        exploded = False  # OpenAPI 2.0's default is csv
    return values if exploded and _kind(whole) == "array" else values[0]


def _object_from_query(parameter: Mapping[str, Any], whole: Mapping[str, Any], pairs: Pairs, used: set[str]) -> Any:
    made: dict[str, Any] = {}
    for key, value in pairs:
        decoded = unquote_plus(key)
        if parameter.get("style") == "deepObject":
            match = re.fullmatch(re.escape(parameter["name"]) + r"\[([^\]]+)\]", decoded)
            inner = match[1] if match else None
        else:
            inner = decoded if decoded in whole.get("properties", {}) else None
        if inner is not None:
            used.add(decoded)
            made[inner] = unquote_plus(value)
    return made or None


def _body_of_2(parameters: Mapping[tuple[str, str], Any], consumes: list[str]) -> dict[str, Any] | None:
    """OpenAPI 2.0's body or formData parameters as a 3.x request body."""
    whole = next((one for (_, place), one in parameters.items() if place == "body"), None)
    if whole is not None:
        return {"required": whole.get("required", False), "content": {media: {"schema": whole.get("schema", {})} for media in consumes}}
    fields = [one for (_, place), one in parameters.items() if place == "formData"]
    if not fields:
        return None
    schema = {
        "type": "object",
        "properties": {one["name"]: {"type": "string"} if one.get("type") == "file" else _plain(one) for one in fields},
        "required": [one["name"] for one in fields if one.get("required")],
    }
    forms = [media for media in consumes if media in ("application/x-www-form-urlencoded", "multipart/form-data")]
    return {
        "required": bool(schema["required"]),
        "content": {media: {"schema": schema} for media in forms or ["application/x-www-form-urlencoded"]},
    }


def _plain(parameter: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameter.items() if key not in ("name", "in", "required", "collectionFormat", "description")}


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        yield str(part.get_param("name", header="content-disposition")), content.decode("latin-1")


def _pairs(query: str) -> Pairs:
    """Raw pairs, not yet decoded, so that delimiters can be told from encoded ones."""
    return [(name, value) for part in query.split("&") if part for name, _, value in [part.partition("=")]]


def _split(raw: str, delimiter: str) -> list[str]:
    spelled = {" ": r"%20|\+| ", "|": r"%7C|\|", ",": ","}.get(delimiter, re.escape(delimiter))
    return re.split(spelled, raw)


def _kind(schema: Mapping[str, Any]) -> str | None:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), None)
    if kind is None and "items" in schema:
        return "array"
    if kind is None and "properties" in schema:
        return "object"
    return None if kind is None else str(kind)


def _rooted(schema: Any) -> Any:
    """`schema` with local references led to the registered description."""
    if isinstance(schema, Mapping):
        return {
            key: f"urn:description{value}" if key == "$ref" and isinstance(value, str) and value.startswith("#") else _rooted(value)
            for key, value in schema.items()
        }
    return [_rooted(item) for item in schema] if isinstance(schema, list) else schema


def _as_2020_12(node: Any) -> Any:
    """What the oracle would misunderstand of older schemas: `nullable`, boolean `exclusive…`, `type: file`, wrong values of keywords."""
    if isinstance(node, list):
        return [_as_2020_12(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {str(key): _as_2020_12(value) for key, value in node.items() if key not in ("example", "examples", "x-webhooks", "responses")}
    if made.pop("nullable", None) is True:
        if isinstance(made.get("type"), str):
            made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list):
            made["enum"] = [*made["enum"], None]
        if not ("type" in made or "enum" in made):
            made = {"anyOf": [made, {"type": "null"}]}
    for bound in ("Minimum", "Maximum"):
        if isinstance(made.get(f"exclusive{bound}"), bool):
            strict = made.pop(f"exclusive{bound}")
            if strict and bound.lower() in made:
                made[f"exclusive{bound}"] = made.pop(bound.lower())
    return made


def base_of(document: Mapping[str, Any]) -> str:
    """The path of a description's first server."""
    if "swagger" in document:
        return str(document.get("basePath", "")).rstrip("/")
    servers = document.get("servers") or [{}]
    return urlsplit(str(servers[0].get("url", ""))).path.rstrip("/")
