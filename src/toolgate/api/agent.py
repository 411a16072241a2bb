"""`POST /v1/agent`: the agent for user interfaces that speak AG-UI 1.0.

A thread is a run of ours, which is taken up by each run of the thread: with what the user says next, or with the answers to what an
earlier one was interrupted for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from toolgate.agent.batch import Answer
from toolgate.agent.errand import admit, through
from toolgate.agent.events import ApprovalWanted, Event, Finished, Started, Wanted
from toolgate.agent.loop import Agent
from toolgate.agent.runs import Run, Task
from toolgate.agent.tool import NAME, SCHEMA
from toolgate.api.agui import Stream
from toolgate.api.answers import outcome_answer, problem_answer
from toolgate.api.conversation import Asked, asked, text_of
from toolgate.api.events import Events, Say
from toolgate.api.theirs import specs_of
from toolgate.approvals import Approval
from toolgate.calls import Call, Outcome, Principal, Problem, key
from toolgate.errors import InvalidArguments, NotPermitted, ToolgateError, UnknownApproval, UnknownRun
from toolgate.llm.learning import fits
from toolgate.llm.messages import ToolSpec
from toolgate.server.context import trace_parent
from toolgate.server.identify import principal_of
from toolgate.settings import problems_of

log = logging.getLogger("toolgate.api")

THREAD = "agui.thread"
"""The kind of record that says which run a thread is."""
FORWARDED = ("model", "task_type", "tools", "max_cost", "max_steps", "schema", "high_risk")
"""What `forwardedProps` may say, as the arguments of `agent_run`."""
A_BUG = Problem("error", "the run failed by a bug; the operator of this server finds more in its log")
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, said: Any) -> Any:
        """Clients in typed languages write null for what is not there."""
        return {name: value for name, value in said.items() if value is not None} if isinstance(said, dict) else said


class Resume(Wire):
    interrupt_id: Name
    status: str
    payload: Any = None


class Context(Wire):
    description: str = ""
    value: str = ""


def _message(message: dict[str, Any]) -> dict[str, Any]:
    calls, of = message.get("toolCalls") or [], message.get("toolCallId")
    named = isinstance(calls, list) and all(isinstance(call, Mapping) and isinstance(call.get("id"), str) for call in calls)
    if not named or not (of is None or isinstance(of, str)):
        raise ValueError("toolCalls is a list of calls, each with an id that is a text, and toolCallId such an id")
    return message


class RunAgentInput(Wire):
    """What we read of AG-UI's `RunAgentInput`."""

    thread_id: Name
    run_id: Name
    messages: list[Annotated[dict[str, Any], AfterValidator(_message)]]
    context: list[Context] = []
    tools: list[Any] = []
    forwarded_props: Any = None
    resume: Annotated[list[Resume], Field(max_length=100)] = []


class AgUi:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def run(self, request: Request) -> Response:
        user = principal_of(request.scope)
        await admit(self._agent, user)
        try:
            read = RunAgentInput.model_validate(orjson.loads(await request.body()))
            said, props, theirs = asked(read.messages), _forwarded(read.forwarded_props), specs_of(read.tools)
        except ValidationError as error:
            return problem_answer("bad_request", f"the body is no RunAgentInput of AG-UI 1.0. {problems_of(error, 5)}")
        except (InvalidArguments, orjson.JSONDecodeError) as error:
            return problem_answer("bad_request", str(error))

        trace = trace_parent(request.headers.get("traceparent"))
        return Events(lambda say: Talk(self._agent, user, read, said, props, theirs, say).go(trace))


