"""What is said to a model and what it says, the same for every provider. Frozen values."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from toolgate.calls import Principal
from toolgate.money import Micros

TaskType = Literal["planning", "coding", "analysis", "extraction", "summarization", "chat", "tool_use", "math", "other"]

DETAIL = "high"
"""In which OpenAI's models see pictures. `auto` is `original` to GPT-5.5 and later, where one may have 30,000 patches."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, for models that see."""

    data: bytes = field(repr=False)
    media_type: str = "image/png"

    @property
    def base64(self) -> str:
        return b64encode(self.data).decode()

    @property
    def url(self) -> str:
        """The whole of it, as a `data:` URL."""
        return f"data:{self.media_type};base64,{self.base64}"

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes, in hexadecimal digits."""
        return sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class System:
    """Instructions that stand over the conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class User:
    """What the person, or the program for them, says."""

    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called."""

    id: str
    """The provider's; unique within the conversation."""
    name: str
    arguments: Mapping[str, Any] | None
    """None: what the model wrote, `raw`, is not a JSON object."""
    raw: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Assistant:
    """What the model said."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    carried: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """Blocks of its provider's own (reasoning, signatures) that it wants back as they were."""
    model: str = ""
    """Whose `carried` is, as `Model.id`: signatures of one model are refused by the next, also by one of the same provider."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a tool call; every call of an `Assistant` has exactly one, after it."""

    id: str
    """The call's."""
    text: str
    failed: bool = False


Message = System | User | Assistant | ToolResult


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as it is offered to a model."""

    name: str
    description: str
    schema: Mapping[str, Any]
    """JSON Schema of the arguments, as `Tool.input_schema`; each provider translates it for its own."""


@dataclass(frozen=True, slots=True)
class Errand:
    """Why a model is asked, and for whom: for the router, the ledger and the metrics. Nothing of it reaches a provider."""

    principal: Principal
    task: TaskType = "other"
    """What kind of task it is; `other`: not declared, the router guesses."""
    phase: str = "chat"
    """Of an agent's run: `plan`, `act`, `answer`, `compact`; else what the caller is doing."""
    run: str = ""
    """Id of the run it belongs to; equal ids stay with one model and draw on one session budget. Empty: none."""
    high_risk: bool = False
    """No experiments: the router does not explore."""
    checkable: bool = False
    """The asker can tell a wrong answer from a right one, and says so with `feedback`; a cascade may begin cheap."""
    seen: bool = True
    """Somebody sees the pieces of an answer that is streamed as they come, so that what was said stands."""
    prompt_version: str = ""
    """Of the prompt template it was asked with, such as `system@3`; for the ledger."""
    noted: Callable[[Reply], Awaitable[None]] | None = field(default=None, compare=False)
    """Writes the reply down for whoever asks, where that is done before anybody hears of it and together with the audit's own line."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that is put to a model in one request."""

    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    model: str = ""
    """`provider/model`, `provider` alone for its default, or empty: the router chooses. A plain provider reads the part after the slash."""
    choice: Literal["auto", "none"] = "auto"
    """Whether tools may be called; several in one reply are welcome."""
    max_tokens: int = 4096
    """Of the reply, reasoning included."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema that the text of the reply has to fit; None: any text."""
    seconds: float = 120.0
    """For the whole of it, every attempt and fallback included."""

    @property
    def pictures(self) -> int:
        """How many there are in it: only models with vision may be asked then."""
        return sum(len(message.images) for message in self.messages if isinstance(message, User))


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was used."""

    input: int = 0
    """All of the input: what was read from and written to a cache included."""
    output: int = 0
    """All of the output, reasoning included."""
    cached: int = 0
    """Part of `input` read from the provider's cache."""
    cache_written: int = 0
    """Part of `input` written to the provider's cache."""
    reasoning: int = 0
    """Part of `output` that nobody sees."""
    cache_written_1h: int = 0
    """Part of `cache_written` that is kept for an hour, which some providers charge more for."""

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.cache_written + other.cache_written,
            self.reasoning + other.reasoning,
            self.cache_written_1h + other.cache_written_1h,
        )


Stop = Literal["end", "calls", "length", "refusal", "filtered"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's whole answer."""

    message: Assistant
    stop: Stop
    tokens: Tokens
    provider: str
    model: str
    """As the provider calls what answered."""
    cost: Micros = 0
    """What it cost, as the price list has it."""
    estimated: bool = False
    """The price is a default, or the tokens were counted by us."""
    usage: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The provider's own account of it, as it came."""
    route: Mapping[str, Any] = field(default_factory=dict)
    """Why this model: `scores`, `reasons`, `runners_up`, `attempts`; empty where nobody chose."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of what the model lets see of its thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of a tool call; `id` and `name` come with the first, and `raw` adds up to the JSON of its arguments."""

    id: str
    name: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which model is being asked, before anything of its answer."""

    provider: str
    model: str
    route: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reset:
    """All that came since the last `Chosen` is void: another attempt begins."""

    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end: the whole of it."""

    reply: Reply


Delta = TextDelta | ReasoningDelta | CallDelta | Chosen | Reset | Done
