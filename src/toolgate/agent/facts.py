"""What has happened in a run, one fact at a time, as it is written down: with them a run can be taken up again anywhere.

Facts are only ever added. Everything else there is to know of a run, what to say to the model next included, follows from
them (`turns`). Times are seconds since 1970.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

from toolgate.agent.events import Status
from toolgate.llm.messages import Assistant, Image, Stop, Tokens, ToolCall
from toolgate.money import Micros


@dataclass(frozen=True, slots=True)
class Asked:
    """The person said something: the task, or what comes after an answer."""

    at: float
    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Replied:
    """The model said something; the calls in it have no results yet."""

    at: float
    message: Assistant
    stop: Stop
    phase: str
    provider: str
    model: str
    tokens: Tokens = field(default_factory=Tokens)
    cost: Micros = 0
    estimated: bool = False
    seconds: float = 0.0
    route: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """Id of the model that was asked; `gpt-5-mini`, for one, answers as `gpt-5-mini-2025-08-07`."""
        tried = self.route.get("attempts")
        return str(tried[-1]["model"]) if tried else f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Answered:
    """A call has its result, whatever came of it."""

    at: float
    id: str
    """The tool call's."""
    tool: str
    text: str
    """As the model gets it: cut where it was long."""
    failed: bool = False
    code: str | None = None
    cost: Micros = 0
    estimated: bool = False
    """The cost is a default, or what was reserved."""
    seconds: float = 0.0
    call: str = ""
    """The call's id in the audit; empty: the gate was not asked."""
    open: bool = False
    """It holds what strangers may have written."""
    replayed: bool = False
    kept: str | None = None
    """Under which id the whole of a cut result can be read."""
    found: tuple[str, ...] = ()
    """Tools that it tells of, offered to the model from now on."""
    follows: tuple[str, ...] | None = None
    """A skill was read: globs of the tools that it allows, empty for any. None: no skill was."""
    used: Mapping[str, int] = field(default_factory=dict)
    """What a run within this one has used: `cost`, `tokens`, `steps`, `calls`."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A person changed the arguments of a call that had not been made, before saying yes to it."""

    at: float
    id: str
    """The tool call's."""
    arguments: Mapping[str, Any]
    """All of them, in place of the model's."""
    by: str
    """Who did."""


@dataclass(frozen=True, slots=True)
class Hinted:
    """The model was told something by us."""

    at: float
    text: str
    about: str
    """What it was about; the second time of the same is the last."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """All but the task and what comes from message `cut` on was replaced by `summary`."""

    at: float
    cut: int
    summary: str
    asked: int = 0
    """Of the message that says what is being done, where that is older than `cut`: it stays too. 0: the task says it."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The run has to end, and the model is asked for its last words."""

    at: float
    status: Status
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing goes on by itself from here."""

    at: float
    status: Status
    reason: str = ""
    code: str = ""
    """As of `Finished.code`, and so with the next."""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """It is taken up again."""

    at: float


Fact = Asked | Replied | Answered | Edited | Hinted | Compacted | Stopping | Ended | Resumed
KINDS: Mapping[str, type[Fact]] = {kind.__name__.lower(): kind for kind in get_args(Fact)}


def to_json(fact: Fact) -> dict[str, Any]:
    """`fact` as JSON, without what has its default."""
    said = {each.name: getattr(fact, each.name) for each in fields(fact)}
    plain = asdict(fact) if isinstance(fact, Replied) else said
    if isinstance(fact, Asked):
        plain["images"] = tuple({"media_type": each.media_type, "data": each.base64} for each in fact.images)
    defaults = {each.name: each.default for each in fields(fact)}
    kept = {name: value for name, value in plain.items() if value != defaults[name] and (value not in ({}, ()) or name == "follows")}
    return {"kind": type(fact).__name__.lower(), **kept}


def from_json(body: Mapping[str, Any]) -> Fact:
    """The fact that `to_json` told."""
    values = {name: value for name, value in body.items() if name != "kind"}
    kind = KINDS[body["kind"]]
    if kind is Replied:
        values["message"] = _message(values["message"])
        values["tokens"] = Tokens(**values.get("tokens", {}))
    if kind is Asked:
        values["images"] = tuple(Image(b64decode(each["data"]), each["media_type"]) for each in values.get("images", ()))
    for name in ("found", "follows"):
        if name in values:
            values[name] = tuple(values[name])
    return kind(**values)


def _message(body: Mapping[str, Any]) -> Assistant:
    calls = tuple(ToolCall(**call) for call in body["calls"])
    return Assistant(body["text"], calls, tuple(body["carried"]), body.get("model", ""))
