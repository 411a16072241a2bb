"""The HTTP face, asked through the ingress guard; every answer is held against the description that is served."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import jsonschema_rs
import pytest
from starlette.applications import Starlette
from starlette.types import Message, Scope

from tests.api.faces import faces
from tests.api.talking import Talking
from toolgate.api import EXCEPTION_HANDLERS, agent_routes
from toolgate.api.consents import CONFIRM, LINK
from toolgate.api.operator import description
from toolgate.calls import Binary, Call, Outcome, Principal, Problem, Text, Tool
from toolgate.errors import (
    Busy,
    InvalidArguments,
    LimitReached,
    NotIdentified,
    OverBudget,
    Repeating,
    Suspended,
    TimedOut,
    ToolgateError,
    Unreachable,
    UpstreamFailed,
)
from toolgate.gateway import build_gateway
from toolgate.integration import Integration
from toolgate.money import Price
from toolgate.openapi.convert import convert
from toolgate.openapi.extract import extract
from toolgate.openapi.load import Loaded
from toolgate.openapi.read import read_document
from toolgate.openapi.resolve import Resolver
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server.convert import definition
from toolgate.server.ingress import guarded
from toolgate.settings import Server, Settings
from toolgate.stores.memory import MemoryJournal, memory_stores
from toolgate.testing import Echo, a_tool

ROLES = (
    Role(
        role="reader",
        permissions=(
            Permission(id="all", tools="*"),
            Permission(id="hidden", tools="secret*", effect="deny"),
            Permission(id="frozen", tools="frozen*", operations=("call",), effect="deny", reason="it is frozen until Monday"),
        ),
    ),
    Role(role="admin", permissions=(Permission(id="everything", tools="*"),)),
)
BASE = "http://127.0.0.1:8765"


async def by_name(scope: Scope) -> Principal:
    name = dict(scope["headers"]).get(b"x-user")
    if name is None:
        raise NotIdentified("say your name")
    return Principal(id=name.decode(), roles=("admin",) if name == b"root" else ("reader",))


class World:
    """A client of the HTTP face over some tools."""

    def __init__(self, client: httpx2.AsyncClient, journal: MemoryJournal) -> None:
        self.client = client
        self.journal = journal

    async def ask(self, method: str, path: str, *, user: str | None = "ada", **more: Any) -> httpx2.Response:
        headers = ({"x-user": user} if user else {}) | more.pop("headers", {})
        answer = await self.client.request(method, path, headers=headers, **more)
        as_described(method, path.partition("?")[0], answer)
        return answer

    async def call(self, name: str, arguments: Any = None, **more: Any) -> httpx2.Response:
        return await self.ask("POST", f"/v1/tools/{name}/call", json={"arguments": {} if arguments is None else arguments}, **more)


def as_described(method: str, path: str, answer: httpx2.Response) -> None:
    """Hold an answer against what `/openapi.json` says of it."""
    document = description()
    operation = next(
        item[method.lower()]
        for template, item in document["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in item
    )
    response = operation["responses"][str(answer.status_code)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    [(media_type, content)] = response["content"].items()
    assert answer.headers["content-type"].partition(";")[0] == media_type
    if media_type != "application/json":
        return
    schema = content["schema"]
    jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())


@asynccontextmanager
async def world(tools: Sequence[Tool], **more: Any) -> AsyncIterator[World]:
    journal = MemoryJournal()
    stores = memory_stores(journal)
    gateway = build_gateway(tools, Policy(ROLES), stores, Settings())
    identify = more.pop("identify", by_name)
    app = Starlette(routes=faces(gateway, stores, **more), exception_handlers=EXCEPTION_HANDLERS)
    transport = httpx2.ASGITransport(guarded(app, Server(max_body=1000), identify), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield World(client, journal)


def raising(error: ToolgateError | Exception) -> Callable[[Call], Any]:
    async def run(_call: Call) -> Outcome:
        raise error

    return run


async def test_every_tool_that_the_caller_may_see_is_there_listed_or_not() -> None:
    async with world([a_tool(name="b", listed=False), a_tool(name="a"), a_tool(name="secret")]) as there:
        ada, root = (await there.ask("GET", "/v1/tools")).json(), (await there.ask("GET", "/v1/tools", user="root")).json()

    assert [tool["name"] for tool in ada["tools"]] == ["a", "b", "call_tool", "describe_tool", "search_tools"]
    assert (ada["total"], ada["next_cursor"]) == (5, None)
    assert "secret" in [tool["name"] for tool in root["tools"]]


async def test_pages_follow_each_other_until_the_last() -> None:
    names = [f"t{number}" for number in range(5)]
    async with world([a_tool(name=name) for name in names]) as there:
        pages, query = [], "limit=2"
        while query:
            answer = (await there.ask("GET", f"/v1/tools?{query}")).json()
            pages.append([tool["name"] for tool in answer["tools"]])
            query = f"limit=2&cursor={answer['next_cursor']}" if answer["next_cursor"] else ""

    assert pages == [["t0", "t1"], ["t2", "t3"], ["t4"]]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=0", "limit is a whole number from 1 to 1000"),
        ("limit=1001", "limit is a whole number from 1 to 1000"),
        ("limit=1e3", "limit is a whole number from 1 to 1000"),
        ("limit=%C2%B2", "limit is a whole number from 1 to 1000"),
        ("format=xml", "format is one of mcp, openai, openai-responses, anthropic, brief"),
        ("cursor=nonsense", "this cursor was not given by this server; list from the beginning"),
        ("cursor=", "this cursor was not given by this server; list from the beginning"),
    ],
)
async def test_a_query_that_means_nothing_says_what_would(query: str, message: str) -> None:
    async with world([a_tool()]) as there:
        answer = await there.ask("GET", f"/v1/tools?{query}")

    assert (answer.status_code, answer.json()) == (400, {"ok": False, "problem": {"code": "bad_request", "message": message}})


async def test_a_search_finds_by_words_what_the_caller_may_see_best_first() -> None:
    tools = [
        a_tool(name="issues_create", description="Create an issue.", integration="github", listed=False),
        a_tool(name="issues_list", description="List issues.", integration="github"),
        a_tool(name="secret_issues", description="Create issues.", integration="github"),
        a_tool(name="weather", description="The weather.", integration="sky"),
    ]
    async with world(tools) as there:
        found = (await there.ask("GET", "/v1/tools?query=create+an+issue&limit=5")).json()

    assert [tool["name"] for tool in found["tools"]] == ["issues_create", "issues_list"]


SHAPED = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("openai", {"type": "function", "function": {"name": "t", "description": "Does.", "parameters": SHAPED, "strict": False}}),
        ("openai-responses", {"type": "function", "name": "t", "description": "Does.", "parameters": SHAPED, "strict": False}),
        ("anthropic", {"name": "t", "description": "Does.", "input_schema": SHAPED}),
        (
            "mcp",
            {
                "name": "t",
                "title": "T",
                "description": "Does.",
                "inputSchema": SHAPED,
                "annotations": {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True},
            },
        ),
    ],
)
async def test_each_provider_gets_its_own_shape_of_the_advertised_schema(shape: str, expected: Mapping[str, Any]) -> None:
    full = {"type": "object", "properties": {"a": {"type": "string", "minLength": 3}}}
    async with world([a_tool(name="t", title="T", description="Does.", schema=full, advertised=SHAPED)]) as there:
        answer = await there.ask("GET", f"/v1/tools?format={shape}")

    assert answer.json()["tools"] == [expected]


async def test_the_mcp_shape_is_the_one_that_mcp_clients_get() -> None:
    tools = [a_tool(name="plain"), a_tool(name="titled", title="T", reads=False), a_tool(name="unlisted", listed=False)]
    gateway = build_gateway(tools, Policy(ROLES), memory_stores(), Settings())
    async with world(tools) as there:
        shown = (await there.ask("GET", "/v1/tools", user="root")).json()["tools"]

    assert shown == [definition(tool).model_dump(by_alias=True, mode="json", exclude_none=True) for tool in gateway.catalog]


async def test_one_tool_is_described_with_the_schema_that_is_enforced() -> None:
    full = {"type": "object", "properties": {"a": {"type": "string", "minLength": 3}}}
    tool = a_tool(
        name="t", description="Short.", details="Long.", schema=full, advertised=SHAPED, integration="x", tags=("y",), listed=False
    )
    async with world([tool]) as there:
        answer = await there.ask("GET", "/v1/tools/t")

    assert answer.json() == {
        "name": "t",
        "description": "Long.",
        "inputSchema": full,
        "annotations": {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True},
        "integration": "x",
        "tags": ["y"],
        "listed": False,
    }


async def test_a_hidden_tool_is_not_told_apart_from_none() -> None:
    async with world([a_tool(name="secret")]) as there:
        described = [await there.ask("GET", f"/v1/tools/{name}") for name in ("secret", "absent")]
        called = [await there.call(name, {"a": 1}) for name in ("secret", "absent")]

    for one, other in (described, called):
        assert (one.status_code, other.status_code) == (404, 404)
        assert one.text.replace("secret", "absent") == other.text


async def test_a_call_passes_the_gate_and_all_of_its_outcome_comes_back() -> None:
    seen: list[Call] = []

    async def run(call: Call) -> Outcome:
        seen.append(call)
        return Outcome(
            content=(Text("two"), Binary(b"\x00\xff", "image/png", "toolgate:x")),
            structured={"b": None},
            cost=1_500,
            meta={"status": 200, "next": {"page": 2}},
        )

    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    async with world([a_tool(run, name="t")]) as there:
        answer = await there.call("t", {"a": [1]}, headers={"idempotency-key": "k", "traceparent": trace})
        line, _intent = await there.journal.read("audit")

    assert answer.status_code == 200
    assert answer.json() == {
        "ok": True,
        "content": [
            {"type": "text", "text": "two"},
            {"type": "binary", "media_type": "image/png", "uri": "toolgate:x", "data": "AP8="},
        ],
        "structured": {"b": None},
        "problem": None,
        "meta": {"status": 200, "next": {"page": 2}},
        "cost": {"usd": "0.001500", "micros": 1500},
        "effect": "done",
        "replayed": False,
    }
    assert [(call.arguments, call.principal.id, call.idempotency_key, call.trace_parent) for call in seen] == [
        ({"a": [1]}, "ada", "k", trace)
    ]
    assert (line.body["tool"]["name"], line.body["result"]["ending"]) == ("t", "ok")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidArguments("t cannot take these"), 400, "invalid_arguments"),
        (UpstreamFailed("GitHub answered 500", status=500), 502, "upstream_failed"),
        (Unreachable("nobody answered"), 502, "unreachable"),
        (TimedOut("too slow"), 504, "timed_out"),
    ],
)
async def test_the_status_says_who_has_to_do_something(error: ToolgateError, status: int, code: str) -> None:
    async with world([a_tool(raising(error), name="t")]) as there:
        answer = await there.call("t")

    assert (answer.status_code, answer.json()["ok"]) == (status, False)
    assert answer.json()["problem"] == {"code": code, "message": str(error), "details": dict(error.details())}


async def test_a_refusal_is_forbidden_and_says_why() -> None:
    async with world([a_tool(name="frozen")]) as there:
        answer = await there.call("frozen")

    assert (answer.status_code, answer.json()["problem"]) == (
        403,
        {"code": "not_permitted", "message": "ada may not call frozen: it is frozen until Monday", "details": {"rule": "frozen"}},
    )


@pytest.mark.parametrize(("refused", "retry_after", "status"), [(True, 14.2, 429), (True, None, 403), (False, 14.2, 502)])
async def test_waiting_is_advised_where_it_helps(refused: bool, retry_after: float | None, status: int) -> None:
    async def run(_call: Call) -> Outcome:
        return Outcome(problem=Problem("a_new_one", "not now", retry_after=retry_after), refused=refused)

    async with world([a_tool(run, name="t")]) as there:
        answer = await there.call("t")

    assert (answer.status_code, answer.headers.get("retry-after")) == (status, None if retry_after is None else "15")


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (LimitReached("60 calls", 14.2), 429, "15"),
        (Repeating("again", 59.5), 429, "60"),
        (OverBudget("spent"), 429, None),
        (Busy("full"), 503, "1"),
        (Suspended("resting", 30), 503, "30"),
    ],
)
async def test_who_is_over_a_limit_hears_when_to_come_back(error: ToolgateError, status: int, retry_after: str | None) -> None:
    async def run(_call: Call) -> Outcome:
        raise error

    async with world([a_tool(run, name="t")]) as there:
        answer = await there.call("t")

    assert (answer.status_code, answer.headers.get("retry-after"), answer.json()["problem"]["code"]) == (status, retry_after, error.code)


@pytest.mark.parametrize(("effect", "said"), [("none", None), ("unknown", "false"), ("done", "false")])
async def test_clients_are_told_not_to_send_again_what_may_have_happened(effect: Any, said: str | None) -> None:
    async def run(_call: Call) -> Outcome:
        return Outcome(problem=Problem("audit_unavailable", "it could not be written down"), effect=effect)

    async with world([a_tool(run, name="t")]) as there:
        answer = await there.call("t")

    assert (answer.status_code, answer.headers.get("x-should-retry")) == (503, said)


@pytest.mark.parametrize("body", [[], 7, {"arguments": []}, {"arguments": None}, {"args": {}}, {"arguments": {}, "name": "x"}])
async def test_a_body_of_another_form_is_not_a_call(body: Any) -> None:
    echo = Echo()
    async with world([a_tool(echo, name="t")]) as there:
        answer = await there.ask("POST", "/v1/tools/t/call", json=body)

    assert (answer.status_code, echo.seen) == (400, [])


@pytest.mark.parametrize("key", ["", "k" * 256, "k k", "k\x7f"])
async def test_a_key_that_cannot_be_kept_is_refused_rather_than_passed_over(key: str) -> None:
    echo = Echo()
    async with world([a_tool(echo, name="t")]) as there:
        answer = await there.call("t", headers={"idempotency-key": key})

    assert (answer.status_code, answer.json()["problem"]["message"]) == (400, "an idempotency key has 1 to 255 visible ASCII characters")
    assert echo.seen == []


@pytest.mark.parametrize("trace", ["", "x", "00-" + "A" * 32 + "-" + "b" * 16 + "-01", "00-" + "a" * 32 + "-" + "b" * 16 + "-01, 00"])
async def test_a_trace_that_is_none_is_not_written_down(trace: str) -> None:
    echo = Echo()
    async with world([a_tool(echo, name="t")]) as there:
        await there.call("t", headers={"traceparent": trace})

    assert [call.trace_parent for call in echo.seen] == [None]


async def test_what_the_guard_refuses_is_answered_in_the_same_form() -> None:
    async with world([a_tool(name="t")]) as there:
        doubled = await there.ask(
            "POST", "/v1/tools/t/call", content=b'{"arguments": {}, "arguments": {}}', headers={"content-type": "application/json"}
        )
        large = await there.call("t", {"a": "x" * 1000})
        form = await there.ask("POST", "/v1/tools/t/call", data={"arguments": "x"})
        unknown = await there.ask("POST", "/v1/tools/t/call", user=None, json={})

    assert [answer.status_code for answer in (doubled, large, form, unknown)] == [400, 413, 415, 401]


async def test_a_bug_is_an_internal_error_without_its_message() -> None:
    async with world([a_tool(raising(ZeroDivisionError("the secret is 42")), name="t")]) as there:
        answer = await there.client.post("/v1/tools/t/call", headers={"x-user": "ada"}, json={})

    assert (answer.status_code, answer.json()["problem"]["code"], "42" in answer.text) == (500, "error", False)


async def test_a_path_or_method_that_is_not_there_says_where_to_look() -> None:
    async with world([]) as there:
        path = await there.client.get("/v2", headers={"x-user": "ada"})
        method = await there.client.delete("/v1/tools", headers={"x-user": "ada"})

    assert (path.status_code, path.json()) == (
        404,
        {"ok": False, "problem": {"code": "not_found", "message": "GET /openapi.json tells what is here"}},
    )
    assert (method.status_code, sorted(method.headers["allow"].split(", "))) == (405, ["GET", "HEAD"])


async def test_a_caller_that_hangs_up_takes_the_call_back() -> None:
    began, gone, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def endless(_call: Call) -> Outcome:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    journal = MemoryJournal()
    stores = memory_stores(journal)
    gateway = build_gateway([a_tool(endless, name="t")], Policy(ROLES), stores, Settings())
    app = guarded(Starlette(routes=faces(gateway, stores)), Server(), by_name)

    async def serve() -> None:
        await app(scope, receive, send)

    waiting: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        return None

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/tools/t/call",
        "query_string": b"",
        "headers": [(b"x-user", b"ada"), (b"host", b"localhost:80"), (b"content-type", b"application/json"), (b"content-length", b"2")],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            await began.wait()
            gone.set()

    assert ended.is_set()
    assert [line.body["result"]["ending"] for line in await journal.read("audit", limit=1)] == ["CancelledError"]


async def test_the_audit_is_read_by_admins_newest_first() -> None:
    async with world([a_tool(name="t"), a_tool(name="frozen")]) as there:
        await there.call("t")
        await there.call("frozen")
        refused = await there.ask("GET", "/v1/audit")
        newest = await there.ask("GET", "/v1/audit?limit=1", user="root")
        older = await there.ask("GET", "/v1/audit?before=2", user="root")
        reads = await there.ask("GET", "/v1/audit?limit=2", user="root")

    assert (refused.status_code, refused.json()["problem"]["message"]) == (403, "ada may not read the audit; the role admin may")
    assert [(line["seq"], line["tool"]["name"], line["type"]) for line in newest.json()["lines"]] == [(3, "frozen", "call.denied")]
    assert [(line["seq"], line["tool"]["name"], line["type"]) for line in older.json()["lines"]] == [(1, "t", "call.intent")]
    assert [(line["seq"], line["type"], line["principal"]["id"], line["details"]) for line in reads.json()["lines"]] == [
        (5, "audit.read", "root", {"by": "GET /v1/audit", "limit": 100, "before": 2, "lines": 1}),
        (4, "audit.read", "root", {"by": "GET /v1/audit", "limit": 1, "before": None, "lines": 1}),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", newest.json()["lines"][0]["at"])


async def test_what_is_served_and_whether_it_is_ready_is_as_the_program_says() -> None:
    github = Loaded("github", Path("github"), Integration(name="github", spec="openapi.json"), problem="no")
    reasons = iter(["the store is not open yet", None])
    async with world([a_tool(integration="github")], integrations=[github], unready=lambda: next(reasons)) as there:
        integrations = await there.ask("GET", "/v1/integrations")
        readiness = [await there.ask("GET", "/readyz", user=None) for _ in range(2)]
        health = await there.ask("GET", "/healthz", user=None)

    [told] = integrations.json()["integrations"]
    assert (told["name"], told["kind"], told["tools"], told["visible"], told["absent"]) == ("github", "openapi", 1, 1, {})
    assert told["problem"] == "it is not served as it should be; the operator of this server can see why"
    assert [(answer.status_code, answer.json()) for answer in readiness] == [
        (503, {"ready": False, "reason": "the store is not open yet"}),
        (200, {"ready": True, "reason": None}),
    ]
    assert (health.status_code, health.json()) == (200, {"alive": True})


@pytest.mark.parametrize(
    ("via", "readers", "status"), [("loopback", "admin", 403), ("loopback", "loopback", 200), ("key", "loopback", 403)]
)
async def test_metrics_are_for_admins_and_where_the_operator_says_so_for_loopback(via: Any, readers: str, status: int) -> None:
    async def identify(scope: Scope) -> Principal:
        return replace(await by_name(scope), via=via)

    async with world([a_tool(name="t")], identify=identify, metrics=readers) as there:
        await there.call("t")
        mine = await there.ask("GET", "/metrics")
        roots = await there.ask("GET", "/metrics", user="root")

    assert (mine.status_code, roots.status_code) == (status, 200)
    assert roots.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'toolgate_calls_total{integration="toolgate",ending="ok"} 1' in roots.text.splitlines()


async def test_only_health_is_told_to_somebody_unknown() -> None:
    statuses = {}
    async with world([a_tool(name="t")]) as there:
        for path, item in description()["paths"].items():
            for method in item.keys() - {"parameters"}:
                answer = await there.ask(method.upper(), path.replace("{name}", "t"), user=None)
                statuses[path] = answer.status_code

    assert {path for path, status in statuses.items() if status != 401} == {"/healthz", "/readyz"}


def test_the_description_and_the_routes_agree_both_ways() -> None:
    stores = memory_stores()
    served = {
        (route.path_format, method)  # type: ignore[attr-defined]
        for route in [
            *faces(build_gateway([], Policy(ROLES), stores, Settings()), stores),
            *agent_routes(Talking([]).agents, Talking([]).models),
        ]
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
    }
    described = {(path, method.upper()) for path, item in description()["paths"].items() for method in item.keys() - {"parameters"}}

    assert described == served | {(LINK, "POST"), (CONFIRM, "POST")}  # there where they are of use


async def test_the_served_description_becomes_tools_by_our_own_reader() -> None:
    async with world([]) as there:
        served = (await there.ask("GET", "/openapi.json")).content

    document = read_document(served, name="openapi.json")
    resolver = Resolver(document.root)
    operations, complaints = extract(document, resolver)
    converted = convert(operations, resolver, Integration(name="toolgate", kind="openapi", spec="openapi.json"), "3.1.0")

    assert [*document.diagnostics, *complaints] == []
    assert sorted(definition.name for definition in converted.definitions) == [
        "toolgate_accept_integration",
        "toolgate_add_integration",
        "toolgate_answer_approval",
        "toolgate_begin_consent",
        "toolgate_call_tool",
        "toolgate_complete_chat",
        "toolgate_confirm_consent",
        "toolgate_create_response",
        "toolgate_describe_integration",
        "toolgate_describe_tool",
        "toolgate_disable_integration",
        "toolgate_disable_provider",
        "toolgate_enable_integration",
        "toolgate_enable_provider",
        "toolgate_explain_model",
        "toolgate_export_audit",
        "toolgate_health",
        "toolgate_judge_run",
        "toolgate_list_approvals",
        "toolgate_list_budgets",
        "toolgate_list_clients",
        "toolgate_list_integrations",
        "toolgate_list_models",
        "toolgate_list_providers",
        "toolgate_list_runs",
        "toolgate_list_tools",
        "toolgate_model_costs",
        "toolgate_model_stats",
        "toolgate_model_wins",
        "toolgate_preview_integration",
        "toolgate_preview_tool",
        "toolgate_read_audit",
        "toolgate_read_metrics",
        "toolgate_read_openapi",
        "toolgate_read_usage",
        "toolgate_readiness",
        "toolgate_refresh_integration",
        "toolgate_run_agent",
        "toolgate_show_model",
        "toolgate_show_run",
        "toolgate_summarize_calls",
        "toolgate_test_integration",
        "toolgate_test_provider",
        "toolgate_verify_audit",
    ]


def test_importing_the_face_does_not_import_the_sdk() -> None:
    program = "import sys, toolgate.api; print({'mcp', 'mcp_types', 'uvicorn', 'aiohttp', 'httpx2'} & sys.modules.keys())"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=90).stdout == "set()\n"


class TestUsage:
    """Everybody sees their own, the role admin all."""

    async def asked(self, *paths: str, user: str = "ada") -> list[Any]:
        async with world([a_tool(name="dear", price=Price(2500)), a_tool(name="free")]) as there:
            for caller, tool in (("ada", "dear"), ("ada", "dear"), ("ada", "free"), ("bob", "dear")):
                assert (await there.ask("POST", f"/v1/tools/{tool}/call", user=caller, json={})).status_code == 200
            return [(await there.ask("GET", path, user=user)).json() for path in paths]

    async def test_a_caller_sees_what_it_used_itself(self) -> None:
        by_tool, by_user = await self.asked("/v1/usage", "/v1/usage?by=user,integration")

        nothing = {"usd": "0.000000", "micros": 0}
        assert by_tool["usage"] == [
            {"tool": "dear", "calls": 2, "refused": 0, "unknown": 0, "cost": {"usd": "0.005000", "micros": 5000}, "estimated": nothing},
            {"tool": "free", "calls": 1, "refused": 0, "unknown": 0, "cost": nothing, "estimated": nothing},
        ]
        assert [(line["user"], line["calls"]) for line in by_user["usage"]] == [("ada", 3)]

    async def test_an_admin_sees_everybodys_or_one_users(self) -> None:
        everybodys, bobs = await self.asked("/v1/usage?by=user", "/v1/usage?by=user&user=bob", user="root")

        assert [(line["user"], line["calls"]) for line in everybodys["usage"]] == [("ada", 3), ("bob", 1)]
        assert [(line["user"], line["calls"]) for line in bobs["usage"]] == [("bob", 1)]

    async def test_days_that_are_over_and_days_to_come_show_nothing(self) -> None:
        over, to_come = await self.asked("/v1/usage?since=2020-01-01&until=2020-12-31", "/v1/usage?since=2999-01-01&until=2999-12-31")

        assert (over["since"], over["until"], over["usage"], to_come["usage"]) == ("2020-01-01", "2020-12-31", [], [])

    @pytest.mark.parametrize(
        ("query", "status", "message"),
        [
            ("by=colour", 400, "by is one or several of day, tenant, user, tool, integration, provider, phase, separated by commas"),
            ("since=soon", 400, "since and until are days. a day is written as 2026-11-20, today, or 7d for the last seven days"),
            ("until=99999999999d", 400, "since and until are days. a day is written as 2026-11-20, today, or 7d for the last seven days"),
            ("user=bob", 403, "ada may only see its own use; the role admin sees everybody's"),
            ("tenant=other", 403, "ada may only see its own use; the role admin sees everybody's"),
        ],
    )
    async def test_what_cannot_be_asked_is_said(self, query: str, status: int, message: str) -> None:
        async with world([]) as there:
            answer = await there.ask("GET", f"/v1/usage?{query}")

        assert (answer.status_code, answer.json()["problem"]["message"]) == (status, message)
