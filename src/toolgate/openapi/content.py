"""Request bodies and responses of all versions to `RequestBody` and `Answer` values."""

from __future__ import annotations

from typing import Any

from toolgate.openapi.operation import Answer, MediaType, RequestBody
from toolgate.openapi.parameters import Inputs, collection_style, inline_schema, schema_of
from toolgate.openapi.reading import Reading, text
from toolgate.pointer import join

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


class Unusable(Exception):
    """The operation cannot be called as described, so it is left out; the sentence says why."""


def body(reading: Reading, operation: dict[str, Any], taken: Inputs, pointer: str) -> RequestBody | None:
    """What the operation takes as its body.

    Raises:
        Unusable: it has a body that nobody can know.
    """
    if operation.get("requestBody") is not None:
        place = f"{pointer}/requestBody"
        item = reading.item(operation["requestBody"], place, "the request body")
        if item is None:
            raise Unusable("its request body is not there")
        node, place = item
        content = media_types(reading, node, place)
        if not content:
            reading.findings.warning("empty-body", place, "the request body has no media type; none is sent")
            return None
        return RequestBody(content, reading.flag(node, "required", place), text(node, "description"))
    if taken.bodies:
        return _one_parameter(reading, operation, taken, pointer)
    return _form(reading, operation, taken, pointer) if taken.form else None


def answers(reading: Reading, operation: dict[str, Any], pointer: str) -> tuple[Answer, ...]:
    """The described responses, in the description's order."""
    found = []
    responses = operation.get("responses")
    for status, node in responses.items() if isinstance(responses, dict) else ():
        if status.startswith("x-"):
            continue
        item = reading.item(node, join(pointer, "responses", status), f"the response {status}") if node is not None else None
        if item is None:
            continue
        response, place = item
        headers = response.get("headers")
        names = tuple(name.lower() for name in headers) if isinstance(headers, dict) else ()
        found.append(Answer(status.upper() if status != "default" else status, _answered(reading, operation, response, place), names))
    return tuple(found)


def _answered(reading: Reading, operation: dict[str, Any], response: dict[str, Any], pointer: str) -> tuple[MediaType, ...]:
    if "content" in response or reading.version != "2.0":
        return media_types(reading, response, pointer)
    if "schema" not in response:
        return ()
    schema = schema_of(reading, response["schema"], f"{pointer}/schema")
    return tuple(MediaType(media_type, schema, pointer) for media_type in _types(reading, operation, "produces"))


def media_types(reading: Reading, owner: dict[str, Any], pointer: str) -> tuple[MediaType, ...]:
    """The `content` of a body or a response; a media type without a schema takes any value."""
    found = []
    for name, node in reading.mapping(owner, "content", pointer).items():
        place = join(pointer, "content", name)
        item = reading.item({} if node is None else node, place, f"the media type {name}")
        if item is None:
            continue
        media, place = item
        schema = media.get("schema")
        if schema is None and "itemSchema" in media:
            schema = {"type": "array", "items": media["itemSchema"]}
        found.append(
            MediaType(name.strip(), schema_of(reading, schema, f"{place}/schema"), place, reading.mapping(media, "encoding", place))
        )
    return tuple(found)


def _one_parameter(reading: Reading, operation: dict[str, Any], taken: Inputs, pointer: str) -> RequestBody:
    """2.0's `in: body`."""
    (_, (node, place)), *others = taken.bodies.items()
    if others or taken.form:
        reading.findings.warning("several-bodies", pointer, "an operation has one body; the first `in: body` counts")
    if node.get("schema") is None:
        schema = inline_schema(reading, {key: value for key, value in node.items() if key != "schema"}, place)
    else:
        schema = schema_of(reading, node["schema"], f"{place}/schema")
    content = tuple(MediaType(media_type, schema, place) for media_type in _types(reading, operation, "consumes"))
    return RequestBody(content, reading.flag(node, "required", place), text(node, "description"))


def _form(reading: Reading, operation: dict[str, Any], taken: Inputs, pointer: str) -> RequestBody:
    """2.0's `in: formData`, as an object with a property each."""
    properties: dict[str, Any] = {}
    encoding: dict[str, Any] = {}
    required: list[str] = []
    files = False
    for name, (node, place) in taken.form.items():
        schema = inline_schema(reading, node, place)
        if isinstance(schema, dict) and schema.get("type") == "file":
            schema = {**schema, "type": "string", "format": "binary"}
            files = True
        if isinstance(schema, dict) and schema.get("type") == "array" and "style" not in node:
            style, explode = collection_style(reading, node, place, "query")
            encoding[name] = {"style": style, "explode": explode}
        if (description := text(node, "description")) and isinstance(schema, dict) and "$ref" not in schema:
            schema = {**schema, "description": description}
        properties[name] = schema
        if reading.flag(node, "required", place):
            required.append(name)
    whole: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        whole["required"] = required
    content = tuple(MediaType(media_type, whole, pointer, encoding) for media_type in _form_types(reading, operation, files, pointer))
    return RequestBody(content, bool(required))


def _form_types(reading: Reading, operation: dict[str, Any], files: bool, pointer: str) -> tuple[str, ...]:
    said = [name for name in _types(reading, operation, "consumes") if name in (URLENCODED, MULTIPART)]
    if not files:
        return tuple(said) or (URLENCODED,)
    if MULTIPART not in said:
        reading.findings.info("file-without-multipart", pointer, f"a file needs {MULTIPART}, which `consumes` does not name; it is used")
    return (MULTIPART,)


def _types(reading: Reading, operation: dict[str, Any], key: str) -> tuple[str, ...]:
    """`consumes` or `produces`, the operation's over the document's; JSON when neither says."""
    own = operation.get(key)
    said = own if own is not None else reading.root.get(key)
    if isinstance(said, str):
        said = [said]
    types = tuple(dict.fromkeys(item.strip() for item in said if isinstance(item, str) and item.strip())) if isinstance(said, list) else ()
    return types or (JSON,)
