"""A whole toolgate with servers behind it, in this process, and small servers to stand there."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolgate.app import App, open_app
from toolgate.settings import Settings, read_settings

PLAIN = Path(__file__).with_name("plain.py")
POLICY = """
role: reader
permissions:
  - {id: reader.all, tools: "*"}
"""

Behind = Callable[..., AbstractAsyncContextManager[App]]
"""Opens a toolgate over integrations given by name."""


def plain(*habits: str, **more: Any) -> dict[str, Any]:
    """The declaration of `plain.py` as a child process."""
    return {"command": [sys.executable, "-S", str(PLAIN), *habits], **more}


def settings_of(folder: Path, integrations: Mapping[str, Mapping[str, Any]], **more: Any) -> Settings:
    for name, declaration in integrations.items():
        place = folder / "specs" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "integration.yaml").write_text(yaml.safe_dump({"name": name, "kind": "mcp", "prices": {"default": 0}, **declaration}))
    (folder / "policies" / "roles").mkdir(parents=True, exist_ok=True)
    (folder / "policies" / "roles" / "reader.yaml").write_text(POLICY)
    values = {
        "tool_specs": ["specs"],
        "policies": "policies",
        "data_dir": "state",
        "store": "memory",
        "server": {"port": 0},
        "anonymous": {"roles": ["reader"]},
        "limits": {"repeats": {"calls": None}},
        **more,
    }
    (folder / "toolgate.yaml").write_text(json.dumps(values))
    return read_settings(folder / "toolgate.yaml", {})


@pytest.fixture
def behind(tmp_path: Path) -> Behind:
    @asynccontextmanager
    async def opened(*, settings: Mapping[str, Any] | None = None, **integrations: Mapping[str, Any]) -> AsyncIterator[App]:
        async with open_app(settings_of(tmp_path, integrations, **(settings or {}))) as app:
            yield app

    return opened
