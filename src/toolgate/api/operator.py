"""What operators and their machines ask: is it alive, is it ready, what is served, what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.requests import Request

from toolgate import __version__, documents
from toolgate.api.answers import Json
from toolgate.calls import Principal
from toolgate.errors import NotPermitted
from toolgate.policy.bounds import ADMIN, WHO, is_admin
from toolgate.server.identify import principal_of


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


def admin_of(request: Request, what: str, *, changes: bool = False) -> Principal:
    """Who asks, of the role admin.

    Raises:
        NotPermitted: it is somebody else, who may not do `what`.
    """
    principal = principal_of(request.scope)
    if not is_admin(principal, changes=changes):
        raise NotPermitted(f"{principal.id} may not {what}; {WHO if changes else f'the role {ADMIN}'} may", "api.admin")
    return principal


@cache
def description() -> Mapping[str, Any]:
    """The OpenAPI description of this face, with this program's version in it."""
    text = files("toolgate.api").joinpath("openapi.yaml").read_bytes()
    read: dict[str, Any] = documents.parse(text, name="openapi.yaml")
    return read | {"info": read["info"] | {"version": __version__}}
