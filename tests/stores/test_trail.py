"""The audit as people ask it, over both journals."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.settings import Audit
from toolgate.stores import Journal
from toolgate.stores.memory import MemoryJournal
from toolgate.stores.sqlite import open_sqlite
from toolgate.stores.trail import Asked, Sum, Trail, added, class_of, middle


@dataclass
class World:
    journal: Journal
    trail: Trail

    async def ended(self, tool: str = "t", who: str = "ada", ending: str = "ok", **more: Any) -> int:
        return await self.journal.append("audit", line(tool, who, ending, **more))

    async def found(self, **asked: Any) -> list[int]:
        assert await self.trail.follow() == 0
        return list(await self.trail.find(Asked(**asked), limit=100))


def line(tool: str, who: str, ending: str = "ok", ms: float = 10.0, cost: int = 0, **more: Any) -> Mapping[str, Any]:
    return {
        "id": more.pop("id", f"{tool}{who}{ending}"),
        "type": "call.denied" if ending == "refused" else "call.outcome",
        "tenant": more.pop("tenant", "default"),
        "principal": {"id": who},
        "tool": {"name": tool, "integration": "shop"},
        "result": {"ending": ending},
        "money": {"settled": cost},
        "ms": ms,
        **more,
    }


@pytest.fixture(params=["memory", "sqlite"])
async def there(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        journal = MemoryJournal()
        trail = Trail(journal)
        yield World(journal, trail)
        trail.close()
    else:
        async with open_sqlite(tmp_path / "toolgate.db", Audit()) as stores:
            trail = Trail(stores.journal, tmp_path / "trail.db")
            yield World(stores.journal, trail)
            trail.close()


async def test_lines_are_found_by_person_tool_ending_and_type_newest_first(there: World) -> None:
    one = await there.ended("list_items", "ada")
    two = await there.ended("add_item", "bob", "refused")
    three = await there.ended("list_items", "bob", "failed")

    assert await there.found() == [three, two, one]
    assert await there.found(who="bob") == [three, two]
    assert await there.found(who="bob", tool="list_*") == [three]
    assert await there.found(ending="refused") == [two]
    assert await there.found(type="call.d*") == [two]
    assert await there.found(who="nobody") == await there.found(tool="[a-z]*") == []


async def test_ids_of_our_own_calls_lead_through_the_tree_too(there: World) -> None:
    ours, theirs = "0123456789abcdef" * 2, "0123456789ABCDEF" * 2  # what is written otherwise is another
    root = await there.ended(call=ours)
    child = await there.ended(call="b" * 32, parent=ours)
    other = await there.ended(call=theirs)

    assert await there.found(call=ours) == [child, root]
    assert await there.found(call=theirs) == [other]


async def test_calls_that_are_learned_together_are_added_up(there: World) -> None:
    for _ in range(3):
        await there.ended(cost=2)
    await there.trail.follow()
    await there.ended(cost=5)

    assert await there.trail.follow() == 0
    assert (await there.trail.sums_by("tool", since=0))["t"] == Sum(4, 4, 0, 0, 11, *[middle(class_of(10.0))] * 3)


async def test_what_was_made_in_another_shape_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "trail.db"
    with closing(sqlite3.connect(file)) as old, old:
        old.execute("create table line (seq integer primary key, at integer not null, id text, call text)")
        old.execute("insert into line values (1, 1, 'x', 'y')")
    journal = MemoryJournal()
    there = World(journal, Trail(journal, file))
    one = await there.ended()

    assert await there.found() == [one]
    there.trail.close()


async def test_a_call_is_found_with_those_that_were_made_on_its_behalf(there: World) -> None:
    root = await there.ended(call="a")
    child = await there.ended(call="b", parent="a")
    await there.ended(call="c")
    grandchild = await there.ended(call="d", parent="b")

    assert await there.found(call="a") == [grandchild, child, root]
    assert await there.found(call="b") == [grandchild, child]


async def test_lines_are_found_by_when_they_were_written(there: World) -> None:
    one, two = await there.ended(), await there.ended()
    [first, second] = await there.journal.since("audit", after=0)

    assert await there.found(since=second.at) == ([two] if second.at > first.at else [two, one])
    assert await there.found(until=first.at) == []
    assert await there.found(since=second.at + 1) == []


async def test_pages_go_by_number(there: World) -> None:
    numbers = [await there.ended() for _ in range(5)]
    await there.trail.follow()

    assert await there.trail.find(Asked(who="ada"), limit=2, before=numbers[3]) == [numbers[2], numbers[1]]


async def test_calls_are_added_up_by_time_and_by_tool(there: World) -> None:
    for ms in (10.0, 20.0, 30.0):
        await there.ended("a", ms=ms, cost=5)
    await there.ended("b", "bob", "refused", ms=0.1)
    await there.ended("b", "bob", "failed", ms=1000.0)
    await there.journal.append("audit", {"type": "call.intent", "id": "i", "tenant": "default", "principal": {"id": "ada"}})
    await there.trail.follow()

    by = await there.trail.sums_by("tool", since=0)

    assert list(by) == ["a", "b"]
    assert (by["a"].calls, by["a"].ok, by["a"].cost) == (3, 3, 15)
    assert by["a"].p50 == pytest.approx(20, rel=0.05)
    assert by["a"].p99 == pytest.approx(30, rel=0.05)
    assert (by["b"].refused, by["b"].failed) == (1, 1)
    assert by["b"].p50 == pytest.approx(1000, rel=0.05)  # what was refused took no time of the tool's
    [whole] = (await there.trail.sums(since=0, minutes=10**9)).values()
    assert whole.calls == 5
    assert (await there.trail.sums_by("user", since=0, tenant="default", who="bob")).keys() == {"bob"}
    assert await there.trail.sums_by("user", since=0, tenant="other", who="bob") == {}


async def test_what_is_known_of_another_journal_is_forgotten(tmp_path: Path) -> None:
    one, other = MemoryJournal(), MemoryJournal()
    await one.append("audit", line("a", "ada", id="1"))
    first = Trail(one, tmp_path / "trail.db")
    await first.follow()
    first.close()
    await other.append("audit", line("b", "ada", id="2"))

    trail = Trail(other, tmp_path / "trail.db")
    await trail.follow()

    assert (await trail.sums_by("tool", since=0)).keys() == {"b"}
    trail.close()


async def test_two_processes_that_follow_one_journal_count_each_call_once(tmp_path: Path) -> None:
    journal = MemoryJournal()
    await journal.append("audit", line("a", "ada"))
    one, other = Trail(journal, tmp_path / "trail.db"), Trail(journal, tmp_path / "trail.db")

    await one.follow()
    await other.follow()
    await one.follow()

    assert (await other.sums_by("tool", since=0))["a"].calls == 1
    one.close()
    other.close()


@given(st.floats(min_value=0.01, max_value=1e7))
def test_a_class_is_right_within_five_per_cent(ms: float) -> None:
    assert middle(class_of(ms)) == pytest.approx(ms, rel=0.05)


def test_nothing_added_up_is_nothing() -> None:
    assert added([]) == Sum()
