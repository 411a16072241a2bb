"""Who we are as a client of authorization servers, in a document that they can read at a URL of ours (CIMD).

Source: draft-ietf-oauth-client-id-metadata-document; 2026-07-28, basic/authorization/client-registration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

HOST, PORT, PATH = "127.0.0.1", 8766, "/oauth/callback"
"""Where browsers come back to on the machine of whoever runs `toolgate credentials link`."""
REDIRECT = f"http://{HOST}:{PORT}{PATH}"
PLACE = "/oauth/client.json"
"""Where the document is served."""


OURS: Mapping[str, Any] = {
    "client_name": "Toolgate",
    "application_type": "native",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
}
"""What we say of ourselves to every authorization server. Of the native kind: it is answered on this machine."""


def came_back(url: str) -> str:
    """Where browsers come back to at the server whose document is at `url`, which may be below a path of a proxy's."""
    return f"{url.removesuffix(PLACE)}{PATH}" if url.endswith(PLACE) else urljoin(url, PATH)


def document(url: str) -> Mapping[str, Any]:
    """
    Args:
        url: where servers read it: it is our name, and has to stand in it.
    """
    back = [REDIRECT, came_back(url)]
    return {"client_id": url, **OURS, "redirect_uris": back, "token_endpoint_auth_method": "none"}
