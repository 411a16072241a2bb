"""An agent behind its HTTP faces: two tools, one of which needs a person's yes, and a model that says what its lines say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.types import ASGIApp, Scope

from tests.api.faces import faces
from toolgate.agent.loop import Agent
from toolgate.agent.tool import agent_run
from toolgate.api import EXCEPTION_HANDLERS, agent_routes
from toolgate.calls import Call, Outcome, Principal, Text
from toolgate.gateway import build_gateway
from toolgate.llm.messages import Prompt
from toolgate.llm.models import Models
from toolgate.money import Price
from toolgate.policy.live import Live
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.policy.tiers import Tier
from toolgate.server.ingress import guarded
from toolgate.settings import Server, Settings
from toolgate.stores.memory import memory_stores
from toolgate.testing import Line, ScriptedProvider, a_tool

READS = Permission(id="reads", tools="list_issues")
WRITES = Permission(id="writes", tools="close_issue", obligations=("approve",))
RUNS = Permission(id="runs", tools="agent_run")
ROLES = [
    Role(role="clerk", permissions=(READS, WRITES, RUNS)),
    Role(role="reader", permissions=(READS,)),
    Role(role="delegate", permissions=(READS, WRITES)),
]
PRO = {"pro": Tier(features=frozenset({"agent"}))}
CENT = Price(call=10_000)


async def by_name(scope: Scope) -> Principal:
    name = dict(scope["headers"]).get(b"x-user", b"ada").decode()
    return Principal(id=name, roles=("reader" if name == "rita" else "clerk",), tier="pro", via="key")


@dataclass
class Issues:
    """The tools, and what they did."""

    closed: list[int] = field(default_factory=list)

    async def list(self, call: Call) -> Outcome:
        return Outcome(content=(Text("#7 It leaks"),))

    async def close(self, call: Call) -> Outcome:
        self.closed.append(call.arguments["number"])
        return Outcome(content=(Text(f"#{call.arguments['number']} is closed"),))


@dataclass
class Talking:
    lines: list[Line] | Callable[[Prompt], Line]
    settings: Settings = field(default_factory=lambda: Settings.model_validate({"providers": {"scripted": {"kind": "scripted"}}}))

    def __post_init__(self) -> None:
        self.issues = Issues()
        self.stores = memory_stores()
        self.model = ScriptedProvider(self.lines)
        number = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
        live = Live(Policy(ROLES, PRO))
        tools = [
            a_tool(self.issues.list, name="list_issues"),
            a_tool(self.issues.close, name="close_issue", reads=False, schema=number, price=CENT),
            agent_run(self.agents, 60),
        ]
        self.gateway = build_gateway(tools, live, self.stores, self.settings)
        self.agent = Agent(self.gateway, self.model, self.stores, self.settings)
        self.models = Models(self.settings, None, self.stores, live, {})  # type: ignore[arg-type]

    def agents(self) -> Agent:
        return self.agent

    def app(self) -> ASGIApp:
        plain = faces(self.gateway, self.stores)
        mine = agent_routes(self.agents, self.models)
        return Starlette(routes=[*plain, *mine], exception_handlers=EXCEPTION_HANDLERS)

    @asynccontextmanager
    async def client(self, user: str = "ada") -> AsyncIterator[httpx2.AsyncClient]:
        app = guarded(self.app(), Server(), by_name)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765", headers={"x-user": user}) as client:
            yield client


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    """What an answer of server-sent events holds."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]


def said(text: str) -> Mapping[str, Any]:
    return {"id": f"u{len(text)}", "role": "user", "content": text}


def an_input(messages: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "threadId": "t1",
        "runId": "r1",
        "messages": list(messages),
        "tools": [],
        "context": [],
        "state": {},
        "forwardedProps": {},
    } | more
