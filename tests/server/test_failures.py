"""Refused credentials: how many are answered, how few lines tell of them, and that no memory grows with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from toolgate.errors import AuditUnavailable
from toolgate.server.failures import KEPT, LINES, Failures, counting, network
from toolgate.testing import FakeClock


class Audit:
    def __init__(self) -> None:
        self.lines: list[Mapping[str, Any]] = []
        self.written = anyio.Event()

    async def __call__(self, line: Mapping[str, Any]) -> None:
        self.lines.append(line)
        self.written.set()


def line(count: int, address: str = "192.0.2.7", shown: str = "tg_aaaaaaaa", why: str = "unknown") -> dict[str, Any]:
    return {"address": address, "shown": shown, "why": why, "count": count}


def the_failures(most: int = 3) -> tuple[Failures, Audit, FakeClock]:
    audit, clock = Audit(), FakeClock(100.0)
    return Failures(audit, most, clock), audit, clock


def test_after_so_many_in_a_minute_each_says_when_to_come_back() -> None:
    failures, _, clock = the_failures(most=3)

    waits = []
    for _ in range(5):
        waits.append(failures.add("192.0.2.7", "tg_aaaaaaaa", "unknown"))
        clock.now += 10

    assert waits == [None, None, None, 30.0, 20.0]
    clock.now = 160.0
    assert failures.add("192.0.2.7", "tg_aaaaaaaa", "unknown") is None


def test_other_addresses_and_other_keys_are_counted_apart() -> None:
    failures, _, _ = the_failures(most=1)

    pairs = [("192.0.2.7", "tg_aaaaaaaa"), ("192.0.2.8", "tg_aaaaaaaa"), ("192.0.2.7", "tg_bbbbbbbb"), ("192.0.2.7", "token")]

    assert [failures.add(*pair, "unknown") for pair in pairs] == [None] * 4
    assert [failures.add(*pair, "unknown") for pair in pairs] == [60.0] * 4


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("a socket", "unknown"),
    ],
)
def test_the_addresses_of_one_household_count_together(peer: str | None, counted: str) -> None:
    assert network(peer) == counted


async def test_a_flood_is_told_in_a_few_lines_and_every_failure_is_counted() -> None:
    failures, audit, _ = the_failures()
    for number in range(100):
        for _ in range(3):
            failures.add(f"192.0.2.{number}", "token", "expired" if number else "first")

    await failures.report()
    await failures.report()

    assert audit.lines[0] == line(3, "192.0.2.0", "token", "first")
    assert len(audit.lines) == LINES + 1
    assert audit.lines[-1] == line(3 * (100 - LINES), "several", "several", "several")
    assert sum(one["count"] for one in audit.lines) == 300


async def test_memory_is_bounded_whatever_is_shown() -> None:
    failures, audit, _ = the_failures(most=1)
    for number in range(3 * KEPT):
        failures.add("192.0.2.7", f"key {number}", "unknown")

    assert len(vars(failures)["_counts"]) == KEPT
    assert len(vars(failures)["_untold"]) <= KEPT + 1
    await failures.report()
    assert sum(one["count"] for one in audit.lines) == 3 * KEPT


async def test_the_first_failure_is_told_at_once_and_the_last_before_the_end() -> None:
    audit = Audit()
    async with counting(audit, 3) as failures:
        failures.add("192.0.2.7", "tg_aaaaaaaa", "unknown")
        with anyio.fail_after(30):
            await audit.written.wait()
        assert audit.lines == [line(1)]
        failures.add("192.0.2.7", "tg_aaaaaaaa", "unknown")
        failures.add("192.0.2.7", "tg_aaaaaaaa", "again")

    assert audit.lines == [line(1), line(2)]


async def test_an_audit_that_cannot_be_written_lets_nobody_in_and_stops_nothing() -> None:
    async def full(_line: Mapping[str, Any]) -> None:
        raise AuditUnavailable("the disk is full")

    failures = Failures(full, 1, FakeClock())
    failures.add("192.0.2.7", "token", "expired")

    await failures.report()

    assert failures.add("192.0.2.7", "token", "expired") == 60.0
