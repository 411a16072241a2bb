from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from toolgate.egress.room import Room


@given(st.integers(1, 3), st.lists(st.sampled_from(["ask", "give", "leave"]), max_size=40))
def test_places_go_to_who_has_waited_longest_and_none_is_lost(places: int, steps: list[str]) -> None:
    async def run() -> None:
        room = Room(places)
        inside: list[int] = []
        waiting: dict[int, asyncio.Task[None]] = {}

        async def ask(number: int) -> None:
            await room.wait()
            inside.append(number)
            del waiting[number]

        for number, step in enumerate(steps):
            if step == "ask":
                waiting[number] = asyncio.create_task(ask(number))
            elif step == "give" and inside:
                inside.pop(0)
                room.give()
            elif step == "leave" and waiting:
                waiting.pop(max(waiting)).cancel()
            expected = [*inside, *sorted(waiting)][:places]
            for _ in range(3):
                await asyncio.sleep(0)
            assert inside == expected
            assert not waiting or len(inside) == places
        for task in waiting.values():
            task.cancel()
        await asyncio.sleep(0)
        for _ in inside:
            room.give()
        assert [room.take() for _ in range(places + 1)] == [True] * places + [False]

    asyncio.run(run())


async def test_a_place_that_was_handed_over_to_who_no_longer_wants_it_goes_on_to_the_next() -> None:
    room = Room(1)
    assert room.take()
    first, second = asyncio.create_task(room.wait()), asyncio.create_task(room.wait())
    await asyncio.sleep(0)

    room.give()
    first.cancel()
    async with asyncio.timeout(30):
        await second

    assert first.cancelled()
    assert not room.take()


async def test_nobody_is_overtaken_by_who_asks_at_the_moment_a_place_is_given_back() -> None:
    room = Room(1)
    assert room.take()
    first = asyncio.create_task(room.wait())
    await asyncio.sleep(0)

    room.give()

    assert not room.take()
    await first
