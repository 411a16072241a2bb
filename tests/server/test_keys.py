"""API keys: their form, what is kept of them, and how soon a change is felt."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.calls import Principal
from toolgate.errors import Misconfigured, NotIdentified
from toolgate.server.keys import KIND, LETTERS, Keys, checksum, id_of
from toolgate.settings import Caller
from toolgate.stores import Records, open_stores
from toolgate.stores.memory import MemoryRecords
from toolgate.testing import FakeClock

DEVELOPER = Caller(roles=("developer",), tier="pro", tenant="home")
DAY = 24 * 3600.0


def the_keys(records: Records | None = None, clock: FakeClock | None = None) -> tuple[Keys, FakeClock]:
    clock = clock or FakeClock(1_000_000.0)
    return Keys(records or MemoryRecords(), clock, clock), clock


@pytest.fixture
async def two_processes(tmp_path: Path) -> AsyncIterator[tuple[Keys, Keys, FakeClock]]:
    """Two views of one file, as two processes have them."""
    async with open_stores("sqlite", tmp_path) as ours, open_stores("sqlite", tmp_path) as theirs:
        clock = FakeClock(1_000_000.0)
        yield Keys(ours.records, clock, clock), Keys(theirs.records, clock, clock), clock


async def refused(keys: Keys, text: str) -> str:
    with pytest.raises(NotIdentified) as error:
        await keys.principal(text)
    assert error.value.shown
    assert text not in str(error.value)
    return str(error.value)


async def test_whoever_shows_a_key_is_taken_for_its_owner() -> None:
    keys, _ = the_keys()

    key, text = await keys.create("ada", DEVELOPER)

    assert re.fullmatch(r"tg_[a-z2-7]{8}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", text)
    assert await keys.principal(text) == Principal(
        id="ada", roles=("developer",), tier="pro", tenant="home", via="key", scopes=None, credential=key.id
    )
    assert text.split("_")[1] == key.id


async def test_scopes_of_a_key_bound_its_principal() -> None:
    keys, _ = the_keys()

    _, text = await keys.create("ada", DEVELOPER, scopes=["tools:read"])

    assert (await keys.principal(text)).scopes == frozenset({"tools:read"})


async def test_only_a_hash_is_kept_and_the_hash_lets_nobody_in() -> None:
    records = MemoryRecords()
    keys, _ = the_keys(records)

    key, text = await keys.create("ada", DEVELOPER)

    kept = await records.get(KIND, key.id)
    assert kept is not None
    assert kept.body["sha256"] == sha256(text.encode()).hexdigest()
    secret = text.split("_")[2]
    assert secret not in str(kept)
    head = f"tg_{key.id}_{kept.body['sha256'][:43]}"
    for shown in (kept.body["sha256"], f"{head}_{checksum(head)}"):
        await refused(keys, shown)


def test_the_checksum_is_a_crc_32_in_base_62() -> None:
    # CRC-32/ISO-HDLC of its check string is 0xcbf43926 = 3*62^5 + 45*62^4 + 35*62^3 + 27*62^2 + 22*62 + 14
    assert checksum("123456789") == "".join(LETTERS[place] for place in (3, 45, 35, 27, 22, 14)) == "3jZRME"


@given(st.text(max_size=80) | st.from_regex(r"tg_[a-z2-7]{8}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", fullmatch=True))
def test_a_key_with_another_checksum_is_none(text: str) -> None:
    head, _, end = text.rpartition("_")

    assert id_of(text) is None or end == checksum(head)


async def test_every_changed_letter_is_noticed_without_asking_the_store() -> None:
    keys, _ = the_keys()
    _, text = await keys.create("ada", DEVELOPER)

    for place, letter in enumerate(text):
        assert id_of(text[:place] + ("x" if letter != "x" else "y") + text[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "tg_", "tg__", "Bearer x", "tg_aaaaaaaa_b_c", "eyJhbGciOiJub25lIn0.e30.", "tg_" + "é" * 60])
async def test_what_is_no_key_is_refused(text: str) -> None:
    assert "whole API key" in await refused_text(text)


async def refused_text(text: str) -> str:
    with pytest.raises(NotIdentified) as error:
        await the_keys()[0].principal(text)
    return str(error.value)


async def test_an_unknown_a_wrong_and_a_revoked_key_are_told_nothing_but_that() -> None:
    keys, _ = the_keys()
    key, text = await keys.create("ada", DEVELOPER)
    _, unknown = await the_keys()[0].create("ada", DEVELOPER)
    head = f"tg_{key.id}_{'A' * 43}"
    wrong = f"{head}_{checksum(head)}"
    said = {await refused(keys, unknown), await refused(keys, wrong)}
    await keys.revoke(key.id)

    said.add(await refused(keys, text))

    assert said == {"this API key is not known here, or was revoked; ask the operator of this server for another"}


async def test_a_key_expires_on_the_second() -> None:
    keys, clock = the_keys()
    key, text = await keys.create("ada", DEVELOPER, seconds=DAY)
    clock.now += DAY - 1
    assert (await keys.principal(text)).id == "ada"

    clock.now += 1

    assert await refused(keys, text) == f"the API key tg_{key.id} has expired; ask the operator of this server for another"
    assert [one.state(clock.now) for one in await keys.list()] == ["expired"]


async def test_a_key_revoked_in_another_process_lets_nobody_in_after_five_seconds(two_processes: tuple[Keys, Keys, FakeClock]) -> None:
    here, there, clock = two_processes
    key, text = await there.create("ada", DEVELOPER)
    assert (await here.principal(text)).id == "ada"

    await there.revoke(key.id)
    clock.now += 5

    await refused(here, text)
    await refused(there, text)


async def test_who_shows_a_key_twice_at_once_or_after_it_was_read_again_is_one_principal() -> None:
    keys, clock = the_keys()
    _, text = await keys.create("ada", DEVELOPER)
    clock.now += 60

    one, other = await asyncio.gather(keys.principal(text), keys.principal(text))
    clock.now += 60

    assert one is other
    assert await keys.principal(text) is one


async def test_a_key_revoked_here_lets_nobody_in_at_once() -> None:
    keys, _ = the_keys()
    key, text = await keys.create("ada", DEVELOPER)
    await keys.principal(text)

    await keys.revoke(key.id)

    await refused(keys, text)


async def test_a_new_key_is_known_elsewhere_at_once(two_processes: tuple[Keys, Keys, FakeClock]) -> None:
    here, there, _ = two_processes
    _, text = await there.create("ada", DEVELOPER)

    assert (await here.principal(text)).id == "ada"


async def test_a_rotated_key_works_beside_its_successor_for_a_while_and_no_third() -> None:
    keys, clock = the_keys()
    old, old_text = await keys.create("ada", DEVELOPER, seconds=90 * DAY, scopes=["tools:read"])
    clock.now += 80 * DAY

    new, new_text = await keys.rotate(old.id, overlap=3600.0)

    assert (new.owner, new.caller, new.scopes, new.expires) == ("ada", DEVELOPER, ("tools:read",), clock.now + 90 * DAY)
    assert (await keys.principal(old_text)).id == (await keys.principal(new_text)).id == "ada"
    with pytest.raises(Misconfigured, match=f"is being replaced by tg_{new.id}"):
        await keys.rotate(old.id)
    clock.now += 3600
    await refused(keys, old_text)
    assert (await keys.principal(new_text)).credential == new.id


async def test_of_two_processes_that_rotate_one_key_one_does(two_processes: tuple[Keys, Keys, FakeClock]) -> None:
    here, there, clock = two_processes
    old, _ = await here.create("ada", DEVELOPER)

    ended = await asyncio.gather(here.rotate(old.id), there.rotate(old.id), return_exceptions=True)

    assert sorted(type(one).__name__ for one in ended) == ["Misconfigured", "tuple"]
    assert [key.state(clock.now) for key in await here.list()] == ["live", "live"]


async def test_a_rotation_never_prolongs_a_key() -> None:
    keys, clock = the_keys()
    old, text = await keys.create("ada", DEVELOPER, seconds=60.0)

    await keys.rotate(old.id, overlap=3600.0)
    clock.now += 60

    await refused(keys, text)


@pytest.mark.parametrize("ended", ["revoked", "expired"])
async def test_what_is_no_longer_a_key_cannot_be_rotated(ended: str) -> None:
    keys, clock = the_keys()
    key, _ = await keys.create("ada", DEVELOPER, seconds=60.0)
    if ended == "revoked":
        await keys.revoke(key.id)
    clock.now += 61 if ended == "expired" else 0

    with pytest.raises(Misconfigured, match=f"is {ended}"):
        await keys.rotate(key.id)


@pytest.mark.parametrize("owner", ["", " ", "a\nb", "anonymous", "agent:ada", " ada", "ada ", "x" * 129])
async def test_an_owner_has_a_name_that_can_be_read(owner: str) -> None:
    keys, _ = the_keys()

    with pytest.raises(Misconfigured, match="owner of a key"):
        await keys.create(owner, DEVELOPER)


async def test_all_keys_are_listed_and_unknown_ones_are_not_revoked() -> None:
    keys, _ = the_keys()
    made = [(await keys.create(f"user {number}", DEVELOPER))[0] for number in range(5)]

    assert await keys.list() == sorted(made, key=lambda key: key.id)
    with pytest.raises(Misconfigured, match="there is no key 'tg_nothere'"):
        await keys.revoke("tg_nothere")
