"""Operations become definitions of tools: named, described, with schemas and a plan, each checked on its own.

What is wrong with one operation costs that one: it is left out with a diagnostic, the others are not touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import jsonschema_rs
import orjson
from pydantic import ValidationError

from toolgate.integration import Defaults, Integration, Selection
from toolgate.openapi import prose
from toolgate.openapi.arguments import KEY, Arguments, Unservable, arguments
from toolgate.openapi.definition import Defined, Definition, fingerprint, plain
from toolgate.openapi.diagnostics import Findings
from toolgate.openapi.hints import hints, mutating_word
from toolgate.openapi.lift import Lifter
from toolgate.openapi.names import LEGAL, names
from toolgate.openapi.operation import Operation, Plan
from toolgate.openapi.pages import pages
from toolgate.openapi.resolve import Resolver
from toolgate.openapi.selection import Called, idle_entries
from toolgate.openapi.slim import Slimmer

MAX_DESCRIPTION = 400
MAX_TITLE = 80
MAX_FULL_DESCRIPTION = 8000  # characters; the longest of GitHub's has 4,000
MAX_TOTAL = 32 * 1024 * 1024
"""Bytes of all full schemas and plans of one description; Kubernetes needs 10 MB. One large schema, or list of servers, that
ten thousand operations share is small to write down, and large to serve."""
TOP_LEVEL_REFUSED = frozenset({"oneOf", "anyOf", "allOf", "not", "if", "$ref", "enum", "const"})


def convert(operations: Iterable[Operation], resolver: Resolver, integration: Integration, version: str) -> Defined:
    """The definitions of the operations that the integration wants.

    Args:
        version: of OpenAPI, such as `3.0.3`.
    """
    converter = _Converter(resolver, integration, version)
    return Defined(tuple(converter.definitions(operations)), tuple(converter.findings))


class _Converter:
    def __init__(self, resolver: Resolver, integration: Integration, version: str) -> None:
        self.integration = integration
        self.findings = Findings()
        self.lifter = Lifter(resolver, version, self.findings)
        self.slimmer = Slimmer()
        self.room = MAX_TOTAL

    def definitions(self, operations: Iterable[Operation]) -> list[Definition]:
        every = list(operations)
        # All are named before any is left out, so that a selection never renames what it keeps.
        named = names(every, self.integration.tool_prefix)
        called = [(operation, self._called(operation, named[operation.key])) for operation in every]
        self._check_entries([one for _, one in called])
        wanted = [
            (operation, one)
            for operation, one in called
            if operation.extensions.get("enabled") is not False and one.wanted(self.integration)
        ]
        return [definition for operation, one in wanted if (definition := self._definition(operation, one)) is not None]

    def _called(self, operation: Operation, name: str) -> Called:
        own = (operation.operation_id,) if operation.operation_id else ()
        return Called((name, name[len(self.integration.tool_prefix) :], *own, operation.key), operation.tags, operation.deprecated)

    def _check_entries(self, called: list[Called]) -> None:
        chosen = {"include": self.integration.include, "exclude": self.integration.exclude, "expose": self.integration.expose}
        for key, selection in chosen.items():
            for entry in idle_entries(selection, called) if isinstance(selection, Selection) else ():
                self.findings.warning("idle-entry", "", f"{key} of {self.integration.name} names {entry}, and no operation is called so")

    def _definition(self, operation: Operation, called: Called) -> Definition | None:
        try:
            asked, plan = self._fitted(operation)
            definition = self._described(operation, asked, plan, called)
            self._check(definition)
        except (Unservable, orjson.JSONEncodeError) as error:
            why = error if isinstance(error, Unservable) else "its description holds a value that JSON has no place for"
            self.findings.error("tool-left-out", operation.pointer, f"{operation.key} is left out: {why}")
            return None
        if definition.annotations.read_only and (word := mutating_word(operation)):
            said = f"{operation.key} is a read by its verb and a change by its name ({word}); `x-mcp: {{readOnly: false}}` makes it a write"
            self.findings.warning("get-that-mutates", operation.pointer, said)
        return definition

    def _fitted(self, operation: Operation) -> tuple[Arguments, dict[str, Any]]:
        """What is asked for, and the plan as JSON values, while there is room for them."""
        if self.room > 0:
            asked = arguments(operation, self.lifter, self.integration)
            self.room -= len(orjson.dumps(asked.schema))
        if self.room > 0:
            plan = plain(self._plan(operation, asked))
            self.room -= len(orjson.dumps(plan))
        if self.room <= 0:
            raise Unservable(f"the tools before it fill {MAX_TOTAL // 1024 // 1024} MiB")
        return asked, plan

    def _described(self, operation: Operation, asked: Arguments, plan: dict[str, Any], called: Called) -> Definition:
        title, full = _words(operation)
        definition = Definition(
            name=called.names[0],
            title=title,
            description=_advertised(operation, full),
            full_description=full,
            schema=asked.schema,
            advertised=self.slimmer.slim(asked.schema),
            annotations=hints(operation),
            key=operation.key,
            plan_data=plan,
            tags=_tags(operation),
            listed=called.listed(self.integration),
            price=called.price(self.integration),
            timeout=self._default(operation, "timeout"),
            cache=self._default(operation, "cache"),
            search_text=_search_text(operation, asked),
        )
        told = self.integration.base_url is None and self.integration.asgi is None
        servers = plan.get("servers", ()) if told else ()
        return replace(definition, fingerprint=fingerprint(definition, servers))

    def _plan(self, operation: Operation, asked: Arguments) -> Plan:
        return Plan(
            method=operation.method,
            path=operation.path,
            servers=operation.servers,
            servers_own=operation.servers_own,
            parameters=asked.parameters,
            bodies=asked.bodies,
            content_type_argument=asked.content_type_argument,
            idempotency_header=asked.idempotency_header,
            accept=_accept(operation),
            keys=operation.keys,
            paging=pages(operation, asked.parameters, asked.schema["properties"], self.lifter),
        )

    def _check(self, definition: Definition) -> None:
        """The gates: what a client or the validator would choke on is not served.

        Raises:
            Unservable: says which.
        """
        if not LEGAL.fullmatch(definition.name):
            raise Unservable(f"{definition.name} is no legal tool name")
        for schema in (definition.schema, definition.advertised):
            if schema.get("type") != "object" or not TOP_LEVEL_REFUSED.isdisjoint(schema):
                raise Unservable("its schema is not a plain object at the top")
            if not all(KEY.fullmatch(key) for key in schema["properties"]):
                raise Unservable("an argument has an illegal key")
            try:
                jsonschema_rs.Draft202012Validator(dict(schema), offline=True)
            except (jsonschema_rs.ValidationError, ValueError) as error:
                raise Unservable(f"its schema is no JSON Schema: {str(error).splitlines()[0][:200]}") from None

    def _default(self, operation: Operation, name: Literal["timeout", "cache"]) -> float:
        """Seconds that the operation itself says in `x-mcp`, else the integration."""
        if name in operation.extensions:
            with suppress(ValidationError):
                return float(getattr(Defaults.model_validate({name: operation.extensions[name]}), name))
        return float(getattr(self.integration.defaults, name))


def _words(operation: Operation) -> tuple[str | None, str]:
    """Title and full description."""
    told = {key: prose.clean(value) for key in ("title", "description") if isinstance(value := operation.extensions.get(key), str)}
    summary = prose.clean(operation.summary or "")
    body = told.get("description") or prose.clean(operation.description or "")
    title = told.get("title") or prose.shorten(prose.plain(summary), MAX_TITLE) or None
    if not told.get("description") and summary and not _begins(body, summary):
        body = f"{prose.sentence(summary)}\n\n{body}".strip()
    return title, prose.shorten(body or operation.key, MAX_FULL_DESCRIPTION)


def _advertised(operation: Operation, full: str) -> str:
    text = prose.plain(full)
    if operation.deprecated:
        text = f"Deprecated. {text}"
    return prose.shorten(text, MAX_DESCRIPTION)


def _begins(text: str, summary: str) -> bool:
    head = text[: 2 * len(summary) + 100]  # its markup may be as long as its words
    return prose.plain(head).lower().startswith(prose.plain(summary).lower().rstrip("."))


def _tags(operation: Operation) -> tuple[str, ...]:
    told = operation.extensions.get("tags")
    return (
        tuple(dict.fromkeys((*operation.tags, *(tag for tag in told if isinstance(tag, str)))))
        if isinstance(told, list)
        else operation.tags
    )


def _search_text(operation: Operation, asked: Arguments) -> str:
    """Words that somebody may search for and that neither name nor description need to hold."""
    words = [operation.method, operation.operation_id or "", operation.path, *operation.tags, *asked.schema["properties"]]
    return " ".join(dict.fromkeys(word for text in words for word in re.split(r"[^A-Za-z0-9]+", text) if word))


def _accept(operation: Operation) -> str | None:
    """The media types of good answers, JSON first; None where anything will do."""
    kinds = [media.media_type for answer in operation.answers if answer.status.startswith("2") for media in answer.content]
    unique = list(dict.fromkeys(kind for kind in kinds if "/" in kind and kind.isprintable() and kind.isascii()))
    if not unique or any(kind.startswith("*/*") for kind in unique):
        return None
    unique.sort(key=lambda kind: "json" not in kind)
    return ", ".join(unique[:4])
