"""Stand-ins for the services that our own tools ask: small applications that speak their wire forms.

Served on loopback with `toolgate.standin.serving`. Forms as of SearXNG 2026.11, Google's Custom Search JSON API v1, n8n 1.120,
Activepieces 0.70 and OpenAI's API v1.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

Page = tuple[str, str, str]
"""URL, title, extract."""


@dataclass
class SearXNG:
    """A metasearch engine that finds the same pages whatever is asked."""

    pages: Sequence[Page] = ()
    json: bool = True
    """False: `json` is not among its formats."""
    asked: list[Mapping[str, str]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/search", self._search)])

    async def _search(self, request: Request) -> Response:
        self.asked.append(dict(request.query_params))
        if request.query_params.get("format") != "json" or not self.json:
            return PlainTextResponse("Forbidden", 403)
        results = [
            {
                "url": url,
                "title": title,
                "content": content,
                "publishedDate": None,
                "engine": "duckduckgo",
                "template": "default.html",
                "parsed_url": ["https", "", "", "", "", ""],
                "engines": ["duckduckgo", "brave"],
                "positions": [rank],
                "score": 2.0 / rank,
                "category": "general",
            }
            for rank, (url, title, content) in enumerate(self.pages, 1)
        ]
        said = {"query": request.query_params["q"], "number_of_results": 0, "results": results, "answers": [], "corrections": []}
        return JSONResponse({**said, "infoboxes": [], "suggestions": [], "unresponsive_engines": [["qwant", "timeout"]]})


@dataclass
class GoogleSearch:
    """Google's Programmable Search with one key and one engine."""

    pages: Sequence[Page] = ()
    key: str = "key"
    engine: str = "engine"
    left: int = 100
    """Queries until the quota of the day is used up."""
    asked: list[Mapping[str, str]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/customsearch/v1", self._search)])

    async def _search(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        if (request.headers.get("x-goog-api-key") or asked.get("key")) != self.key:
            return _google_error(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT")
        if asked.get("cx") != self.engine or not 1 <= int(asked.get("num", "10")) <= 10:
            return _google_error(400, "Request contains an invalid argument.", "INVALID_ARGUMENT")
        if self.left <= 0:
            return _google_error(429, "Quota exceeded for quota metric 'Queries'", "RESOURCE_EXHAUSTED")
        self.left -= 1
        items = [
            {
                "kind": "customsearch#result",
                "title": title,
                "htmlTitle": f"<b>{title}</b>",
                "link": url,
                "displayLink": url.split("/")[2],
                "snippet": content,
                "formattedUrl": url,
            }
            for url, title, content in self.pages[: int(asked.get("num", "10"))]
        ]
        found = {"items": items} if items else {}
        return JSONResponse({"kind": "customsearch#search", "searchInformation": {"totalResults": str(len(items))}, **found})


def _google_error(code: int, message: str, status: str) -> Response:
    errors = [{"message": message, "domain": "global", "reason": "badRequest"}]
    return JSONResponse({"error": {"code": code, "message": message, "errors": errors, "status": status}}, code)


@dataclass
class N8n:
    """One active workflow behind `/webhook/go`, and the public API's executions."""

    answer: Any = None
    """What the workflow answers with; None: it responds immediately, as the editor's default is."""
    status: str = "success"
    """How its executions end."""
    looks: int = 2
    """Questions after an execution that find it running."""
    key: str = "key"
    active: bool = True
    started: list[Any] = field(default_factory=list)

    def app(self) -> Starlette:
        webhook = Route("/webhook/go", self._start, methods=["POST"])
        return Starlette(routes=[webhook, Route("/api/v1/executions/{id}", self._execution)])

    async def _start(self, request: Request) -> Response:
        if not self.active:
            hint = "The workflow must be active for a production URL to run successfully."
            return JSONResponse({"code": 404, "message": 'The requested webhook "POST go" is not registered.', "hint": hint}, 404)
        self.started.append(await request.json())
        return JSONResponse({"message": "Workflow was started"} if self.answer is None else self.answer)

    async def _execution(self, request: Request) -> Response:
        if request.headers.get("x-n8n-api-key") != self.key:
            return JSONResponse({"message": "'X-N8N-API-KEY' header required"}, 401)
        self.looks -= 1
        running = self.looks >= 0
        status = "running" if running else self.status
        times = {"startedAt": "2026-11-27T10:00:00.000Z", "stoppedAt": None if running else "2026-11-27T10:00:09.000Z"}
        return JSONResponse({"id": request.path_params["id"], "finished": not running, "mode": "webhook", "status": status, **times})


@dataclass
class Activepieces:
    """One flow behind its webhook, with and without `/sync`, and its runs."""

    answer: Any = None
    """What `Return Response` gives; None: the flow has no such step."""
    started: list[Any] = field(default_factory=list)

    def app(self) -> Starlette:
        routes = [Route(f"/api/v1/webhooks/flow{end}", self._start, methods=["POST"]) for end in ("", "/sync")]
        return Starlette(routes=[*routes, Route("/api/v1/flow-runs/{id}", self._run)])

    async def _start(self, request: Request) -> Response:
        self.started.append(await request.json())
        if not request.url.path.endswith("/sync"):
            return JSONResponse({})
        return Response(status_code=204) if self.answer is None else JSONResponse(self.answer)

    async def _run(self, request: Request) -> Response:
        return JSONResponse({"id": request.path_params["id"], "status": "SUCCEEDED", "tasks": 3, "steps": {}})


@dataclass
class Embeddings:
    """OpenAI's `/v1/embeddings`. Every sense has a direction of its own, drawn by its name, and a text that of all its words together."""

    senses: Sequence[str] = ()
    """Words that mean the same, in a line; every other word is a sense of its own."""
    dimensions: int = 64
    window: int = 8192
    """Tokens of a text, here words."""
    key: str = "key"
    down: bool = False
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/embeddings", self._embed, methods=["POST"])])

    @property
    def texts(self) -> list[str]:
        """All that was to be embedded."""
        return [text for body in self.asked for text in body["input"]]

    async def _embed(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return _openai_error(401, "Incorrect API key provided.", "invalid_api_key")
        body = await request.json()
        self.asked.append(body)
        if self.down:
            return _openai_error(503, "The engine is currently overloaded, please try again later", None, "server_error")
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        if not texts or len(texts) > 2048 or not all(texts):
            return _openai_error(400, "'$.input' is invalid.", None)
        if max(len(text.split()) for text in texts) > self.window:
            return _openai_error(400, f"This model's maximum context length is {self.window} tokens; reduce your prompt.", None)
        size = body.get("dimensions", self.dimensions)
        data = [{"object": "embedding", "index": index, "embedding": self._embedding(text, size)} for index, text in enumerate(texts)]
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})

    def _embedding(self, text: str, size: int) -> list[float]:
        senses = {word: line.split()[0] for line in self.senses for word in line.split()}
        directions = [random.Random(senses.get(word, word)) for word in re.findall(r"\w+", text.lower())] or [random.Random(text)]
        total = [sum(direction.gauss(0, 1) for direction in directions) for _ in range(size)]
        length = sum(number * number for number in total) ** 0.5
        return [number / length for number in total]


def _openai_error(status: int, message: str, code: str | None, kind: str = "invalid_request_error") -> Response:
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)
