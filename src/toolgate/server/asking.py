"""How the person at an MCP client is asked, in the two ways of the protocol.

Since 2026-07-28 a server asks nothing by itself: the call is answered with what is missing (patterns/mrtr), and the client
makes it again with the person's answer. What it carries for us meanwhile, the id of the approval, is sealed to the caller,
the call and a time. Before, the server sends `elicitation/create` on the call's own stream and the call waits.
Who cannot be asked, for want of the capability, is not: then the question waits in the book of approvals.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import mcp_types as types
import orjson
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types.version import is_version_at_least
from pydantic import ValidationError

from toolgate.approvals import Approvals
from toolgate.calls import Principal, Question
from toolgate.errors import ProtocolError
from toolgate.server.passing import ROUNDS
from toolgate.settings import Approvals as Settings

KEY = "approval"
"""What our one question is called among the inputs that a call asks for."""
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"approve": {"type": "boolean", "title": "Approve this call", "description": "It counts once, for this call only."}},
    "required": ["approve"],
}


class Asking(Protocol):
    """One call's way to its person."""

    @property
    def unanswered(self) -> Question | None:
        """What the client has to ask before it makes the call again."""

    async def ask(self, question: Question) -> bool | None: ...


def asking(context: Any, params: types.CallToolRequestParams, settings: Settings) -> Asking | None:
    """How to ask the person who makes this call; None: the client has not said that it can."""
    if not able(context.session.client_capabilities):
        return None
    if is_version_at_least(context.protocol_version, ROUNDS):
        return Rounds(params.request_state, (params.input_responses or {}).get(KEY))

    async def elicit(text: str) -> types.ElicitResult:
        answer: types.ElicitResult = await context.session.elicit_form(text, FORM, context.request_id)
        return answer

    return Elicitation(elicit, settings.wait)


def sealed(approvals: Approvals, who: Callable[[Any], Principal], audience: str) -> RequestStateBoundary:
    """A middleware of the SDK's, so that what clients carry for us is ours, whole, theirs, and of this very call."""

    def principal(context: Any) -> str:
        asking = who(context)
        return orjson.dumps([asking.tenant, asking.id]).decode()

    security = RequestStateSecurity(keys=[approvals.seal], ttl=approvals.settings.ttl, bind_principal=principal)
    return RequestStateBoundary(security, default_audience=audience)


@dataclass(frozen=True, slots=True)
class _Carried:
    """What the SDK's sealing wants to know of a request."""

    method: str
    params: Mapping[str, Any]
    principal: Principal


class Sealing:
    """`sealed` for calls that do not come by the SDK."""

    def __init__(self, approvals: Approvals, audience: str) -> None:
        self._boundary: Any = sealed(approvals, lambda carried: carried.principal, audience)

    async def __call__(self, question: Mapping[str, Any], params: Mapping[str, Any], principal: Principal) -> Mapping[str, Any]:
        """`question`, with what the client is to carry to its next round sealed."""

        async def asked(_: Any) -> Mapping[str, Any]:
            return question

        answer = await self._boundary(_Carried("tools/call", params, principal), asked)
        assert isinstance(answer, Mapping)
        return answer


def round_of(question: Question) -> types.InputRequiredResult:
    """The answer to a call that lacks an answer to `question`."""
    form = types.ElicitRequestFormParams(message=question.text, requested_schema=FORM)
    return types.InputRequiredResult(input_requests={KEY: types.ElicitRequest(params=form)}, request_state=question.id)


def form(text: str) -> dict[str, Any]:
    """The parameters of `elicitation/create` that ask for a yes under `text`."""
    return types.ElicitRequestFormParams(message=text, requested_schema=FORM).model_dump(by_alias=True, exclude_none=True, mode="json")


class Rounds:
    def __init__(self, state: str | None = None, answer: Any = None) -> None:
        """
        Args:
            state: what the client was given to carry to this round, unsealed; None: it is the first.
            answer: of its person.
        """
        self._id = state
        self._answer = answer
        self.unanswered: Question | None = None

    async def ask(self, question: Question) -> bool | None:
        if question.id == self._id:
            return _said(self._answer) if isinstance(self._answer, types.ElicitResult) else None
        self.unanswered = question  # no answer yet, or one to a question that is over: its call has been let through
        return None


class Elicitation:
    unanswered = None

    def __init__(self, elicit: Callable[[str], Awaitable[types.ElicitResult]], seconds: float) -> None:
        """
        Args:
            elicit: puts the form to the client's person, under a text.
            seconds: that an answer may take.
        """
        self._elicit = elicit
        self._seconds = seconds

    async def ask(self, question: Question) -> bool | None:
        with anyio.move_on_after(self._seconds):
            try:
                return _said(await self._elicit(question.text))
            except (MCPError, ProtocolError, ValidationError):  # the client cannot after all, or answers what is no answer
                return None
        return None


def able(capabilities: types.ClientCapabilities | None) -> bool:
    """Whether the person at a client with these can be asked."""
    # 2025-11-25, client/elicitation, "Capabilities": `elicitation: {}` means forms.
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _said(answer: types.ElicitResult) -> bool | None:
    """Yes or no; None for a form that was closed, or sent without saying either."""
    if answer.action == "decline":
        return False
    said = (answer.content or {}).get("approve") if answer.action == "accept" else None
    return said if isinstance(said, bool) else None
