"""What is written of a call: enough to prove what happened, and nothing that must not be known."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from toolgate.audit.event import new_event
from toolgate.calls import Call, Outcome, Principal, Text, Tool
from toolgate.errors import AuditUnavailable, UpstreamFailed
from toolgate.gateway import Gateway, build_gateway
from toolgate.gateway.audit import record, write_down_change
from toolgate.policy.load import load_policy
from toolgate.settings import Audit, Settings, bundled
from toolgate.stores import open_stores
from toolgate.stores.memory import MemoryJournal, memory_stores
from toolgate.testing import Echo, a_principal, a_tool

KEY = "ghp_" + "Zz19" * 9
LOGIN = {"type": "object", "properties": {"user": {"type": "string"}, "pin": {"type": "string", "format": "password"}}}


def a_gateway(journal: MemoryJournal, *tools: Tool, **audit: Any) -> Gateway:
    return build_gateway(tools, load_policy(bundled("policies")), memory_stores(journal), Settings(audit=Audit(**audit)))


async def events(journal: MemoryJournal) -> list[Any]:
    """Oldest first."""
    return [entry.body for entry in reversed(await journal.read("audit"))]


async def test_the_intent_is_durable_before_the_tool_runs_and_the_outcome_before_the_answer() -> None:
    journal = MemoryJournal()
    seen: list[list[str]] = []

    async def look(_call: Call) -> Outcome:
        seen.append([event["type"] for event in await events(journal)])
        return Outcome()

    await a_gateway(journal, a_tool(look)).call("echo", {}, a_principal())

    assert seen == [["call.intent"]]
    assert [event["type"] for event in await events(journal)] == ["call.intent", "call.outcome"]


class Failing(MemoryJournal):
    """Cannot write events of some types."""

    def __init__(self, *types: str) -> None:
        super().__init__()
        self._types = types

    async def append(self, stream: str, body: Any, *, opens: str | None = None, closes: str | None = None) -> int:
        if body["type"] in self._types:
            raise AuditUnavailable("disk full")
        return await super().append(stream, body, opens=opens, closes=closes)


async def test_a_call_whose_intent_cannot_be_written_never_runs_and_says_why() -> None:
    journal, echo = Failing("call.intent"), Echo()

    outcome = await a_gateway(journal, a_tool(echo, reads=False)).call("echo", {}, a_principal("admin"))

    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.effect, echo.seen) == ("audit_unavailable", "none", [])
    [event] = await events(journal)
    assert (event["type"], event["result"]["code"], event["result"]["effect"]) == ("call.outcome", "audit_unavailable", "none")


async def test_an_answer_whose_outcome_cannot_be_written_is_withheld_and_its_effect_is_unknown() -> None:
    echo = Echo()

    outcome = await a_gateway(Failing("call.outcome"), a_tool(echo, reads=False)).call("echo", {"n": 1}, a_principal("admin"))

    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.effect, outcome.content, len(echo.seen)) == ("audit_unavailable", "unknown", (), 1)
    assert outcome.structured is Outcome().structured


async def test_a_refusal_that_cannot_be_written_is_withheld_too_and_nothing_has_happened() -> None:
    outcome = await a_gateway(Failing("call.denied"), a_tool(reads=False)).call("echo", {}, a_principal())

    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.effect) == ("audit_unavailable", "none")


async def test_only_writes_have_an_intent_where_an_operator_chose_so_and_reads_keep_their_arguments() -> None:
    journal = MemoryJournal()
    gateway = a_gateway(journal, a_tool(name="get"), a_tool(name="put", reads=False), intent="writes")

    await gateway.call("get", {"n": 1}, a_principal("admin"))
    await gateway.call("put", {"n": 2}, a_principal("admin"))

    told = [(event["type"], event["tool"]["name"], event.get("arguments", {}).get("values")) for event in await events(journal)]
    assert told == [("call.outcome", "get", {"n": 1}), ("call.intent", "put", {"n": 2}), ("call.outcome", "put", None)]


async def test_no_secret_of_a_call_is_in_the_audit_wherever_it_stood() -> None:
    journal = MemoryJournal()

    async def leak(call: Call) -> Outcome:
        if call.arguments.get("fail"):
            raise UpstreamFailed(f"bad key {KEY}", 401)
        return Outcome(content=(Text(KEY),), structured={"key": KEY}, meta={"status": 200, "next": {"key": KEY}})

    async def die(_call: Call) -> Outcome:
        raise RuntimeError(KEY)

    gateway = a_gateway(
        journal,
        a_tool(leak, schema=LOGIN),
        a_tool(die, name="die"),
        a_tool(name="typed", schema={"properties": {"n": {"type": "integer"}}}),
    )
    caller = a_principal("admin")
    for arguments in ({"user": "ada", "pin": "hunter2"}, {"fail": KEY}, {"user": {"deep": [KEY]}}, {KEY: 1}):
        await gateway.call("echo", arguments, caller)
    await gateway.call("typed", {"n": "hunter2"}, caller)
    await gateway.call(f"no_such_{KEY}", {"password": "hunter2"}, caller)
    with pytest.raises(RuntimeError):
        await gateway.call("die", {}, caller)

    text = orjson.dumps(await events(journal)).decode()
    assert "hunter2" not in text
    assert KEY not in text
    assert '"user":"ada"' in text


async def test_equal_arguments_have_one_digest_within_a_tenant_and_none_that_another_could_compare() -> None:
    journal = MemoryJournal()
    gateway = a_gateway(journal, a_tool())
    acme = a_principal()
    evil = replace(acme, tenant="evil")

    for caller, arguments in ((acme, {"a": 1, "b": 2}), (acme, {"b": 2, "a": 1}), (acme, {"a": 1, "b": 3}), (evil, {"a": 1, "b": 2})):
        await gateway.call("echo", arguments, caller)

    one, same, other, theirs = [event["arguments"]["digest"] for event in await events(journal) if event["type"] == "call.intent"]
    assert one == same
    assert len({one, other, theirs}) == 3


async def test_only_names_are_kept_where_an_operator_chose_so_and_where_no_schema_has_looked() -> None:
    journal = MemoryJournal()
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}

    await a_gateway(journal, a_tool(schema=schema), arguments="names").call("echo", {"n": 1}, a_principal())
    await a_gateway(journal, a_tool(schema=schema)).call("echo", {"n": "x", "m": "y"}, a_principal())
    await a_gateway(journal, a_tool(schema=schema)).call("nothing", {"n": "x"}, a_principal())

    kept = [event["arguments"] for event in await events(journal) if "arguments" in event]
    assert [(each["names"], "values" in each) for each in kept] == [(["n"], False), (["m", "n"], False), (["n"], False)]


async def test_what_an_operator_hides_is_hidden() -> None:
    journal = MemoryJournal()

    await a_gateway(journal, a_tool(), redact=("ec*:customer.email",)).call("echo", {"customer": {"email": "a@b", "id": 7}}, a_principal())

    intent, _ = await events(journal)
    assert intent["arguments"]["values"] == {"customer": {"email": "[redacted]", "id": 7}}


@pytest.mark.parametrize("attack", ['"}\n{"forged":1}', "\x1b[2J", "a\u202eb", "\u2028", "\ud800", "x\x00y\x9b"])
async def test_one_event_is_one_line_whatever_a_caller_sends(attack: str, tmp_path: Any) -> None:
    name = attack.encode(errors="replace").decode()  # no credential's text can hold half a character
    caller = Principal(id=f"token:{name}", roles=("admin",), tier="pro", tenant=name, credential=name, acting_for=(name,))
    async with open_stores("sqlite", tmp_path) as stores:
        gateway = build_gateway([a_tool(Echo())], load_policy(bundled("policies")), stores, Settings())
        await gateway.call("echo", {"a": attack, attack: [attack]}, caller, trace_parent=attack)
        await gateway.call(attack, {}, caller)
        written = [entry.body for entry in await stores.journal.read("audit")]

    assert [event["type"] for event in written] == ["call.denied", "call.outcome", "call.intent"]
    raw = (tmp_path / "toolgate.db").read_bytes()
    for control in ("\x1b", "\u202e", "\u2028", "\x9b"):
        assert f"token:{control}".encode() not in raw
    assert {event["principal"]["id"] for event in written} == {f"token:{name}"}
    assert written[2]["arguments"]["values"] == {"a": name, name: [name]}


async def test_a_call_that_is_cancelled_while_its_intent_is_written_is_closed_all_the_same(tmp_path: Any) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        gateway = build_gateway([a_tool(reads=False)], load_policy(bundled("policies")), stores, Settings())
        for turns in range(12):
            task = asyncio.create_task(gateway.call("echo", {"n": turns}, a_principal("admin")))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    async with open_stores("sqlite", tmp_path) as stores:  # who is cancelled while the outcome is written does not wait for it
        written = [entry.body for entry in await stores.journal.read("audit")]
        assert await stores.journal.recover() == 0

    intents = [event["call"] for event in written if event["type"] == "call.intent"]
    closed = [event["call"] for event in written if event["type"] == "call.outcome"]
    assert len(intents) == len(set(intents)) > 0
    assert set(intents) <= set(closed)


async def test_an_event_about_something_else_says_who_did_it_and_hides_what_looks_secret() -> None:
    journal = MemoryJournal()

    seq = await record(journal, "auth.failed", principal=None, tenant="acme", reason=f"no such key {KEY}", token="abc", source="10.0.0.7")

    [event] = await events(journal)
    assert seq == 1
    assert event == new_event("auth.failed", "acme", journal.instance) | {
        "id": event["id"],
        "principal": None,
        "details": {"reason": "no such key [redacted]", "token": "[redacted]", "source": "10.0.0.7"},
    }


async def test_a_change_is_written_down_once_and_again_when_it_is_another() -> None:
    journal = MemoryJournal()
    stores = memory_stores(journal)

    for digest in ("a", "a", "b", "", ""):
        await write_down_change(stores, "tool.drift", "github", digest)
    await write_down_change(stores, "tool.drift", "other", "")

    assert [(event["details"]["before"], event["details"]["digest"]) for event in await events(journal)] == [
        ("", "a"),
        ("a", "b"),
        ("b", ""),
    ]
