"""Stop a call until a person has said yes to it, where its permission asks for that.

Who can ask the person at the caller's client does so through `call.ask`, each face in its own way; where nobody can, or no
answer comes, the question waits in the book of approvals, the call is refused with its id, and the same call made again
finds the answer. What a call that was approved does inside itself needs no further yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolgate.approvals import Approval, Approvals, How
from toolgate.calls import Call, Outcome, Principal, Question, changed
from toolgate.chain import Coming, Handler
from toolgate.errors import ApprovalNeeded, EgressBlocked, NotPermitted, Refused, Suspended, ToolgateError, UnknownApproval

OBLIGATION = "approve"


class Approve:
    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def __call__(self, call: Call, call_next: Handler) -> Coming:
        if OBLIGATION not in call.obligations:
            # What a caller claims must not look, further on, like what a person said.
            return call_next(call if call.approval is None or call.parent_id is not None else changed(call, approval=None))
        return self._asked(call, call_next)

    async def _asked(self, call: Call, call_next: Handler) -> Outcome:
        if call.parent_id is not None and call.approval is not None:
            return _noted(await call_next(call), {"id": call.approval, "within": call.parent_id})
        return await self._obliged(call, call_next)

    async def wanted(self, call: Call) -> tuple[Approval, Question] | None:
        """The approval that a permitted `call` would wait for, answered or not, and what to ask for it; None: it needs none.

        Raises:
            LimitReached: too many questions of its caller wait already.
        """
        if OBLIGATION not in call.obligations:
            return None
        approval = await self._approvals.of(call)
        return approval, self._approvals.question(call, approval)

    async def _obliged(self, call: Call, call_next: Handler) -> Outcome:
        approval = await self._answered(call)
        notes: Mapping[str, Any] = {"id": approval.id, "by": approval.by, "how": approval.how}
        if approval.instead_of is not None:  # whose arguments these are
            notes = {**notes, "instead_of": approval.instead_of}
        try:
            used = await self._approvals.use(approval, call)
            if used is None:  # the same call, made at the same time, was faster
                raise _needed(call, await self._approvals.of(call))
            try:
                outcome = await call_next(changed(call, approval=approval.id))
            except (Refused, EgressBlocked, Suspended):  # nothing ran
                await self._approvals.give_back(used, call)
                raise
        except ToolgateError as error:
            error.notes = {**error.notes, OBLIGATION: notes}
            raise
        return _noted(outcome, notes)

    async def _answered(self, call: Call) -> Approval:
        """The approval of this call, once it is approved.

        Raises:
            ApprovalNeeded: nobody has answered yet.
            NotPermitted: somebody said no.
        """
        approval = await self._approvals.of(call)
        if call.approval is not None and call.approval != approval.id:
            raise _needed(call, approval, f"the approval {call.approval} is not for this call, or it was used or has expired; ")
        if approval.state == "pending" and call.ask is not None and self._approvals.settings.by == "caller":
            answer = await call.ask(self._approvals.question(call, approval))
            if answer is not None:
                approval = await self._decided(call, approval, answer)
        if approval.state == "denied":
            raise _denied(approval)
        if approval.state == "pending":
            raise _needed(call, approval)
        return approval

    async def _decided(self, call: Call, approval: Approval, answer: bool) -> Approval:
        try:
            return await self._approvals.decide(approval.id, answer, call.principal, _how(call.principal))
        except UnknownApproval:  # answered too late, or the same call got its yes and took it
            raise _needed(call, await self._approvals.of(call)) from None


def _how(caller: Principal) -> How:
    return "terminal" if caller.via == "terminal" else "client"


def _needed(call: Call, approval: Approval, first: str = "") -> ApprovalNeeded:
    error = ApprovalNeeded(
        f"{first}{call.tool.name} needs a person's yes for exactly this call. It waits as {approval.id}: an operator answers with "
        f"`toolgate approvals approve {approval.id}` or POST /v1/approvals/{approval.id}; then make the same call again",
        approval.id,
    )
    error.notes = {OBLIGATION: {"id": approval.id}}
    return error


def _denied(approval: Approval) -> NotPermitted:
    why = f": {approval.reason}" if approval.reason else ""
    error = NotPermitted(f"{approval.by} said no to this call of {approval.tool}{why}. Do not repeat it; do something else or ask why", "")
    error.notes = {OBLIGATION: {"id": approval.id, "by": approval.by, "how": approval.how}}
    return error  # its rule is the one that asks for approval, which `permit` fills in


def _noted(outcome: Outcome, notes: Mapping[str, Any]) -> Outcome:
    return changed(outcome, notes={**outcome.notes, OBLIGATION: notes})
