"""Sign in with an API key, see who that makes one, and sign out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from toolgate import __version__
from toolgate.api.answers import Json
from toolgate.api.query import BadQuery, body_of
from toolgate.calls import Principal
from toolgate.errors import ToolgateError
from toolgate.server.identify import KEY, Identify
from toolgate.server.session import Sessions, by_session, showing

PATH = "/console/session"
WANTED = 'the body is an object with one key, "key", that holds an API key: tg_…'


class SignIn:
    def __init__(self, identify: Identify, sessions: Sessions, issuers: Sequence[str]) -> None:
        """
        Args:
            issuers: names of those that one can sign in with.
        """
        self._identify = identify
        self._who = by_session(identify, sessions)
        self._sessions = sessions
        self._issuers = issuers
        self.open = frozenset({PATH})

    def routes(self) -> list[BaseRoute]:
        return [
            Route(PATH, self._look, methods=["GET"]),
            Route(PATH, self._begin, methods=["POST"]),
            Route(PATH, self._end, methods=["DELETE"]),
        ]

    async def _look(self, request: Request) -> Json:
        """Who is asking, and how one could sign in."""
        told: dict[str, Any] = {
            "version": __version__,
            "issuers": list(self._issuers),
            "session": self._sessions.secret_in(request.scope) is not None,
        }
        try:
            return Json({**told, "principal": _told(await self._who(request.scope)), "problem": None})
        except ToolgateError as error:
            return Json({**told, "principal": None, "problem": {"code": error.code, "message": str(error)}})

    async def _begin(self, request: Request) -> Json:
        """Open a session for who shows an API key: held against the same rules, and counted as refused, as in a header."""
        key = (await body_of(request, WANTED, {"key": str}))["key"]
        if not key.startswith(KEY) or not key.isascii():
            raise BadQuery(WANTED)
        principal = await self._identify(showing(request.scope, key))
        if (before := self._sessions.secret_in(request.scope)) is not None:
            await self._sessions.close(before)
        opened = await self._sessions.open(key)
        return Json({"principal": _told(principal)}, headers=self._sessions.cookie(request.scope, opened))

    async def _end(self, request: Request) -> Response:
        secret = self._sessions.secret_in(request.scope)
        if secret is not None:
            await self._sessions.close(secret)
        return Response(status_code=204, headers=self._sessions.cookie(request.scope, None))


def _told(principal: Principal) -> Mapping[str, Any]:
    return {
        "id": principal.id,
        "roles": list(principal.roles),
        "tier": principal.tier,
        "tenant": principal.tenant,
        "via": principal.via,
    }