@dataclass
class Talk:
    """One AG-UI run."""

    agent: Agent
    user: Principal
    read: RunAgentInput
    said: Asked
    props: Mapping[str, Any]
    theirs: tuple[ToolSpec, ...]
    """Tools of the front end, which makes their calls itself."""
    say: Say
    _heard: bool = field(default=False, init=False)
    _version: int = field(default=0, init=False)
    """Of the record that says which run the thread is; 0: there is none."""
    _instead: dict[str, Answer] = field(default_factory=dict, init=False)
    """By the question's id, arguments that the user would have instead."""

    def __post_init__(self) -> None:
        read = self.read
        self._results = {
            str(message.get("toolCallId")): text_of(message.get("content"), f"messages.{place}.content")
            for place, message in enumerate(read.messages)
            if message.get("role") == "tool"
        }
        """Of all tool calls that the client has one of; those count that a run waits for."""
        own = self.agent.settings.approvals.by == "caller"
        self._stream = Stream(read.thread_id, read.run_id, [dict(message) for message in read.messages], answerable=own)

    async def go(self, trace: str | None) -> Response | None:
        """The answer, where the gate lets no run begin."""
        try:
            run = await self._thread()
            # A call that brings an answer is not the one before it made again.
            answers = "; ".join(f"{entry.interrupt_id}: {entry.status}" for entry in self.read.resume)
            if not self.said.spoken:
                answers = "; ".join([*([answers] if answers else ()), *(f"{call}: made" for call in self._results)])
            arguments = {"task": answers or self.said.text, **self.props, **({"resume": run.id} if run else {})}
            images = () if answers else self.said.images if run else self.said.all_images
            end = await through(
                self.agent, self.user, arguments, lambda call: self._begin(call) if run is None else self._go_on(run), trace, images
            )
            if isinstance(end, Outcome) and end.problem is not None:
                if not self._heard:
                    return outcome_answer(end)
                await self._broke(end.problem)
        except ToolgateError as error:
            await self._broke(Problem(error.code, str(error)))
        except Exception:
            log.exception("a run over AG-UI failed by a bug")
            await self._broke(A_BUG)
        return None

    async def _begin(self, call: Call) -> Finished:
        if self.read.resume:
            raise UnknownRun("this thread has no run that could be resumed; it may have been forgotten")
        if not self.said.spoken:
            raise InvalidArguments("the last message has to be the user's")
        task = self._changed_task(Task(self.said.task, limits=self.agent.limits, tainted=self.said.tainted))
        return await self.agent.run(task, self.user, self._hear, parent=call, images=self.said.all_images)

    async def _go_on(self, run: Run) -> Finished:
        events = await self.agent.replay(run.id, self.user)
        ends = [event for event in events if isinstance(event, Finished)]
        self._stream.before = ends[-1].bill if ends else None
        # All are read before one is heeded: what cannot be meant decides nothing.
        for entry, answer in [(entry, await self._checked(entry)) for entry in self.read.resume]:
            await self._decide(entry, answer)
        text, images = (self.said.text, self.said.images) if self.said.spoken and not self.read.resume else (None, ())
        more: Any = {"text": text, "images": images, "results": self._results, "person": self._changed}
        return await self.agent.resume(run.id, self.user, self._hear, change=self._changed_task, **more)

    def _changed_task(self, task: Task) -> Task:
        """`task` as the client says it is now; what it says nothing of stays."""
        context = "\n".join(f"{each.description}: {each.value}" for each in self.read.context)
        instructions = "\n\n".join(part for part in (self.said.instructions, context) if part)
        return replace(task.changed(self.props), instructions=instructions or task.instructions, theirs=self.theirs or task.theirs)

    async def _checked(self, entry: Resume) -> Answer:
        """The user's answer to one question.

        Raises:
            InvalidArguments: it is none, or its arguments do not fit the tool.
            Refused: the call would be refused with them.
        """
        answer = _answer(entry)
        if not isinstance(answer, bool):
            with suppress(UnknownApproval):
                approval = await self._asked(entry)
                if approval is not None:
                    await self.agent.gateway.permitted(approval.tool, answer, self.user.delegate())
        return answer

    async def _decide(self, entry: Resume, answer: Answer) -> None:
        """Write down the user's answer to one question. One that is not asked any more is asked anew by the gate."""
        if not isinstance(answer, bool):
            self._instead[entry.interrupt_id] = answer
            return
        with suppress(UnknownApproval):
            if await self._asked(entry) is not None:
                await self.agent.gateway.approvals.decide(entry.interrupt_id, answer, self.user, "client")

    async def _asked(self, entry: Resume) -> Approval | None:
        """What was asked, if the user may answer it. Raises UnknownApproval."""
        approvals = self.agent.gateway.approvals
        approval = await approvals.find(entry.interrupt_id)
        return approval if approvals.settings.by == "caller" and approvals.owns(self.user, approval) else None

    async def _changed(self, wanted: Wanted) -> Answer | None:
        """The arguments that the user would have instead."""
        return self._instead.get(wanted.approval)

    async def _hear(self, event: Event) -> None:
        self._heard = True
        if isinstance(event, ApprovalWanted):
            with suppress(UnknownApproval):
                found = [await self.agent.gateway.approvals.find(one.approval) for one in event.wanted]
                self._stream.expires = min((each.expires for each in found), default=None)
        if isinstance(event, Started):
            await self._remember(event.run)
        for each in self._stream.of(event):
            await self.say(orjson.dumps(each, default=str).decode())

    async def _broke(self, problem: Problem) -> None:
        for each in self._stream.broke(problem):
            await self.say(orjson.dumps(each).decode())

    @property
    def _key(self) -> str:
        return key(self.user.tenant, self.user.user, self.read.thread_id)

    async def _thread(self) -> Run | None:
        """The run that the thread is; None: it has none (any more)."""
        there = await self.agent.stores.records.get(THREAD, self._key)
        if there is None:
            return None
        self._version = there.version
        try:
            return await self.agent.runs.get(there.body["run"], self.user)
        except UnknownRun:
            return None

    async def _remember(self, run: str) -> None:
        """
        Raises:
            NotPermitted: since it was looked up, another request has made it that of a thread.
        """
        expires = time.time() + self.agent.settings.agent.keep
        if not await self.agent.stores.records.put(THREAD, self._key, {"run": run}, replaces=self._version, expires=expires):
            raise NotPermitted("another request has begun with this thread; send yours when that has ended", "agent.thread")


def _answer(entry: Resume) -> Answer:
    """
    Raises:
        InvalidArguments: it is neither a yes nor a no.
    """
    if entry.status == "cancelled":
        return False
    payload = entry.payload if isinstance(entry.payload, Mapping) else {"approved": entry.payload}
    yes, edited = payload.get("approved"), payload.get("editedArgs")
    if entry.status != "resolved" or not isinstance(yes, bool) or not (edited is None or isinstance(edited, Mapping)):
        raise InvalidArguments(
            'an answer is {"status": "resolved", "payload": {"approved": true or false}}, to a yes perhaps with the arguments to be '
            'used instead as "editedArgs", an object; or it has the status "cancelled"'
        )
    return edited if yes and edited is not None else yes


def _forwarded(props: Any) -> Mapping[str, Any]:
    """What the client says of the run beside its messages.

    Raises:
        InvalidArguments: it cannot be meant.
    """
    said = {name: props[name] for name in FORWARDED if props.get(name) is not None} if isinstance(props, Mapping) else {}
    for name, value in said.items():
        if not fits(value, SCHEMA["properties"][name]):
            raise InvalidArguments(f"forwardedProps.{name} is not what {NAME} takes as {name}")
    return said
