"""What a server says of its tools becomes definitions, each checked on its own: a server is not believed.

A bad definition costs that one tool. Hidden characters are taken out of everything that a model reads. A name is put
into the form that every client takes; two tools of one server whose names become the same are both left out, because
nobody could tell which is meant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import jsonschema_rs
import orjson

from toolgate.burden import TooHard, bounds
from toolgate.calls import Annotations
from toolgate.documents import deeper_than
from toolgate.integration import Integration, Selection
from toolgate.openapi import prose
from toolgate.openapi.definition import Defined, Definition, plain
from toolgate.openapi.diagnostics import Findings
from toolgate.openapi.names import LEGAL, LONGEST, legal
from toolgate.openapi.selection import Called
from toolgate.patterns import compiling
from toolgate.upstream.keys import renamed

MAX_TOOLS = 2000
MAX_BYTES = 256 * 1024
"""Of one tool's definition."""
MAX_DEPTH = 64
COMPILING = 5_000_000
"""Microseconds that the patterns of all tools of one server may take, while nothing else goes on."""
MAX_DESCRIPTION = 8000  # characters
MAX_TITLE = 200
MCP_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
WORDS = {"readOnlyHint": "read_only", "destructiveHint": "destructive", "idempotentHint": "idempotent", "openWorldHint": "open_world"}
PASSED = ("outputSchema", "icons", "_meta")
ALIKE = str.maketrans("01IiOo5$", "ollloo" + "ss")


class Unservable(Exception):
    """A tool cannot be served; the sentence says why."""


def define(tools: Iterable[Any], integration: Integration) -> Defined:
    """The definitions of the tools that `integration` wants.

    Args:
        tools: as `tools/list` tells them.
    """
    findings = Findings()
    found: list[Definition] = []
    left = COMPILING
    for number, tool in enumerate(tools):
        pointer = f"/tools/{number}"
        if number >= MAX_TOOLS:
            findings.error("too-many-tools", "", f"{integration.name} offers more than {MAX_TOOLS} tools; the others are left out")
            break
        if (cost := compiling(tool)) > left:
            why = f"the patterns in the schemas of {integration.name} take too long to be compiled"
            findings.error("tool-left-out", pointer, f"{_shown(tool)} is left out: {why}")
            continue
        left -= cost
        try:
            definition = _definition(tool, integration)
        except Unservable as error:
            findings.error("tool-left-out", pointer, f"{_shown(tool)} is left out: {error}")
            continue
        if definition is not None:
            found.append(definition)
    kept = _told_apart(found, findings)
    return Defined(tuple(sorted(kept, key=lambda each: each.name)), tuple(findings))


def skeleton(name: str) -> str:
    """Equal for names that a person may take for each other."""
    return re.sub(r"[._-]", "", name).translate(ALIKE).lower().replace("rn", "m").replace("vv", "w")


def _definition(tool: Any, integration: Integration) -> Definition | None:
    name = _checked(tool)
    short = legal(name)
    ours = integration.tool_prefix + short
    if not Called((name, short, ours)).wanted(integration):
        return None
    if not short or not LEGAL.fullmatch(ours):
        # By its own name, so that no other tool's coming or going changes it.
        ours = f"{ours[: LONGEST - 9]}_{sha256(name.encode()).hexdigest()[:8]}".strip("_")
    called = Called((name, short, ours))
    schema, theirs = renamed(_visible(tool["inputSchema"]))
    passed = {key: tool[key] if key == "_meta" else _visible(tool[key]) for key in PASSED if isinstance(tool.get(key), dict | list)}
    description = tool.get("description")
    definition = Definition(
        name=ours,
        title=_title(tool),
        description=prose.shorten(prose.clean(description) if isinstance(description, str) else "", MAX_DESCRIPTION),
        schema=schema,
        advertised=schema,
        annotations=_annotations(tool, integration, called),
        key=f"tools/call {name}",
        plan_data={"tool": name, "passed": passed, **({"theirs": theirs} if theirs else {})},
        listed=called.listed(integration),
        price=called.price(integration),
        timeout=integration.defaults.timeout,
        cache=integration.defaults.cache,
        search_text=" ".join(dict.fromkeys(re.split(r"[^A-Za-z0-9]+", f"{name} {' '.join(schema.get('properties', {}))}"))),
    )
    return replace(definition, fingerprint=fingerprint(definition))


