"""The bundled internal tools alone, in an app of their own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolgate.app import App, open_app
from toolgate.calls import Outcome, Principal
from toolgate.settings import Settings, bundled
from toolgate.testing import a_principal

ADMIN = replace(a_principal("admin"), tier="enterprise")


@asynccontextmanager
async def an_app(folder: Path, **settings: Any) -> AsyncIterator[App]:
    specs = folder / "tool-specs"
    if not specs.exists():
        shutil.copytree(bundled("tool-specs") / "internal", specs / "internal")
    settings = {"store": "memory", "providers": {}, **settings}
    async with open_app(Settings(tool_specs=(specs,), data_dir=folder / "state", **settings)) as app:
        yield app


async def run(app: App, tool: str, principal: Principal = ADMIN, /, **arguments: Any) -> Outcome:
    return await app.gateway.call(f"internal_{tool}", arguments, principal)
