"""What was read lately is kept for some seconds, and never much of it."""

from __future__ import annotations

from toolgate.stores.recent import Recent
from toolgate.testing import FakeClock


class Source:
    def __init__(self, clock: FakeClock, slow: float = 0.0) -> None:
        self.asked: list[str] = []
        self._clock, self._slow = clock, slow

    async def __call__(self, key: str) -> str:
        self.asked.append(key)
        self._clock.now += self._slow
        return f"{key}{len(self.asked)}"


async def test_a_value_is_asked_for_again_once_it_is_old() -> None:
    clock = FakeClock()
    recent = Recent(source := Source(clock), seconds=4, clock=clock)

    seen = [await recent.get("a")]
    clock.now = 3.9
    seen.append(await recent.get("a"))
    clock.now = 4
    seen.append(await recent.get("a"))

    assert seen == ["a1", "a1", "a2"]
    assert source.asked == ["a", "a"]


async def test_a_value_ages_from_before_it_was_read() -> None:
    clock = FakeClock()
    recent = Recent(Source(clock, slow=3), seconds=4, clock=clock)

    first = await recent.get("a")
    clock.now = 4

    assert (first, await recent.get("a")) == ("a1", "a2")


async def test_the_oldest_gives_way_when_there_are_too_many() -> None:
    clock = FakeClock()
    recent = Recent(source := Source(clock), size=2, clock=clock)
    for key in "abc":
        await recent.get(key)

    await recent.get("c")
    await recent.get("a")

    assert source.asked == ["a", "b", "c", "a"]


async def test_what_is_forgotten_is_asked_for_again() -> None:
    recent = Recent(source := Source(FakeClock()), clock=FakeClock())
    await recent.get("a")

    recent.forget("a")
    recent.forget("never seen")
    await recent.get("a")

    assert source.asked == ["a", "a"]
