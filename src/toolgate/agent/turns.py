"""What to do next in a run, by what has happened in it. Nothing is done here: `drive` carries it out.

    facts ──after──▶ State ──next_move──▶ Ask · Act · or a fact at once ──drive──▶ facts

So a run that was interrupted anywhere goes on from its facts as if nothing had been, and every decision can be tested
without a model. A conversation always stays well-formed: each call has exactly one result, in the order of the calls, before
anything else is said, and what is compacted away goes with its pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from toolgate.agent import repeats
from toolgate.agent.events import Status
from toolgate.agent.facts import Answered, Asked, Compacted, Edited, Ended, Fact, Hinted, Replied, Resumed, Stopping
from toolgate.agent.repeats import Trail
from toolgate.agent.summary import CHARACTERS, cut_at, summary_of, weight
from toolgate.llm.messages import Image, Message, Stop, ToolCall, ToolResult, User
from toolgate.money import MICROS, Micros

FRESH: frozenset[Status] = frozenset({"budget_exhausted", "looping", "done", "failed"})
"""Endings after which whoever goes on grants a new allotment; after the others the old one goes on."""
FULL = 0.75  # of the model's window; a guess that leaves room for a batch of results and the reply
GO_ON = "Go on with the task from here; there is a new budget."
SILENT = "You said nothing. Answer the task, or call a tool."
LAST = "[Toolgate] {reason}. No more tools can be called. Answer now with what you have, and say what is missing."


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use."""

    cost: Micros | None = MICROS
    """Micro-US-dollars; None: no budget of its own."""
    tokens: int | None = 1_000_000
    steps: int = 25
    """Requests to the model."""
    calls: int = 50
    """Of tools."""
    seconds: float = 600.0
    """In which it is under way."""
    depth: int = 3
    """Calls within calls: an agent that an agent calls is one deeper."""
    parallel: int = 8
    """Calls at the same time."""


@dataclass(frozen=True, slots=True)
class Used:
    """What was used."""

    cost: Micros = 0
    tokens: int = 0
    steps: int = 0
    calls: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(self.cost + other.cost, self.tokens + other.tokens, self.steps + other.steps, self.calls + other.calls)

    def __sub__(self, other: Used) -> Used:
        return Used(self.cost - other.cost, self.tokens - other.tokens, self.steps - other.steps, self.calls - other.calls)


NOTHING = Used()
RESERVE = 0.1  # of cost, tokens and time, kept for the last answer
RESERVE_SECONDS = 30.0  # of it at most


def over(used: Used, seconds: float, limits: Limits) -> str | None:
    """Which budget leaves nothing but the reserve, as a sentence; None: all have room."""
    if used.steps >= limits.steps:
        return f"The {limits.steps} steps of this run are used up"
    if used.calls >= limits.calls:
        return f"The {limits.calls} tool calls of this run are used up"
    if limits.cost is not None and used.cost >= limits.cost * (1 - RESERVE):
        return "The money of this run is spent"
    if limits.tokens is not None and used.tokens >= limits.tokens * (1 - RESERVE):
        return f"The {limits.tokens} tokens of this run are used up"
    if seconds >= limits.seconds - min(RESERVE_SECONDS, limits.seconds * RESERVE):
        return f"The {limits.seconds:g} seconds of this run are over"
    return None


