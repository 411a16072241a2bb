"""Open what our own tools stand on, as the settings say, and say of each that cannot be opened why it is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from toolgate.internal.desk import Backends
from toolgate.settings import Settings, state_folder
from toolgate.tasks import beside

if TYPE_CHECKING:
    from toolgate.egress.wire import Sender
    from toolgate.internal.code import Coding
    from toolgate.internal.retrieve import Documents
    from toolgate.internal.web import Web
    from toolgate.internal.workflows import Workflows
    from toolgate.llm.models import Models
    from toolgate.stores import Stores

CODE = ("execute_code", "run_tests")
WORKFLOWS = ("run_workflow", "list_workflows")
MODELS = ("analyze_code", "generate_tests", "refactor_code")


@asynccontextmanager
async def open_backends(settings: Settings, sender: Sender, stores: Stores, models: Models) -> AsyncIterator[Backends]:
    from toolgate.internal.jobs import Jobs

    absent: dict[str, str] = {}
    async with beside() as tasks:
        yield Backends(
            code=await _code(settings, absent),
            documents=_documents(settings, absent),
            web=_web(settings, sender, absent),
            workflows=_workflows(settings, sender, absent),
            models=_models(models, absent),
            jobs=Jobs(stores, tasks),
            stores=stores,
            absent=absent,
        )


async def _code(settings: Settings, absent: dict[str, str]) -> Coding | None:
    if not settings.code.enabled:
        absent |= dict.fromkeys(CODE, "running code is off; `code: {enabled: true}` in toolgate.yaml turns it on")
        return None
    from toolgate.internal.code import coding
    from toolgate.sandbox.languages import find_interpreters
    from toolgate.sandbox.sandbox import Unavailable, find_sandbox

    found = await find_sandbox(None if settings.code.way == "auto" else settings.code.way, settings.code.uid)
    if isinstance(found, Unavailable):
        absent |= dict.fromkeys(CODE, f"no sandbox works here: {found.why}")
        return None
    return coding(found, find_interpreters(settings.code), settings.code)


def _documents(settings: Settings, absent: dict[str, str]) -> Documents | None:
    file = state_folder(settings) / "index.db"
    if file.is_file():
        from toolgate.internal.retrieve import Documents
        from toolgate.library.shelf import Shelf

        if (shelf := Shelf(file)).exists():
            return Documents(shelf)
    absent["retrieve_context"] = "no folder is indexed; `toolgate index add FOLDER` indexes one, for the next start"
    return None


def _web(settings: Settings, sender: Sender, absent: dict[str, str]) -> Web | None:
    if not settings.web_search:
        absent["web_search"] = "no search engine is configured; `web_search` in toolgate.yaml names some"
        return None
    from toolgate.internal.web import Web

    return Web(sender, settings.web_search)


def _workflows(settings: Settings, sender: Sender, absent: dict[str, str]) -> Workflows | None:
    if not settings.workflows:
        absent |= dict.fromkeys(WORKFLOWS, "no workflow is configured; `workflows` in toolgate.yaml names some")
        return None
    from toolgate.internal.workflows import Workflows

    return Workflows(sender, settings.workflows)


def _models(models: Models, absent: dict[str, str]) -> Models | None:
    if not models.any:
        absent |= dict.fromkeys(
            MODELS, "no language model is configured; `providers` in toolgate.yaml, or a variable such as OPENAI_API_KEY"
        )
        return None
    return models
