"""Open what our own tools stand on, as the settings say, and say of each that cannot be opened why it is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from toolgate.internal.desk import Backends
from toolgate.settings import Settings, state_folder
from toolgate.tasks import beside

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from toolgate.egress.wire import Sender
    from toolgate.internal.code import Coding
    from toolgate.internal.meanings import Meanings
    from toolgate.internal.retrieve import Documents
    from toolgate.internal.web import Web
    from toolgate.internal.workflows import Workflows
    from toolgate.library.shelf import Shelf
    from toolgate.llm.models import Models
    from toolgate.stores import Stores

CODE = ("execute_code", "run_tests")
WORKFLOWS = ("run_workflow", "list_workflows")
MODELS = ("analyze_code", "generate_tests", "refactor_code")
OFF = "running code is off; `code: {enabled: true}` in toolgate.yaml turns it on"
UNINDEXED = "no folder is indexed; `toolgate index add FOLDER` indexes one, for the next start"
UNSEARCHED = "no search engine is configured; `web_search` in toolgate.yaml names some"
UNDECLARED = "no workflow is configured; `workflows` in toolgate.yaml names some"
UNANSWERED = "no language model is configured; `providers` in toolgate.yaml does, or a variable such as OPENAI_API_KEY"


@asynccontextmanager
async def open_backends(settings: Settings, sender: Sender, stores: Stores, models: Models) -> AsyncIterator[Backends]:
    from toolgate.internal.jobs import Jobs

    absent = missing(settings, models=models.any)
    async with beside() as tasks:
        yield Backends(
            Jobs(stores, tasks),
            stores,
            code=await _code(settings, absent) if settings.code.enabled else None,
            documents=None if "retrieve_context" in absent else _documents(settings, models, tasks),
            web=_web(settings, sender) if settings.web_search else None,
            workflows=_workflows(settings, sender) if settings.workflows else None,
            models=models if models.any else None,
            absent=absent,
        )


def missing(settings: Settings, *, models: bool) -> dict[str, str]:
    """What is not configured, by operation, and what would: what `open_backends` says, without opening anything.

    Args:
        models: whether there is a language model.
    """
    absent: dict[str, str] = {}
    if not settings.code.enabled:
        absent |= dict.fromkeys(CODE, OFF)
    if not _shelved(settings):
        absent["retrieve_context"] = UNINDEXED
    if not settings.web_search:
        absent["web_search"] = UNSEARCHED
    if not settings.workflows:
        absent |= dict.fromkeys(WORKFLOWS, UNDECLARED)
    if not models:
        absent |= dict.fromkeys(MODELS, UNANSWERED)
    return absent


def _shelved(settings: Settings) -> bool:
    file = state_folder(settings) / "index.db"
    if not file.is_file():
        return False
    from toolgate.library.shelf import Shelf

    return Shelf(file).exists()


async def _code(settings: Settings, absent: dict[str, str]) -> Coding | None:
    from asyncio import Semaphore

    from toolgate.internal.code import Coding
    from toolgate.sandbox.box import Limits
    from toolgate.sandbox.languages import find_interpreters
    from toolgate.sandbox.sandbox import Unavailable, find_sandbox

    code = settings.code
    found = await find_sandbox(None if code.way == "auto" else code.way, code.uid)
    if isinstance(found, Unavailable):
        absent |= dict.fromkeys(CODE, f"no sandbox works here: {found.why}")
        return None
    limits = Limits(code.seconds, code.cpu_seconds, code.memory, code.disk, code.processes, output=code.output)
    return Coding(found, find_interpreters(code), limits, Semaphore(code.at_once))


def _documents(settings: Settings, models: Models, tasks: TaskGroup) -> Documents:
    from toolgate.internal.retrieve import Documents
    from toolgate.library.shelf import Shelf

    shelf = Shelf(state_folder(settings) / "index.db")
    return Documents(shelf, meanings(settings, shelf, models), tasks)


def meanings(settings: Settings, shelf: Shelf, models: Models) -> Meanings | None:
    """What embeds the passages of `shelf`; None: nothing does.

    Raises:
        Misconfigured: the provider that the settings name cannot do it.
    """
    chosen = settings.library.embeddings
    if chosen is None:
        return None
    from toolgate.internal.meanings import Meanings

    return Meanings(shelf, models.embedder(chosen.provider, chosen.model, chosen.dimensions), settings.stdio, chosen.seconds)


def _web(settings: Settings, sender: Sender) -> Web:
    from toolgate.internal.web import Web

    return Web(sender, settings.web_search)


def _workflows(settings: Settings, sender: Sender) -> Workflows:
    from toolgate.internal.workflows import Workflows

    return Workflows(sender, settings.workflows)
