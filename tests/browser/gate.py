"""A whole gate on loopback in a thread of its own, as `toolgate serve` makes it, for a browser to use."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus
from anyio.from_thread import BlockingPortal, start_blocking_portal

from toolgate import documents
from toolgate.app import App, asgi, open_app
from toolgate.server.keys import Keys
from toolgate.server.listen import listen
from toolgate.settings import Caller, Settings, bundled, read_settings
from toolgate.standin import GitHub, serving


@dataclass
class Gate:
    url: str
    app: App
    portal: BlockingPortal
    heard: list[str] = field(default_factory=list)
    """The requests that the stand-in for GitHub got."""

    def key(self, owner: str, *roles: str, tier: str = "pro") -> str:
        """An API key of `owner`, as `toolgate keys create` makes it."""
        keys = Keys(self.app.stores.records)
        return self.portal.call(lambda: keys.create(owner, Caller(roles=roles, tier=tier)))[1]

    def lines(self) -> list[Mapping[str, Any]]:
        """The audit, newest first."""
        return [entry.body for entry in self.portal.call(lambda: self.app.stores.journal.read("audit", limit=1000))]


def settings_in(folder: Path, github: str, **more: Any) -> Settings:
    """The bundled integrations with GitHub's led to `github`, and state in `folder`."""
    specs = folder / "tool-specs"
    shutil.copytree(bundled("tool-specs"), specs)
    file = specs / "github" / "integration.yaml"
    declaration = documents.parse(file.read_bytes(), name=str(file))
    declaration |= {"base_url": github, "servers": [], "auth": {"type": "none"}, "allow_networks": ["127.0.0.0/8"]}
    file.write_text(json.dumps(declaration))
    shutil.copytree(bundled("policies"), folder / "policies")
    values = {"tool_specs": ["tool-specs"], "policies": "policies", "data_dir": "state", "server": {"port": 0}, **more}
    (folder / "toolgate.yaml").write_text(json.dumps(values))
    return read_settings(folder / "toolgate.yaml", {})


@asynccontextmanager
async def _serving(folder: Path, portal: BlockingPortal, more: Mapping[str, Any]) -> AsyncIterator[Gate]:
    heard: list[str] = []
    stop = anyio.Event()
    async with serving(GitHub().app(lambda method, target: heard.append(f"{method} {target}"))) as github:
        settings = settings_in(folder, github, **more)
        async with open_app(settings) as app, asgi(app) as application, anyio.create_task_group() as tasks:

            async def run(*, task_status: TaskStatus[str]) -> None:
                await listen(application, settings.server, ready=task_status.started, stop=stop)

            yield Gate(await tasks.start(run), app, portal, heard)
            stop.set()


@contextmanager
def a_gate(folder: Path, **more: Any) -> Iterator[Gate]:
    """
    Args:
        more: settings besides.
    """
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_serving(folder, portal, more)) as gate:
        yield gate


def signed_in(page: Any, gate: Gate, role: str, at: str = "#/tools") -> None:
    """Have `page` show `at`, in a session of somebody with `role`, who is called so."""
    page.goto("/console/")
    answer = page.request.post("/console/session", headers={"origin": gate.url}, data={"key": gate.key(f"{role}-1", role)})
    assert answer.ok
    page.goto(f"/console/{at}")
    page.reload()
    page.get_by_text(f"{role}-1 {role}").wait_for()
