"""The script of a `scripted` provider: a file with replies, so that a whole run can be shown or tested without any model.

    - text: I look at the issues.
      calls: [{tool: github_list_issues, arguments: {owner: acme, repo: widgets}}]
    - when: no such repository
      text: There is none of that name.
    - delay: 500ms
      errors: [{status: 429, retry_after: 1}]
      text: "This is what there is: {{last}}"

Replies without `when` go in order: the first line for the first reply of a conversation, and so on. One whose `when` is found in the newest
message goes before. So what is said depends on the conversation alone: a run that is taken up again goes on where it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from toolgate import documents
from toolgate.errors import Misconfigured
from toolgate.llm.messages import Assistant, Message, System, ToolResult, User
from toolgate.settings import Seconds, Strict, problems_of, read_bytes

PLACE = re.compile(r"\{\{(task|last)\}\}")
MARKS = re.compile(r"^</?result [^>\n]*>$", re.MULTILINE)
SHOWN = 2000
"""Characters of a message that stand in a place."""


class Trouble(Strict):
    """How an attempt fails."""

    status: int | None = Field(default=None, ge=400, lt=600)
    """The HTTP status; absent: the connection breaks."""
    retry_after: Seconds | None = None
    """What the provider asks for, in seconds."""
    after: int = Field(default=0, ge=0)
    """Words of the reply that are said before it breaks."""


class Wish(Strict):
    """A tool that the reply wants called."""

    tool: str
    arguments: Mapping[str, Any] = {}


class Line(Strict):
    """One reply."""

    when: str | None = None
    """A regular expression, found in the newest message; absent: it is said when its turn comes."""
    text: str = ""
    """`{{task}}` and `{{last}}` stand for the first thing that was asked and the newest message."""
    calls: tuple[Wish, ...] = ()
    delay: Seconds = 0.0
    """Before the first piece, in seconds."""
    errors: tuple[Trouble, ...] = ()
    """How the first attempts at it fail, in order."""

    @field_validator("when")
    @classmethod
    def _an_expression(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"when is no regular expression: {error}") from None
        return value


LINES: TypeAdapter[tuple[Line, ...]] = TypeAdapter(Annotated[tuple[Line, ...], Field(min_length=1)])


def line_of(script: Sequence[Line], messages: Sequence[Message]) -> tuple[int, Line] | None:
    """The reply to `messages` and its place in the script; None: it has none."""
    newest = latest(messages)
    for place, line in enumerate(script):
        if line.when is not None and re.search(line.when, newest):
            return place, line
    turns = [(place, line) for place, line in enumerate(script) if line.when is None]
    said = sum(isinstance(message, Assistant) for message in messages)
    return turns[said] if said < len(turns) else None


def read_script(file: Path) -> tuple[Line, ...]:
    """The script in a YAML or JSON file, or in one with a JSON object a line.

    Raises:
        Misconfigured: there is no such file, or it is no script; the message says what is wrong where.
    """
    data = read_bytes(file)
    values: Any
    if file.suffix == ".jsonl":
        values = [documents.parse(line, name=f"{file.name} line {n}") for n, line in enumerate(data.splitlines(), 1) if line.strip()]
    else:
        values = documents.parse(data, name=file.name)
    try:
        return LINES.validate_python(values)
    except ValidationError as error:
        raise Misconfigured(f"{file.name} is no script. {problems_of(error)}") from None


def filled(text: str, messages: Sequence[Message]) -> str:
    """`text` with the task and the newest message in their places."""
    return PLACE.sub(lambda place: (task(messages) if place[1] == "task" else latest(messages))[:SHOWN], text)


def task(messages: Sequence[Message]) -> str:
    """What was asked first."""
    return next((message.text for message in messages if isinstance(message, User)), "")


def latest(messages: Sequence[Message]) -> str:
    """The newest message, without the marks that the agent puts around results."""
    return MARKS.sub(
        "", next((message.text for message in reversed(messages) if isinstance(message, User | ToolResult | System)), "")
    ).strip()
