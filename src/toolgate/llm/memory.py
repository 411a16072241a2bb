"""What the router and the metrics remember beyond this process: read when the first model is asked, written beside the calls.

Everything is written within `SAVE_SECONDS` of being heard, and when the process ends well; one that is killed loses no more than that.
What several processes learn is added up in one record, each time by the version that was read, so nothing is overwritten.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from toolgate.errors import AuditUnavailable
from toolgate.llm.beliefs import read
from toolgate.llm.calibration import Calibration
from toolgate.llm.metrics import Performance
from toolgate.llm.minutes import Minutes
from toolgate.llm.router import Router
from toolgate.llm.speeds import LATELY
from toolgate.stores import Records

log = logging.getLogger("toolgate")

BELIEFS, CALIBRATION, CURRENT = "llm.beliefs", "llm.calibration", "current"
SAVE_SECONDS = 1.0
LOOK_SECONDS = 15.0
"""Between two looks at what others learned and calibrated."""
ROLL_SECONDS = 3600.0
ATTEMPTS = 50
Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]


class Memory:
    def __init__(
        self, records: Records, router: Router, performance: Performance, start: Start | None = None, now: Callable[[], float] = time.time
    ) -> None:
        """
        Args:
            start: begins work beside the calls; None: nothing is written but by `save`.
            now: seconds since 1970.
        """
        self._records, self._router, self._performance, self._now = records, router, performance, now
        self.minutes = Minutes(records)
        self._start = start
        self._ready = False
        self._reading = anyio.Lock()
        self._calibrated = 0
        """The version of the calibration in force."""
        self._looked = 0.0
        """When, in seconds since 1970."""

    async def ready(self) -> None:
        """Have what was remembered; at once after the first time."""
        if self._ready:
            return
        async with self._reading:
            if not self._ready:
                await self.look()
                self._ready = True
                if self._start is not None:
                    self._start(self._keep)

    async def look(self) -> None:
        """Take over what others learned, and how fast models were with them."""
        beliefs = await self._records.get(BELIEFS, CURRENT)
        if beliefs is not None:
            self._router.beliefs.replace(read(self._router.beliefs.merge_into(beliefs.body, {})))
        calibration = await self._records.get(CALIBRATION, CURRENT)
        version = calibration.version if calibration else 0
        if version != self._calibrated:
            self._router.calibration = Calibration.from_json(calibration.body) if calibration else None
            self._calibrated = version
        now = self._now()
        # Minutes that are over stay as they are, but for what somebody wrote of them a little late.
        self._performance.measure(await self.minutes.lately(max(now - LATELY * 60, self._looked - 60)))
        self._looked = now

    async def save(self) -> None:
        """Write down what is new; what cannot be written stays new."""
        if self._performance.changed:
            await self._save_minutes()
        if self._router.beliefs.changed:
            await self._save_beliefs()

    async def _save_minutes(self) -> None:
        taken = self._performance.take()
        try:
            while taken:
                minute = next(iter(taken))
                await self.minutes.add(minute, taken[minute])
                self._performance.wrote(minute, taken.pop(minute))
        finally:
            self._performance.give(taken)

    async def _save_beliefs(self) -> None:
        beliefs = self._router.beliefs
        taken = beliefs.take()
        try:
            for _ in range(ATTEMPTS):
                there = await self._records.get(BELIEFS, CURRENT)
                body = beliefs.merge_into(there.body if there else None, taken)
                if await self._records.put(BELIEFS, CURRENT, body, replaces=there.version if there else 0):
                    taken = {}
                    if there is not None:  # others may have learned something as well
                        beliefs.replace(read(body))
                    return
        finally:
            beliefs.give(taken)

    async def _keep(self) -> None:
        """Until cancelled."""
        looked = rolled = -ROLL_SECONDS
        while True:
            await anyio.sleep(SAVE_SECONDS)
            try:
                await self.save()
                now = anyio.current_time()
                if now - looked >= LOOK_SECONDS:
                    await self.look()
                    looked = now
                if now - rolled >= ROLL_SECONDS:
                    await self.minutes.roll(self._now())
                    rolled = now
            except (AuditUnavailable, RuntimeError) as error:
                log.warning("what models did is not written down for now: %s", error)
