"""The tools of our own service, described in `tool-specs/internal`.

An ASGI application in this process, reached by the same executor as any API. Some operations are whole tasks made of GitHub
tools, called through the gate as the principal who called; others stand on what the operator configured (`backends`): those
whose backend is not there are not served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from toolgate.gateway import Gateway
from toolgate.internal.actions import create_workflow, deploy_preview
from toolgate.internal.change import update_issue
from toolgate.internal.desk import Backends, Desk
from toolgate.internal.github import GitHub, out_of_time
from toolgate.internal.issues import create_issues
from toolgate.internal.listing import asked_in_query, list_issues
from toolgate.internal.locks import Locks
from toolgate.internal.pulls import create_pull_request
from toolgate.internal.review import review_pull_request
from toolgate.internal.trouble import Trouble

Asked = Mapping[str, Any]


SERVICES = {
    "/v1/code:execute": "code.execute_code",
    "/v1/tests:run": "code.run_tests",
    "/v1/web:search": "web.web_search",
    "/v1/documents:retrieve": "retrieve.retrieve_context",
    "/v1/workflows:run": "workflows.run_workflow",
    "/v1/workflows:list": "workflows.list_workflows",
    "/v1/jobs:submit": "background.submit_job",
    "/v1/jobs:get": "background.get_job",
    "/v1/jobs:cancel": "background.cancel_job",
    "/v1/usage:report": "usage.usage_report",
    "/v1/code:analyze": "coder.analyze_code",
    "/v1/code:refactor": "coder.refactor_code",
    "/v1/tests:generate": "coder.generate_tests",
}
"""Operations that are not about one repository, by path, as `module.name` in this package: imported when they are first asked for."""


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    run: Callable[[GitHub, Asked], Awaitable[dict[str, Any]]]
    subject: str | None = None
    """The field by which two calls are about the same thing of a repository; None: they do not disturb each other."""


OPERATIONS = (
    Operation("POST", "/v1/issues:batch", create_issues, subject="batch"),
    Operation("POST", "/v1/issues:update", update_issue, subject="number"),
    Operation("GET", "/v1/issues", list_issues),
    Operation("POST", "/v1/pull-requests", create_pull_request, subject="branch"),
    Operation("POST", "/v1/pull-requests:review", review_pull_request, subject="number"),
    Operation("POST", "/v1/actions/workflows", create_workflow, subject="name"),
    Operation("POST", "/v1/actions/previews", deploy_preview),
)


def internal(gateway: Gateway, backends: Backends) -> ASGIApp:
    locks = Locks()

    def route(operation: Operation) -> Route:
        async def endpoint(request: Request) -> Response:
            asked: Asked = await request.json() if operation.method == "POST" else asked_in_query(request.query_params)
            github = GitHub(gateway, request.state.call, asked["owner"], asked["repo"])
            return JSONResponse(await _run(operation, github, asked, locks))

        return Route(operation.path, endpoint, methods=[operation.method])

    def service(path: str, run: str) -> Route:
        async def endpoint(request: Request) -> Response:
            desk = Desk(request.state.call, gateway, backends)
            return JSONResponse(await _function(run)(desk, await request.json()))

        return Route(path, endpoint, methods=["POST"])

    routes = [*map(route, OPERATIONS), *(service(path, run) for path, run in SERVICES.items())]
    return Starlette(routes=routes, exception_handlers={Trouble: _refusal})


def _function(name: str) -> Callable[[Desk, Asked], Awaitable[dict[str, Any]]]:
    module, _, function = name.rpartition(".")
    found: Callable[[Desk, Asked], Awaitable[dict[str, Any]]] = getattr(import_module(f"toolgate.internal.{module}"), function)
    return found


async def _run(operation: Operation, github: GitHub, asked: Asked, locks: Locks) -> dict[str, Any]:
    if operation.subject is None:
        return await operation.run(github, asked)
    subject = f"{github.owner}/{github.repo} {operation.subject} {asked[operation.subject]}".casefold()
    async with locks.hold(subject, seconds=github.seconds_left()) as held:
        if not held:
            raise out_of_time()
        return await operation.run(github, asked)


async def _refusal(_request: Request, trouble: Exception) -> Response:
    assert isinstance(trouble, Trouble)
    after = {} if trouble.retry_after is None else {"Retry-After": str(max(0, round(trouble.retry_after)))}
    return JSONResponse(trouble.as_json(), HTTPStatus(trouble.status), headers=after)
