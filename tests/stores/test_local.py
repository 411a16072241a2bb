from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolgate.stores.local import OVERHEAD, LocalMemory
from toolgate.testing import FakeClock


async def test_what_was_put_is_there_for_its_seconds() -> None:
    memory = LocalMemory(100_000, clock := FakeClock())
    await memory.put("k", b"v", 10)
    clock.now = 9.9
    assert await memory.get("k") == b"v"

    clock.now = 10

    assert await memory.get("k") is None
    assert memory.used == 0


async def test_the_later_of_two_values_counts_and_so_do_its_seconds() -> None:
    memory = LocalMemory(100_000, clock := FakeClock())
    await memory.put("k", b"v", 10)
    await memory.put("k", b"w", 1)

    assert await memory.get("k") == b"w"
    assert memory.used == len("k") + len(b"w") + OVERHEAD
    clock.now = 5
    assert await memory.get("k") is None


async def test_what_was_not_asked_for_longest_goes_first() -> None:
    memory = LocalMemory(10 * (1 + 100 + OVERHEAD), FakeClock())
    for key in "abcdefghij":
        await memory.put(key, bytes(100), 10)
    await memory.get("a")

    await memory.put("k", bytes(100), 10)

    assert [key for key in "abcdefghijk" if await memory.get(key) is None] == ["b"]


async def test_one_value_never_takes_the_place_of_many() -> None:
    memory = LocalMemory(8000, FakeClock())
    await memory.put("small", b"v", 10)

    await memory.put("large", bytes(1000), 10)

    assert [await memory.get("small"), await memory.get("large")] == [b"v", None]


async def test_a_memory_of_no_bytes_keeps_nothing() -> None:
    memory = LocalMemory(0, FakeClock())
    await memory.put("k", b"", 10)

    assert await memory.get("k") is None


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 700), st.integers(0, 3), st.integers(0, 2))), st.integers(0, 6000))
async def test_it_never_holds_more_than_its_bytes_nor_anything_but_the_latest_value(
    steps: list[tuple[str, int, int, int]], size: int
) -> None:
    memory = LocalMemory(size, clock := FakeClock())
    latest: dict[str, tuple[bytes, float]] = {}
    for key, length, seconds, passed in steps:
        clock.now += passed
        await memory.put(key, bytes([length % 251]) * length, seconds)
        latest[key] = bytes([length % 251]) * length, clock.now + seconds

        assert memory.used <= size
        for name, (value, until) in latest.items():
            found = await memory.get(name)
            assert found is None or (found == value and clock.now < until)
