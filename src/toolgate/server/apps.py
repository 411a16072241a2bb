"""MCP Apps (`io.modelcontextprotocol/ui`) of the gateway's own: a report of what its caller has used, and a form for any tool.

Each is a tool that only reads and a page that shows what the tool answers. Both exist for clients alone that say they can
show such pages; to the policy they are tools like others. A page is one file without anything from elsewhere: its
policy (CSP) allows its own script and style, by their digests, and nothing else, so that even a value that were
taken for markup could do nothing. Values come as data of the tool's answer and are only ever made text.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any, cast

from toolgate.calls import PROTOCOL, Call, Outcome, Principal, Tool, protocol_tool
from toolgate.errors import InvalidArguments, UnknownTool
from toolgate.gateway.discover import told
from toolgate.stores import DIMENSIONS, Dimension, Ledger
from toolgate.stores.budget import day_of, days

EXTENSION = "io.modelcontextprotocol/ui"
MEDIA_TYPE = "text/html;profile=mcp-app"
USAGE, FORM = "usage_report", "tool_form"
TITLES: Mapping[str, str] = {USAGE: "Usage", FORM: "Tool form"}
SCRIPTS: Mapping[str, str] = {USAGE: "usage.js", FORM: "form.js"}


def app_tools(visible: Callable[[Principal], Mapping[str, Tool]], ledger: Ledger, clock: Callable[[], float] = time.time) -> Sequence[Tool]:
    """The tools whose answers are shown by pages.

    Args:
        visible: the tools that a caller may know of.
    """

    async def usage(call: Call) -> Outcome:
        """Of the caller alone, whatever its roles."""
        by = tuple(dict.fromkeys(call.arguments.get("by", ("tool",))))
        try:
            first, last = days(call.arguments.get("since", "30d"), call.arguments.get("until", "today"), day_of(clock()))
        except ValueError as error:
            raise InvalidArguments(f"since and until are days. {error}") from None
        who = call.principal
        used = await ledger.usage(cast("tuple[Dimension, ...]", by), since=first, until=last, tenant=who.tenant, user=who.id)
        return told({"since": first, "until": last, "usage": [one.to_json() for one in used]})

    async def form(call: Call) -> Outcome:
        name = call.arguments["name"]
        tool = visible(call.principal).get(name)
        if tool is None or PROTOCOL in tool.tags:
            raise UnknownTool(f"there is no tool called {name[:64]!r}; its exact name is in the list of tools, or found by searching them")
        said = {"title": tool.title, "description": tool.details or tool.description, "inputSchema": tool.schema}
        return told({"name": tool.name, **said, "annotations": {"readOnlyHint": tool.annotations.read_only}})

    day = {"type": "string", "description": "A day such as 2026-11-01, today, or so many days back such as 30d"}
    by = {"type": "array", "items": {"enum": list(DIMENSIONS)}, "minItems": 1, "description": "What it is told apart by"}
    return (
        _tool(USAGE, "Show what you have used, in calls and money.", {"since": day, "until": day, "by": by}, (), usage),
        _tool(FORM, "Show a form for a tool, for a person to fill in and send.", {"name": {"type": "string"}}, ("name",), form),
    )


def place(name: str) -> str:
    """The URI of the page that shows the answers of the tool called `name`."""
    return f"ui://toolgate/{name}"


def can_show(capabilities: Mapping[str, Any]) -> bool:
    """Whether a client with `capabilities` shows such pages."""
    extensions = capabilities.get("extensions")
    said = extensions.get(EXTENSION) if isinstance(extensions, Mapping) else None
    types = said.get("mimeTypes") if isinstance(said, Mapping) else None
    return isinstance(types, list | tuple) and MEDIA_TYPE in types


def resource(name: str) -> Mapping[str, Any]:
    """The page as `resources/list` tells of it."""
    return {"uri": place(name), "name": name, "title": TITLES[name], "mimeType": MEDIA_TYPE}


def contents(name: str) -> Mapping[str, Any]:
    """The page as `resources/read` gives it. It asks its host for nothing from elsewhere."""
    csp: Mapping[str, Any] = {"connectDomains": [], "resourceDomains": []}
    return {"uri": place(name), "mimeType": MEDIA_TYPE, "text": page(name), "_meta": {"ui": {"csp": csp, "prefersBorder": True}}}


@cache
def page(name: str) -> str:
    style, script = _file("view.css"), _file(SCRIPTS[name]) + _file("bridge.js")
    policy = f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; base-uri 'none'; form-action 'none'"
    parts = {"policy": policy, "title": TITLES[name], "style": style, "script": script}
    text = _file("view.html")
    for key, value in parts.items():
        text = text.replace(f"{{{key}}}", value, 1)
    return text


def _tool(name: str, description: str, properties: Mapping[str, Any], required: Sequence[str], run: Any) -> Tool:
    schema = {"type": "object", "properties": dict(properties), "required": list(required), "additionalProperties": False}
    passed = {"_meta": {"ui": {"resourceUri": place(name)}}}
    return protocol_tool(name, description, schema, run, title=TITLES[name], passed=passed)


def _file(name: str) -> str:
    return resources.files(__package__).joinpath("views", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(sha256(text.encode()).digest()).decode()
