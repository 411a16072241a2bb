"""A flood of refusals is told in few lines, and nothing of it is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.app import open_app
from toolgate.calls import Principal
from toolgate.errors import AuditUnavailable
from toolgate.gateway import build_gateway
from toolgate.gateway.flood import GAP, KEPT, WINDOW, Floods
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Audit, Settings, read_settings
from toolgate.stores.memory import memory_stores
from toolgate.stores.verify import records
from toolgate.testing import Echo, FakeClock, a_principal, a_tool

ADA, EVE = a_principal(id="ada"), a_principal(id="eve")


class Told:
    def __init__(self) -> None:
        self.lines: list[tuple[str, Mapping[str, Any]]] = []
        self.works = True

    async def __call__(self, principal: Principal, found: Mapping[str, Any]) -> None:
        if not self.works:
            raise AuditUnavailable("the disk is full")
        self.lines.append((principal.id, found))


def floods(told: Told, clock: FakeClock, most: int = 3) -> Floods:
    return Floods(told, most, lambda: clock.now)


async def test_the_first_are_lines_of_their_own_and_the_rest_is_told_after_a_while() -> None:
    told, clock = Told(), FakeClock()
    flood = floods(told, clock)

    taken = [flood.take(ADA, "not_permitted", "a") for _ in range(5)]
    flood.take(ADA, "limit_reached", "b")
    other = flood.take(EVE, "not_permitted", "a")
    await flood.tell()
    early = list(told.lines)
    clock.now += GAP
    await flood.tell()
    await flood.tell()

    assert (taken, other, early) == ([False, False, False, True, True], False, [])
    assert told.lines == [("ada", {"count": 3, "codes": {"not_permitted": 2, "limit_reached": 1}, "tools": {"a": 2, "b": 1}})]


async def test_a_minute_later_they_are_lines_again_and_what_was_untold_is_told() -> None:
    told, clock = Told(), FakeClock()
    flood = floods(told, clock)
    for _ in range(5):
        flood.take(ADA, "not_permitted", "a")
    clock.now += WINDOW

    assert not flood.take(ADA, "not_permitted", "a")
    await flood.tell()
    assert [found["count"] for _, found in told.lines] == [2]


async def test_what_cannot_be_written_is_told_later() -> None:
    told, clock = Told(), FakeClock()
    flood = floods(told, clock)
    for _ in range(5):
        flood.take(ADA, "not_permitted", "a")
    clock.now += GAP
    told.works = False
    with pytest.raises(AuditUnavailable):
        await flood.tell()
    told.works = True
    await flood.tell()

    assert [found["count"] for _, found in told.lines] == [2]


async def test_many_callers_take_no_more_room_than_there_is() -> None:
    told, clock = Told(), FakeClock()
    flood = floods(told, clock, most=1)
    for number in range(KEPT + 100):
        flood.take(a_principal(id=f"p{number}"), "not_permitted", "a")

    assert len(flood._floods) == KEPT


@given(st.lists(st.tuples(st.sampled_from([ADA, EVE]), st.floats(0, 30)), max_size=60))
async def test_every_refusal_is_a_line_or_counted_in_one(steps: list[tuple[Principal, float]]) -> None:
    told, clock = Told(), FakeClock()
    flood, lines = floods(told, clock), 0
    for principal, wait in steps:
        clock.now += wait
        lines += not flood.take(principal, "not_permitted", "a")
        await flood.tell()
    clock.now += GAP
    await flood.tell()

    assert lines + sum(found["count"] for _, found in told.lines) == len(steps)


async def test_the_gate_refuses_all_of_them_and_writes_few_down() -> None:
    stores = memory_stores()
    policy = Policy([Role(role="reader", permissions=(Permission(id="one", tools="one"),))])
    tools = [a_tool(Echo(), name="one"), a_tool(Echo(), name="two")]
    gateway = build_gateway(tools, policy, stores, Settings(audit=Audit(refusals=5)))

    outcomes = [await gateway.call("two", {}, a_principal("reader")) for _ in range(50)]
    fine = await gateway.call("one", {}, a_principal("reader"))
    kinds = [entry.body["type"] for entry in await stores.journal.read("audit", limit=1000)]

    assert {outcome.problem.code for outcome in outcomes if outcome.problem} == {"unknown_tool"}
    assert len(outcomes) == 50
    assert fine.ok
    assert sorted(kinds) == ["call.denied"] * 5 + ["call.intent", "call.outcome"]


async def test_what_is_untold_is_written_when_the_application_ends(tmp_path: Path) -> None:
    values = {"tool_specs": [], "data_dir": "state", "store": "sqlite", "audit": {"refusals": 5}}
    (tmp_path / "toolgate.yaml").write_text(json.dumps(values))

    async with open_app(read_settings(tmp_path / "toolgate.yaml", {})) as app:
        for _ in range(12):
            await app.gateway.call("nothing", {}, EVE)

    lines = [entry.body for entry in records(tmp_path / "state" / "toolgate.db")]
    assert [line["type"] for line in lines if line["type"] in ("call.denied", "call.flood")] == ["call.denied"] * 5 + ["call.flood"]
    assert lines[-1]["details"]["count"] == 7
