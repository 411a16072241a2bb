"""In whose words a request is refused that no route has answered: OpenAI's clients read others as little as ours read OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OPENAIS = ("/v1/chat/", "/v1/responses", "/v1/models", "/v1/completions", "/v1/embeddings")
"""How paths begin that OpenAI's clients ask for, ours or not."""
KINDS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""The `type` of OpenAI's errors, by status."""


def refused(path: str, status: int, code: str, message: str) -> dict[str, Any]:
    """The body of the answer."""
    if not path.startswith(OPENAIS):
        return {"ok": False, "problem": {"code": code, "message": message}}
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
