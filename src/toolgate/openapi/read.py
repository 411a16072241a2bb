"""From bytes to one document whose references are all local and whose version is known.

The order: text, mended where it must be; a fragment wrapped; overlays; files bundled; the root's own fields made what
later stages expect. What stands below the root is left as it is: the extractor is tolerant one operation at a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from toolgate import documents
from toolgate.errors import BadDocument
from toolgate.openapi.bundle import Files, bundle, no_files, refers_outward
from toolgate.openapi.diagnostics import Diagnostic, Findings
from toolgate.openapi.repair import parse_mended

Version = Literal["2.0", "3.0", "3.1", "3.2"]
VERSIONS: dict[str, Version] = {"2.0": "2.0", "3.0": "3.0", "3.1": "3.1", "3.2": "3.2"}
NEWEST: Version = "3.2"
METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


@dataclass(frozen=True, slots=True)
class Document:
    """A description, read. `root` is a plain tree that nobody changes any more."""

    root: dict[str, Any]
    version: Version
    diagnostics: tuple[Diagnostic, ...] = ()


def read_document(data: bytes, *, name: str, files: Files = no_files, fragment: bool = False, overlays: Sequence[bytes] = ()) -> Document:
    """The description in `data`.

    Args:
        data: JSON or YAML, plain or gzip.
        name: its file name, for messages and for references back to it.
        files: content of the files beside it, by path.
        fragment: it may be bare path items, or `paths` alone, without `openapi` and `info`.
        overlays: Overlay documents, applied in order.

    Raises:
        BadDocument: it cannot be read at all, or is no OpenAPI description.
    """
    findings = Findings()
    text = documents.unpacked(data, name=name)
    root = parse_mended(text, name=name, findings=findings)
    if not isinstance(root, dict):
        raise BadDocument(f"{name} is no OpenAPI description: it holds {_kind(root)} and not a mapping")
    if not ("openapi" in root or "swagger" in root):
        root = _wrapped(root, name, fragment, findings)
    if overlays:
        from toolgate.openapi import overlay  # JSONPath takes 2 MB and as long to import as the rest of the reader
    for number, changes in enumerate(overlays, 1):
        label = f"overlay {number} of {name}"
        findings += overlay.apply(root, documents.parse(changes, name=label), name=label)
    version = _version(root, name, findings)
    if any(map(refers_outward, (text, *overlays))):
        findings += bundle(root, name=name, files=files)
    _mend_root(root, name, findings)
    return Document(root, version, tuple(findings))


def _wrapped(root: dict[str, Any], name: str, fragment: bool, findings: Findings) -> dict[str, Any]:
    """A fragment as a document: path items gathered under `paths`, a version guessed from what they look like."""
    items = {key: value for key, value in root.items() if key.startswith("/")}
    if not fragment:
        said = "; if it is bare path items, say `fragment: true` in integration.yaml, or --fragment to `specs add`"
        hint = said if items or "paths" in root else ""
        raise BadDocument(f"{name} is no OpenAPI description: it says neither `openapi` nor `swagger`{hint}")
    if not items and not isinstance(root.get("paths"), dict):
        raise BadDocument(f"{name} is no fragment of an OpenAPI description: it has neither `paths` nor a key that begins with /")
    paths = {**_mapping(root.get("paths")), **items}
    rest = {key: value for key, value in root.items() if key != "paths" and key not in items}
    version = {"swagger": "2.0"} if _looks_like_2(paths, rest) else {"openapi": "3.0.3"}
    findings.info("wrapped-fragment", "", f"{name} is a fragment; it is read as a whole description of {' '.join(*version.items())}")
    return {**version, "paths": paths, **rest}


def _looks_like_2(paths: dict[str, Any], rest: dict[str, Any]) -> bool:
    if "definitions" in rest or "securityDefinitions" in rest:
        return True
    if "components" in rest:
        return False
    operations = [value for item in paths.values() for key, value in _mapping(item).items() if key in METHODS]
    return any(_operation_of_2(_mapping(operation)) for operation in operations)


def _operation_of_2(operation: dict[str, Any]) -> bool:
    if "produces" in operation or "consumes" in operation:
        return True
    parameters = operation.get("parameters")
    return isinstance(parameters, list) and any("type" in _mapping(parameter) for parameter in parameters)


def _version(root: dict[str, Any], name: str, findings: Findings) -> Version:
    key = "openapi" if "openapi" in root else "swagger"
    said = root.get(key)
    if not isinstance(said, str):
        said = root[key] = str(said)
        findings.info("version-not-text", f"/{key}", f"`{key}` is text now: {said}")
    match = re.match(r"([0-9]{1,9})(?:\.([0-9]+))?", said.strip())
    short = f"{match[1]}.{match[2] or 0}" if match else said
    if short in VERSIONS:
        return VERSIONS[short]
    if match and key == "openapi" and int(match[1]) >= 3:
        findings.warning("unknown-version", f"/{key}", f"OpenAPI {said} is read as {NEWEST}")
        return NEWEST
    raise BadDocument(f"{name} is of {key} {said[:20]}; 2.0, 3.0, 3.1 and 3.2 are read")


def _mend_root(root: dict[str, Any], name: str, findings: Findings) -> None:
    info = root.get("info")
    if not isinstance(info, dict):
        findings.info("no-info", "/info", "there is no `info`; the title is the file's name")
        info = root["info"] = {"title": name, "version": ""}
    for key in ("title", "version"):
        if key in info and not isinstance(info[key], str):
            findings.info("info-not-text", f"/info/{key}", f"`{key}` is text now")
            info[key] = str(info[key])
    if not isinstance(root.get("paths"), dict):
        if root.get("paths") is not None:
            findings.error("no-paths", "/paths", f"`paths` holds {_kind(root['paths'])} and not a mapping; there are no operations")
        else:
            findings.warning("no-paths", "/paths", "there are no `paths`, so there are no operations")
        root["paths"] = {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")
