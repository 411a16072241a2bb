"""A changed folder: taken over whole, once it has settled, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from toolgate.errors import AuditUnavailable, Misconfigured
from toolgate.policy.decide import decide
from toolgate.policy.live import Live, Watch, candidate_of, watching
from toolgate.policy.load import load_tested
from toolgate.testing import a_call, a_tool

READS = "role: developer\npermissions: [{id: dev.reads, tools: '*', conditions: [{field: tool.read_only, operator: equals, value: true}]}]"
ALL = "role: developer\npermissions: [{id: dev.all, tools: '*'}]"
CASE = "- {name: no writes, principal: {roles: [developer]}, call: {tool: w}, expect: {decision: deny}}"
WRITE = a_call(a_tool(reads=False))


@dataclass
class Told:
    """What was written down; `down` while it cannot be."""

    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    down: bool = False

    async def __call__(self, type: str, details: Mapping[str, Any]) -> None:
        if self.down:
            raise AuditUnavailable("disk full")
        self.events.append((type, details))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "roles").mkdir()
    (tmp_path / "tests").mkdir()
    write(tmp_path, READS)
    return tmp_path


def write(folder: Path, role: str) -> None:
    (folder / "roles" / "developer.yaml").write_text(role)


async def test_a_change_is_in_force_once_it_has_settled_and_is_written_down_before(folder: Path) -> None:
    live, told = Live(load_tested(folder)), Told()
    before, watch = live.current, Watch(live, folder, told)

    write(folder, ALL)
    await watch.look()
    assert live.current is before
    await watch.look()

    assert decide(WRITE, live.current).rule == "dev.all"
    assert told.events == [("policy.changed", {"place": "current", "before": before.digest, "after": live.current.digest})]
    await watch.look()
    assert len(told.events) == 1


@pytest.mark.parametrize(
    ("role", "problem"),
    [
        ("role: developer\npermissions: [{id: x, tools", "developer.yaml"),
        ("role: developer\npermissions: [{id: x, tools: '*', effects: deny}]", "Extra inputs are not permitted"),
        (ALL, "'no writes' expects decision deny and gets decision allow"),
    ],
)
async def test_what_cannot_be_used_or_fails_its_own_tests_leaves_the_last_good_one(folder: Path, role: str, problem: str) -> None:
    (folder / "tests" / "cases.yaml").write_text(CASE)
    live, told = Live(load_tested(folder)), Told()
    before, watch = live.current, Watch(live, folder, told)

    write(folder, role)
    for _ in range(4):
        await watch.look()

    assert live.current is before
    [(event, details)] = told.events
    assert (event, details["before"]) == ("policy.failed", before.digest)
    assert problem in details["problem"]


async def test_a_mended_folder_is_taken_over(folder: Path) -> None:
    live, told = Live(load_tested(folder)), Told()
    watch = Watch(live, folder, told)

    for role in ("nonsense", ALL):
        write(folder, role)
        await watch.look()
        await watch.look()

    assert decide(WRITE, live.current).permitted
    assert [event for event, _ in told.events] == ["policy.failed", "policy.changed"]


async def test_a_folder_that_says_the_same_again_changes_nothing(folder: Path) -> None:
    live, told = Live(load_tested(folder)), Told()
    before, watch = live.current, Watch(live, folder, told)

    write(folder, f"# a comment\n{READS}")
    await watch.look()
    await watch.look()

    assert (live.current, told.events) == (before, [])


async def test_nothing_is_put_in_force_that_cannot_be_written_down_and_it_is_tried_again(folder: Path) -> None:
    live, told = Live(load_tested(folder)), Told(down=True)
    before, watch = live.current, Watch(live, folder, told)
    write(folder, ALL)
    await watch.look()
    await watch.look()
    assert live.current is before

    told.down = False
    await watch.look()

    assert decide(WRITE, live.current).permitted


async def test_a_candidate_is_followed_in_its_own_place(folder: Path) -> None:
    live, told = Live(load_tested(folder), candidate_of(folder)), Told()
    before, watch = live.current, Watch(live, folder, told, "candidate")

    write(folder, ALL)
    await watch.look()
    await watch.look()

    assert live.current is before
    assert live.candidate is not None
    assert decide(WRITE, live.candidate).permitted
    assert told.events[0][1]["place"] == "candidate"


async def test_while_the_block_runs_the_folder_is_looked_at_by_itself(folder: Path) -> None:
    taken = anyio.Event()
    live = Live(load_tested(folder))

    async def tell(type: str, details: Mapping[str, Any]) -> None:
        taken.set()

    async with watching(Watch(live, folder, tell), seconds=0.001):
        write(folder, ALL)
        with anyio.fail_after(30):
            await taken.wait()


def test_a_candidate_that_cannot_be_used_is_left_out_and_reported(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(folder, "nonsense")

    assert candidate_of(folder) is None
    assert candidate_of(None) is None
    assert "is not tried" in caplog.text


def test_a_policy_that_fails_its_own_tests_is_not_loaded(folder: Path) -> None:
    write(folder, ALL)
    (folder / "tests" / "cases.yaml").write_text(CASE)

    with pytest.raises(Misconfigured, match="decides 1 of its 1 tests otherwise than they expect; 'no writes'"):
        load_tested(folder)
