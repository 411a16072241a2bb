"""Bounds on work that hold on a slow or busy machine too: CPU seconds, in units of a loop timed beside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

LOOP = 0.04
"""CPU seconds that `loop` takes on the machine that the bounds are written for; a guess at a desktop of 2020, with nothing else to do."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail when the block takes more CPU than a machine of `LOOP` does in `seconds`.

    It is a bound on growth, for inputs made to take minutes; how fast things are is for `make bench`. The loop runs before and
    after, and the slower of the two counts, since the processor is shared with others.
    """
    before = loop()
    begun = time.process_time()
    yield
    took = time.process_time() - begun
    unit = max(before, loop(), LOOP) / LOOP
    assert took <= seconds * unit, f"{took:.2f} s of CPU, {took / unit:.2f} s on the machine that {seconds} s are meant for"


def loop() -> float:
    """CPU seconds of a fixed piece of Python that makes and drops small objects, as most of our work does."""
    begun = time.process_time()
    kept: dict[int, str] = {}
    for number in range(250_000):
        kept[number & 1023] = str(number)
    return time.process_time() - begun
