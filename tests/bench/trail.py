"""How long the audit of a million lines takes to be learned, to be asked and to be paged: `python -m tests.bench.trail [LINES]`."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from toolgate.settings import Audit
from toolgate.stores.sqlite import open_sqlite
from toolgate.stores.trail import Asked, Trail

TIMES = 20


def body(number: int, dice: random.Random) -> dict[str, Any]:
    tool, who = dice.randrange(1200), min(int(dice.expovariate(0.05)), 199)
    ending = dice.choices(("ok", "refused", "failed"), (94, 5, 1))[0]
    call = f"{number // 2:032x}"
    return {
        "version": 1,
        "id": f"{number:032x}",
        "type": "call.intent" if number % 2 == 0 else "call.denied" if ending == "refused" else "call.outcome",
        "tenant": "default",
        "instance": "bench",
        "call": call,
        "parent": None,
        "principal": {"id": f"person-{who}", "roles": ["developer"], "tier": "pro", "via": "key", "acting_for": []},
        "tool": {"name": f"shop_tool_{tool}", "integration": f"shop-{tool % 20}", "fingerprint": f"{tool:064x}"},
        "arguments": {"digest": call, "values": {"owner": "acme", "repo": "rocket", "page": number}},
        **({"result": {"ending": ending, "code": None}, "money": {"settled": 100}, "ms": dice.expovariate(0.02)} if number % 2 else {}),
    }


def grow(file: Path, lines: int) -> None:
    """Written past the journal, without its chain: it is reading that is measured."""
    dice, now = random.Random(7), time.time_ns()
    rows = ((n + 1, "audit", now - (lines - n) * 100_000_000, orjson.dumps(body(n, dice)).decode(), b"") for n in range(lines))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany("insert into journal values (?, ?, ?, ?, ?)", rows)


async def timed(name: str, work: Callable[[], Awaitable[object]], times: int = TIMES) -> None:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        took.append((time.perf_counter() - began) * 1000)
    print(f"{name:58} median {sorted(took)[len(took) // 2]:8.1f} ms, worst {max(took):8.1f} ms")


async def main(lines: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        async with open_sqlite(folder / "toolgate.db", Audit()) as stores:
            journal = stores.journal
            grow(folder / "toolgate.db", lines)
            trail = Trail(journal, folder / "trail.db")
            began, rounds = time.perf_counter(), 1
            while await trail.follow():
                rounds += 1
            print(f"{lines} lines learned in {time.perf_counter() - began:.1f} s, {rounds} questions of half a second at most")
            print(
                f"journal {(folder / 'toolgate.db').stat().st_size / 1e6:.0f} MB, trail {(folder / 'trail.db').stat().st_size / 1e6:.0f} MB"
            )

            def page(asked: Asked, before: int | None = None) -> Callable[[], Awaitable[object]]:
                async def turn() -> object:
                    await trail.follow()
                    return await journal.lines(await trail.find(asked, limit=50, before=before))

                return turn

            await timed("newest 50, no filter", lambda: journal.read("audit", limit=50))
            await timed("oldest 50, no filter", lambda: journal.read("audit", limit=50, before=51))
            await timed("a frequent person", page(Asked(who="person-3")))
            await timed("a rare person", page(Asked(who="person-150")))
            await timed("a person and an ending", page(Asked(who="person-3", ending="failed")))
            await timed("a rare person and an ending", page(Asked(who="person-150", ending="failed")))
            await timed("many tools by pattern, and an ending", page(Asked(tool="shop_tool_1*", ending="refused")))
            await timed("an ending, in the middle", page(Asked(ending="refused"), before=lines // 2))
            await timed("a call and its tree", page(Asked(call=f"{lines // 4:032x}")))
            await timed("30 days by tool", lambda: trail.sums_by("tool", since=0), 5)
            await timed("30 days over time", lambda: trail.sums(since=0, minutes=1440), 5)
            trail.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
