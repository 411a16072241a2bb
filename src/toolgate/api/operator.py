"""What operators and their machines ask: is it alive, is it ready, what is served, what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.requests import Request

from toolgate import __version__, documents
from toolgate.api.answers import Json


class Operator:
    def __init__(self, unready: Callable[[], str | None]) -> None:
        self._unready = unready

    async def description(self, _request: Request) -> Json:
        return Json(description())

    async def health(self, _request: Request) -> Json:
        return Json({"alive": True})

    async def readiness(self, _request: Request) -> Json:
        reason = self._unready()
        return Json({"ready": reason is None, "reason": reason}, status_code=200 if reason is None else 503)


@cache
def description() -> Mapping[str, Any]:
    """The OpenAPI description of this face, with this program's version in it."""
    text = files("toolgate.api").joinpath("openapi.yaml").read_bytes()
    read: dict[str, Any] = documents.parse(text, name="openapi.yaml")
    return read | {"info": read["info"] | {"version": __version__}}
