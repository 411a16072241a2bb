"""The whole layer before real SDKs and a real server: what is counted here are requests on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic  # noqa: F401 - as `openai`: what its import takes is no silence of a server
import anyio
import openai  # noqa: F401
import pytest

from tests.llm.wires import ANTHROPIC, COMPATIBLE, FORMS, OPENAI, Act, Answer, Form, Server, model_server
from toolgate.app import open_app
from toolgate.egress.transport import open_transport
from toolgate.errors import ModelFailed
from toolgate.llm.messages import Chosen, Delta, Done, Errand, Prompt, TextDelta, User
from toolgate.llm.models import Models
from toolgate.llm.routed import Routed
from toolgate.policy.live import Live
from toolgate.policy.rules import Policy
from toolgate.settings import Settings
from toolgate.stores import Stores
from toolgate.stores.memory import memory_stores
from toolgate.testing import a_principal

HELLO = Prompt([User("Hello?")], max_tokens=100, seconds=60)
ERRAND = Errand(a_principal(), task="chat", run="run1")
EVERY = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)
ILL = Act(status=503, body={"error": {"message": "no"}})
SPARE = Act(answer=Answer("From the spare one."))


@dataclass
class World:
    main: Server
    spare: Server
    routed: Routed
    stores: Stores
    waits: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def stream(self) -> list[Delta]:
        with anyio.fail_after(60):
            return [delta async for delta in self.routed.stream(HELLO, ERRAND)]

    async def reply(self) -> tuple[str, str]:
        """The provider and the text."""
        with anyio.fail_after(60):
            reply = await self.routed.reply(HELLO, ERRAND)
        return reply.provider, reply.message.text

    @property
    def wire(self) -> tuple[int, int]:
        """Requests that came to the main server and to the spare one."""
        return len(self.main.bodies), len(self.spare.bodies)


@asynccontextmanager
async def world(form: Form, *acts: Act, **models: Any) -> AsyncIterator[World]:
    """Two providers; the main one is thought to be better and is asked first."""
    other = ANTHROPIC if form is not ANTHROPIC else COMPATIBLE
    async with model_server(*acts) as main, model_server(SPARE, SPARE) as spare, open_transport() as transport:
        settings = Settings.model_validate(
            {
                "providers": {
                    "main": provider(form, main, 0.9),
                    "spare": provider(other, spare, 0.1),
                },
                "models": models,
            }
        )
        stores = memory_stores()
        routed = Models(settings, transport, stores, Live(Policy([])), {}).provider
        there = World(main, spare, routed, stores)
        routed.sleep = there.sleep
        yield there


def provider(form: Form, server: Server, quality: float) -> dict[str, Any]:
    url = f"{server.origin}{form.path}"
    return {"kind": form.kind, "api_key": "k", "base_url": url, "models": {form.model: {"quality": quality}}}


@EVERY
async def test_a_server_that_is_ill_gets_three_requests_and_the_next_answers(form: Form) -> None:
    async with world(form, ILL, ILL, ILL) as there:
        assert await there.reply() == ("spare", "From the spare one.")

    assert there.wire == (3, 1)
    assert len(there.waits) == 2


@EVERY
async def test_a_pause_is_kept_up_to_twenty_seconds_and_longer_ones_are_left_to_others(form: Form) -> None:
    async with world(form, Act(status=429, headers={"retry-after": "7"}, body={}), Act()) as there:
        provider, _ = await there.reply()
    async with world(form, Act(status=429, headers={"retry-after": "60"}, body={})) as other:
        spare, _ = await other.reply()

    assert (provider, there.wire) == ("main", (2, 0))
    assert 7 <= there.waits[0] <= 7.5
    assert (spare, other.wire, other.waits) == ("spare", (1, 1), [])


@EVERY
async def test_a_429_that_does_not_say_how_long_is_tried_again(form: Form) -> None:
    async with world(form, Act(status=429, body={}), Act(status=429, body={}), Act()) as there:
        assert (await there.reply())[0] == "main"

    assert there.wire == (3, 0)


@EVERY
@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_no_attempt_can_mend_gets_one_request(form: Form, status: int) -> None:
    async with world(form, Act(status=status, body={"error": {"message": "no"}})) as there:
        assert (await there.reply())[0] == "spare"

    assert there.wire == (1, 1)


@EVERY
async def test_a_request_that_is_wrong_gets_one_request_and_goes_to_nobody_else(form: Form) -> None:
    async with world(form, Act(status=400, body={"error": {"message": "what?", "type": "invalid_request_error"}})) as there:
        with pytest.raises(ModelFailed) as failed:
            await there.reply()

    assert (failed.value.kind, there.wire) == ("request", (1, 0))


@EVERY
@pytest.mark.parametrize("broken", [Act(cut=2), Act(short=2), Act(spoil=2)], ids=["cut", "short", "no JSON"])
async def test_a_stream_that_breaks_is_asked_for_again_as_long_as_nobody_saw_it(form: Form, broken: Act) -> None:
    async with world(form, broken, broken, Act(answer=Answer("Whole."))) as there:
        assert await there.reply() == ("main", "Whole.")

    assert there.wire == (3, 0)


@EVERY
async def test_a_stream_that_breaks_after_something_was_seen_fails_and_is_not_sent_again(form: Form) -> None:
    async with world(form, Act(answer=Answer("One two three four five six."), cut=6)) as there:
        heard: list[Delta] = []
        with pytest.raises(ModelFailed):
            await collect(there, heard)

    assert any(isinstance(delta, TextDelta) for delta in heard)
    assert there.wire == (1, 0)


async def collect(there: World, heard: list[Delta]) -> None:
    with anyio.fail_after(60):
        async for delta in there.routed.stream(HELLO, ERRAND):
            heard.append(delta)


@EVERY
async def test_a_stream_begins_anew_where_the_operator_wants_that(form: Form) -> None:
    broken = Act(answer=Answer("One two three four five six."), cut=6)
    async with world(form, broken, broken, broken, cut_off="restart") as there:
        deltas = await there.stream()

    assert [delta.provider for delta in deltas if isinstance(delta, Chosen)] == ["main"] * 3 + ["spare"]
    assert sum(type(delta).__name__ == "Reset" for delta in deltas) == 3
    assert isinstance(deltas[-1], Done)
    assert there.wire == (3, 1)


@EVERY
async def test_a_server_that_is_silent_is_left_after_three_requests(form: Form) -> None:
    silent = Act(wait=0)
    async with world(form, silent, silent, silent, first=0.3) as there:
        provider, _ = await there.reply()
        there.main.go.set()

    assert (provider, there.wire) == ("spare", (3, 1))


async def test_what_it_cost_is_settled_with_nothing_held_and_every_attempt_is_written_down() -> None:
    async with world(ANTHROPIC, Act(status=529, body={"type": "error", "error": {"type": "overloaded_error"}}), Act()) as there:
        await there.reply()
        balances = await there.stores.ledger.balances()
        usage = await there.stores.ledger.usage(["provider"])
        outcome, intent = await there.stores.journal.read("audit")

    assert there.wire == (2, 0)
    assert {balance.held for balance in balances} == {0}
    assert [use.of["provider"] for use in usage if use.cost] == ["main"]
    assert [each["error"] for each in outcome.body["attempts"]] == ["overloaded", None]
    assert intent.body["route"]["chain"][0].startswith("main/")


async def test_on_disk_a_request_is_set_aside_and_written_down_at_once_and_settled_after(tmp_path: Path) -> None:
    async with model_server(Act(), Act(status=401, body={})) as main:
        settings = Settings.model_validate({"data_dir": tmp_path, "integrations": (), "providers": {"main": provider(OPENAI, main, 0.9)}})
        async with open_app(settings) as app:
            with anyio.fail_after(60):
                reply = await app.models.provider.reply(HELLO, ERRAND)
                with pytest.raises(ModelFailed):
                    await app.models.provider.reply(HELLO, ERRAND)
            balances = [balance for balance in await app.stores.ledger.balances() if balance.account.scope == "session"]
            entries = [entry.body for entry in await app.stores.journal.read("audit") if entry.body["type"].startswith("model.")]

    assert reply.cost > 0
    assert not reply.estimated
    assert [(balance.spent, balance.held) for balance in balances] == [(reply.cost, 0)] * 2  # a day's and a month's
    assert [body["type"] for body in entries] == ["model.outcome", "model.intent"] * 2
    assert [body["money"]["settled"] for body in entries if body["type"] == "model.outcome"] == [0, reply.cost]
