"""Second tries at text that is not quite YAML, one line at a time, only where the parser complains.

Each repair is a habit of people who write descriptions by hand: a redaction mark (`host: ***REMOVED***`), a sentence
with a colon in it, a path without its colon, a tab. It is told with its line, so that the file can be mended. What
none of them explains stays a BadDocument, with the parser's first complaint.
"""

from __future__ import annotations

import json
import re
from typing import Any

from toolgate import documents
from toolgate.errors import BadDocument
from toolgate.openapi.diagnostics import Findings

MAX_REPAIRS = 20  # a guess; each costs a reading
MAX_REPAIRED_BYTES = 2 * 1024 * 1024

ENTRY = re.compile(r"(?P<before>\s*+(?:- +)*+[^\s'\"#&*!|>%@`{}\[\],][^:#]*+:[ ]+|\s*+(?:- +)++)(?P<value>\S.*)")
INDENT = re.compile(r"[ \t]*")
HALF = re.compile(r"\\\\|(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})")
"""A pair of surrogates that JSON escapes, or half of one, as programs leave it that cut texts in the middle."""
PATH_ALONE = re.compile(r"\s*(/[^\s:]*|'/[^']*'|\"/[^\"]*\")\s*")


def parse_mended(data: bytes, *, name: str, findings: Findings) -> Any:
    """`documents.parse`, with repairs of its text where it is refused.

    Raises:
        BadDocument: it is no JSON or YAML, and no repair makes it so.
    """
    try:
        return documents.parse(data, name=name, strict=False)
    except BadDocument as error:
        first = error
    text = documents.unpacked(data, name=name)
    if len(text) > MAX_REPAIRED_BYTES:
        raise first
    lines = _whole(_decoded(text, findings), findings).split("\n")
    for _ in range(MAX_REPAIRS):
        try:
            return documents.parse("\n".join(lines).encode(), name=name, strict=False)
        except BadDocument as refused:
            repaired = _mend(lines, refused)
        if repaired is None:
            raise first
        findings.info("mended-text", "", repaired)
    raise first


def _decoded(text: bytes, findings: Findings) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        findings.info("mended-text", "", "the file is not UTF-8; it is read as Windows-1252")
        return text.decode("cp1252", errors="replace")


def _whole(text: str, findings: Findings) -> str:
    whole = HALF.sub(lambda found: "\\ufffd" if found["half"] else found[0], text) if text.lstrip().startswith("{") else text
    if whole != text:
        findings.info("mended-text", "", "halves of surrogate pairs are replacement characters now")
    return whole


def _mend(lines: list[str], error: BadDocument) -> str | None:
    """Change one line in place, near the one that the parser names; what was done, or None."""
    index = (error.line or 0) - 1
    if not 0 <= index < len(lines):
        return None
    indent = INDENT.match(lines[index])
    if indent and "\t" in indent[0]:
        lines[index] = indent[0].replace("\t", "  ") + lines[index][indent.end() :]
        return f"line {index + 1}: tabs before the text are two spaces each now"
    if index and PATH_ALONE.fullmatch(lines[index - 1]):
        lines[index - 1] = lines[index - 1].rstrip() + ":"
        return f"line {index}: a path without its colon got one"
    match = ENTRY.fullmatch(lines[index].rstrip())
    if match is None or match["value"][0] in "'\"|>":
        return None
    lines[index] = match["before"] + json.dumps(match["value"], ensure_ascii=False)
    return f"line {index + 1}: the value is quoted now, it cannot be read as it stands"
