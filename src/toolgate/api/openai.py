"""What OpenAI's two wire forms have in common: whom a request is for, what it asks of the agent, errors and usage in OpenAI's words."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from toolgate.agent.errand import admit, through
from toolgate.agent.events import Bill, Event, Finished
from toolgate.agent.loop import Agent
from toolgate.agent.runs import Task
from toolgate.api.conversation import Asked
from toolgate.api.failures import A_BUG, DECLINED, problem_in, problem_of
from toolgate.calls import Call, Principal, Problem
from toolgate.errors import InvalidArguments, OverBudget, ToolgateError
from toolgate.llm.messages import Tokens, ToolSpec
from toolgate.llm.models import Models
from toolgate.server.identify import principal_of
from toolgate.settings import problems_of

OURS = "toolgate"
"""The model of who leaves the choice to the router, and the key of what we say beside OpenAI's words."""
WISHES: Mapping[str, str] = {"toolgate_task_type": "task_type", "toolgate_high_risk": "high_risk"}
"""Keys of `metadata` for what OpenAI's forms have no words for, and the arguments of `agent_run` that they are."""
Hear = Callable[[Event], Awaitable[None]]


class Wire(BaseModel):
    """What is read of a body; the rest concerns models and not the agent."""

    model_config = ConfigDict(extra="ignore", frozen=True)


@dataclass(frozen=True)
class Wanted:
    """A request, read: a run to begin or to go on with."""

    agent: Agent
    user: Principal
    model: str
    """As it was named; `toolgate` leaves the choice to the router."""
    asked: Asked
    schema: Mapping[str, Any] | None = None
    run: str | None = None
    """The run that it goes on with."""
    before: Bill | None = field(default=None, compare=False)
    """What that had used."""

    trace: str | None = None
    """W3C `traceparent` of the caller."""
    first: Callable[[], Awaitable[None]] | None = None
    """Done once the gate lets it through, before the run goes on."""
    answers: str = ""
    """What it answers of what the run has asked, as a text: a call that brings an answer is not the one before it made again."""
    theirs: tuple[ToolSpec, ...] | None = None
    """Tools that it brings with it; None: it says nothing of any."""
    has_to_call: bool = False
    """Its answer is a call of one of them."""
    results: Mapping[str, str] = field(default_factory=dict)
    """Of calls that the run it goes on with waits for, by id."""
    streamed: bool = False
    """Its answer is sent while it is said."""
    wishes: Mapping[str, Any] = field(default_factory=dict)
    """As `wishes_in` has them."""

    @property
    def heard(self) -> bool:
        """What is said is sent as it comes. Not where an answer has to fit a schema: OpenAI's clients read all that they hear by it."""
        return self.streamed and self.schema is None

    async def go(self, hear: Hear) -> Finished | Problem:
        """How the run ended, or why it did not: the gate may not let through the call of `agent_run` that it is."""
        besides = {"model": "" if self.model == OURS else self.model, "schema": self.schema, "resume": self.run}
        arguments = {name: value for name, value in besides.items() if value} | dict(self.wishes)

        begun = False

        async def heard(event: Event) -> None:
            nonlocal begun
            begun = True
            await hear(event)

        async def work(call: Call) -> Finished:
            if self.first is not None:
                await self.first()
            return await self._go(call, heard)

        said = self.asked
        task, images = (said.text or self.answers, said.images) if self.run else (said.task, said.all_images)
        try:
            end = await through(self.agent, self.user, {"task": task, **arguments}, work, self.trace, images)
        except ToolgateError as error:
            problem = problem_of(error)
        else:
            if isinstance(end, Finished):
                return end
            problem = end.problem or A_BUG
        # Nobody may hear how it ended, which is no reason to do all of it once more.
        return replace(problem, details={"again": False}) if begun else problem

    async def _go(self, call: Call, hear: Hear) -> Finished:
        if self.run is not None:
            text, images = (self.asked.text, self.asked.images) if self.asked.spoken else (None, ())
            more: Any = {"text": text, "images": images, "results": self.results, "change": self._changed}
            return await self.agent.resume(self.run, self.user, hear, seen=self.heard, **more)
        if not self.asked.spoken:
            raise InvalidArguments("the last message has to be the user's")
        task = self._changed(Task(self.asked.task, limits=self.agent.limits, tainted=self.asked.tainted))
        return await self.agent.run(task, self.user, hear, seen=self.heard, parent=call, images=self.asked.all_images)

    def _changed(self, task: Task) -> Task:
        """`task` as this request has it: with OpenAI each says anew which model answers, and in which form."""
        model = "" if self.model == OURS else self.model
        theirs = task.theirs if self.theirs is None else self.theirs
        instructions = self.asked.instructions or task.instructions
        return replace(
            task.changed(self.wishes),
            model=model,
            schema=self.schema,
            instructions=instructions,
            theirs=theirs,
            has_to_call=self.has_to_call,
            tainted=task.tainted or self.asked.tainted,
        )


