"""What OpenAI's two wire forms have in common: whom a request is for, what it asks of the agent, errors and usage in OpenAI's words."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from toolgate.agent.events import Bill, Event, Finished
from toolgate.agent.loop import Agent
from toolgate.agent.runs import Task
from toolgate.agent.tool import may_run, may_run_so
from toolgate.api.answers import STATUSES, Json
from toolgate.api.conversation import Asked
from toolgate.api.tools import unless_gone
from toolgate.calls import Principal
from toolgate.errors import InvalidArguments, NoModel, ToolFailed, ToolgateError, UnknownRun
from toolgate.llm.messages import Tokens
from toolgate.llm.models import Models
from toolgate.server.identify import principal_of

OURS = "toolgate"
"""The model of who leaves the choice to the router, and the key of what we say beside OpenAI's words."""
KINDS: Mapping[int, str] = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
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

    async def permitted(self) -> None:
        """
        Raises:
            NotPermitted: the policy does not let them have this run.
        """
        said = {"model": "" if self.model == OURS else self.model, "schema": self.schema, "resume": self.run}
        arguments = {name: value for name, value in said.items() if value}
        await may_run_so(self.agent.gateway, self.user, {"task": self.asked.text, **arguments})

    async def go(self, hear: Hear) -> Finished:
        if self.run is not None:
            return await self.agent.resume(self.run, self.user, hear, text=self.asked.text or None)
        if not self.asked.text:
            raise InvalidArguments("the last message has to be the user's")
        task = Task(
            self.asked.task,
            model="" if self.model == OURS else self.model,
            limits=self.agent.limits,
            schema=self.schema,
            instructions=self.asked.instructions,
        )
        return await self.agent.run(task, self.user, hear)


async def ended(request: Request, wanted: Wanted, hear: Hear) -> Finished | None:
    """How the run ended; None: nobody waits for it any more, so that it was broken off.

    Raises:
        ToolgateError: it could not begin, or failed.
    """

    async def go() -> Finished | ToolgateError:  # a task group would raise it in a group
        try:
            return good(await wanted.go(hear))
        except ToolgateError as error:
            return error

    end = await unless_gone(request, go())
    if isinstance(end, ToolgateError):
        raise end
    return end


def good(end: Finished) -> Finished:
    """
    Raises:
        ToolFailed: it failed.
    """
    if end.status in ("failed", "cancelled"):
        raise ToolFailed(f"the run {end.run} {end.status}: {end.reason or 'no reason is known'}")
    return end


async def read(request: Request, agent: Agent, models: Models, form: type[Wire]) -> tuple[Principal, Any]:
    """Who asks, and the body.

    Raises:
        NotPermitted: the policy does not let them have runs.
        InvalidArguments: the body cannot be meant.
        NoModel: there is no model of the name that it has.
        Misconfigured: there is none at all.
    """
    user = principal_of(request.scope)
    may_run(agent.gateway, user)
    try:
        body: Any = form.model_validate(orjson.loads(await request.body()))
    except orjson.JSONDecodeError as error:
        raise InvalidArguments(f"the body is no JSON: {error}") from None
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
        raise InvalidArguments(f"the body cannot be meant. {where}") from None
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
    schema = said.get("json_schema", said).get("schema") if kind == "json_schema" else None
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
    return answer if end.status == "done" else "\n\n".join(part for part in (answer, f"[{end.status}: {end.reason}]") if part)


def status_of(error: ToolgateError) -> int:
    if isinstance(error, InvalidArguments):
        return 400
    return 404 if isinstance(error, UnknownRun | NoModel) else STATUSES.get(error.code, 502)


def told(error: ToolgateError) -> dict[str, Any]:
    """The error in OpenAI's words."""
    return {"error": {"message": str(error), "type": KINDS.get(status_of(error), "server_error"), "param": None, "code": error.code}}


def problem(error: ToolgateError) -> Json:
    status = status_of(error)
    headers = {} if error.retry_after is None else {"retry-after": str(math.ceil(error.retry_after))}
    # The SDK would send the whole run again, which may have done something: only what was refused before it began may be.
    return Json(told(error), status_code=status, headers=headers | ({} if status in (429, 503) else {"x-should-retry": "false"}))
