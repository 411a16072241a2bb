"""Look at a call before it is made: would it be let through, and what exactly would be sent? Nothing is sent, nothing is spent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request

from toolgate.api.answers import Json
from toolgate.api.query import arguments_of
from toolgate.calls import Call, Principal
from toolgate.egress import wire
from toolgate.errors import InvalidArguments, Misconfigured
from toolgate.gateway import Gateway
from toolgate.policy.bounds import is_admin
from toolgate.policy.explain import Explanation, explain
from toolgate.policy.rules import Policy
from toolgate.policy.words import why
from toolgate.server.identify import principal_of

SHOWN = 100_000  # bytes of a body

Preview = Callable[[str, Mapping[str, Any], Principal], Awaitable[wire.Request]]
"""The request that a call would send, secrets masked; see `toolgate.app.App.preview` for what it raises."""


class Previewed:
    def __init__(self, gateway: Gateway, preview: Preview) -> None:
        self._gateway = gateway
        self._preview = preview

    async def preview(self, request: Request) -> Json:
        """The policy's verdict on exactly this call, and the request that it would become."""
        principal, name = principal_of(request.scope), request.path_params["name"]
        arguments = await arguments_of(request)
        tool = self._gateway.find(name, principal)
        sent: wire.Request | None = None
        unshown: str | None = None
        try:
            sent = await self._preview(name, arguments, principal)
        except InvalidArguments as error:
            return Json({"problem": {"code": error.code, "message": str(error), "details": dict(error.details())}, **NOTHING})
        except Misconfigured as error:
            unshown = str(error)
        policy, call = self._gateway.live.current, Call(tool, arguments, principal)
        verdict = _verdict(explain(call, policy), call, policy)
        return Json({"problem": None, "verdict": verdict, "request": _told(sent) if sent else None, "unshown": unshown})


NOTHING: Mapping[str, None] = {"verdict": None, "request": None, "unshown": None}
"""What there is to say of arguments that do not fit: the policy judges only those that do."""


def _verdict(told: Explanation, call: Call, policy: Policy) -> Mapping[str, Any]:
    said = told.as_json()
    return {
        "decision": said["decision"],
        "rule": said["rule"],
        "message": None if told.decision.permitted else why(call, told.decision, policy),
        # Rules that do not concern the caller are the operator's business.
        "considered": said["considered"] if is_admin(call.principal) else None,
    }


def _told(request: wire.Request) -> Mapping[str, Any]:
    body = request.body or b""
    try:
        text: str | None = body[:SHOWN].decode("utf-8", errors="ignore" if len(body) > SHOWN else "strict")
    except UnicodeDecodeError:
        text = None
    return {
        "method": request.method,
        "url": request.url,
        "headers": [list(header) for header in request.headers],
        "body": text if request.body is not None else None,
        "body_bytes": len(body),
    }
