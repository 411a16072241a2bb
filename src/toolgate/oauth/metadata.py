"""What resources and authorization servers say of themselves, read and checked: RFC 9728, RFC 8414, OpenID Discovery, RFC 9207."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from toolgate.egress.origin import origin_of, place
from toolgate.errors import EgressBlocked, UpstreamFailed

RESOURCE = "/.well-known/oauth-protected-resource"
SERVER = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
PARAMETER = re.compile(r'(?<![A-Za-z0-9_-])([A-Za-z0-9_-]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s,"]++))')
"""Nothing is tried twice: the header comes from outside, and its time is linear in that."""
ENTRA = frozenset({"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"})
MAX_SERVERS = 5
"""Authorization servers of one resource that are looked at."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 or 403 asks for, in `WWW-Authenticate` (RFC 6750, 3; RFC 9728, 5.1)."""

    error: str | None = None
    scopes: tuple[str, ...] | None = None
    """None: it does not say."""
    metadata: str | None = None
    """Where the resource's metadata is."""


@dataclass(frozen=True, slots=True)
class Protected:
    """A resource, in its own words."""

    resource: str
    """Its identifier: what tokens are asked for."""
    servers: tuple[str, ...]
    """Issuers that give tokens for it."""
    scopes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """An authorization server, in its own words."""

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    scopes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("client_secret_basic",)
    """How clients may show who they are at the token endpoint; the default is that of RFC 8414, 2."""
    takes_documents: bool = False
    """A client may be the URL of a document (CIMD)."""
    says_issuer: bool = False
    """Answers to authorization requests name it (RFC 9207)."""
    challenges: tuple[str, ...] = ()
    """Methods of PKCE."""


def challenge_of(values: Iterable[str]) -> Challenge:
    """The Bearer challenge in the values of `WWW-Authenticate`; an empty one where there is none."""
    for value in values:
        match = re.search(r"(?i)(?:^|,)\s*bearer\b(.*)", value, re.DOTALL)
        if match is None:
            continue
        said = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in PARAMETER.findall(match[1])}
        scopes = tuple(said["scope"].split()) if "scope" in said else None
        return Challenge(said.get("error"), scopes, said.get("resource_metadata"))
    return Challenge()


def resource_places(url: str, challenge: Challenge) -> Sequence[str]:
    """Where the metadata of the resource at `url` may be, the likeliest first: where it says, at its path, at its root."""
    origin, path = split(url)
    return list(dict.fromkeys(filter(None, (challenge.metadata, f"{origin}{RESOURCE}{path}", f"{origin}{RESOURCE}"))))


def split(url: str) -> tuple[str, str]:
    """Its origin, and its path without a slash at the end."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")


def server_places(issuer: str) -> Sequence[str]:
    """Where the metadata of `issuer` may be (2026-07-28, basic/authorization, "Authorization Server Metadata Discovery")."""
    origin, path = split(issuer)
    places = [f"{origin}{SERVER}{path}", f"{origin}{OPENID}{path}"]
    return [*places, f"{origin}{path}{OPENID}"] if path else places


def protected_of(document: Any, url: str, where: str) -> Protected:
    """
    Args:
        url: of the resource that is meant; the document has to be about it.

    Raises:
        UpstreamFailed: it is not, or names nobody who gives tokens.
    """
    said = _mapping(document, where)
    resource, servers = said.get("resource"), _texts(said.get("authorization_servers"))
    if not isinstance(resource, str) or not _covers(resource, url):
        raise UpstreamFailed(f"{where} is about another resource; a token for that one is not asked for")
    if not servers:
        raise UpstreamFailed(f"{where} names no authorization server")
    scopes = said.get("scopes_supported")
    return Protected(resource, servers[:MAX_SERVERS], _texts(scopes) if isinstance(scopes, list) else None)


def server_of(document: Any, issuer: str, where: str) -> Server:
    """
    Raises:
        UpstreamFailed: it is another issuer's, or names endpoints that cannot be used.
    """
    said = _mapping(document, where)
    named = said.get("issuer")
    if not isinstance(named, str) or not is_issuer(named, issuer):  # RFC 8414, 3.3: identical, or it must not be used
        raise UpstreamFailed(f"{where} is not the metadata of {issuer}: it names another issuer")
    token = _endpoint(said, "token_endpoint", where)
    if token is None:
        raise UpstreamFailed(f"{where} names no token endpoint")
    return Server(
        issuer=named,
        token_endpoint=token,
        authorization_endpoint=_endpoint(said, "authorization_endpoint", where),
        registration_endpoint=_endpoint(said, "registration_endpoint", where),
        scopes=_texts(said.get("scopes_supported")),
        methods=_texts(said.get("token_endpoint_auth_methods_supported")) or ("client_secret_basic",),
        takes_documents=said.get("client_id_metadata_document_supported") is True,
        says_issuer=said.get("authorization_response_iss_parameter_supported") is True,
        # Entra takes S256, as its documents say, and its metadata does not.
        challenges=_texts(said.get("code_challenge_methods_supported")) or (() if takes_resource(named) else ("S256",)),
    )


def is_issuer(named: str, issuer: str) -> bool:
    """Whether `named` is `issuer`. A host is the same with a slash (RFC 3986, 6.2.3), and Google writes it in one place of two."""
    return bare(named) == bare(issuer)


def bare(issuer: str) -> str:
    """`issuer` without the slash behind a host."""
    return issuer[:-1] if issuer.endswith("/") and issuer.count("/") == 3 else issuer


def spellings(url: str) -> tuple[str, ...]:
    """`url`; for one that is a host, with and without the slash."""
    plain = bare(url)
    return (plain, f"{plain}/") if plain.count("/") == 2 else (url,)


def takes_resource(issuer: str) -> bool:
    """Whether requests to `issuer` say what a token is for. Entra takes that from scopes, and refuses who says both (AADSTS9010010)."""
    return urlsplit(issuer).hostname not in ENTRA


def is_safe(url: str) -> bool:
    """Whether secrets may go to `url`: by TLS, or within this machine."""
    try:
        origin_of(url)
        found = place(url[: len(url) - len(urlsplit(url)._replace(scheme="", netloc="").geturl())])
    except (EgressBlocked, ValueError):
        return False
    return found.scheme == "https" or found.host == "localhost" or (found.address is not None and found.address.is_loopback)


def _covers(resource: str, url: str) -> bool:
    """Whether a token for `resource` is one for `url`: of the same origin, at the same path or above it (RFC 9728, 3.3)."""
    try:
        if origin_of(resource) != origin_of(url):
            return False
    except EgressBlocked:
        return False
    theirs, ours = urlsplit(resource), urlsplit(url)
    path = theirs.path.rstrip("/")
    return not theirs.query and not theirs.fragment and (ours.path.rstrip("/") == path or ours.path.startswith(f"{path}/"))


def _endpoint(said: Mapping[str, Any], name: str, where: str) -> str | None:
    value = said.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or "#" in value or not is_safe(value):
        raise UpstreamFailed(f"{where}: its {name} is not an https URL")
    return value


def _mapping(document: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise UpstreamFailed(f"{where} holds no metadata")
    return document


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str) and item) if isinstance(value, list) else ()
