"""Language models over HTTP; every answer is held against the description that is served."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.api.test_api import World, world
from toolgate.calls import Principal
from toolgate.egress.transport import open_transport
from toolgate.errors import ModelFailed
from toolgate.llm.messages import Errand, Prompt, User
from toolgate.llm.minutes import Minutes
from toolgate.llm.model import OFF
from toolgate.llm.models import open_models
from toolgate.llm.report import Report
from toolgate.llm.series import Batch, Key, Series
from toolgate.policy.live import Live
from toolgate.policy.models import Models as ModelPolicy
from toolgate.policy.rules import Policy
from toolgate.settings import Settings
from toolgate.stores.memory import memory_stores

KEYS = {"OPENAI_API_KEY": "not a key", "ANTHROPIC_API_KEY": "nor this"}
ADA = Principal("ada", roles=("reader",))


@asynccontextmanager
async def serving(rules: ModelPolicy | None = None, environ: Mapping[str, str] = KEYS) -> AsyncIterator[tuple[World, Report]]:
    settings = Settings()
    live = Live(Policy([], models=rules))
    async with open_transport() as transport, open_models(settings, transport, memory_stores(), live, environ) as models:
        report = Report(models)
        async with world([], models=lambda: report) as there:
            yield there, report


async def said(report: Report, run: str = "run1", user: str = "ada") -> str:
    """What a scripted model answers; its id."""
    reply = await report._models.provider.reply(Prompt([User("Hello?")], model="scripted"), Errand(Principal(user), task="chat", run=run))
    return f"{reply.provider}/{reply.model}"


async def test_an_operator_sees_every_model_and_what_would_add_others_and_others_what_they_may_ask() -> None:
    rules = ModelPolicy.model_validate({"rules": [{"id": "readers", "roles": ["reader"], "models": ["anthropic/*"]}]})
    async with serving(rules) as (there, _):
        all_, own = (await there.ask("GET", "/v1/providers", user="root")).json(), (await there.ask("GET", "/v1/providers")).json()

    assert [each["name"] for each in all_["providers"]] == ["openai", "anthropic", "scripted"]
    assert {"provider": "mistral", "variables": ["MISTRAL_API_KEY"]} in all_["more"]
    assert [each["name"] for each in own["providers"]] == ["anthropic"]
    assert "more" not in own
    assert "not a key" not in str(all_)


async def test_an_operator_tries_a_provider_and_hears_what_failed_last() -> None:
    async with serving() as (there, report):
        refused = await there.ask("POST", "/v1/providers/scripted/test", json={})
        fine = await there.ask("POST", "/v1/providers/scripted/test", user="root", json={})
        nobody = await there.ask("POST", "/v1/providers/nobody/test", user="root", json={})
        model = next(each for each in report._models.roster.models() if each.provider == "openai")
        attempt = report._models.provider.breakers.enter(model)
        assert attempt is not None
        report._models.provider.breakers.ended(
            attempt, ModelFailed("the provider does not accept the key", "provider", reason="authentication")
        )
        told = {each["name"]: each for each in (await there.ask("GET", "/v1/providers", user="root")).json()["providers"]}
        own = (await there.ask("GET", "/v1/providers")).json()["providers"]

    assert (refused.status_code, fine.json()["ok"], nobody.status_code) == (403, True, 503)
    assert (told["openai"]["credentials"], told["scripted"]["credentials"]) == ("set", "none")
    assert (told["openai"]["last_error"]["model"], told["openai"]["last_error"]["reason"]) == (model.id, "authentication")
    assert told["anthropic"]["last_error"] is None
    assert not any("last_error" in each for each in own)


async def test_an_error_that_another_process_met_is_told_to_the_minute_unless_a_later_one_was_met_here() -> None:
    def met(*errors: str) -> Batch:
        return Batch({Key("openai", "gpt-6-luna", "chat"): Series(requests=len(errors), errors=Counter(errors))})

    async def last(there: World) -> Mapping[str, Any] | None:
        told = (await there.ask("GET", "/v1/providers", user="root")).json()["providers"]
        found: dict[str, Mapping[str, Any] | None] = {each["name"]: each["last_error"] for each in told}
        assert found["anthropic"] is None
        return found["openai"]

    async with serving() as (there, report):
        minutes, now = Minutes(report._models.stores.records), int(time.time() // 60)
        await minutes.add(now - 90, met("quota"))  # too long ago
        await minutes.add(now - 3, met("context_exceeded", "invalid", "cancelled"))  # nothing of these is the provider's doing
        before = await last(there)
        await minutes.add(now - 9, met("overloaded"))
        await minutes.add(now - 5, met("authentication", "invalid"))
        elsewhere = await last(there)
        await report._models.roster.ready("openai/gpt-9")
        model = next(each for each in report._models.roster.models() if each.id == "openai/gpt-9")  # none that is listed
        attempt = report._models.provider.breakers.enter(model)
        assert attempt is not None
        report._models.provider.breakers.ended(attempt, ModelFailed("openai is busy", "transient", reason="rate_limited"))
        here = await last(there)

    assert before is None
    assert elsewhere == {
        "at": datetime.fromtimestamp((now - 5) * 60, UTC).isoformat(),
        "model": "openai/gpt-6-luna",
        "reason": "authentication",
        "message": "openai does not accept the key; check the one that is configured (met by another process, or before a restart)",
    }
    assert here is not None
    assert (here["reason"], here["message"]) == ("rate_limited", "openai is busy")


async def test_an_operator_switches_a_provider_off_and_it_is_asked_no_more_until_it_is_on_again() -> None:
    async with serving() as (there, report):
        stores = report._models.stores
        refused = [await there.ask("POST", f"/v1/providers/openai/{what}", json={}) for what in ("disable", "enable")]
        nobody = await there.ask("POST", "/v1/providers/nobody/disable", user="root", json={})
        assert await stores.records.list("provider") == []
        off = await there.ask("POST", "/v1/providers/openai/disable", user="root", json={})
        told = {each["name"]: each for each in (await there.ask("GET", "/v1/providers", user="root")).json()["providers"]}
        chosen = (await there.ask("POST", "/v1/providers/explain", json={"prompt": "Hello?"})).json()
        named = await there.ask("POST", "/v1/providers/explain", json={"prompt": "Hello?", "model": "openai"})
        on = await there.ask("POST", "/v1/providers/openai/enable", user="root", json={})
        again = (await there.ask("POST", "/v1/providers/explain", json={"prompt": "Hello?", "model": "openai"})).json()
        lines = [entry.body for entry in await stores.journal.read("audit")]

    assert ([each.status_code for each in refused], nobody.status_code) == ([403, 403], 503)
    assert (off.json(), on.json()) == ({"enabled": False}, {"enabled": True})
    assert {name: each["enabled"] for name, each in told.items()} == {"openai": False, "anthropic": True, "scripted": True}
    assert {each["unavailable"] for each in told["openai"]["models"]} == {OFF}
    assert {model.partition("/")[0] for model in chosen["chain"]} == {"anthropic"}
    assert {why for model, why in chosen["dropped"].items() if model.startswith("openai/")} == {OFF}
    assert (named.status_code, OFF in named.json()["problem"]["message"]) == (503, True)
    assert again["chain"][0].startswith("openai/")
    assert [(line["principal"]["id"], line["details"]) for line in lines if line["type"] == "config.changed"] == [
        ("root", {"provider": "openai", "what": "enabled"}),
        ("root", {"provider": "openai", "what": "disabled"}),
    ]


async def test_how_models_do_is_for_the_operator_and_holds_what_was_just_asked() -> None:
    async with serving() as (there, report):
        await said(report)

        refused = await there.ask("GET", "/v1/providers/stats")
        stats = (await there.ask("GET", "/v1/providers/stats?since=1h&by=provider,task", user="root")).json()
        costs = (await there.ask("GET", "/v1/providers/costs?by=user", user="root")).json()

    assert refused.status_code == 403
    assert [(line["provider"], line["task"], line["total_requests"]) for line in stats["stats"]] == [("scripted", "chat", 1)]
    assert [(line["user"], line["requests"]) for line in costs["costs"]] == [("ada", 1)]


async def test_a_run_is_judged_once_and_by_its_own_user_and_its_model_wins_or_loses() -> None:
    async with serving() as (there, report):
        model = await said(report)
        judgement = {"run": "run1", "good": 1}

        others = await there.ask("POST", "/v1/providers/feedback", user="bob", json=judgement)
        first = await there.ask("POST", "/v1/providers/feedback", json=judgement)
        again = await there.ask("POST", "/v1/providers/feedback", json=judgement)
        wins = (await there.ask("GET", "/v1/providers/wins", user="root")).json()["wins"]

    assert (others.status_code, first.json(), again.status_code) == (404, {"model": model}, 404)
    [line] = wins
    assert (line["task"], f"{line['provider']}/{line['model']}", line["win_rate"], line["judged"]) == ("chat", model, 1, 1)


async def test_a_decision_is_explained_and_nobody_is_asked() -> None:
    async with serving() as (there, report):
        found = (await there.ask("POST", "/v1/providers/explain", json={"prompt": "Write a unit test.", "high_risk": True})).json()

        assert not report._models.provider.performance.changed

    assert (found["task"], found["guessed"]) == ("coding", True)
    assert found["chain"][0].startswith(("openai/", "anthropic/"))
    assert found["dropped"]["scripted/scripted-1"] == "it is only asked by its name"


async def test_what_cannot_be_meant_is_told_with_what_could() -> None:
    async with serving() as (there, _):
        answers = [
            await there.ask("GET", "/v1/providers/stats?since=soon", user="root"),
            await there.ask("GET", "/v1/providers/costs?by=weather", user="root"),
            await there.ask("POST", "/v1/providers/explain", json={"prompt": "x", "task": "sports"}),
            await there.ask("POST", "/v1/providers/explain", json={"text": "x"}),
            await there.ask("POST", "/v1/providers/feedback", json={"run": "run1", "good": 2}),
            await there.ask("POST", "/v1/providers/feedback", json={"run": "run1", "good": True}),
        ]

    assert [answer.status_code for answer in answers] == [400] * 6
    assert "24h" in answers[0].json()["problem"]["message"]
    assert "provider, model" in answers[1].json()["problem"]["message"]
    assert "coding" in answers[2].json()["problem"]["message"]


def test_the_page_names_every_path() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "routing.md").read_text()

    for path in ("", "/stats", "/wins", "/costs", "/explain", "/feedback"):
        assert f"`/v1/providers{path}`" in page
