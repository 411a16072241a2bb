"""A stand-in for a few of GitHub's operations on loopback, with state: for `toolgate demo`, for trials and for tests.

It answers in GitHub's shapes, knows the one repository `acme/rocket`, asks for no credential and forgets everything
when it ends.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskStatus
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from toolgate.server.listen import listen
from toolgate.settings import Server

REPOSITORY = "/repos/acme/rocket"
FILES = {"README.md": "# Rocket\n\nGoes up. See issue 1 for the coming down.\n"}
LABELS = {"bug": "d73a4a", "engine": "0e8a16", "paperwork": "c5def5"}

Heard = Callable[[str, str], None]
"""Is told of every request: its method, and its target as it stood on the wire."""


class GitHub:
    """The repository's state and the operations on it."""

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self.blockers: dict[int, list[int]] = {}
        """Numbers of issues, by that of the one that waits for them."""
        self._add("Landing is not implemented", ["bug"])
        self._add("The countdown stops at 1", ["bug", "engine"])

    def app(self, heard: Heard) -> Starlette:
        operations = [
            Route("/labels", self.list_labels),
            Route("/issues", self.list_issues, methods=["GET"]),
            Route("/issues", self.create_issue, methods=["POST"]),
            Route("/issues/{number:int}", self.get_issue, methods=["GET"]),
            Route("/issues/{number:int}", self.update_issue, methods=["PATCH"]),
            Route("/issues/{number:int}/dependencies/blocked_by", self.list_blockers, methods=["GET"]),
            Route("/issues/{number:int}/dependencies/blocked_by", self.add_blocker, methods=["POST"]),
            Route("/issues/{number:int}/sub_issues", self.add_sub_issue, methods=["POST"]),
            Route("/readme", self.get_readme),
            Route("/contents/{path:path}", self.get_file),
        ]
        return Starlette(
            routes=[Route(REPOSITORY, self.get_repository), Mount(REPOSITORY, routes=operations)],
            middleware=[Middleware(Listening, heard=heard)],
            exception_handlers={404: _not_found},
        )

    async def get_repository(self, request: Request) -> Response:
        return JSONResponse({"full_name": "acme/rocket", "private": False, "default_branch": "main", "open_issues_count": len(self.issues)})

    async def list_labels(self, request: Request) -> Response:
        return JSONResponse([{"name": name, "color": color} for name, color in LABELS.items()])

    async def list_issues(self, request: Request) -> Response:
        state = request.query_params.get("state", "open")
        labels = set(filter(None, request.query_params.get("labels", "").split(",")))
        return JSONResponse(
            [
                issue
                for issue in reversed(self.issues)
                if state in ("all", issue["state"]) and labels <= {label["name"] for label in issue["labels"]}
            ]
        )

    async def create_issue(self, request: Request) -> Response:
        body = await request.json()
        if not isinstance(body, dict) or not isinstance(body.get("title"), str):
            return JSONResponse({"message": "Validation Failed", "errors": [{"field": "title", "code": "missing_field"}]}, 422)
        return JSONResponse(self._add(body["title"], body.get("labels", []), body.get("body")), 201)

    async def get_issue(self, request: Request) -> Response:
        issue = self._issue(request.path_params["number"])
        return await _not_found(request, None) if issue is None else JSONResponse(issue)

    async def update_issue(self, request: Request) -> Response:
        issue, body = self._issue(request.path_params["number"]), await request.json()
        if issue is None:
            return await _not_found(request, None)
        issue |= {name: value for name, value in body.items() if name in ("title", "body", "state")}
        if "labels" in body:
            issue["labels"] = [{"name": label} for label in body["labels"]]
        return JSONResponse(issue)

    async def list_blockers(self, request: Request) -> Response:
        number = request.path_params["number"]
        return JSONResponse([self.issues[one - 1] for one in self.blockers.get(number, [])])

    async def add_blocker(self, request: Request) -> Response:
        number, target = request.path_params["number"], self._by_id((await request.json()).get("issue_id"))
        if self._issue(number) is None or target is None:
            return await _not_found(request, None)
        standing = self.blockers.setdefault(number, [])
        if target["number"] in standing:
            return JSONResponse({"message": "Target issue has already been taken"}, 422)
        standing.append(target["number"])
        return JSONResponse(self._issue(number), 201)

    async def add_sub_issue(self, request: Request) -> Response:
        issue, part = self._issue(request.path_params["number"]), self._by_id((await request.json()).get("sub_issue_id"))
        if issue is None or part is None:
            return await _not_found(request, None)
        if part.get("parent_issue_url"):
            return JSONResponse({"message": "Sub issue may only have one parent"}, 422)
        part["parent_issue_url"] = f"https://api.github.com{REPOSITORY}/issues/{issue['number']}"
        return JSONResponse(issue, 201)

    async def get_readme(self, request: Request) -> Response:
        return _file("README.md")

    async def get_file(self, request: Request) -> Response:
        path = request.path_params["path"]
        return _file(path) if path in FILES else await _not_found(request, None)

    def _issue(self, number: int) -> dict[str, Any] | None:
        return self.issues[number - 1] if 0 < number <= len(self.issues) else None

    def _by_id(self, id: Any) -> dict[str, Any] | None:
        return next((issue for issue in self.issues if issue["id"] == id), None)

    def _add(self, title: str, labels: list[str], body: str | None = None) -> dict[str, Any]:
        number = len(self.issues) + 1
        issue = {
            "id": 1000 + number,
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "labels": [{"name": label} for label in labels],
            "html_url": f"https://github.com/acme/rocket/issues/{number}",
        }
        self.issues.append(issue)
        return issue


class Listening:
    """Tells `heard` of every request before it is answered."""

    def __init__(self, app: ASGIApp, heard: Heard) -> None:
        self._app = app
        self._heard = heard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            query = scope["query_string"].decode("latin-1")
            self._heard(scope["method"], scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""))
        await self._app(scope, receive, send)


def _file(path: str) -> Response:
    content = FILES[path].encode()
    return JSONResponse({"path": path, "size": len(content), "encoding": "base64", "content": base64.b64encode(content).decode()})


async def _not_found(request: Request, error: Exception | None) -> Response:
    return JSONResponse({"message": "Not Found", "status": "404"}, 404)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """`app` on a free port of 127.0.0.1 until the block ends; yields its base URL."""
    stop = anyio.Event()

    async def serve(*, task_status: TaskStatus[str]) -> None:
        await listen(app, Server(port=0), ready=task_status.started, stop=stop)

    async with anyio.create_task_group() as tasks:
        yield await tasks.start(serve)
        stop.set()
