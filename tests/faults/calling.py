"""A process that makes calls until it is killed or told to stop: `calling.py FOLDER AT_ONCE SECONDS`, the last being what an effect takes.

Its tool's effect is a line in FOLDER/effects, written straight to the file so that it survives the process. What it was
answered goes to stdout; where the audit cannot be written that is nothing, and it goes on calling. At SIGTERM it makes no
new calls, waits for those under way and ends.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from itertools import count
from pathlib import Path

from toolgate.calls import Call, Outcome, Principal
from toolgate.gateway import build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Settings
from toolgate.stores import open_stores
from toolgate.testing import a_tool

CALLER = Principal(id="local:ada", roles=("caller",), via="terminal")
POLICY = Policy([Role(role="caller", permissions=(Permission(id="caller.all", tools="*"),))])  # no tiers, so no limits


async def main(folder: Path, at_once: int, seconds: float) -> None:
    effects = os.open(folder / "effects", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)

    async def act(call: Call) -> Outcome:
        os.write(effects, f"{call.id}\n".encode())
        await asyncio.sleep(seconds * random.uniform(0.5, 1.5))  # or all callers would go in step
        return Outcome(structured=call.id)

    settings = Settings(data_dir=folder)
    async with open_stores("sqlite", folder, settings.audit) as stores:
        await stores.journal.recover()
        gateway = build_gateway([a_tool(act, name="act", reads=False)], POLICY, stores, settings)
        numbers = count()

        async def caller() -> None:
            while not stopping.is_set():
                outcome = await gateway.call("act", {"n": next(numbers)}, CALLER)
                if outcome.problem is None:
                    os.write(1, f"{outcome.structured}\n".encode())
                else:
                    assert outcome.problem.code == "audit_unavailable", outcome.problem
                    await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as callers:
            for _ in range(at_once):
                callers.create_task(caller())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
