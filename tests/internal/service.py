"""Our own service as the executor reaches it, over a `Hub` for a gate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema_rs
import orjson

from toolgate import documents
from toolgate.calls import Call, Outcome
from toolgate.egress.application import Application, Asgi
from toolgate.egress.wire import Reach, Request, Response
from toolgate.internal.service import internal
from toolgate.testing import a_call, a_tool

ORIGIN = "http://internal.toolgate"
DESCRIPTION = Path(__file__).resolve().parents[2] / "tool-specs" / "internal" / "openapi.yaml"
WHERE = {"owner": "ada", "repo": "engine"}


@dataclass(frozen=True)
class Service:
    """Asks the service, and holds every answer against its description."""

    app: Asgi

    async def post(self, path: str, call: Call | None = None, **body: Any) -> tuple[int, Any]:
        return await self._send(Request("POST", f"{ORIGIN}{path}", (), orjson.dumps({**WHERE, **body})), call)

    async def get(self, path: str, call: Call | None = None, **query: str) -> tuple[int, Any]:
        return await self._send(Request("GET", f"{ORIGIN}{path}?{urlencode({**WHERE, **query})}"), call)

    async def send(self, request: Request, call: Call) -> Response:
        reach = Reach(frozenset({f"{ORIGIN}:80"}))
        return await Application(self.app).send(request, reach=reach, seconds=call.seconds_left(), call=call)

    async def _send(self, request: Request, call: Call | None) -> tuple[int, Any]:
        response = await self.send(request, call or a_call(a_tool(timeout=60.0)))
        answer = orjson.loads(response.body)
        path = request.url.removeprefix(ORIGIN).partition("?")[0]
        faults = list(answers(request.method, path, response.status).iter_errors(answer))
        assert faults == []
        return response.status, answer


@dataclass(frozen=True)
class Gate:
    """Of a gateway what tools of a repository need: they have no other backends."""

    call: Callable[..., Awaitable[Outcome]]


def a_service(hub: Callable[..., Awaitable[Outcome]]) -> Service:
    return Service(internal(Gate(hub), None))  # type: ignore[arg-type]


@cache
def answers(method: str, path: str, status: int) -> jsonschema_rs.Validator:
    """What the description says of an answer; a status that it does not know is a KeyError."""
    document: Mapping[str, Any] = documents.parse(DESCRIPTION.read_bytes(), name="openapi.yaml")
    answer = document["paths"][path][method.lower()]["responses"][str(status)]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = {**answer["content"]["application/json"]["schema"], "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema)
