"""One call of `agent_run`: a run within it, told of as progress, and its end as an outcome.

Faces that have a form of their own for runs make the same call, so that the same steps count it, refuse it and write it down.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolgate.agent.events import ApprovalWanted, Called, Calling, Event, Finished, Noted, Routed, Wanted
from toolgate.agent.loop import Agent
from toolgate.agent.output import read
from toolgate.agent.report import report
from toolgate.agent.rounds import Rounds
from toolgate.agent.runs import Task
from toolgate.agent.tool import LONGEST, NAME, may_run
from toolgate.calls import Call, Outcome, Principal, Problem, Question, Text
from toolgate.errors import AuditUnavailable, InvalidArguments, NotPermitted, ToolFailed, ToolgateError
from toolgate.llm.messages import Image
from toolgate.llm.pictures import told


async def run(agent: Agent, call: Call) -> Outcome:
    """The outcome of `call`, which is one of `agent_run`."""
    arguments, steps = call.arguments, 0

    async def hear(event: Event) -> None:
        nonlocal steps
        said = _progress(event)
        if said is not None and call.progress is not None:
            steps += 1
            await call.progress(steps, None, said)

    async def person(wanted: Wanted) -> bool | None:
        return await call.ask(Question(wanted.approval, wanted.text)) if call.ask is not None else None

    rounds = Rounds(agent, call) if call.ask is not None and call.client is not None and call.client.in_rounds else None
    there = person if call.ask is not None and rounds is None else None
    how = hear if rounds is None else rounds.hearing(hear)
    if rounds is not None and (waiting := await rounds.waiting()) is not None:
        await rounds.answered()
        end = await agent.resume(waiting, call.principal, how, seen=False)
    elif "resume" in arguments:
        if _is_within(call):
            raise InvalidArguments("resume is for the user of a run; an agent within another starts its own")
        more: Any = {"text": arguments.get("task"), "change": lambda task: task.changed(arguments), "person": there}
        end = await agent.resume(arguments["resume"], call.principal, how, seen=False, **more)
    elif "task" not in arguments:
        raise InvalidArguments("agent_run wants task, what is to be done, or resume, the id of a run to go on with")
    else:
        task = Task(arguments["task"], limits=agent.limits).changed(arguments)
        end = await agent.run(task, call.principal, how, person=there, seen=False, parent=call)
    if rounds is not None:
        await rounds.asked(end)
    return _outcome(end, f"Only its user can take the run {end.run} up" if _is_within(call) else None)


async def ended(agent: Agent, id: str, who: Principal) -> Outcome | None:
    """How the run of that id has ended, told as the call that asked for it would have; None: it is for whoever takes it up to go on.

    Raises:
        UnknownRun: there is none, or it is not `who`'s.
    """
    run = await agent.runs.get(id, who)
    if run.status in (None, "cancelled"):
        return None
    end = (await agent.replay(id, who))[-1]
    assert isinstance(end, Finished)
    output = None if run.task.schema is None else read(end.answer, run.task.schema)[0]
    try:
        return _outcome(replace(end, output=output))
    except ToolFailed as error:
        return Outcome(problem=Problem(error.code, str(error)))


async def through(
    agent: Agent,
    user: Principal,
    arguments: Mapping[str, Any],
    go: Callable[[Call], Awaitable[Finished]],
    trace_parent: str | None = None,
    images: Sequence[Image] = (),
) -> Finished | Outcome:
    """Have `go`, a run in another face's form, as the call of `agent_run` that it is.

    Args:
        arguments: as `agent_run` takes them; of a longer task the end, which says what is asked now.
        images: that come with the task: the call names them, so that it is another with others.

    Returns:
        How the run ended, or how the gate ended the call without it.

    Raises:
        ToolgateError: `go` raised it.
    """
    found: Finished | ToolgateError | None = None

    async def work(call: Call) -> Outcome:
        nonlocal found
        try:
            found = await go(call)
        except ToolgateError as error:
            found = error
            raise
        return _outcome(found)

    task = "\n".join(part for part in (str(arguments["task"]), told(images)) if part)
    whole = {**arguments, "task": task[-LONGEST:] or "go on"}
    outcome = await agent.gateway.call(NAME, whole, user, trace_parent=trace_parent, work=work)
    unwritten = outcome.problem is not None and outcome.problem.code == AuditUnavailable.code
    if found is None or unwritten:  # nobody may hear of an end that is not written down
        return outcome
    if isinstance(found, ToolgateError):
        raise found
    return found


async def admit(agent: Agent, user: Principal) -> None:
    """Refuse who may not have runs, in better words than that there is no such tool; the gate's refusal is in the audit.

    Raises:
        NotPermitted: the policy does not let `user` have runs.
    """
    try:
        may_run(agent.gateway, user)
    except NotPermitted:
        await agent.gateway.call(NAME, {}, user)
        raise


def _is_within(call: Call) -> bool:
    """An agent's own run asks for it."""
    return call.depth > 0 and bool(call.principal.acting_for)


def _outcome(end: Finished, go_on: str | None = None) -> Outcome:
    """
    Args:
        go_on: how, where the run has stopped; None: by `agent_run`.
    """
    go_on = go_on or f"Go on with agent_run and resume {end.run}"
    if end.status in ("failed", "cancelled"):
        raise ToolFailed(f"the run {end.run} {end.status}: {end.reason or 'no reason is known'}. {go_on}")
    how = "" if end.status == "done" else f"[{end.status}: {end.reason}. {go_on}]"
    text = "\n\n".join(part for part in (end.answer, how) if part) or json.dumps(end.output)
    tokens = end.bill.tokens
    used = {"cost": end.bill.total, "tokens": tokens.input + tokens.output, "steps": end.steps, "calls": end.calls}
    return Outcome(content=(Text(text),), structured=report(end), meta={"used": used})  # what an agent that asked for it has to count


def _progress(event: Event) -> str | None:
    match event:
        case Routed(provider, model):
            return f"{provider}/{model} is asked"
        case Calling(_, tool):
            return f"calls {tool}"
        case Called():
            return f"{event.tool} {'did not succeed' if event.failed else 'answered'}"
        case ApprovalWanted(wanted):
            return f"{len(wanted)} calls wait for a person's yes"
        case Noted(_, text):
            return text[:200]
    return None
