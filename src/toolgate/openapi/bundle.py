"""Bring the files that a description refers to into it, so that later stages know local references only.

Each file stands whole under `x-files`, by its path from the integration's folder, and every `$ref` to it becomes a
local one. Only files below that folder are asked for; the network never is. A reference that stays outside is left as
it is, told here, and dangles for whoever follows it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

from toolgate import documents
from toolgate.errors import BadDocument
from toolgate.openapi.diagnostics import Diagnostic, Findings
from toolgate.openapi.resolve import reference_of
from toolgate.pointer import escape

Files = Callable[[str], bytes | None]
"""The content of the file of that path, relative with `/`, without `..`; None when there is none. May raise BadDocument."""

MAX_FILES = 200  # a guess; large descriptions in many files have about 100
MAX_TOTAL = documents.MAX_BYTES
KEY = "x-files"

# A `$ref` whose value does not begin with `#`, in JSON or YAML. It may be told too often, never too seldom in what
# people write; whatever hides from it (`"\u0024ref"`) only dangles.
OUTWARD = re.compile(rb"""\$ref["']?\s*:\s*["']?(?!["'#\s])""")
# Below these keys stand data and not the description's own objects, unless the key is somebody's name for something.
DATA = frozenset({"example", "examples", "default", "const", "enum"})
NAMES = frozenset({"properties", "patternProperties", "$defs", "definitions", "schemas", "parameters", "responses", "callbacks"})


def no_files(path: str) -> bytes | None:
    """A description that stands alone."""
    return None


def refers_outward(data: bytes) -> bool:
    """Whether text may hold references to elsewhere; a look of 5 ms that spares most descriptions the walk."""
    return OUTWARD.search(data) is not None


def bundle(root: dict[str, Any], *, name: str, files: Files) -> list[Diagnostic]:
    """Change `root`, a plain tree, in place: bring in what it refers to.

    Args:
        name: the description's own path in the folder, for references back to it.
    """
    return _Bundle(root, name, files).run()


class _Bundle:
    def __init__(self, root: dict[str, Any], name: str, files: Files) -> None:
        self.name = name
        self.files = files
        self.findings = Findings()
        self.known: dict[str, Any] = {name: root}
        """By path: the parsed file, or None when there is nothing to refer to."""
        self.bytes = 0
        said = root.get("$self")
        self.own = said if isinstance(said, str) else ""
        """The description's own URI, by which it may refer to itself (OpenAPI 3.2.0, "OpenAPI Object")."""

    def run(self) -> list[Diagnostic]:
        root, pending = self.known[self.name], [self.name]
        while pending:
            path = pending.pop()
            for node, reference, pointer in _outward(self.known[path], self._place(path), local_too=path != self.name):
                target = self._target(reference, path, pointer)
                if target is None:
                    continue
                file, fragment = target
                if file not in self.known:
                    self.known[file] = self._opened(file, pointer)
                    if self.known[file] is not None:
                        pending.append(file)
                if self.known[file] is not None:
                    node["$ref"] = f"#{quote(self._place(file), safe='/~')}{fragment}"
        found = {path: content for path, content in self.known.items() if content is not None and path != self.name}
        if found:
            root[KEY] = found
        return self.findings

    def _place(self, file: str) -> str:
        """The pointer of what a file holds, in the whole."""
        return "" if file == self.name else f"/{KEY}/{escape(file)}"

    def _target(self, reference: str, path: str, pointer: str) -> tuple[str, str] | None:
        """File and fragment (with its slash) that a reference of file `path` means; None when it is not ours to follow."""
        try:
            parts = urlsplit(reference)
            whole = urldefrag(urljoin(self.own if path == self.name else "", reference)).url
        except ValueError:
            self.findings.warning("bad-reference", pointer, f"{reference} is no reference and leads nowhere")
            return None
        if self.own and whole == self.own:
            path, parts = self.name, parts._replace(scheme="", netloc="", path="")
        if parts.scheme or parts.netloc:
            self.findings.warning("remote-reference", pointer, f"{reference} is not fetched; save the file beside the description")
            return None
        if parts.fragment and not parts.fragment.startswith("/"):
            if parts.path:
                self.findings.warning("anchor-in-file", pointer, f"{reference} names an anchor of another file, which is not followed")
            return None
        file = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(parts.path))) if parts.path else path
        if file.startswith(("/", "..")) or "\\" in file or "\0" in file:
            self.findings.warning("outside-reference", pointer, f"{reference} leads out of the integration's folder and is not read")
            return None
        return file, parts.fragment

    def _opened(self, file: str, pointer: str) -> Any:
        if len(self.known) > MAX_FILES or self.bytes > MAX_TOTAL:
            self.findings.warning("too-many-files", pointer, f"{file} is not read: {MAX_FILES} files or {MAX_TOTAL} bytes are reached")
            return None
        try:
            data = self.files(file)
            if data is not None:
                self.bytes += len(data)
                return documents.parse(data, name=file, strict=False)
            self.findings.warning("missing-file", pointer, f"there is no file {file} beside the description")
        except BadDocument as error:
            self.findings.warning("unreadable-file", pointer, str(error))
        return None


def _outward(root: Any, prefix: str, *, local_too: bool) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Every reference that a bundle must look at: node, reference, pointer. Local ones only where they will move."""
    pending: list[tuple[Any, str, str]] = [(root, prefix, "")]
    while pending:
        node, pointer, name = pending.pop()
        if isinstance(node, dict):
            reference = reference_of(node)
            if reference is not None and (local_too or not reference.startswith("#")):
                yield node, reference, pointer
            pending += [
                (value, f"{pointer}/{escape(key)}", key)
                for key, value in node.items()
                if isinstance(value, dict | list) and (key not in DATA or name in NAMES)
            ]
        elif isinstance(node, list):
            pending += [(value, f"{pointer}/{index}", "") for index, value in enumerate(node) if isinstance(value, dict | list)]