def wishes_in(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What `metadata` says for `agent_run`, by the names of its arguments; the values are texts there, as OpenAI has it."""
    values = {name: metadata[key] for key, name in WISHES.items() if key in metadata} if metadata else {}
    return {name: value == "true" if value in ("true", "false") else value for name, value in values.items()}


def good(end: Finished | Problem, wanted: Wanted) -> Finished | Problem:
    """The end of a run; one without an answer is a problem too."""
    if isinstance(end, Problem):
        return end
    failed = end.status in ("failed", "cancelled") and end.code not in DECLINED
    unpaid = end.code == OverBudget.code and used(end.bill, wanted.before) == Tokens()
    return problem_in(end, anew=wanted.run is None) if failed or unpaid else end


async def read(request: Request, agent: Agent, models: Models, form: type[Wire]) -> tuple[Principal, Any]:
    """Who asks, and the body.

    Raises:
        NotPermitted: the policy does not let them have runs.
        InvalidArguments: the body cannot be meant.
        NoModel: there is no model of the name that it has.
        Misconfigured: there is none at all.
    """
    user = principal_of(request.scope)
    await admit(agent, user)
    try:
        body: Any = form.model_validate(orjson.loads(await request.body()))
    except orjson.JSONDecodeError as error:
        raise InvalidArguments(f"the body is no JSON: {error}") from None
    except ValidationError as error:
        raise InvalidArguments(f"the body cannot be meant. {problems_of(error, 5)}") from None
    await models.check("" if body.model == OURS else body.model)
    return user, body


async def bill_of(agent: Agent, run: str, user: Principal) -> Bill | None:
    """What a run has used so far; None: nothing is known to.

    Raises:
        UnknownRun: there is none, or it is not the user's.
    """
    ends = [event for event in await agent.replay(run, user) if isinstance(event, Finished)]
    return ends[-1].bill if ends else None


def schema_in(said: Any) -> Mapping[str, Any] | None:
    """The schema that an answer has to fit, as `response_format` or `text.format` says.

    Raises:
        InvalidArguments: it says something else.
    """
    if said is None:
        return None
    kind = said.get("type") if isinstance(said, Mapping) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    form = said.get("json_schema", said) if kind == "json_schema" else None
    schema = form.get("schema") if isinstance(form, Mapping) else None
    if not isinstance(schema, Mapping):
        raise InvalidArguments("the format of the answer is text, json_object, or json_schema with a schema")
    return schema


def used(bill: Bill, before: Bill | None) -> Tokens:
    """The tokens of this request alone."""
    earlier = before.tokens if before else Tokens()
    now = bill.tokens
    return Tokens(
        now.input - earlier.input,
        now.output - earlier.output,
        now.cached - earlier.cached,
        now.cache_written - earlier.cache_written,
        now.reasoning - earlier.reasoning,
    )


def answer_of(end: Finished) -> str:
    """The words for who sees nothing but words: the answer, and how the run ended where it is not simply done."""
    answer = end.answer or ("" if end.output is None else json.dumps(end.output, ensure_ascii=False))
    if end.status == "done" or end.theirs or end.code in DECLINED:
        return answer
    return "\n\n".join(part for part in (answer, f"[{end.status}: {end.reason}]") if part)
