"""The agent as a tool: who may call `agent_run`, by policy, may have runs, whatever face they come by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toolgate.calls import PROTOCOL, Annotations, Call, Outcome, Principal, Tool
from toolgate.errors import NotPermitted
from toolgate.money import FREE

if TYPE_CHECKING:
    from toolgate.agent.loop import Agent
    from toolgate.gateway import Gateway

NAME = "agent_run"
GRACE = 30.0
"""Seconds beside the run's own, for its last words."""
LONGEST = 100_000
"""Characters of a task."""
TASKS = "planning coding analysis extraction summarization chat tool_use math other".split()
"""As of `llm.messages.TaskType`, which takes its time to import."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "task": {"type": "string", "minLength": 1, "maxLength": LONGEST, "description": "What to do; with `resume`, what to say besides"},
        "resume": {"type": "string", "minLength": 1, "maxLength": 64, "description": "The id of a run to go on with, where it stopped"},
        "model": {"type": "string", "maxLength": 200, "description": "provider/model, or a provider; default: the cheapest good enough"},
        "task_type": {"enum": TASKS, "default": "tool_use"},
        "tools": {"type": "array", "items": {"type": "string"}, "maxItems": 100, "description": "Globs of the tools it may use"},
        "max_cost": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000, "description": "US dollars"},
        "max_steps": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "Requests to a model"},
        "schema": {"type": "object", "description": "JSON Schema that the answer has to fit"},
        "high_risk": {"type": "boolean", "default": False, "description": "No model is tried of which little is known"},
    },
    "additionalProperties": False,
}


def agent_run(agent: Callable[[], Agent], seconds: float, *, listed: bool = True) -> Tool:
    """
    Args:
        agent: put together when first called.
        seconds: that a run may take.
        listed: there is a model to ask. Otherwise nobody is told of it, and who calls it all the same hears what is missing.
    """

    async def go(call: Call) -> Outcome:
        from toolgate.agent.errand import run

        return await run(agent(), call)

    return Tool(
        name=NAME,
        title="Run the agent",
        description="Give a task to the agent, which plans, calls tools through the same gate as you, and answers. It may do no more than "
        "you may; what needs a person's yes waits for it, and the run can be taken up with resume.",
        schema=SCHEMA,
        run=go,
        annotations=Annotations(read_only=False, destructive=False, idempotent=False, open_world=True),
        tags=("feature:agent",) if listed else ("feature:agent", PROTOCOL),
        listed=listed,
        price=FREE,  # what it asks and calls is paid for each by itself
        timeout=seconds + GRACE,
        remote=False,
    )


def may_run(gateway: Gateway, user: Principal) -> None:
    """
    Raises:
        NotPermitted: the policy does not let `user` have runs.
    """
    if NAME not in gateway.visible(user):
        raise NotPermitted(
            f"{user.id} may not run the agent: that takes a role that may call {NAME}, and a tier with the feature agent", NAME
        )
