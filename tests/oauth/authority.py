"""A small authorization server on loopback, and a server of MCP that takes its tokens: real ones, that can be told to lie."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus, urlencode

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

TOOLS = [
    {"name": "read", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}},
    {"name": "write", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}},
]


@dataclass
class Authority:
    """Its state, and how it behaves; `url` is set once it listens."""

    url: str = ""
    lies: dict[str, Any] = field(default_factory=dict)
    """Over what its metadata would truthfully say; None leaves a key out."""
    iss: str | None = None
    """What it says of itself in answers; None: the truth."""
    life: float = 3600
    """Seconds of an access token."""
    key: str | None = None
    """The public key of the client that signs."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refreshes: dict[str, str] = field(default_factory=dict)
    """Scopes by the refresh tokens that are good."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Scopes by the access tokens that are good."""
    forms: list[dict[str, str]] = field(default_factory=list)
    """What came to the token endpoint, with the client as `who` it said it is."""
    clients: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    """What came to the authorization endpoint."""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", self.metadata),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/register", self.register, methods=["POST"]),
            ]
        )

    async def metadata(self, request: Request) -> Response:
        said = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
            "authorization_response_iss_parameter_supported": True,
            "scopes_supported": ["tools", "more", "offline_access"],
            **self.lies,
        }
        return JSONResponse({name: value for name, value in said.items() if value is not None})

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.iss or self.url}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def register(self, request: Request) -> Response:
        self.clients.append(await request.json())
        return JSONResponse({"client_id": f"client-{len(self.clients)}", "token_endpoint_auth_method": "none"}, 201)

    async def token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.forms.append({**form, "who": self._who(request, form)})
        match form.get("grant_type"):
            case "authorization_code":
                asked = self.codes.pop(form["code"], None)
                digest = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
                if asked is None or asked["code_challenge"] != digest or asked["redirect_uri"] != form["redirect_uri"]:
                    return JSONResponse({"error": "invalid_grant"}, 400)
                return self._give(asked.get("scope", ""))
            case "refresh_token":
                scopes = self.refreshes.pop(form["refresh_token"], None)  # rotated: each is good once
                return JSONResponse({"error": "invalid_grant"}, 400) if scopes is None else self._give(scopes)
            case "client_credentials":
                return self._give(form.get("scope", ""), refresh=False)
        return JSONResponse({"error": "unsupported_grant_type"}, 400)

    def _give(self, scopes: str, *, refresh: bool = True) -> Response:
        access, again = f"access-{secrets.token_urlsafe(8)}", f"refresh-{secrets.token_urlsafe(8)}"
        self.tokens[access] = scopes
        given: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.life, "scope": scopes}
        if refresh:
            self.refreshes[again] = scopes
            given["refresh_token"] = again
        return JSONResponse(given)

    def _who(self, request: Request, form: dict[str, str]) -> str:
        if (shown := request.headers.get("authorization", "")).startswith("Basic "):
            return ":".join(map(unquote_plus, base64.b64decode(shown[6:]).decode().split(":")))
        if assertion := form.get("client_assertion"):
            claims = jwt.decode(assertion, self.key or "", algorithms=["ES256"], audience=self.url)
            return f"signed {claims['sub']}"
        return f"{form.get('client_id')}:{form.get('client_secret', '')}"


@dataclass
class Resource:
    """A server of MCP 2026-07-28 that wants a token of `authority` with the scope `tools`, and `more` for `write`."""

    authority: Authority
    url: str = ""
    servers: list[str] | None = None
    """The issuers that it names; None: the authority's."""
    says: dict[str, Any] = field(default_factory=dict)
    """Over its metadata."""
    elsewhere: str | None = None
    """Where it says that its metadata is."""
    shown: list[str] = field(default_factory=list)
    """Every `Authorization` that came."""

    def app(self) -> Starlette:
        return Starlette(
            routes=[Route("/.well-known/oauth-protected-resource/mcp", self.metadata), Route("/mcp", self.serve, methods=["POST"])]
        )

    async def metadata(self, request: Request) -> Response:
        servers = self.servers if self.servers is not None else [self.authority.url]
        return JSONResponse({"resource": f"{self.url}/mcp", "authorization_servers": servers, "scopes_supported": ["tools"], **self.says})

    async def serve(self, request: Request) -> Response:
        shown = request.headers.get("authorization", "")
        self.shown.append(shown)
        message = await request.json()
        scopes = self.authority.tokens.get(shown.removeprefix("Bearer "))
        if scopes is None:
            where = self.elsewhere or f"{self.url}/.well-known/oauth-protected-resource/mcp"
            return Response(status_code=401, headers={"www-authenticate": f'Bearer resource_metadata="{where}", scope="tools"'})
        if message["method"] == "tools/call" and message["params"]["name"] == "write" and "more" not in scopes.split():
            challenge = 'Bearer error="insufficient_scope", scope="tools more", error_description="more is needed"'
            return Response(status_code=403, headers={"www-authenticate": challenge})
        result: dict[str, Any] = {"resultType": "complete"}
        match message["method"]:
            case "server/discover":
                result |= {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"}
            case "tools/list":
                result |= {"tools": TOOLS, "ttlMs": 0, "cacheScope": "private"}
            case "tools/call":
                result |= {"content": [{"type": "text", "text": f"done with {shown.removeprefix('Bearer ')}"}]}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})
