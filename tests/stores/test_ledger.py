"""One contract for every ledger: never more than a budget, nothing lost, and a period that has ended stays ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from toolgate.errors import AuditUnavailable
from toolgate.money import Micros
from toolgate.stores import Account, Balance, Dimension, Every, Hold, Ledger, Limit, Shortage, Usage, Use
from toolgate.stores.database import Database
from toolgate.stores.ledger import SCHEMA, SqlLedger
from toolgate.stores.memory import memory_ledger
from toolgate.testing import FakeClock

ADA, BOB = Account("user", "acme", "ada"), Account("user", "acme", "bob")
ACME = Account("tenant", "acme")
USE = Use("acme", "ada", "echo", "tests")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON, MIDNIGHT, NEW_YEAR = at("2026-11-20T12:00:00"), at("2026-11-21T00:00:00"), at("2027-01-01T00:00:00")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOON)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def ledger(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield memory_ledger(clock)
    elif request.param == "postgres":
        url = request.getfixturevalue("new_database")()
        from toolgate.stores.postgres import open_postgres

        async with open_postgres(url, clock) as opened:
            yield opened
    else:
        async with Database.open(tmp_path / "x.db", SCHEMA) as database:
            yield SqlLedger(database, clock)


def hold(id: str, amount: Micros, *limits: Limit, seconds: float = 60.0, use: Use = USE) -> Hold:
    return Hold(id, amount, seconds, limits or (Limit(ADA, day=100),), use)


@dataclass(frozen=True)
class Sum:
    spent: Micros
    held: Micros


async def sums(ledger: Ledger, every: Every = "day") -> Mapping[Account, Sum]:
    return {found.account: Sum(found.spent, found.held) for found in await ledger.balances() if found.every == every}


async def used(ledger: Ledger, *by: Dimension) -> list[tuple[object, ...]]:
    rows = await ledger.usage(by)
    return [(*row.of.values(), row.calls, row.refused, row.unknown, row.cost, row.estimated) for row in rows]


async def test_what_is_reserved_is_held_and_what_is_settled_is_spent(ledger: Ledger) -> None:
    assert await ledger.reserve(hold("1", 60)) is None
    assert await sums(ledger) == {ADA: Sum(0, 60)}

    ledger.settle("1", 25)

    assert await sums(ledger) == {ADA: Sum(25, 0)}
    assert await sums(ledger, "month") == {ADA: Sum(25, 0)}
    assert await used(ledger, "day", "user", "tool") == [("2026-11-20", "ada", "echo", 1, 0, 0, 25, 0)]


async def test_a_budget_without_room_is_named_and_nothing_is_reserved(ledger: Ledger) -> None:
    await ledger.reserve(hold("1", 60))
    ledger.settle("1", 50)
    await ledger.reserve(hold("2", 30))

    short = await ledger.reserve(hold("3", 21))

    assert short == Shortage(ADA, "day", 100, 50, 30, 21, renews=MIDNIGHT)
    assert short.left == 20
    assert await sums(ledger) == {ADA: Sum(50, 30)}
    assert await ledger.reserve(hold("4", 20)) is None


async def test_what_is_left_is_that_of_the_tightest_budget_with_what_is_held_taken_off(ledger: Ledger) -> None:
    both = Limit(ADA, day=100, month=500), Limit(ACME)
    assert await ledger.left(both) == 100
    assert await ledger.left([Limit(BOB)]) is None

    await ledger.reserve(hold("1", 60, *both))
    ledger.settle("1", 25)
    await ledger.reserve(hold("2", 30, *both))
    assert await ledger.left(both) == 100 - 25 - 30

    await ledger.budget(ACME, "month", 60)
    assert await ledger.left(both) == 60 - 25 - 30
    ledger.settle("2", 90)
    await ledger.reap()  # what is not waited for is written by then
    assert await ledger.left(both) == 0


async def test_one_budget_without_room_leaves_the_others_untouched(ledger: Ledger) -> None:
    await ledger.reserve(hold("1", 10, Limit(ADA, day=100), Limit(ACME, month=15)))

    short = await ledger.reserve(hold("2", 10, Limit(BOB, day=100), Limit(ACME, month=15)))

    assert short is not None
    assert (short.account, short.every, short.renews) == (ACME, "month", at("2026-12-01T00:00:00"))
    assert await sums(ledger) == {ADA: Sum(0, 10), ACME: Sum(0, 10)}


async def test_of_several_budgets_without_room_the_one_that_renews_last_is_named(ledger: Ledger) -> None:
    short = await ledger.reserve(hold("1", 10, Limit(ADA, day=5, month=7)))

    assert short == Shortage(ADA, "month", 7, 0, 0, 10, renews=at("2026-12-01T00:00:00"))


async def test_more_than_was_reserved_is_booked_above_the_limit_too(ledger: Ledger) -> None:
    await ledger.reserve(hold("1", 100))

    ledger.settle("1", 130)

    assert await sums(ledger) == {ADA: Sum(130, 0)}
    short = await ledger.reserve(hold("2", 1))
    assert short is not None
    assert short.left == 0


async def test_settling_and_releasing_again_changes_nothing(ledger: Ledger) -> None:
    await ledger.reserve(hold("1", 60))
    ledger.settle("1", 25)

    ledger.settle("1", 25)
    ledger.settle("1", None)
    ledger.release("1")
    ledger.settle("never held", 1_000)

    assert await sums(ledger) == {ADA: Sum(25, 0)}
    assert await used(ledger) == [(1, 0, 0, 25, 0)]


async def test_reserving_again_for_the_same_call_changes_nothing(ledger: Ledger) -> None:
    await ledger.reserve(hold("1", 60))

    assert await ledger.reserve(hold("1", 30)) is None

    assert await sums(ledger) == {ADA: Sum(0, 60)}


async def test_what_is_released_is_there_again_and_no_call(ledger: Ledger) -> None:
    await ledger.reserve(hold("1", 100))

    ledger.release("1")

    assert await sums(ledger) == {ADA: Sum(0, 0)}
    assert await used(ledger, "user") == []


async def test_a_call_nobody_knows_the_end_of_is_booked_at_what_was_reserved_and_flagged(ledger: Ledger) -> None:
    await ledger.reserve(hold("1", 60))

    ledger.settle("1", None)

    assert await sums(ledger) == {ADA: Sum(60, 0)}
    assert await used(ledger, "tool") == [("echo", 1, 0, 1, 60, 60)]


async def test_an_expired_hold_is_spent_and_flagged_and_its_late_end_sets_it_right(ledger: Ledger, clock: FakeClock) -> None:
    await ledger.reserve(hold("1", 60, seconds=30))
    await ledger.reserve(hold("2", 10, seconds=300))

    clock.now += 31
    assert await ledger.reap() == 1
    assert await ledger.reap() == 0
    assert await sums(ledger) == {ADA: Sum(60, 10)}
    assert await used(ledger) == [(1, 0, 1, 60, 60)]

    ledger.settle("1", 25)
    ledger.settle("1", 25)
    assert await sums(ledger) == {ADA: Sum(25, 10)}
    assert await used(ledger) == [(1, 0, 0, 25, 0)]


async def test_an_expired_hold_that_is_released_late_was_no_call(ledger: Ledger, clock: FakeClock) -> None:
    await ledger.reserve(hold("1", 60, seconds=30))
    clock.now += 31
    await ledger.reap()

    ledger.release("1")
    ledger.settle("1", 5)

    assert await sums(ledger) == {ADA: Sum(0, 0)}
    assert await used(ledger) == [(0, 0, 0, 0, 0)]


async def test_what_a_reset_has_forgotten_is_not_given_back_by_a_late_end(ledger: Ledger, clock: FakeClock) -> None:
    await ledger.reserve(hold("1", 60, seconds=30))
    clock.now += 31
    await ledger.reap()
    await ledger.reset(ADA, "day")

    ledger.settle("1", 25)

    assert await sums(ledger) == {ADA: Sum(0, 0)}
    assert await ledger.reserve(hold("2", 101)) is not None


async def test_what_another_process_ended_or_reaped_is_ended_once(tmp_path: Path, clock: FakeClock) -> None:
    async with Database.open(tmp_path / "x.db", SCHEMA) as one, Database.open(tmp_path / "x.db", SCHEMA) as two:
        mine, other = SqlLedger(one, clock), SqlLedger(two, clock)
        for name, seconds in (("kept", 300.0), ("ended", 300.0), ("expired", 30.0), ("twice", 300.0)):
            await mine.reserve(hold(name, 10, seconds=seconds))
        await other.reserve(hold("twice", 10))
        other.settle("ended", 1)
        clock.now += 31
        await other.reap()

        for name in ("kept", "ended", "expired", "twice"):
            mine.settle(name, 5)

        assert await sums(mine) == {ADA: Sum(5 + 1 + 5 + 5, 0)}
        assert await used(mine) == [(4, 0, 0, 16, 0)]


async def test_a_reserve_reaps_by_itself(ledger: Ledger, clock: FakeClock) -> None:
    await ledger.reserve(hold("1", 60, seconds=30))
    clock.now += 36

    short = await ledger.reserve(hold("2", 50))

    assert short is not None
    assert (short.spent, short.held) == (60, 0)


async def test_a_new_day_and_a_new_month_begin_with_nothing(ledger: Ledger, clock: FakeClock) -> None:
    limit = Limit(ADA, day=100, month=150)
    await ledger.reserve(hold("1", 100, limit))
    ledger.settle("1", 100)

    clock.now = MIDNIGHT
    short = await ledger.reserve(hold("2", 60, limit))
    assert short is not None
    assert (short.every, short.spent) == ("month", 100)

    clock.now = NEW_YEAR
    assert await ledger.reserve(hold("3", 100, limit)) is None


async def test_what_was_reserved_before_midnight_is_spent_before_midnight(ledger: Ledger, clock: FakeClock) -> None:
    clock.now = MIDNIGHT - 1
    await ledger.reserve(hold("1", 100))

    clock.now = MIDNIGHT + 1
    ledger.settle("1", 40)

    assert await ledger.reserve(hold("2", 100)) is None
    assert await sums(ledger) == {ADA: Sum(0, 100)}
    assert await used(ledger, "day") == [("2026-11-20", 1, 0, 0, 40, 0)]


@pytest.mark.parametrize("back", [1, 70, 86_400, 40 * 86_400])
async def test_a_clock_that_is_set_back_opens_no_period_again(ledger: Ledger, clock: FakeClock, back: float) -> None:
    clock.now = MIDNIGHT + 0.5
    await ledger.reserve(hold("1", 100))
    ledger.settle("1", 100)

    clock.now -= back
    short = await ledger.reserve(hold("2", 1))
    ledger.count(USE)

    assert short is not None
    assert (short.spent, short.renews) == (100, MIDNIGHT + 86_400)
    assert await used(ledger, "day") == [("2026-11-21", 2, 0, 0, 100, 0)]
    assert [found.period for found in await ledger.balances()] == ["2026-11-21", "2026-11"]


async def test_processes_whose_clocks_disagree_about_midnight_share_one_day(tmp_path: Path) -> None:
    """Case F11 of the fault table: 70 seconds apart either way, a budget is spent once a day and no day twice."""
    clocks = [FakeClock(MIDNIGHT - 200), FakeClock(MIDNIGHT - 200 + 70), FakeClock(MIDNIGHT - 200 - 70)]
    async with Database.open(tmp_path / "x.db", SCHEMA) as one, Database.open(tmp_path / "x.db", SCHEMA) as other:
        ledgers = [SqlLedger(one, clocks[0]), SqlLedger(other, clocks[1]), SqlLedger(one, clocks[2])]
        for second in range(400):
            for number, ledger in enumerate(ledgers):
                clocks[number].now += 1
                call = f"{second}-{number}"
                if await ledger.reserve(hold(call, 1, seconds=86_400)) is None:
                    ledger.settle(call, 1)
        await ledgers[0].reap()
        await ledgers[1].reap()
        passed = {row.of["day"]: row.cost for row in await ledgers[0].usage(["day"])}

    assert passed == {"2026-11-20": 100, "2026-11-21": 100}


async def test_a_limit_that_the_operator_sets_holds_over_the_tiers_at_once(ledger: Ledger) -> None:
    await ledger.budget(ADA, "day", 10)
    refused = await ledger.reserve(hold("1", 11))
    await ledger.budget(ADA, "day", None)
    free = await ledger.reserve(hold("2", 1_000_000))
    was_set = await ledger.unset(ADA, "day"), await ledger.unset(ADA, "day")
    again = await ledger.reserve(hold("3", 1))

    assert refused is not None
    assert refused.limit == 10
    assert free is None
    assert was_set == (True, False)
    assert again is not None
    assert again.limit == 100


async def test_a_reset_forgets_what_was_spent_but_not_what_is_held_nor_usage(ledger: Ledger) -> None:
    await ledger.reserve(hold("1", 70))
    ledger.settle("1", 70)
    await ledger.reserve(hold("2", 30))

    assert await ledger.reset(ADA, "day") == 70
    assert await ledger.reset(BOB, "day") == 0

    assert await sums(ledger) == {ADA: Sum(0, 30)}
    assert await sums(ledger, "month") == {ADA: Sum(70, 30)}
    assert await used(ledger) == [(1, 0, 0, 70, 0)]


async def test_balances_tell_whose_when_and_what_limit(ledger: Ledger, clock: FakeClock) -> None:
    await ledger.reserve(hold("1", 40, Limit(ADA, day=100)))
    await ledger.budget(ADA, "month", 500)
    await ledger.budget(BOB, "day", 7)

    found = await ledger.balances()

    assert found == [
        Balance(ADA, "day", "2026-11-20", 100, 0, 40, set_by_operator=False),
        Balance(ADA, "month", "2026-11", 500, 0, 40, set_by_operator=True),
        Balance(BOB, "day", "2026-11-20", 7, 0, 0, set_by_operator=True),
    ]
    clock.now = MIDNIGHT  # by when the hold has expired
    assert await ledger.balances() == [
        Balance(ADA, "month", "2026-11", 500, 40, 0, set_by_operator=True),
        Balance(BOB, "day", "2026-11-21", 7, 0, 0, set_by_operator=True),
    ]


async def test_usage_is_told_apart_by_what_is_asked_and_bounded_by_days(ledger: Ledger, clock: FakeClock) -> None:
    llm = Use("acme", "bob", "agent", "toolgate", provider="mistral", phase="plan")
    await ledger.reserve(hold("1", 10, use=llm))
    ledger.settle("1", 4, estimated=True)
    ledger.count(USE, refused=True)
    await ledger.reap()  # by now it is written
    clock.now = MIDNIGHT
    for _ in range(3):
        ledger.count(USE)

    assert await used(ledger, "provider", "phase") == [("", "", 3, 1, 0, 0, 0), ("mistral", "plan", 1, 0, 0, 4, 4)]
    assert await used(ledger, "day") == [("2026-11-20", 1, 1, 0, 4, 4), ("2026-11-21", 3, 0, 0, 0, 0)]
    assert await ledger.usage(["user"], since="2026-11-21") == [Usage({"user": "ada"}, calls=3)]
    assert await ledger.usage(["user"], until="2026-11-20", user="ada") == [Usage({"user": "ada"}, refused=1)]
    assert await ledger.usage(["tenant"], tenant="other") == []
    assert await ledger.usage([]) == [Usage({}, calls=4, refused=1, cost=4, estimated=4)]


async def test_names_with_separators_in_them_share_nothing(ledger: Ledger) -> None:
    one, other = Account("user", "a", "b:c"), Account("user", "a:b", "c")
    tricky = [one, other, Account("user", 'a","b', "c"), Account("session", "a", "b", "c"), Account("session", "a", "", "bc")]

    for number, account in enumerate(tricky):
        assert await ledger.reserve(hold(str(number), 100, Limit(account, day=100))) is None

    assert await sums(ledger) == {account: Sum(0, 100) for account in tricky}


async def test_many_first_reserves_at_once_never_pass_the_limit(ledger: Ledger) -> None:
    answers = await asyncio.gather(*(ledger.reserve(hold(str(number), 7)) for number in range(300)))

    assert sum(answer is None for answer in answers) == 14
    assert await sums(ledger) == {ADA: Sum(0, 98)}


async def test_small_calls_pass_beside_a_big_hold(ledger: Ledger) -> None:
    await ledger.reserve(hold("big", 90))
    too_big = await ledger.reserve(hold("also big", 90))
    small = [await ledger.reserve(hold(str(number), 1)) for number in range(11)]

    assert too_big is not None
    assert [answer is None for answer in small] == [True] * 10 + [False]


async def test_old_balances_are_forgotten_and_usage_is_kept(tmp_path: Path, clock: FakeClock) -> None:
    async with Database.open(tmp_path / "x.db", SCHEMA) as database:
        ledger = SqlLedger(database, clock)
        await ledger.reserve(hold("1", 10))
        ledger.settle("1", 10)
        clock.now += 100 * 86_400
        await ledger.reserve(hold("2", 10))

        rows = await database.read(lambda connection: connection.execute("select count(*) from balance").fetchone())

        assert rows == (2,)
        assert await used(ledger, "day") == [("2026-11-20", 1, 0, 0, 10, 0)]


async def test_what_cannot_be_written_is_not_reserved(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "x.db", SCHEMA) as database:
        ledger = SqlLedger(database)
        await database.write(lambda connection: connection.execute("drop table hold") and None)

        with pytest.raises(AuditUnavailable):
            await ledger.reserve(hold("1", 10))

    with pytest.raises(AuditUnavailable, match="is closed"):
        await ledger.reserve(hold("2", 10))
