"""Requests of our own tools to services that the operator configured, by the guarded way out."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import orjson

from toolgate.egress.origin import origin_of
from toolgate.egress.wire import Reach, Request, Response, Sender
from toolgate.errors import EgressBlocked, Failed, TimedOut
from toolgate.internal.trouble import Trouble

Networks = Sequence[IPv4Network | IPv6Network]


async def send(sender: Sender, request: Request, who: str, *, networks: Networks, seconds: float) -> Response:
    """
    Args:
        who: how messages call the service; URLs may hold what is nobody's business.

    Raises:
        Trouble: it could not be reached, or took too long.
    """
    reach = Reach(frozenset({origin_of(request.url)}), tuple(networks))
    try:
        return await sender.send(request, reach=reach, seconds=max(0.1, seconds))
    except TimedOut as error:
        raise Trouble(error.code, f"{who} did not answer within {seconds:.0f} s", status=HTTPStatus.BAD_GATEWAY) from None
    except (Failed, EgressBlocked) as error:
        raise Trouble(error.code, f"{who} could not be asked: {error.code}", status=HTTPStatus.BAD_GATEWAY, tried=False) from None


def json_of(response: Response) -> Any:
    """The body as JSON; None where it is none."""
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None
