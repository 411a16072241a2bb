"""An issuer of tokens whose keys are asked for through a sender: what a real one says, without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from toolgate.calls import Call
from toolgate.egress.wire import CAPS, Caps, Reach, Request, Response
from toolgate.errors import Unreachable

ISSUER = "https://id.example"
AUDIENCE = "https://tools.example/mcp"
NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Signing:
    """A private key and what is published of it."""

    private: Any
    public: Mapping[str, Any]


@cache
def rsa(kid: str = "rsa-1", bits: int = 2048) -> Signing:
    private = generate_rsa(65537, bits)
    return Signing(private, {**RSAAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": kid, "use": "sig"})


@cache
def ec(kid: str = "ec-1") -> Signing:
    private = generate_private_key(SECP256R1())
    return Signing(private, {**ECAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": kid, "use": "sig"})


@cache
def ed(kid: str = "ed-1") -> Signing:
    private = Ed25519PrivateKey.generate()
    return Signing(private, {**OKPAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": kid, "use": "sig"})


def claims(**more: Any) -> dict[str, Any]:
    """Those of a good token; None takes one out."""
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "scope": "tools:read", "iat": NOW - 10, "exp": NOW + 600, **more}
    return {name: value for name, value in said.items() if value is not None}


def token(signing: Signing | None = None, algorithm: str = "RS256", header: Mapping[str, Any] | None = None, **more: Any) -> str:
    signing = signing or rsa()
    head = {"typ": "at+jwt", "kid": signing.public["kid"], **(header or {})}
    if head["kid"] is None:
        del head["kid"]
    return jwt.encode(claims(**more), signing.private, algorithm=algorithm, headers=head)


def raw(header: Any, payload: Any, signature: bytes = b"") -> str:
    """A token of these parts, whatever they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


@dataclass
class Provider:
    """A `Sender` that answers as the issuer would."""

    keys: list[Signing] = field(default_factory=lambda: [rsa(), ec(), ed()])
    away: bool = False
    metadata: dict[str, Any] = field(default_factory=lambda: {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})
    asked: list[str] = field(default_factory=list)
    reaches: list[Reach] = field(default_factory=list)

    async def send(self, request: Request, *, reach: Reach, seconds: float, caps: Caps = CAPS, call: Call | None = None) -> Response:
        self.asked.append(request.url)
        self.reaches.append(reach)
        if self.away:
            raise Unreachable("nobody is there")
        if request.url == f"{ISSUER}/.well-known/openid-configuration":
            return Response(200, body=json.dumps(self.metadata).encode())
        if request.url == f"{ISSUER}/keys":
            return Response(200, body=json.dumps({"keys": [key.public for key in self.keys]}).encode())
        return Response(404)

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return self.asked.count(f"{ISSUER}/keys")
