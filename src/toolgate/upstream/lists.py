"""What a server tells of what it offers, page by page.

A server of the handshake eras may have tools that it shows only to clients that can be asked something, as declared once in the
beginning (the reference server of MCP is one). The conversation that callers share declares nothing, since it is for those who
cannot be asked; so the tools are asked for once more, in a conversation that declares everything and ends with that.
"""

from __future__ import annotations

import logging
from typing import Any

import anyio

from toolgate.errors import EgressBlocked, Failed, NotLinked, ProtocolError, UpstreamFailed
from toolgate.upstream.dial import Conversation, Dial, envelope
from toolgate.upstream.messages import METHOD_NOT_FOUND
from toolgate.upstream.peer import Deaf

LISTS = {"tools": "tools/list", "resources": "resources/list", "templates": "resources/templates/list", "prompts": "prompts/list"}
ITEMS_OF = {"tools": "tools", "resources": "resources", "templates": "resourceTemplates", "prompts": "prompts"}
CAPABILITY_OF = {"tools": "tools", "resources": "resources", "templates": "resources", "prompts": "prompts"}
PAGES, ITEMS = 100, 5000
"""Of one list, at most."""
EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": True}}
"""What a client may say that it can be asked."""
CLOSELY_SECONDS = 10.0  # that a second look may take; a guess, a program begins in one or two

log = logging.getLogger("toolgate.upstream")


async def told(conversation: Conversation, name: str) -> tuple[Any, ...]:
    """
    Args:
        name: of `LISTS`.

    Raises:
        Failed, EgressBlocked: the server does not tell.
    """
    if CAPABILITY_OF[name] not in conversation.capabilities:
        return ()
    items: list[Any] = []
    cursor: Any = None
    for _ in range(PAGES):
        params = {**({"cursor": cursor} if cursor is not None else {}), **(envelope({}) if conversation.modern else {})}
        try:
            page = await conversation.peer.ask(LISTS[name], params)
        except ProtocolError as error:
            if name != "tools" and error.number == METHOD_NOT_FOUND:
                return ()  # what it says it can is often more than it can
            raise
        found = page.get(ITEMS_OF[name])
        if found is None:  # a Go server's empty list
            found = []
        if not isinstance(found, list):
            raise UpstreamFailed(f"{conversation.peer.who} answered {LISTS[name]} with something that is no list")
        if cursor is not None and found == items[-len(found) :]:
            break  # the page that there was: a server without pages that names a next one all the same
        items += found
        cursor = page.get("nextCursor")  # an empty one is one too
        if not isinstance(cursor, str) or len(items) > ITEMS:
            break
    return tuple(items[:ITEMS])


async def for_some(dial: Dial, before: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tools that a server of the handshake eras has for a client that can be asked everything.

    Args:
        before: what they were, for when it does not tell.
    """
    try:
        with anyio.move_on_after(CLOSELY_SECONDS):
            async with dial.open(Deaf(), EVERYTHING, owned=True) as conversation:
                return await told(conversation, "tools")
    except (Failed, EgressBlocked, NotLinked) as error:
        log.info("%s does not say what it has for clients that can be asked something: %s", dial.who, error)
    return before


def beyond(for_all: tuple[Any, ...], some: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tools that a server has for some clients and not for all."""
    names = [tool.get("name") for tool in for_all if isinstance(tool, dict)]
    return tuple(tool for tool in some if isinstance(tool, dict) and tool.get("name") not in names)
