from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from toolgate.agent.events import Called, Event
from toolgate.agent.runs import Task
from toolgate.agent.tool import TASKS
from toolgate.app import open_app
from toolgate.errors import Misconfigured, NoModel
from toolgate.llm.improvised import LABEL
from toolgate.llm.known import SERVICES
from toolgate.llm.messages import Errand, Prompt, TaskType, User
from toolgate.llm.models import VARIABLES
from toolgate.server.identify import local
from toolgate.settings import Settings
from toolgate.testing import a_principal

ERRAND = Errand(a_principal(), run="run1")
HEAVY = ["openai", "anthropic", "genai_prices", "toolgate.llm.routed", "toolgate.llm.known", "toolgate.llm.messages", "toolgate.agent.runs"]


async def test_a_script_answers_through_the_whole_of_it_for_nothing(tmp_path: Path) -> None:
    async with open_app(Settings(data_dir=tmp_path, integrations=())) as app:
        reply = await app.models.provider.reply(Prompt([User("Hello?")], model="scripted"), ERRAND)
        usage = await app.stores.ledger.usage(["provider", "tool"])
        entries = await app.stores.journal.read("audit")

    assert reply.message.text.startswith(LABEL)
    assert (reply.provider, reply.cost) == ("scripted", 0)
    assert [(use.of, use.calls, use.cost) for use in usage] == [({"provider": "scripted", "tool": "scripted/scripted-1"}, 1, 0)]
    assert [entry.body["type"] for entry in entries if entry.body["type"].startswith("model.")] == ["model.outcome", "model.intent"]


async def test_a_script_does_not_answer_who_did_not_name_it(tmp_path: Path) -> None:
    async with open_app(Settings(data_dir=tmp_path, integrations=(), providers={})) as app:
        with pytest.raises(Misconfigured, match="no language model is set up"):
            await app.models.provider.reply(Prompt([User("Hello?")]), ERRAND)


async def test_a_provider_that_is_off_is_not_asked_even_by_its_name_restarts_and_other_processes_included(tmp_path: Path) -> None:
    settings, hello = Settings(data_dir=tmp_path, integrations=()), Prompt([User("Hello?")], model="scripted")
    async with open_app(settings) as app, open_app(settings) as other:
        await other.models.provider.reply(hello, ERRAND)  # it knows by now what is off
        await app.models.roster.switches.switch("scripted", False, a_principal())
        with pytest.raises(NoModel, match="scripted: its provider is switched off by an operator"):
            await app.models.provider.reply(hello, ERRAND)
        await other.models.roster.switches.heed()
        with pytest.raises(NoModel, match="switched off by an operator"):
            await other.models.provider.reply(hello, ERRAND)

    async with open_app(settings) as app:
        with pytest.raises(NoModel, match="switched off by an operator"):
            await app.models.provider.reply(hello, ERRAND)
        await app.models.roster.switches.switch("scripted", True, a_principal())
        assert (await app.models.provider.reply(hello, ERRAND)).message.text.startswith(LABEL)


async def test_the_agent_does_a_task_with_a_script_and_real_tools(tmp_path: Path) -> None:
    async with open_app(Settings(data_dir=tmp_path)) as app:
        heard: list[Event] = []

        async def hear(event: Event) -> None:
            heard.append(event)

        task = Task("Which of the tools search for awards?", model="scripted")
        end = await app.agent.run(task, local(app.settings.stdio, "terminal"), hear)

    assert end.status == "done"
    assert next(each.tool for each in heard if isinstance(each, Called)) == "search_tools"
    assert end.answer.startswith(LABEL)
    assert "gsa_" in end.answer
    assert end.bill.total == 0


def test_every_variable_that_declares_a_provider_is_known_without_the_table() -> None:
    assert set(VARIABLES) == {each for service in SERVICES.values() for each in service.declaring}
    assert set(TASKS) == set(get_args(TaskType))


def test_who_asks_no_model_imports_nothing_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, toolgate.app; print([name for name in {HEAVY!r} if name in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"
