"""Every operation of a description as an `Operation`, whatever its version; a defect costs one operation at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from toolgate.openapi.content import Unusable, answers, body
from toolgate.openapi.diagnostics import Diagnostic
from toolgate.openapi.extension import merged
from toolgate.openapi.operation import Operation, Parameter, ServerTemplate
from toolgate.openapi.parameters import Inputs, inputs
from toolgate.openapi.read import METHODS, Document
from toolgate.openapi.reading import MAX_LOOKS, Reading, TooMuch, text
from toolgate.openapi.resolve import Resolver
from toolgate.openapi.security import Security
from toolgate.openapi.servers import root_servers, servers_of
from toolgate.openapi.style import is_token
from toolgate.openapi.template import QueryPiece, Template, template
from toolgate.pointer import escape, join


def extract(document: Document, resolver: Resolver) -> tuple[tuple[Operation, ...], tuple[Diagnostic, ...]]:
    """The operations in the description's order, and what was repaired, simplified or left out on the way."""
    reading = Reading(document, resolver)
    operations: list[Operation] = []
    try:
        for operation in _Extractor(reading).operations():
            operations.append(operation)  # noqa: PERF402 - those before a TooMuch are kept
    except TooMuch:
        last = operations[-1].pointer if operations else "/paths"
        reading.findings.error("too-much", last, f"what follows is left out: {MAX_LOOKS:,} parameters, answers and the like are read")
    return tuple(operations), tuple(reading.findings)