@dataclass(frozen=True, slots=True)
class State:
    """A run as its facts leave it."""

    messages: tuple[Message, ...] = ()
    """The conversation, the system's part not included."""
    asked: int = 0
    """Of the message that its person said last."""
    pending: tuple[ToolCall, ...] = ()
    """Of the last reply: all of its calls, as long as one of them has no result."""
    results: Mapping[str, ToolResult] = field(default_factory=dict)
    """Of `pending`, those that have one."""
    edited: Mapping[str, str] = field(default_factory=dict)
    """Of `pending`, calls whose arguments a person changed, and who did. The conversation has what the model said."""
    used: Used = NOTHING
    """In all."""
    granted: Used = NOTHING
    """What had been used when the present allotment began."""
    active: float = 0.0
    """Seconds under way in this allotment, up to the last interruption."""
    since: float = 0.0
    """When the present stretch began."""
    at: float = 0.0
    """Of the last fact."""
    idle: bool = True
    """No call of `pending` without a result can have begun."""
    pended: float = 0.0
    """When the oldest of them may have begun."""
    tainted: bool = False
    trail: Trail = field(default_factory=Trail)
    hinted: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    following: tuple[str, ...] | None = None
    """Globs of the tools that the skills allow which were read for the present task; None: nothing bounds them."""
    stop: Stop = "end"
    """Of the last reply."""
    stopping: Stopping | None = None
    ended: Ended | None = None
    context: int = 0
    """Tokens that the model read and said last."""
    unread: int = 0
    """Characters that have come since."""
    ids: frozenset[str] = frozenset()
    """Of all calls so far."""

    @property
    def waiting(self) -> tuple[ToolCall, ...]:
        """Calls without a result."""
        return tuple(call for call in self.pending if call.id not in self.results)

    @property
    def answer(self) -> str:
        """The model's last words."""
        return next((each.text for each in reversed(self.messages) if not isinstance(each, User | ToolResult) and each.text), "")

    @property
    def images(self) -> list[Image]:
        """All pictures in the conversation."""
        return [image for message in self.messages if isinstance(message, User) for image in message.images]

    def allotted(self) -> Used:
        """What was used of the present allotment."""
        return self.used - self.granted

    def seconds(self, now: float) -> float:
        """Under way in this allotment."""
        return self.active + max(0.0, now - self.since)


@dataclass(frozen=True, slots=True)
class Ask:
    """Put the conversation to the model."""

    phase: str
    last: bool = False
    """For its last words: it may call nothing."""


@dataclass(frozen=True, slots=True)
class Act:
    """Call these."""

    calls: tuple[ToolCall, ...]


Move = Ask | Act | Hinted | Compacted | Stopping | Ended
"""What to do, or what has happened by its being decided."""


def next_move(state: State, now: float, *, spent: str | None = None, wrong: str | None = None, window: int = 128_000) -> Move:
    """What to do now.

    Args:
        now: seconds since 1970.
        spent: which budget is used up, as `over` says it.
        wrong: why the last words, if they are to be the answer, do not fit what was asked for.
        window: the model's, in tokens.
    """
    if waiting := state.waiting:
        return Act(waiting)
    if not isinstance(state.messages[-1], User | ToolResult):
        return _spoken(state, now, wrong)
    if state.stopping is not None:
        return Ask("answer", last=True)
    if spent is not None:
        return Stopping(now, "budget_exhausted", spent, LAST.format(reason=spent))
    if isinstance(state.messages[-1], ToolResult) and (found := repeats.found(state.trail)):
        if found.about in state.hinted:
            return Stopping(now, "looping", found.reason, LAST.format(reason=found.reason))
        return Hinted(now, found.hint, found.about)
    if state.context + state.unread / CHARACTERS > FULL * window and (cut := cut_at(state.messages)):
        return compacted(state, cut, now, window)
    return Ask("plan" if len(state.messages) == 1 else "act")


def compacted(state: State, cut: int, now: float, window: int) -> Compacted:
    """A list in place of what is older than `cut`, but for what is being done."""
    return Compacted(now, cut, summary_of(state.messages[:cut], window), state.asked if state.asked < cut else 0)


def _spoken(state: State, now: float, wrong: str | None) -> Move:
    if state.stopping is not None:
        return Ended(now, state.stopping.status, state.stopping.reason)
    if state.stop in ("refusal", "filtered"):
        return Ended(now, "failed", "the model declined to answer", state.stop)
    if not getattr(state.messages[-1], "text", ""):
        return _once_more(state, now, SILENT, "silence", "the model says nothing")
    if wrong is not None:
        again = f"[Toolgate] Your answer does not fit: {wrong}. Send the whole of it again, corrected."
        return _once_more(state, now, again, "schema", wrong)
    return Ended(now, "done", "the answer was cut off at its length" if state.stop == "length" else "")


def _once_more(state: State, now: float, text: str, about: str, reason: str) -> Move:
    """At most twice."""
    times = sum(each == about for each in state.hinted)
    return Hinted(now, text, about) if times < 2 else Ended(now, "failed", reason)


