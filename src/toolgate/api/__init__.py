"""The HTTP face `/v1`: tools for programs that speak no MCP, in the shapes that model providers take.

`openapi.yaml` beside this file describes it; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from toolgate.api.answers import STATUSES, Json
from toolgate.api.approvals import Answering
from toolgate.api.audit import Audited
from toolgate.api.clients import Connected
from toolgate.api.integrations import Integrations
from toolgate.api.metrics import Readers, Watched
from toolgate.api.operator import Operator
from toolgate.api.preview import Preview, Previewed
from toolgate.api.providers import Providers
from toolgate.api.query import BadQuery
from toolgate.api.summary import Summaries
from toolgate.api.tools import Tools
from toolgate.api.usage import Used
from toolgate.errors import ToolgateError
from toolgate.gateway import Gateway
from toolgate.roster import Roster
from toolgate.server.faces import refused
from toolgate.stores import Stores
from toolgate.stores.book import Book
from toolgate.stores.trail import Trail

if TYPE_CHECKING:
    from toolgate.agent.loop import Agent
    from toolgate.llm.models import Models
    from toolgate.llm.report import Report
    from toolgate.server.clients import Clients


def routes(
    gateway: Gateway,
    stores: Stores,
    roster: Roster,
    *,
    unready: Callable[[], str | None],
    metrics: Readers,
    preview: Preview,
    trail: Trail,
    book: Book,
    models: Callable[[], Report],
    clients: Callable[[], Clients],
) -> list[BaseRoute]:
    """The routes of the HTTP face, to be composed with others and put behind the ingress guard.

    Args:
        unready: why calls cannot be answered at present, for `/readyz`; None when they can.
        metrics: who may read `/metrics`.
        preview: the request that a call would send.
        trail: by which the journal is asked.
        book: the journal as a whole.
        models: what may be known of the language models; made when first asked for.
        clients: MCP clients that there are, likewise.
    """
    tools, operator, answering = Tools(gateway), Operator(unready), Answering(gateway.approvals)
    providers = Providers(models)
    audited, summaries = Audited(stores.journal, trail, book), Summaries(trail, stores.ledger)
    there = Integrations(roster, trail)
    return [
        Route("/v1/tools", tools.many, methods=["GET"]),
        Route("/v1/tools/{name}", tools.one, methods=["GET"]),
        Route("/v1/tools/{name}/call", tools.call, methods=["POST"]),
        Route("/v1/tools/{name}/preview", Previewed(gateway, preview).preview, methods=["POST"]),
        Route("/v1/approvals", answering.many, methods=["GET"]),
        Route("/v1/approvals/{id}", answering.answer, methods=["POST"]),
        Route("/v1/usage", Used(stores.ledger).usage, methods=["GET"]),
        Route("/v1/providers", providers.many, methods=["GET"]),
        Route("/v1/providers/stats", providers.stats, methods=["GET"]),
        Route("/v1/providers/wins", providers.wins, methods=["GET"]),
        Route("/v1/providers/costs", providers.costs, methods=["GET"]),
        Route("/v1/providers/explain", providers.explain, methods=["POST"]),
        Route("/v1/providers/feedback", providers.feedback, methods=["POST"]),
        Route("/v1/providers/{name}/test", providers.test, methods=["POST"]),
        Route("/v1/providers/{name}/enable", partial(providers.switch, on=True), methods=["POST"]),
        Route("/v1/providers/{name}/disable", partial(providers.switch, on=False), methods=["POST"]),
        Route("/v1/integrations", there.many, methods=["GET"]),
        Route("/v1/integrations", there.add, methods=["POST"]),
        Route("/v1/integrations/preview", there.look, methods=["POST"]),
        Route("/v1/integrations/{name}", there.one, methods=["GET"]),
        Route("/v1/integrations/{name}/test", there.test, methods=["POST"]),
        Route("/v1/integrations/{name}/enable", partial(there.switch, on=True), methods=["POST"]),
        Route("/v1/integrations/{name}/disable", partial(there.switch, on=False), methods=["POST"]),
        Route("/v1/integrations/{name}/refresh", there.refresh, methods=["POST"]),
        Route("/v1/integrations/{name}/accept", there.accept, methods=["POST"]),
        Route("/v1/clients", Connected(clients, trail).many, methods=["GET"]),
        Route("/v1/budgets", summaries.budgets, methods=["GET"]),
        Route("/v1/metrics/calls", summaries.calls, methods=["GET"]),
        Route("/v1/audit", audited.many, methods=["GET"]),
        Route("/v1/audit/export", audited.export, methods=["GET"]),
        Route("/v1/audit/verify", audited.verify, methods=["POST"]),
        Route("/openapi.json", operator.description, methods=["GET"]),
        Route("/healthz", operator.health, methods=["GET"]),
        Route("/readyz", operator.readiness, methods=["GET"]),
        Route("/metrics", Watched(gateway.metrics, metrics).read, methods=["GET"]),
    ]


def agent_routes(agent: Callable[[], Agent], models: Models) -> list[BaseRoute]:
    """The routes of the agent and of the models that it asks, in the wire forms of others.

    Args:
        agent: put together when first asked; so are these routes' modules.
    """

    def late(module: str, find: Callable[[Any], Callable[[Request], Awaitable[Response]]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return await find(import_module(f"toolgate.api.{module}"))(request)

        return answer

    return [
        Route("/v1/agent", late("agent", lambda found: found.AgUi(agent()).run), methods=["POST"]),
        Route("/v1/chat/completions", late("completions", lambda found: found.Completions(agent(), models).complete), methods=["POST"]),
        Route("/v1/responses", late("responses", lambda found: found.Responses(agent(), models).create), methods=["POST"]),
        Route("/v1/models", late("models", lambda found: found.Offered(models).many), methods=["GET"]),
        Route("/v1/models/{id:path}", late("models", lambda found: found.Offered(models).one), methods=["GET"]),
        Route("/v1/runs", late("runs", lambda found: found.Told(agent()).many), methods=["GET"]),
        Route("/v1/runs/{id}", late("runs", lambda found: found.Told(agent()).one), methods=["GET"]),
    ]


async def _nothing_there(request: Request, error: Exception) -> Response:
    """What a path or method that no route has is answered with."""
    assert isinstance(error, HTTPException)
    status, code = error.status_code, "not_found" if error.status_code == 404 else "bad_request"
    body = refused(request.scope["path"], status, code, "GET /openapi.json tells what is here")
    return Json(body, status_code=status, headers=dict(error.headers or {}))


async def _on_purpose(request: Request, error: Exception) -> Response:
    """What ends a request on purpose is answered in its own words, wherever it was raised."""
    assert isinstance(error, BadQuery | ToolgateError)
    status = STATUSES[error.code]
    return Json(refused(request.scope["path"], status, error.code, str(error)), status_code=status)


async def _bug(request: Request, _error: Exception) -> Response:
    body = refused(request.scope["path"], 500, "error", "the request failed by a bug; the operator of this server finds more in its log")
    # OpenAI's clients send again what ended with a 500, and nobody knows what this has done.
    return Json(body, status_code=500, headers={"x-should-retry": "false"})


EXCEPTION_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    HTTPException: _nothing_there,
    BadQuery: _on_purpose,
    ToolgateError: _on_purpose,
    Exception: _bug,
}
"""For the application that the routes are composed into, so that these answers are JSON too."""