def fingerprint(definition: Definition) -> str:
    """SHA-256 of everything that a model or a client sees of the tool, and of which tool it is, in hexadecimal."""
    seen = [
        definition.name,
        definition.title,
        definition.description,
        definition.schema,
        plain(definition.annotations),
        definition.plan_data,
    ]
    return sha256(orjson.dumps(seen, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _checked(tool: Any) -> str:
    """The tool's own name, when everything about the tool is as it has to be."""
    if not isinstance(tool, dict):
        raise Unservable("it is no object")
    name, schema = tool.get("name"), tool.get("inputSchema")
    if not isinstance(name, str) or not MCP_NAME.fullmatch(name) or prose.clean(name) != name:
        raise Unservable("its name is none")
    if deeper_than(tool, MAX_DEPTH):
        raise Unservable(f"it is nested deeper than {MAX_DEPTH} levels")
    try:
        size = len(orjson.dumps(tool))
    except TypeError:
        raise Unservable("it holds a value that JSON has no place for") from None
    if size > MAX_BYTES:
        raise Unservable(f"its definition has {size} bytes, and {MAX_BYTES} are taken at most")
    if not isinstance(schema, dict) or schema.get("type") != "object" or not isinstance(schema.get("properties", {}), dict):
        raise Unservable("its inputSchema is not that of an object")
    for told in (schema, tool.get("outputSchema")):
        if told is not None:
            _check_schema(told)
    if b"x-mcp-header" in orjson.dumps(schema):
        _check_headers(schema)
    _check_shape(tool)
    if isinstance(execution := tool.get("execution"), dict) and execution.get("taskSupport") == "required":
        raise Unservable("it can be called only as a task of its server's, and none is asked for here")
    return name


def _check_schema(schema: Any) -> None:
    try:
        # `offline`: a `$ref` to somewhere else is refused, and never fetched.
        jsonschema_rs.validator_for(schema, offline=True)
        bounds(schema)
    except TooHard as error:
        raise Unservable(str(error)) from None
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise Unservable(f"its schema is no JSON Schema: {str(error).splitlines()[0][:200]}") from None


def _check_headers(schema: Mapping[str, Any]) -> None:
    from mcp.shared.inbound import find_invalid_x_mcp_header

    # 2026-07-28, transports/streamable-http: a client leaves out a tool whose annotations are not valid.
    if why := find_invalid_x_mcp_header(schema):
        raise Unservable(why[:300])


def _check_shape(tool: Mapping[str, Any]) -> None:
    """What clients of any era would choke on must not reach a list, where it would cost them all of it."""
    import mcp_types
    from pydantic import ValidationError

    try:
        mcp_types.Tool.model_validate({key: tool[key] for key in ("name", "title", "inputSchema", *PASSED) if key in tool})
    except ValidationError as error:
        wrong = {".".join(map(str, item["loc"])) for item in error.errors(include_input=False, include_url=False)}
        raise Unservable(f"it is not as the protocol wants it: {', '.join(sorted(wrong))[:200]}") from None


def _told_apart(found: list[Definition], findings: Findings) -> list[Definition]:
    uses = Counter(definition.name.lower() for definition in found)
    for name in sorted({each.name for each in found if uses[each.name.lower()] > 1}):
        findings.error("same-name", "", f"{name} is left out: another tool of the same server is called the same")
    return [each for each in found if uses[each.name.lower()] == 1]


def _title(tool: Mapping[str, Any]) -> str | None:
    annotations = tool.get("annotations")
    for title in (tool.get("title"), annotations.get("title") if isinstance(annotations, dict) else None):
        if isinstance(title, str) and prose.clean(title):
            return prose.shorten(prose.clean(title), MAX_TITLE)
    return None


def _annotations(tool: Mapping[str, Any], integration: Integration, called: Called) -> Annotations:
    """Hints, which the operator's words stand over. What is not said to only read may write and destroy."""
    told = tool.get("annotations")
    said = {ours: told[theirs] for theirs, ours in WORDS.items() if type(told.get(theirs)) is bool} if isinstance(told, dict) else {}
    for pattern, effects in integration.annotations.items():
        if called.fits(Selection(operations=(pattern,))):
            said |= effects.model_dump(exclude_none=True)
            break
    if said.get("read_only"):
        said = {"destructive": False, "idempotent": True, **said}
    return Annotations(**said)


def _visible(schema: Any) -> Any:
    """`schema` with what a model reads of it, titles and descriptions, without hidden characters."""
    if isinstance(schema, list):
        return [_visible(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: prose.clean(value) if key in ("description", "title") and isinstance(value, str) else _visible(value)
        for key, value in schema.items()
    }


def _shown(tool: Any) -> str:
    name = tool.get("name") if isinstance(tool, dict) else None
    return prose.clean(name)[:64] if isinstance(name, str) and prose.clean(name) else "a tool without a name"
