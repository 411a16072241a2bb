"""A terminal for tests: an empty folder, a state folder of its own, and an API on loopback to call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toolgate.cli import main
from toolgate.standin import serving


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err.splitlines()[-1])["error"]


Terminal = Callable[..., Ran]


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Terminal:
    """`terminal("tools", "list")` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*words: str) -> Ran:
        capsysbinary.readouterr()
        code = main(words)
        out, err = capsysbinary.readouterr()
        return Ran(code, out.decode(errors="surrogateescape"), err.decode())

    return run


SHOP: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "paths": {
        "/items": {
            "get": {
                "operationId": "list_items",
                "summary": "List the items on sale",
                "parameters": [
                    {"name": "kind", "in": "query", "required": True, "schema": {"type": "string", "enum": ["tea", "cup"]}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 50}, "description": "Items at most."},
                    {"name": "tags", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                ],
                "responses": {"200": {"description": "Items.", "content": {"application/json": {"schema": {"type": "object"}}}}},
            },
            "post": {
                "operationId": "add_item",
                "summary": "Put an item on sale",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
                        }
                    },
                },
                "responses": {"201": {"description": "Added."}},
            },
        },
        "/status/{status}": {
            "get": {
                "operationId": "answer_with",
                "summary": "Answer with any status",
                "parameters": [{"name": "status", "in": "path", "required": True, "schema": {"type": "integer"}}],
                "responses": {"200": {"description": "Fine."}},
            }
        },
        "/picture": {
            "get": {
                "operationId": "get_picture",
                "summary": "The shop's front",
                "responses": {"200": {"description": "A picture.", "content": {"image/png": {}}}},
            }
        },
    },
}
PICTURE = b"\x89PNG\r\n\x1a\n\x00not really"


async def _items(request: Request) -> Response:
    following = f'<{request.url.include_query_params(limit=2)}>; rel="next"'
    return JSONResponse({"query": request.url.query}, headers={"link": following} if "limit=1" in request.url.query else {})


async def _add(request: Request) -> Response:
    return JSONResponse({"added": await request.json()}, 201)


async def _status(request: Request) -> Response:
    return JSONResponse({"message": "as you wished"}, int(request.path_params["status"]))


async def _picture(request: Request) -> Response:
    return Response(PICTURE, media_type="image/png")


@pytest.fixture(scope="session")
def shop_url() -> Iterator[str]:
    """An API that `SHOP` describes, on loopback."""
    adding = Route("/items", _add, methods=["POST"])
    app = Starlette(routes=[adding, Route("/items", _items), Route("/status/{status}", _status), Route("/picture", _picture)])
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(app)) as url:
        yield url


@pytest.fixture
def shop(terminal: Terminal, tmp_path: Path, shop_url: str) -> Path:
    """The folder of the only integration, which is the shop's."""
    (tmp_path / "toolgate.yaml").write_text('{"tool_specs": ["specs"]}')
    folder = tmp_path / "specs" / "shop"
    folder.mkdir(parents=True)
    (folder / "openapi.json").write_text(json.dumps(SHOP))
    declare(folder, base_url=shop_url)
    return folder


def declare(folder: Path, **values: Any) -> None:
    """Write the shop's integration.yaml."""
    declaration = {"name": "shop", "spec": "openapi.json", "allow_networks": ["127.0.0.0/8"], **values}
    (folder / "integration.yaml").write_text(json.dumps(declaration))
