"""What a run has cost, and its events told once more: both follow from its facts. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from toolgate.agent.events import Bill, Called, Calling, Event, Finished, Noted, Routed, Said, Spent, Started
from toolgate.agent.facts import Answered, Asked, Compacted, Edited, Ended, Fact, Hinted, Replied, Resumed, Stopping
from toolgate.agent.turns import State, after
from toolgate.llm.messages import Tokens
from toolgate.money import Micros


def bill_of(facts: Sequence[Fact]) -> Bill:
    replies = [fact for fact in facts if isinstance(fact, Replied)]
    answers = [fact for fact in facts if isinstance(fact, Answered)]
    by_phase: dict[str, Micros] = defaultdict(int)
    by_model: dict[str, dict[str, Any]] = {}
    for reply in replies:
        by_phase[reply.phase] += reply.cost
        line = by_model.setdefault(f"{reply.provider}/{reply.model}", {"requests": 0, "tokens": Tokens(), "cost": 0, "seconds": 0.0})
        line["requests"] += 1
        line["tokens"] += reply.tokens
        line["cost"] += reply.cost
        line["seconds"] = round(line["seconds"] + reply.seconds, 6)
    by_tool: dict[str, dict[str, Any]] = {}
    for answer in answers:
        line = by_tool.setdefault(answer.tool, {"calls": 0, "failed": 0, "cost": 0, "seconds": 0.0})
        line["calls"] += 1
        line["failed"] += answer.failed
        line["cost"] += answer.cost + answer.used.get("cost", 0)
        line["seconds"] = round(line["seconds"] + answer.seconds, 6)
    models = sum(reply.cost for reply in replies)
    tools = sum(line["cost"] for line in by_tool.values())
    if tools:
        by_phase["tools"] = tools
    return Bill(
        total=models + tools,
        models=models,
        tools=tools,
        estimated=sum(one.cost for one in replies if one.estimated) + sum(one.cost for one in answers if one.estimated),
        by_phase=dict(by_phase),
        by_model={name: {**line, "tokens": asdict(line["tokens"])} for name, line in by_model.items()},
        by_tool=by_tool,
        tokens=sum((reply.tokens for reply in replies), Tokens()),
    )


def finished(run: str, facts: Sequence[Fact], state: State, output: Any = None) -> Finished:
    """The end of `run`, as its facts have it."""
    ended = state.ended
    return Finished(
        run=run,
        status=ended.status if ended else "cancelled",
        answer=state.answer,
        bill=bill_of(facts),
        seconds=round(state.active, 6),
        steps=state.used.steps,
        calls=state.used.calls,
        reason=ended.reason if ended else "its process ended first",
        audit=[fact.call for fact in facts if isinstance(fact, Answered) and fact.call],
        output=output,
        code=ended.code if ended else "",
        retry_after=ended.retry_after if ended else None,
    )


def spent(facts: Sequence[Fact], state: State, left: Micros | None) -> Spent:
    tokens = sum((fact.tokens for fact in facts if isinstance(fact, Replied)), Tokens())
    return Spent(state.used.cost, tokens, state.used.steps, state.used.calls, left)


def events_of(run: str, facts: Sequence[Fact]) -> Iterator[Event]:
    """The run once more, as far as its facts tell; texts come whole."""
    state, told, model = State(), list[Fact](), ""
    yield Started(run)
    for fact in facts:
        state = after([fact], state)
        told.append(fact)
        step = state.used.steps
        match fact:
            case Replied():
                if model != (model := f"{fact.provider}/{fact.model}"):
                    yield routed(fact)
                if fact.message.text:
                    yield Said(fact.message.text, step)
                for call in fact.message.calls:
                    yield Calling(call.id, call.name, call.arguments or {}, step)
            case Answered():
                yield called(fact, step)
            case Edited():
                yield edited(fact, next(call.name for call in state.pending if call.id == fact.id))
            case Hinted(text=text) | Stopping(text=text):
                yield Noted("hint", text)
            case Compacted(summary=summary):
                yield Noted("compacted", summary)
            case Resumed():
                yield Started(run, resumed=True)
            case Ended():
                yield finished(run, told, state)
            case Asked():
                pass
    if state.ended is None:
        yield finished(run, told, state)


def routed(fact: Replied) -> Routed:
    return Routed(fact.provider, fact.model, list(fact.route.get("reasons", ())), dict(fact.route.get("scores", {})))


def edited(fact: Edited, tool: str) -> Noted:
    said = json.dumps(dict(fact.arguments), ensure_ascii=False)
    return Noted("edited", f"{fact.by} changed the arguments of {tool} before it is called, to {said}")


def called(fact: Answered, step: int) -> Called:
    return Called(fact.id, fact.tool, fact.text, fact.failed, fact.code, fact.cost, fact.seconds, fact.replayed, step)
