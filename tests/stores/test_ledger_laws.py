"""Whatever is done in whatever order, by whatever clock: the ledger equals a model of it, and no budget is passed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Coroutine
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from toolgate.money import Micros
from toolgate.stores import Account, Hold, Limit, Use
from toolgate.stores.ledger import SCHEMA
from toolgate.stores.memory import memory_ledger
from toolgate.testing import FakeClock

T = TypeVar("T")
ADA, BOB = Account("user", "acme", "ada"), Account("user", "acme", "bob")
ACME, ECHO = Account("tenant", "acme"), Account("tool", name="echo")
SHARED = (Limit(ACME, day=150), Limit(ECHO, month=400))
USERS = {"ada": (Limit(ADA, day=100, month=250), *SHARED), "bob": (Limit(BOB, day=60), *SHARED)}
LIMITS = {(limit.account, every): limit.of(every) for limits in USERS.values() for limit in limits for every in ("day", "month")}


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of what never waits."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise AssertionError("it waited")


@dataclass
class Held:
    user: str
    amount: Micros
    day: str
    expires: float
    lost: bool = False


class Spending(RuleBasedStateMachine):
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(now=datetime(2026, 11, 29, 23, 0, tzinfo=UTC).timestamp())
        self.ledger = memory_ledger(self.clock)
        self.day = ""
        self.held: dict[str, Held] = {}
        self.spent: Counter[tuple[str, str]] = Counter()
        """By user and day."""
        self.reserved = 0
        self.unknown = 0
        self.calls = 0

    @rule(target=ids, user=st.sampled_from(list(USERS)), amount=st.integers(1, 70), seconds=st.integers(1, 7200))
    def reserve(self, user: str, amount: Micros, seconds: float) -> str:
        self.reserved += 1
        call = str(self.reserved)
        self.see_day()
        fits = all(self.total(account, every) + amount <= limit for account, every, limit in self.limits_of(user))

        short = done(self.ledger.reserve(Hold(call, amount, seconds, USERS[user], Use("acme", user, "echo", "tests"))))

        assert (short is None) == fits
        if short is None:
            self.held[call] = Held(user, amount, self.day, self.clock.now + seconds)
        return call

    @rule(id=ids, share=st.integers(0, 100))
    def settle(self, id: str, share: int) -> None:
        held = self.held.pop(id, None)
        cost = held.amount * share // 100 if held else 7
        if held:
            self.spent[held.user, held.day] += cost - (held.amount if held.lost else 0)
            self.unknown -= held.lost
            self.calls += not held.lost

        self.ledger.settle(id, cost)

    @rule(id=ids)
    def end_without_telling_how(self, id: str) -> None:
        held = self.held.get(id)
        if held and not held.lost:
            del self.held[id]
            self.spent[held.user, held.day] += held.amount
            self.unknown += 1
            self.calls += 1

        self.ledger.settle(id, None)

    @rule(id=consumes(ids))
    def release(self, id: str) -> None:
        held = self.held.pop(id, None)
        if held and held.lost:
            self.spent[held.user, held.day] -= held.amount
            self.unknown -= 1
            self.calls -= 1

        self.ledger.release(id)

    @rule(seconds=st.one_of(st.integers(-7200, 7200), st.sampled_from([86_400, -86_400, 3 * 86_400])))
    def move_the_clock(self, seconds: int) -> None:
        self.clock.now += seconds
        self.expire()

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        self.expire()
        balances = done(self.ledger.balances())
        day = max(self.day, self.today())

        for found in balances:
            assert found.period == (day if found.every == "day" else day[:7])
            assert (found.spent, found.held) == (self.spent_of(found.account, found.period), self.held_of(found.account, found.period))
            limit = LIMITS[found.account, found.every]
            assert limit is None or found.spent + found.held <= limit

    @invariant()
    def usage_is_all_that_was_ever_spent(self) -> None:
        [used] = done(self.ledger.usage([]))

        assert (used.cost, used.unknown, used.calls) == (self.spent.total(), self.unknown, self.calls)

    def today(self) -> str:
        return datetime.fromtimestamp(self.clock.now, UTC).date().isoformat()

    def see_day(self) -> None:
        self.day = max(self.day, self.today())

    def expire(self) -> None:
        for held in self.held.values():
            if not held.lost and held.expires <= self.clock.now:
                held.lost = True
                self.spent[held.user, held.day] += held.amount
                self.unknown += 1
                self.calls += 1

    def limits_of(self, user: str) -> list[tuple[Account, str, Micros]]:
        names = ((limit.account, every) for limit in USERS[user] for every in ("day", "month"))
        return [(account, every, limit) for account, every in names if (limit := LIMITS[account, every]) is not None]

    def total(self, account: Account, every: str) -> Micros:
        period = self.day if every == "day" else self.day[:7]
        return self.spent_of(account, period) + self.held_of(account, period)

    def spent_of(self, account: Account, period: str) -> Micros:
        return sum(amount for (user, day), amount in self.spent.items() if account.user in ("", user) and day.startswith(period))

    def held_of(self, account: Account, period: str) -> Micros:
        live = (held for held in self.held.values() if not held.lost)
        return sum(held.amount for held in live if account.user in ("", held.user) and held.day.startswith(period))


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@given(asked=st.lists(st.tuples(st.sampled_from((40, 100)), st.integers(1, 30)), max_size=12))
def test_many_at_once_are_reserved_as_one_after_the_other(asked: list[tuple[Micros, Micros]]) -> None:
    # Two who share an account by different tiers: the smaller limit may be the first or the last that is met.
    use = Use("acme", "ada", "echo", "tests")
    holds = [Hold(str(at), amount, 60, (Limit(ACME, month=400), Limit(ADA, day=limit)), use) for at, (limit, amount) in enumerate(asked)]
    ledger = memory_ledger(FakeClock(now=datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()))
    with closing(sqlite3.connect(":memory:")) as one, closing(sqlite3.connect(":memory:")) as other:
        for connection in (one, other):
            connection.executescript(SCHEMA)

        at_once = ledger.reserve_all(one, holds)

        assert at_once == [ledger.reserve_all(other, [hold])[0] for hold in holds]
        for said in ("select * from hold", "select key, spent, held from balance"):
            assert one.execute(said).fetchall() == other.execute(said).fetchall()
