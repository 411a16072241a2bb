"""The files of the page, served as they are, under a policy that lets the browser load nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from toolgate.console import modules

FOLDER = Path(__file__).parent / "static"
HOME = "/console/"
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS: Mapping[str, str] = {
    # No inline script or style, nothing from elsewhere, in nobody's frame.
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "cache-control": "no-cache",  # asked for again each time, answered 304 while it is the same
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Files:
    """What there is when the server starts; a name from a request is looked up, never opened."""

    def __init__(self, prefix: str = "") -> None:
        """
        Args:
            prefix: what browsers have before every path of ours.
        """
        self._home_url = prefix + HOME
        found = {f"{HOME}{file.relative_to(FOLDER).as_posix()}": file for file in FOLDER.rglob("*") if file.suffix in TYPES}
        # Without its modules the page can do nothing; then it says what to run.
        first = found.pop(f"{HOME}index.html"), found.pop(f"{HOME}missing.html")
        self._files = {HOME: first[0] if modules.fetched() else first[1], **found}
        self.open = frozenset({"/", "/console", *self._files})
        """Paths that answer anybody: a page has to be there before somebody can sign in by it."""

    def routes(self) -> list[BaseRoute]:
        return [Route(path, self._file if path in self._files else self._home, methods=["GET"]) for path in sorted(self.open)]

    async def _home(self, _request: Request) -> Response:
        return RedirectResponse(self._home_url, 307, headers={"cache-control": "no-cache"})

    async def _file(self, request: Request) -> Response:
        file = self._files[request.url.path]
        content, tag = _read(file, file.stat().st_mtime_ns)
        headers = {**HEADERS, "etag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=TYPES[file.suffix])


@cache
def _read(file: Path, _changed: int) -> tuple[bytes, str]:
    content = file.read_bytes()
    return content, f'"{sha256(content).hexdigest()[:20]}"'