class _Extractor:
    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.findings = reading.findings
        self.security = Security(reading)
        self.servers = root_servers(reading)
        self.methods = METHODS | {"query"} if reading.version == "3.2" else METHODS
        self.ids: set[str] = set()
        self.keys: set[str] = set()

    def operations(self) -> Iterator[Operation]:
        for path, node in self.reading.root["paths"].items():
            if path.startswith("x-"):
                continue
            place = f"/paths/{escape(path)}"
            if not path.lstrip().startswith("/"):
                self.findings.warning("path-without-slash", place, f"the path {path} begins with / now")
            item = self.reading.item(node, place, f"the path {path}")
            if item is None:
                self.findings.error("path-left-out", place, f"the operations of {path} are left out")
            else:
                # What stands beside a path's `$ref` counts as well (OpenAPI 3.1.1, "Path Item Object"): before what it leads to.
                yield from self._path(path, [item] if item[1] == place else [(node, place), item])

    def _path(self, path: str, items: list[tuple[dict[str, Any], str]]) -> Iterator[Operation]:
        whole: dict[str, Any] = {}
        shared = Inputs()
        servers: tuple[ServerTemplate, ...] = ()
        for item, place in reversed(items):
            whole = {**whole, **item}
            shared = inputs(self.reading, item, place).over(shared)
            servers = servers_of(self.reading, item, place) or servers
        for method, node, pointer in [found for item, place in items for found in self._methods(item, place)]:
            try:
                operation = self._operation(method, path, whole, node, pointer, shared, servers)
                self._check_unique(operation)
            except Unusable as error:
                self.findings.error("operation-left-out", pointer, f"{method} {path} is left out: {error}")
            else:
                yield operation

    def _methods(self, item: dict[str, Any], place: str) -> Iterator[tuple[str, Any, str]]:
        for key, node in item.items():
            if key.lower() in self.methods:
                yield key.upper(), node, f"{place}/{key}"
        if self.reading.version == "3.2":
            for method, node in self.reading.mapping(item, "additionalOperations", place).items():
                yield method, node, join(place, "additionalOperations", method)

    def _operation(
        self,
        method: str,
        path: str,
        item: dict[str, Any],
        node: Any,
        pointer: str,
        shared: Inputs,
        path_servers: tuple[ServerTemplate, ...],
    ) -> Operation:
        reading = self.reading
        if not isinstance(node, dict):
            raise Unusable("it is not an object")
        if not is_token(method):
            raise Unusable("its method cannot be sent")
        taken = inputs(reading, node, pointer).over(shared)
        plain = template(path, frozenset(name for _, name in taken.parameters))
        own_servers = servers_of(reading, node, pointer) or path_servers
        extensions = merged(reading.root, item, node)
        reading.look(sum(len(part) for part in (extensions, extensions.get("annotations")) if isinstance(part, dict)))
        return Operation(
            method=method,
            path=plain.path,
            pointer=pointer,
            operation_id=self._id(node, pointer),
            summary=text(node, "summary") or text(item, "summary"),
            description=text(node, "description") or text(item, "description"),
            tags=self._tags(node, pointer),
            parameters=self._fitted(plain, taken, pointer),
            body=body(reading, node, taken, pointer),
            answers=answers(reading, node, pointer),
            keys=self.security.of(node, pointer),
            servers=own_servers or self.servers,
            servers_own=bool(own_servers),
            deprecated=reading.flag(node, "deprecated", pointer),
            extensions=extensions,
            query=plain.written_query,
        )

    def _check_unique(self, operation: Operation) -> None:
        if operation.key in self.keys:
            raise Unusable(f"{operation.key} is already there, and nothing tells the two apart")
        self.keys.add(operation.key)
        if operation.operation_id in self.ids:
            self.findings.warning("duplicate-operation-id", operation.pointer, f"the operationId {operation.operation_id} is used twice")
        elif operation.operation_id:
            self.ids.add(operation.operation_id)

    def _id(self, node: dict[str, Any], pointer: str) -> str | None:
        said = node.get("operationId")
        if said is None or (isinstance(said, str) and said.strip()):
            return said.strip() if said else None
        self.findings.info("operation-id-not-text", f"{pointer}/operationId", "an operationId must be text with something in it")
        return str(said) if isinstance(said, int | float) else None

    def _tags(self, node: dict[str, Any], pointer: str) -> tuple[str, ...]:
        said = node.get("tags")
        tags = [said] if isinstance(said, str) else self.reading.items(node, "tags", pointer)
        names = []
        for tag in tags:
            name = tag.get("name") if isinstance(tag, dict) else tag
            if not isinstance(tag, str):
                self.findings.info("tag-not-text", f"{pointer}/tags", "a tag must be text; the name of a Tag Object is taken")
            if isinstance(name, str):
                names.append(name)
        return tuple(dict.fromkeys(names))

    def _fitted(self, plain: Template, taken: Inputs, pointer: str) -> tuple[Parameter, ...]:
        """The parameters that the template has room for, and those that it needs and nobody declared."""
        fitted = {}
        in_query = {piece.placeholder for piece in plain.query}
        for (location, name), parameter in taken.parameters.items():
            if location != "path" or name in plain.names:
                many = parameter.multi_segment or (location == "path" and name in plain.multi_segment)
                fitted[location, name] = replace(parameter, multi_segment=many) if many else parameter
            elif name not in in_query:
                self.findings.warning(
                    "unknown-path-parameter", parameter.pointer, f"{plain.path} has no {{{name}}}; the parameter is dropped"
                )
        for name in plain.names:
            if ("path", name) not in fitted:
                self.findings.warning("undeclared-placeholder", pointer, f"{{{name}}} is in the path and undeclared; any text is accepted")
                many = name in plain.multi_segment
                fitted["path", name] = Parameter(name, "path", {"type": "string"}, pointer, required=True, multi_segment=many)
        for piece in plain.query:
            self._add_query(fitted, piece, taken, pointer)
        return tuple(fitted.values())

    def _add_query(self, fitted: dict[tuple[str, str], Parameter], piece: QueryPiece, taken: Inputs, pointer: str) -> None:
        """A piece of the template's query string becomes a query parameter, declared elsewhere or not."""
        self.findings.info("query-in-path", pointer, f"the path's query string is taken apart; {piece.name} is a query parameter")
        if piece.placeholder is None:
            schema = {"type": "string", "enum": [piece.value], "default": piece.value}
            fitted["query", piece.name] = Parameter(piece.name, "query", schema, pointer, required=True, style="form", explode=True)
            return
        declared = taken.parameters.get(("path", piece.placeholder)) or fitted.pop(("query", piece.placeholder), None)
        base = declared or Parameter(piece.name, "query", {"type": "string"}, pointer)
        required = base.required or piece.required
        fitted["query", piece.name] = replace(base, name=piece.name, location="query", style="form", explode=True, required=required)
