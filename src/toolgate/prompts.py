"""Prompts that the operator wrote: a folder of Markdown files, each with front matter and a text with places for arguments.

    ---
    name: review
    description: Review a change as we do it here
    arguments:
      - {name: pull_request, description: Its URL, required: true}
      - {name: focus, description: What to look at first, default: correctness}
    ---
    Review {{pull_request}}. Look at {{focus}} first.

Places are filled in one pass, so that a value that looks like a place stays what it is. A place that no argument is named
for is an error at the start and not a riddle later. Each prompt is a tool to the gate, `prompts/NAME`: policy decides who
has it, and the audit says who got it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from toolgate import documents
from toolgate.calls import Call, Outcome, Text, Tool, protocol_tool
from toolgate.errors import Misconfigured
from toolgate.settings import M, Strict, checked

PLACE = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_-]*) *\}\}")
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
MAX_BYTES = 256 * 1024
"""Of one file."""
MAX_FILES = 500


class Argument(Strict):
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
    title: str | None = None
    description: str | None = None
    required: bool = False
    default: str | None = None
    """What stands in its place when it is not given; absent: nothing."""

    @model_validator(mode="after")
    def _what_is_required_has_no_default(self) -> Argument:
        if self.required and self.default is not None:
            raise ValueError("default is for arguments that are not required")
        return self


class Prompt(Strict):
    """The keys of its front matter, and the text below it."""

    name: str = Field(pattern=NAME)
    title: str | None = None
    description: str | None = None
    arguments: tuple[Argument, ...] = ()
    text: str

    def filled(self, values: Mapping[str, str]) -> str:
        """The text with `values` in the places of their arguments, as they are."""
        defaults = {argument.name: argument.default or "" for argument in self.arguments}
        return PLACE.sub(lambda place: values.get(place[1], defaults[place[1]]), self.text) if self.arguments else self.text


def read_prompts(folder: Path) -> tuple[Prompt, ...]:
    """The prompts in the `.md` files of `folder`, by name.

    Raises:
        Misconfigured: there is no such folder, a file is no prompt, or two have one name; the message says which.
    """
    prompts = {file: _prompt(file) for file in markdown(folder)}
    one_of_each({file: prompt.name for file, prompt in prompts.items()})
    return tuple(sorted(prompts.values(), key=lambda prompt: prompt.name))


def tool_of(prompt: Prompt, kind: str = "prompts") -> Tool:
    """`prompt` as the gate knows it. No tool that can be called is named like it, for its slash."""
    schema = {
        "type": "object",
        "properties": {argument.name: _schema(argument) for argument in prompt.arguments},
        "required": [argument.name for argument in prompt.arguments if argument.required],
        "additionalProperties": False,
    }
    return protocol_tool(f"{kind}/{prompt.name}", prompt.description or "", schema, Written(prompt), title=prompt.title)


@dataclass(frozen=True)
class Written:
    """The `run` of a prompt of ours; `structured` is the result of `prompts/get`."""

    prompt: Prompt

    async def __call__(self, call: Call) -> Outcome:
        text = self.prompt.filled(call.arguments)
        said = {"description": self.prompt.description} if self.prompt.description else {}
        messages = [{"role": "user", "content": {"type": "text", "text": text}}]
        return Outcome(content=(Text(text),), structured={**said, "messages": messages}, effect="none")


def markdown(folder: Path) -> Sequence[Path]:
    """The `.md` files of `folder`, by name.

    Raises:
        Misconfigured: there is no such folder, or there are too many.
    """
    if not folder.is_dir():
        raise Misconfigured(f"there is no folder {folder}")
    files = sorted(folder.glob("*.md"))
    if len(files) > MAX_FILES:
        raise Misconfigured(f"{folder} has {len(files)} files, and {MAX_FILES} are taken at most")
    return files


def read(model: type[M], file: Path, name: str) -> M:
    """What `file` says in its front matter, and as `text` what stands below it; called `name` unless it says otherwise.

    Raises:
        Misconfigured: it has no front matter or no text, says something unknown, cannot be read or is too large.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise Misconfigured(f"{file} has more than {MAX_BYTES} bytes")
        values, text = documents.front_matter(file.read_bytes(), name=str(file))
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}") from error
    if "text" in values:
        raise Misconfigured(f"{file} does not fit. text: it stands below the front matter")
    found = checked(model, {"name": name, **values, "text": text}, name=str(file))
    if not text:
        raise Misconfigured(f"{file} has no text")
    return found


def one_of_each(names: Mapping[Path, str]) -> None:
    """
    Raises:
        Misconfigured: two files have one name.
    """
    seen: dict[str, Path] = {}
    for file, name in names.items():
        if (twin := seen.setdefault(name.casefold(), file)) != file:
            raise Misconfigured(f"{twin} and {file} have the same name, {name}")


def _prompt(file: Path) -> Prompt:
    prompt = read(Prompt, file, file.stem)
    known = [argument.name for argument in prompt.arguments]
    if len(set(known)) < len(known):
        raise Misconfigured(f"{file} has two arguments of one name")
    if unknown := sorted({place[1] for place in PLACE.finditer(prompt.text)} - set(known)):
        raise Misconfigured(f"{file} has a place for {unknown[0]}, and no argument is called so")
    return prompt


def _schema(argument: Argument) -> dict[str, Any]:
    said = {"title": argument.title, "description": argument.description, "default": argument.default}
    return {"type": "string", **{key: value for key, value in said.items() if value is not None}}
