"""Break the loop of a caller that makes the same call again and again.

What counts are equal calls in a row, by one caller, that bring nothing new: for a tool that only reads, the same answer
each time, so that one may wait for something to change; for any other, every call, since doing the same thing five times
over is hardly meant, whatever comes back. A different call or some time ends the row. What a face does in a form of its
own is no part of it: there a program asks, whose users may well say the same.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

import orjson

from toolgate.calls import UNSET, Call, Outcome
from toolgate.chain import Handler
from toolgate.errors import Failed, Repeating
from toolgate.settings import Repeats

KEPT = 10_000  # callers; the one that was silent longest is forgotten first


class Row(NamedTuple):
    """The last call of a caller, and how often it was made in a row."""

    call: int
    brought: int
    """What came of it; equal for equal outcomes."""
    times: int
    at: float
    """When the last one ended."""


class Repeat:
    def __init__(self, settings: Repeats, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._rows: OrderedDict[tuple[str, str, str | None], Row] = OrderedDict()

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        if self._settings.calls is None or call.work is not None:
            return await call_next(call)
        # Calls of one tool of ours are a row of their own: they would break the row of the calls that they are made for.
        caller = (call.principal.tenant, call.principal.id, call.parent_id)
        # What brings the answers to an earlier round's questions is not that round made again.
        answers = _bytes(call.client.answers) if call.client is not None and call.client.answers else b""
        mark = hash((call.tool.name, _bytes(call.arguments), answers))
        self._check(call, self._rows.get(caller), mark)
        try:
            outcome = await call_next(call)
        except Failed as error:
            self._add(caller, mark, hash((error.code, str(error.details()))))
            raise
        brought = _brought(outcome) if call.tool.annotations.read_only else 0
        self._add(caller, mark, brought)
        return outcome

    def _check(self, call: Call, row: Row | None, mark: int) -> None:
        limit = self._settings.calls
        if row is None or limit is None or row.call != mark or row.times < limit:
            return
        left = row.at + self._settings.seconds - self._clock()
        if left <= 0:
            return
        nothing_new = " and brought the same each time" if call.tool.annotations.read_only else ""
        raise Repeating(
            f"{call.tool.name} was called {row.times} times in a row with the same arguments{nothing_new}. Calling it again will not help: "
            f"use what you have, change the arguments or do something else. This very call is possible again in {left:.0f} s",
            left,
        )

    def _add(self, caller: tuple[str, str, str | None], mark: int, brought: int) -> None:
        now = self._clock()
        row = self._rows.pop(caller, None)
        goes_on = row is not None and row.call == mark and row.brought == brought and now - row.at < self._settings.seconds
        self._rows[caller] = Row(mark, brought, row.times + 1 if row is not None and goes_on else 1, now)
        if len(self._rows) > KEPT:
            self._rows.popitem(last=False)


def _brought(outcome: Outcome) -> int:
    """Equal for outcomes that tell a caller the same. Not a digest: hashing 64 KiB of text takes a tenth of the time."""
    problem: Hashable = None if outcome.problem is None else (outcome.problem.code, outcome.problem.message)
    structured = _bytes(outcome.structured) if not outcome.content and outcome.structured is not UNSET else b""
    return hash((outcome.content, structured, problem))


def _bytes(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number of more than 64 bits
        return repr(value).encode()
