"""Every described operation, called through the gate with generated valid arguments, against a stand-in that holds each request
against the description."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checking import Checked, Service
from tests.examples import example
from toolgate.calls import Tool
from toolgate.egress.application import Application
from toolgate.gateway import Gateway, build_gateway
from toolgate.openapi.load import Loaded, load
from toolgate.openapi.read import read_document
from toolgate.openapi.source import tools_of
from toolgate.policy.load import load_policy
from toolgate.settings import Settings, bundled
from toolgate.stores.memory import memory_stores
from toolgate.testing import a_principal

BUNDLED = sorted(folder.parent for folder in bundled("tool-specs").glob("*/openapi.yaml"))


@dataclass
class World:
    loaded: Loaded
    service: Service
    gateway: Gateway
    tools: Mapping[str, Tool]
    keys: Mapping[str, str]
    """Operation by tool name."""

    async def call(self, name: str, *, full: bool) -> tuple[Any, Checked | None]:
        self.service.seen.clear()
        arguments = example(self.tools[name].schema, full=full)
        outcome = await self.gateway.call(name, arguments, BUSY)
        return outcome, self.service.seen[0] if self.service.seen else None

    async def faults(self, *, full: bool) -> dict[str, str]:
        """What is wrong with each tool's request, by tool."""
        wrong: dict[str, str] = {}
        for name, key in self.keys.items():
            outcome, checked = await self.call(name, full=full)
            if checked is None:
                wrong[name] = f"nothing was sent: {outcome.problem}"
            elif key not in checked.problems:
                wrong[name] = f"{checked.target} is not {key}"
            elif checked.problems[key]:
                wrong[name] = f"{checked.target}: {checked.problems[key]}"
        return wrong


BUSY = replace(a_principal("admin"), tier="enterprise")
"""Who may make thousands of calls a minute."""


@asynccontextmanager
async def world(folder: Path, state: Path, document: Any, base: str, bound: Set[str] = frozenset()) -> AsyncIterator[World]:
    loaded = load(folder, state, environ={})
    assert loaded.problem is None
    declaration = loaded.declaration
    assert declaration is not None
    credentials = {declaration.auth.name} if declaration.auth.type == "api_key" and declaration.auth.location == "query" else set()
    hidden = {item.name for item in declaration.hide}
    service = Service(document, base=base, credentials=frozenset(credentials | hidden | bound))
    tools = list(tools_of(loaded, Application(service)))
    gateway = build_gateway(tools, load_policy(bundled("policies")), memory_stores(), Settings())
    keys = {definition.name: definition.key for definition in loaded.definitions}
    yield World(loaded, service, gateway, {tool.name: tool for tool in tools}, keys)


def path_of(url: str | None) -> str:
    return "/" + url.partition("://")[2].partition("/")[2] if url else ""


@pytest.mark.parametrize("folder", BUNDLED, ids=lambda folder: str(folder.name))
@pytest.mark.parametrize("full", [False, True], ids=["least", "most"])
async def test_every_bundled_operation_sends_what_its_description_asks_for(folder: Path, full: bool, tmp_path: Path) -> None:
    document = yaml.safe_load((folder / "openapi.yaml").read_text())
    base = yaml.safe_load((folder / "integration.yaml").read_text()).get("base_url")

    async with world(folder, tmp_path, document, path_of(base)) as bundle:
        assert len(bundle.keys) == sum(1 for item in document["paths"].values() for method in item if method in METHODS)
        assert await bundle.faults(full=full) == {}


METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}


@pytest.mark.specs
@pytest.mark.parametrize("full", [False, True], ids=["least", "most"])
async def test_every_operation_of_the_official_github_description_sends_what_it_asks_for(
    full: bool, real_specs: Path, tmp_path: Path
) -> None:
    file = real_specs / "github" / "api.github.com.json.gz"
    document = json.loads(gzip.decompress(file.read_bytes()))
    folder = tmp_path / "github-all"
    folder.mkdir()
    (folder / "integration.yaml").write_text("name: github-all\nspec: openapi.json.gz\nbase_url: https://api.github.com\nexpose: search\n")
    (folder / "openapi.json.gz").write_bytes(file.read_bytes())

    async with world(folder, tmp_path / "state", document, "") as github:
        assert len(github.keys) == 1223
        assert await github.faults(full=full) == {}


OFFICIAL_GSA = Path(__file__).resolve().parents[3] / "shared" / "specs" / "gsa"
BOUND = {
    "api_key",
    "API_KEY",
    "X-Api-Key",
    "x-api-key",
    "token",
    "access_token",
    "access_key",
    "X-Auth-Token",
    "X-AUTH-TOKEN",
    "Authorization",
}
"""What those files ask callers for and an integration binds."""
GSA_FILES = sorted(file for file in OFFICIAL_GSA.rglob("*") if file.suffix in (".yaml", ".yml", ".json")) if OFFICIAL_GSA.is_dir() else []


@pytest.mark.specs
@pytest.mark.parametrize("file", GSA_FILES, ids=lambda file: str(file.relative_to(OFFICIAL_GSA)))
async def test_every_official_gsa_operation_sends_what_its_description_asks_for(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gsa"
    folder.mkdir()
    (folder / file.name).write_bytes(file.read_bytes())
    (folder / "integration.yaml").write_text(
        f"name: gsa\nspec: {file.name}\nfragment: true\nbase_url: https://api.gsa.gov\nexpose: search\n"
    )
    # As read and mended: what the file itself says can neither be parsed nor, where it is a fragment, be looked up.
    document = read_document(file.read_bytes(), name=file.name, fragment=True).root

    async with world(folder, tmp_path / "state", document, "", BOUND) as gsa:
        assert gsa.keys
        assert await gsa.faults(full=False) == {}
