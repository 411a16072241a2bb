"""What is off, over restarts and processes. What it is put into force by is tested with integrations and with providers."""

from __future__ import annotations

import pytest

from toolgate.errors import AuditUnavailable, Misconfigured
from toolgate.stores import Stores
from toolgate.stores.memory import memory_stores
from toolgate.switches import EVERY, Switches
from toolgate.testing import FakeClock, a_principal


async def test_it_is_known_to_who_comes_later_and_of_its_kind_alone() -> None:
    stores = memory_stores()
    await Switches(stores, "integration").switch("shop", False, a_principal())
    later, models = Switches(stores, "integration"), Switches(stores, "provider")

    await later.recall()
    await models.recall()

    assert later.off == {"shop"}
    assert models.off == frozenset()


async def test_what_others_switch_is_known_some_seconds_later_and_the_store_is_not_asked_by_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stores, clock, read = memory_stores(), FakeClock(100.0), list[str]()
    list_ = stores.records.list

    async def counted(kind: str) -> object:
        read.append(kind)
        return await list_(kind)

    monkeypatch.setattr(stores.records, "list", counted)
    here = Switches(stores, "provider", clock=clock)
    await here.fresh()
    await Switches(stores, "provider").switch("openai", False, a_principal())
    await here.fresh()
    assert here.off == frozenset()
    assert len(read) == 1

    clock.now += EVERY
    await here.fresh()

    assert here.off == {"openai"}
    assert len(read) == 2


def away(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(kind: str, **_: int) -> object:
        raise AuditUnavailable("the disk is full")

    monkeypatch.setattr(stores.records, "list", fail)


async def test_while_the_store_is_away_what_was_off_stays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    stores, clock = memory_stores(), FakeClock(100.0)
    here = Switches(stores, "provider", clock=clock)
    await here.fresh()
    await here.switch("openai", False, a_principal())
    away(stores, monkeypatch)
    clock.now += EVERY

    await here.fresh()

    assert here.off == {"openai"}


async def test_where_it_was_never_known_nobody_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = memory_stores()
    away(stores, monkeypatch)

    with pytest.raises(AuditUnavailable):
        await Switches(stores, "provider").fresh()


async def test_what_cannot_be_put_into_force_is_not_switched() -> None:
    stores = memory_stores()

    def refuse() -> None:
        raise Misconfigured("two tools have one name")

    here = Switches(stores, "integration", refuse)
    with pytest.raises(Misconfigured):
        await here.switch("shop", False, a_principal())

    assert here.off == frozenset()
    assert await stores.records.list("integration") == []
    assert await stores.journal.read("audit") == []
