"""The routes of the HTTP face over a gateway, with nothing else behind them but what a test brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute

from toolgate.api import routes
from toolgate.errors import Misconfigured, NoModel
from toolgate.gateway import Gateway
from toolgate.llm.report import Report
from toolgate.openapi.load import Loaded
from toolgate.roster import Roster
from toolgate.server.clients import Clients
from toolgate.settings import Settings
from toolgate.stores import Stores
from toolgate.stores.book import Book
from toolgate.stores.trail import Trail
from toolgate.testing import ScriptedSender


def faces(gateway: Gateway, stores: Stores, *, integrations: Sequence[Loaded] = (), **more: Any) -> list[BaseRoute]:
    roster = Roster(gateway, stores, Settings(), ScriptedSender([]), integrations, lambda _: (), lambda _: {})
    parts: dict[str, Any] = {
        "unready": lambda: None,
        "metrics": "admin",
        "preview": _no_request,
        "trail": Trail(stores.journal),
        "book": Book(None, stores.keys),
        "models": _no_models,
        "clients": lambda: Clients(stores.records),
    }
    return routes(gateway, stores, roster, **{**parts, **more})


async def _no_request(name: str, *_: Any) -> Any:
    raise Misconfigured(f"{name} is answered in this process; there is no request to show")


def _no_models() -> Report:
    raise NoModel({})