def after(facts: Iterable[Fact], state: State | None = None) -> State:
    """The state that `facts` lead to, from `state` on."""
    state = state or State()
    for fact in facts:
        state = replace(_after(state, fact), at=fact.at)
    return state


def _after(state: State, fact: Fact) -> State:
    match fact:
        case Asked(at, text, images):
            fresh = replace(state, asked=len(state.messages), ended=None, stopping=None, granted=state.used, active=0.0, since=at)
            return _said(replace(fresh, trail=Trail(), hinted=(), following=None), User(text, images))
        case Replied():
            return _replied(state, fact)
        case Answered():
            return _answered(state, fact)
        case Edited(_, id, arguments, by):
            pending = tuple(replace(call, arguments=arguments) if call.id == id else call for call in state.pending)
            return replace(state, pending=pending, edited={**state.edited, id: by})
        case Hinted(_, text, about):
            return _said(replace(state, hinted=(*state.hinted, about)), User(text))
        case Compacted(_, cut, summary, asked):
            first = (state.messages[0], User(summary), *((state.messages[asked],) if asked else ()))
            messages = (*first, *state.messages[cut:])
            at = len(first) - 1 if asked else max(0, state.asked - cut + len(first)) if state.asked >= cut else 0
            return replace(state, messages=messages, asked=at, context=0, unread=sum(map(weight, messages)))
        case Stopping(text=text):
            return _said(replace(state, stopping=fact), User(text))
        case Ended(at, status):
            idle = state.idle or status == "waiting"
            return replace(state, ended=fact, active=state.seconds(at), since=at, idle=idle)
        case Resumed():
            return _resumed(state, fact)


def _said(state: State, message: User) -> State:
    return replace(state, messages=(*state.messages, message), unread=state.unread + weight(message))


def _replied(state: State, fact: Replied) -> State:
    used = state.used + Used(fact.cost, fact.tokens.input + fact.tokens.output, 1, 0)
    return replace(
        state,
        messages=(*state.messages, fact.message),
        pending=fact.message.calls,
        results={},
        edited={},
        used=used,
        stop=fact.stop,
        context=fact.tokens.input + fact.tokens.output,
        unread=0,
        idle=not fact.message.calls,
        pended=fact.at,
        ids=state.ids | {call.id for call in fact.message.calls},
    )


def _answered(state: State, fact: Answered) -> State:
    call = next(call for call in state.pending if call.id == fact.id)
    mark = fact.call[:8] or "toolgate"
    result = ToolResult(fact.id, f"<result {mark} of {fact.tool}>\n{fact.text}\n</result {mark}>", fact.failed)
    results = {**state.results, fact.id: result}
    state = replace(
        state,
        results=results,
        used=state.used + Used(fact.cost, calls=1 if fact.call else 0) + Used(**fact.used),
        tainted=state.tainted or fact.open,
        trail=state.trail.with_call(call, fact),
        offered=tuple(dict.fromkeys((*state.offered, *fact.found))),
        following=_following(state, fact),
        unread=state.unread + weight(result),
    )
    if len(results) < len(state.pending):
        return state
    messages = (*state.messages, *(results[call.id] for call in state.pending))
    return replace(state, messages=messages, pending=(), results={}, edited={}, idle=True)


def _following(state: State, fact: Answered) -> tuple[str, ...] | None:
    """Who reads a second skill may do what either allows; one that allows any lets do any."""
    if fact.follows is None:
        return state.following
    return tuple(dict.fromkeys((*(state.following or ()), *fact.follows))) if fact.follows else None


def _resumed(state: State, fact: Resumed) -> State:
    ended = state.ended
    elapsed = state.active if ended else state.seconds(state.at)  # of a process that died: up to its last word
    state = replace(
        state, ended=None, active=elapsed, since=fact.at, pended=fact.at if state.idle else state.pended, idle=not state.pending
    )
    if ended is None or ended.status not in FRESH:
        return state
    fresh = replace(state, stopping=None, granted=state.used, active=0.0, trail=Trail(), hinted=())
    spoken = fresh.messages and not isinstance(fresh.messages[-1], User | ToolResult) and not fresh.pending
    return _said(fresh, User(GO_ON)) if spoken or state.stopping else fresh
