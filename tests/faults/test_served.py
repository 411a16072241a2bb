"""The whole program under faults: a served Toolgate that is killed, filled up, told to end or answered badly.

Cases F1-F3, F10, F12, F13, F24, F25 and F45 of docs/reliability.md. `make faults` runs them longer: TOOLGATE_FAULT_RUNS.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.disk import fill
from tests.faults.serving import CALLER, PRICE, Server, Things, Told, adding, http, lay_out, ledger, of_the_day, served, terminal
from toolgate.server.keys import Keys
from toolgate.settings import Caller
from toolgate.stores import open_stores
from toolgate.stores.secret import keys_in
from toolgate.stores.verify import verify

LONG = os.environ.get("TOOLGATE_FAULT_RUNS") is not None
at_length = pytest.mark.skipif(not LONG, reason="`make faults` runs it; the ordinary tests prove as much of the part alone, in seconds")
RUNS = int(os.environ.get("TOOLGATE_FAULT_RUNS", "1"))
AT_ONCE = 20
BUDGET = 20_000_000  # micro-dollars


def is_proven(state: Path) -> bool:
    return verify(state / "toolgate.db", keys_in(state).signer.verifier).flaw is None


@pytest.mark.parametrize("run", range(RUNS))
async def test_a_killed_server_has_written_down_what_it_did_and_the_next_one_tells_what_nobody_knows(tmp_path: Path, run: int) -> None:
    state, answered = tmp_path / "state", list[str]()
    async with Things().listening() as things:
        things.seconds = 0.005
        lay_out(tmp_path, things, tier={"budgets": {"day": BUDGET // 1_000_000}})
        async with served(tmp_path) as server, asyncio.TaskGroup() as tasks:
            tasks.create_task(adding(server, AT_ONCE, answered))
            while not answered:
                await asyncio.sleep(0.005)  # until it is under way
            await asyncio.sleep(random.Random(run).uniform(0.05, 0.5))  # the moment of death
            server.kill()
        before = Told(state)
        async with served(tmp_path) as server:
            after = Told(state)
            assert (await server.add("afterwards")).status == 200
        day = await of_the_day(state)

    effects = [note for note in things.added if note != "afterwards"]
    assert len(effects) == len(set(effects))
    assert set(effects) <= set(before.intents)
    assert set(answered) <= set(before.outcomes)
    assert len(before.outcomes) == len(set(before.outcomes))
    assert before.unknown == []
    assert after.unknown == sorted(set(before.intents) - set(before.outcomes))
    assert len(after.unknown) <= AT_ONCE
    assert (
        (len(effects) + 1) * PRICE <= day.spent + day.held <= (len(before.intents) + AT_ONCE + 1) * PRICE
    )  # who died after `reserve` holds too
    assert day.spent + day.held <= BUDGET
    assert terminal(tmp_path, "audit", "verify")["intact"] == len(Told(state).events)


@at_length
@pytest.mark.parametrize(("moment", "effects"), [("before", []), ("after", ["a thing"])])
async def test_a_server_that_dies_within_a_call_leaves_a_question_and_a_hold_and_never_repeats_it(
    tmp_path: Path, moment: str, effects: list[str]
) -> None:
    state = tmp_path / "state"
    async with Things().listening() as things:
        lay_out(tmp_path, things)
        async with served(tmp_path) as server:

            def die(_note: str) -> None:
                os.kill(server.process.pid, signal.SIGKILL)
                if moment == "before":
                    raise ConnectionError

            setattr(things, moment, die)
            with pytest.raises(aiohttp.ClientError):
                await server.add("a thing")
            assert await server.ended() == -signal.SIGKILL
        setattr(things, moment, lambda _note: None)
        async with served(tmp_path):
            told, day = Told(state), await of_the_day(state)

    assert (told.intents, told.outcomes, told.unknown) == (["a thing"], [], ["a thing"])
    assert things.added == effects
    assert (day.spent, day.held) == (0, PRICE)


async def test_a_server_whose_disk_is_full_says_so_does_nothing_and_goes_on_when_there_is_room(tmp_path: Path, small: Path) -> None:
    async with Things().listening() as things:
        lay_out(tmp_path, things, data_dir=str(small))
        async with served(tmp_path) as server:
            assert (await server.add("with room")).status == 200
            filling = fill(small)
            numbers = iter(range(100_000))
            while (await server.add(f"nearly full {next(numbers)}")).status == 200:
                pass  # what SQLite had room for already
            done = len(things.added)

            refused = [await server.add(f"full {number}") for number in range(20)]
            ready = await server.get("/readyz")
            filling.unlink()
            freed = time.monotonic()
            while (await server.get("/readyz")).status != 200:
                assert time.monotonic() < freed + 5
                await asyncio.sleep(0.05)  # for another process
            assert (await server.add("with room again")).status == 200

        assert {(answer.status, answer.value["problem"]["code"], answer.value["effect"]) for answer in refused} == {
            (503, "audit_unavailable", "none")
        }
        assert ready.status == 503
        assert things.added[done:] == ["with room again"]
        told = Told(small)
        assert set(things.added) <= set(told.intents) <= set(told.outcomes)
        assert is_proven(small)


PROCESSES, CALLS = 4, 2000


@at_length
async def test_four_servers_with_one_budget_spend_all_of_it_and_no_more(tmp_path: Path) -> None:
    room = PROCESSES * CALLS // 2  # calls; one server alone would use it up half
    async with Things().listening() as things:
        lay_out(tmp_path, things, tier={"budgets": {"day": room * PRICE / 1_000_000}})
        async with served(tmp_path) as one, served(tmp_path) as two, served(tmp_path) as three, served(tmp_path) as four:
            statuses = await asyncio.gather(*(spending(server, f"{n}-") for n, server in enumerate((one, two, three, four))))
    day = await of_the_day(tmp_path / "state")

    assert sum(statuses, Counter()) == {200: room, 429: PROCESSES * CALLS - room}
    assert len(things.added) == len(set(things.added)) == room
    assert (day.spent, day.held, day.limit) == (room * PRICE, 0, room * PRICE)
    assert is_proven(tmp_path / "state")


async def spending(server: Server, prefix: str) -> Counter[int]:
    """How `CALLS` calls end, fifty at a time."""
    statuses: Counter[int] = Counter()
    numbers = iter(range(CALLS))

    async def caller() -> None:
        for number in numbers:
            answer = await server.add(f"{prefix}{number}")
            if answer.status == 429:
                assert answer.value["problem"]["code"] == "over_budget", answer.text
            statuses[answer.status] += 1

    async with asyncio.TaskGroup() as callers:
        for _ in range(50):
            callers.create_task(caller())
    return statuses


SHORT_BODY = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
LOST: dict[str, bytes | None] = {
    "reset": None,
    "closed without a word": b"",
    "half an answer": SHORT_BODY,
    "no HTTP": b"\x00\x01\x02\r\n\r\n",
}
"""What is said before the connection is closed; None: it is torn down."""


class Losing(Things):
    """Adds and then says so in no way that helps."""

    async def answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        note = json.loads(request.partition(b"\r\n\r\n")[2])["note"]
        self.added.append(note)
        if note in LOST:
            said = LOST[note]
            if said is None:
                writer.transport.abort()
            else:
                writer.write(said)
                writer.close()
        else:  # a good answer, but only when nobody waits for it any more
            await self.open.wait()
            writer.write(http(201, {"added": note}))


async def test_of_a_write_whose_answer_is_lost_nobody_claims_to_know_and_its_price_is_spent(tmp_path: Path) -> None:
    things = Losing()
    things.open.clear()
    notes = [*LOST, "late"]
    async with things.listening():
        lay_out(tmp_path, things, integration={"defaults": {"timeout": 3}}, upstreams={"failures": 100})
        async with served(tmp_path) as server:
            answers = {note: (await server.add(note)).value for note in notes}
            things.open.set()
            day = await of_the_day(tmp_path / "state")
            async with ledger(tmp_path / "state") as books:
                [used] = await books.usage([])
    told = Told(tmp_path / "state")

    assert {note: answer["effect"] for note, answer in answers.items()} == dict.fromkeys(notes, "unknown")
    assert [answer["problem"]["code"] for answer in answers.values()] == ["upstream_failed"] * 4 + ["timed_out"]
    assert things.added == notes  # each once
    assert (day.spent, day.held) == (len(notes) * PRICE, 0)
    assert (used.calls, used.unknown) == (len(notes), len(notes))
    assert {event["result"]["effect"] for event in told.events if event["type"] == "call.outcome"} == {"unknown"}


async def test_a_server_that_is_told_to_end_answers_200_calls_under_way_and_ends_well(tmp_path: Path) -> None:
    things = Things()
    things.open.clear()
    async with things.listening():
        lay_out(tmp_path, things)
        async with served(tmp_path) as server:
            calls = [asyncio.ensure_future(server.add(str(number))) for number in range(200)]
            await begun(tmp_path / "state", 200)
            server.process.send_signal(signal.SIGTERM)
            await refusing(server)
            things.open.set()
            answers = await asyncio.gather(*calls)
            code = await server.ended()

    told = Told(tmp_path / "state")
    everything = sorted(str(number) for number in range(200))
    assert [(answer.status, answer.value["structured"]) for answer in answers] == [(200, {"added": str(number)}) for number in range(200)]
    assert code == 0
    assert sorted(things.added) == told.intents == told.outcomes == everything
    assert told.unknown == []
    assert is_proven(tmp_path / "state")


@at_length
async def test_calls_that_outlast_the_grace_are_written_down_as_unknown_before_the_server_ends(tmp_path: Path) -> None:
    things = Things()
    things.open.clear()
    async with things.listening():
        lay_out(tmp_path, things, server={"grace": 1})
        async with served(tmp_path) as server:
            calls = [asyncio.ensure_future(server.add(str(number))) for number in range(50)]
            await begun(tmp_path / "state", 50)
            server.process.send_signal(signal.SIGTERM)
            code = await server.ended()
            await asyncio.gather(*calls, return_exceptions=True)
    told, day = Told(tmp_path / "state"), await of_the_day(tmp_path / "state")

    ends = [event["result"] for event in told.events if event["type"] == "call.outcome"]
    assert code == 0
    assert told.intents == told.outcomes == sorted(str(number) for number in range(50))
    assert ends == [{"ending": "CancelledError", "code": None, "effect": "unknown"}] * 50
    assert (day.spent, day.held) == (50 * PRICE, 0)


async def begun(state: Path, calls: int) -> None:
    """Once so many calls are written down as about to run."""
    async with asyncio.timeout(30):
        while len(Told(state).intents) < calls:
            await asyncio.sleep(0.05)  # for another process


async def refusing(server: Server) -> None:
    """Once nobody new is let in."""
    host, port = server.url.removeprefix("http://").split(":")
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.01)  # for another process


@at_length
async def test_who_lost_a_key_or_a_role_is_let_through_for_five_seconds_at_most(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with Things().listening() as things:
        lay_out(tmp_path, things, anonymous=None, limits={"repeats": {"calls": None}})
        lasting: Any = {**CALLER, "role": "lasting"}
        (tmp_path / "policies" / "roles" / "lasting.yaml").write_text(json.dumps(lasting).replace("caller.all", "lasting.all"))
        async with open_stores("sqlite", state) as stores:
            keys = Keys(stores.records)
            made = {role: await keys.create(f"{role}-owner", Caller(roles=(role,), tier="open")) for role in ("caller", "lasting")}
            passed: dict[str, list[float]] = {role: [] for role in made}
            refused: dict[str, set[int]] = {role: set() for role in made}

            async def calling(server: Server, role: str, until: asyncio.Event) -> None:
                for number in range(100_000):
                    began = time.monotonic()
                    answer = await server.add(f"{role} {number}", key=made[role][1])
                    if answer.status == 200:
                        passed[role].append(began)
                    else:
                        refused[role].add(answer.status)
                    if until.is_set():
                        return

            async with served(tmp_path) as server, asyncio.TaskGroup() as tasks:
                enough = asyncio.Event()
                for role in made:
                    tasks.create_task(calling(server, role, enough))
                while not all(passed.values()):
                    await asyncio.sleep(0.01)
                await keys.revoke(made["lasting"][0].id)
                nobody = {"role": "caller", "permissions": []}
                (tmp_path / "policies" / "roles" / "caller.yaml").write_text(json.dumps(nobody))
                changed = time.monotonic()
                await asyncio.sleep(7)
                enough.set()

    assert {role: max(times) - changed < 5 for role, times in passed.items()} == {"caller": True, "lasting": True}
    assert refused["caller"] == {404}  # what may not be seen is not told from nothing
    assert {401} <= refused["lasting"] <= {401, 429}  # who goes on is slowed down
    calls = [event for event in Told(state).events if event["type"] == "call.outcome"]
    assert len(calls) == sum(map(len, passed.values()))
    for role, policies in (("caller", 1), ("lasting", 2)):  # the calls of each came one after the other
        digests = [
            event["decision"]["policy"]
            for event in Told(state).events
            if event["type"] == "call.intent" and role in event["principal"]["roles"]
        ]
        assert all(digests)
        assert len(list(groupby(digests))) == len(set(digests)) <= policies


CLIENTS, EACH = 64, 100


@at_length
async def test_64_clients_with_the_same_request_ids_each_get_their_own_answers_from_a_server(tmp_path: Path) -> None:
    async with Things().listening() as things:
        lay_out(tmp_path, things)
        async with served(tmp_path) as server:

            async def client(number: int) -> list[tuple[int, str]]:
                seen = []
                for count in range(EACH):
                    answer = (await server.add_by_mcp({"note": f"{number}.{count}"}, count)).value
                    seen.append((answer["id"], json.loads(answer["result"]["content"][0]["text"])["added"]))
                return seen

            seen = await asyncio.gather(*map(client, range(CLIENTS)))

    assert seen == [[(count, f"{number}.{count}") for count in range(EACH)] for number in range(CLIENTS)]
    assert len(things.added) == CLIENTS * EACH
