"""What happens in a run, as its faces see it: the terminal, AG-UI, OpenAI's wire forms and MCP progress. Frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from toolgate.llm.messages import Tokens, ToolCall
from toolgate.money import Micros

Status = Literal["done", "waiting", "budget_exhausted", "looping", "cancelled", "failed"]
"""`waiting`: for a person's yes, see `ApprovalWanted`; resumable, as all but `done` are."""


@dataclass(frozen=True, slots=True)
class Started:
    run: str
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Routed:
    """A model was chosen, or another one than before."""

    provider: str
    model: str
    reasons: Sequence[str] = ()
    scores: Mapping[str, Any] = field(default_factory=dict)
    """By `provider/model`: what the router thought of each, the chosen one first."""


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the model's text."""

    text: str
    step: int


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of what the model lets see of its thinking."""

    text: str
    step: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was said and thought in this step is void; it begins again."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Calling:
    """A tool is about to be called, as far as the gate lets it."""

    id: str
    tool: str
    arguments: Mapping[str, Any]
    step: int


@dataclass(frozen=True, slots=True)
class Called:
    """What came of it."""

    id: str
    tool: str
    text: str
    """As the model gets it, cut where it was long."""
    failed: bool
    code: str | None
    """Of the problem: `not_permitted`, `over_budget` …"""
    cost: Micros
    seconds: float
    replayed: bool = False
    """It had been called before this run was taken up again, and was not called anew."""
    step: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """One call that waits for a person's yes."""

    approval: str
    """The pending approval's id."""
    call: str
    """The tool call's id."""
    tool: str
    """The one that is meant, where it is called by `call_tool`; and its arguments."""
    arguments: Mapping[str, Any]
    text: str
    """The question as a person should see it, secrets masked."""


@dataclass(frozen=True, slots=True)
class ApprovalWanted:
    """Nothing of this step's batch runs before each of these has its answer. The run ends as `waiting` unless somebody is there to ask."""

    wanted: Sequence[Wanted]


@dataclass(frozen=True, slots=True)
class Spent:
    """What the run has used so far, after each request and each call."""

    cost: Micros
    tokens: Tokens
    steps: int
    calls: int
    left: Micros | None
    """Of the run's own budget; None: it has none."""


@dataclass(frozen=True, slots=True)
class Noted:
    """Something a person may want to know: a hint given to the model, a compaction, a result that was cut and kept, arguments that
    somebody changed."""

    kind: Literal["hint", "compacted", "kept", "plan", "warning", "edited"]
    text: str


@dataclass(frozen=True, slots=True)
class Bill:
    """The final billing report of a run. Money in micro-US-dollars."""

    total: Micros
    models: Micros
    tools: Micros
    estimated: Micros
    """The part of `total` that rests on default prices."""
    by_phase: Mapping[str, Micros]
    by_model: Mapping[str, Mapping[str, Any]]
    """`provider/model`: `requests`, `tokens` (as of `Tokens`), `cost`, `seconds`."""
    by_tool: Mapping[str, Mapping[str, Any]]
    """Tool: `calls`, `failed`, `cost`, `seconds`."""
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of it, for now or for good."""

    run: str
    status: Status
    answer: str
    """The model's last words; empty where there are none."""
    bill: Bill
    seconds: float
    steps: int
    calls: int
    reason: str = ""
    """Why it ended, where not `done`: a sentence for the person."""
    audit: Sequence[str] = ()
    """Ids of the calls in the audit, in order."""
    output: Any = None
    """The answer as JSON, where a schema was asked for."""
    theirs: Sequence[ToolCall] = ()
    """Calls that the program has to make that the agent works for, before the run goes on."""
    code: str = ""
    """What it failed by: the reason or code of a `ToolgateError`; `refusal`, `filtered`: the model declined. Empty: something else."""
    retry_after: float | None = None
    """Seconds after its end until it makes sense to try again; None: nobody knows."""


Event = Started | Routed | Said | Thought | Withdrawn | Calling | Called | ApprovalWanted | Spent | Noted | Finished
