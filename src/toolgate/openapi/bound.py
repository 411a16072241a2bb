"""Which parameters nobody is asked for: credentials, what the operator hid, and what has one value only.

A caller must never be asked for a credential, nor be able to send one of its own. So whatever a security scheme, the
integration's `auth` or a well-known name calls a credential is left out of the arguments; `credentials.py` adds the
integration's own when the request goes out. Fields of a body are data, whatever they are called.
"""

from __future__ import annotations

from typing import Any

from toolgate.calls import UNSET
from toolgate.integration import ApiKey, AuthorizationCode, Basic, Bearer, ClientCredentials, Integration, NoAuth, TokenExchange
from toolgate.openapi.diagnostics import Findings
from toolgate.openapi.operation import Operation, Parameter
from toolgate.openapi.request import settable

CREDENTIALS = frozenset(
    {
        *("accesskey", "accesstoken", "apikey", "apitoken", "appkey", "authkey", "authorization", "authtoken", "bearertoken"),
        *("clientsecret", "jwt", "oauthtoken", "privatetoken", "proxyauthorization", "secretkey", "sessiontoken", "subscriptionkey"),
        *("token", "xaccesstoken", "xapikey", "xapitoken", "xauthkey", "xauthtoken", "xauthorization", "xcsrftoken", "xxsrftoken"),
        *("ocpapimsubscriptionkey", "securitytoken", "xamzsecuritytoken", "xgoogapikey", "xgithubtoken", "xgitlabtoken"),
    }
)
"""Names of query, header and cookie parameters that carry credentials, in lower case without `-` and `_`."""
IDEMPOTENCY_HEADERS = frozenset({"idempotency-key", "x-idempotency-key"})
"""draft-ietf-httpapi-idempotency-key-header, and what it was before there was a draft."""


def binding(parameter: Parameter, operation: Operation, integration: Integration, findings: Findings) -> Any:
    """What is sent for a parameter without asking.

    Returns:
        UNSET when callers are asked for it; None when it is not sent, or only by whoever adds credentials; else the
        value that goes out with every call.
    """
    for hidden in integration.hide:
        if _same(hidden.name, hidden.location, parameter):
            return hidden.value
    if any(value is not None and _same(name, "header", parameter) for name, value in integration.headers.items()):
        return None  # the operator's own goes out with every call
    said = f"{parameter.name} ({parameter.location})"
    if parameter.location == "header" and not settable(parameter.name):
        why = "which no caller may set: it frames the message or says who we are; `hide` keeps it quiet"
        findings.info("header-not-settable", parameter.pointer, f"{operation.key} takes {said}, {why}")
        return None
    if parameter.location not in ("query", "header", "cookie"):
        return UNSET
    known = _is_known(parameter, operation, integration)
    if not known and parameter.name.lower().replace("-", "").replace("_", "") not in CREDENTIALS:
        return UNSET
    if parameter.required and not _has_credential(parameter, integration):
        why = "which callers are never asked for and the integration does not have: set `auth`, or `hide` it"
        findings.warning("credential-unbound", parameter.pointer, f"{operation.key} requires the credential {said}, {why}")
    elif not known:
        why = "which is called like a credential, so callers are not asked for it; `hide` with a value sends one"
        findings.info("credential-hidden", parameter.pointer, f"{operation.key} takes {said}, {why}")
    return None


def is_idempotency_key(parameter: Parameter) -> bool:
    """Whether it is the header by which the other side knows a repeated request."""
    return parameter.location == "header" and parameter.name.lower() in IDEMPOTENCY_HEADERS


def _is_known(parameter: Parameter, operation: Operation, integration: Integration) -> bool:
    """Whether the integration or a security scheme says that it carries the credential."""
    auth = integration.auth
    if isinstance(auth, ApiKey) and _same(auth.name, auth.location, parameter):
        return True
    return any(_same(key.name, key.location, parameter) for key in operation.keys)


def _has_credential(parameter: Parameter, integration: Integration) -> bool:
    """Whether the integration says what to send there: its own key, or a token where the description lists a header."""
    auth = integration.auth
    match auth:
        case ApiKey():
            return _same(auth.name, auth.location, parameter)
        case Bearer() | Basic() | ClientCredentials() | AuthorizationCode() | TokenExchange():
            return parameter.location == "header" and parameter.name.lower() == "authorization"
        case NoAuth():
            return False


def _same(name: str, location: str, parameter: Parameter) -> bool:
    if location != parameter.location:
        return False
    return name.lower() == parameter.name.lower() if location == "header" else name == parameter.name
