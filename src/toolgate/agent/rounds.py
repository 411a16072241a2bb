"""Ask for a person's yes by the answer to a call of `agent_run`, as MCP does it since 2026-07-28 (patterns/mrtr).

The call is answered with the question, and made again with the person's answer. The same call by the same caller finds the run that waits
for it, until that run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from toolgate.agent.events import ApprovalWanted, Event, Finished
from toolgate.agent.loop import Agent
from toolgate.approvals import Approval
from toolgate.audit.line import canonical
from toolgate.calls import Call, Question, key
from toolgate.errors import ApprovalNeeded, UnknownApproval, UnknownRun

ASKED = "agent.asked"
"""The kind of record that says which run waits for what, by the call that it is of."""
Hear = Callable[[Event], Awaitable[None]]


class Rounds:
    """One call's way to its person."""

    def __init__(self, agent: Agent, call: Call) -> None:
        self._agent = agent
        self._call = call
        self._wanted: list[Mapping[str, str]] = []
        """Questions, each `id` and `text`."""
        who = call.principal
        self._key = key(who.tenant, who.id, *who.acting_for, canonical(call.arguments))

    def hearing(self, hear: Hear) -> Hear:
        """`hear`, and remember what is asked."""

        async def both(event: Event) -> None:
            if isinstance(event, ApprovalWanted):
                self._wanted = [{"id": one.approval, "text": one.text} for one in event.wanted]
            await hear(event)

        return both

    async def waiting(self) -> str | None:
        """The run that waits for the answers to an earlier round of this call; None: there is none."""
        there = await self._agent.stores.records.get(ASKED, self._key)
        if there is None:
            return None
        with suppress(UnknownRun):
            run = await self._agent.runs.get(there.body["run"], self._call.principal)
            if run.status == "waiting":
                self._wanted = list(there.body["wanted"])
                return run.id
        await self._agent.stores.records.delete(ASKED, self._key)
        return None

    async def answered(self) -> None:
        """Take the answer that came with this call.

        Raises:
            ApprovalNeeded: another one is missing.
        """
        approvals = self._agent.gateway.approvals
        for one in self._wanted:
            approval = await self._pending(one["id"])
            if approval is None:
                continue
            said = await self._ask(one)
            if said is None:
                raise self._unanswered(one)
            with suppress(UnknownApproval):
                await approvals.decide(approval.id, said, self._call.principal, "client")
        await self._agent.stores.records.delete(ASKED, self._key)

    async def asked(self, end: Finished) -> None:
        """Ask what a run has ended for, if its caller may answer that.

        Raises:
            ApprovalNeeded: it has to be answered, and the call made again.
        """
        if end.status != "waiting" or not self._wanted or self._agent.gateway.approvals.settings.by != "caller":
            return
        records = self._agent.stores.records
        there = await records.get(ASKED, self._key)
        expires = time.time() + self._agent.gateway.approvals.settings.ttl
        body: dict[str, Any] = {"run": end.run, "wanted": self._wanted}
        await records.put(ASKED, self._key, body, replaces=there.version if there else 0, expires=expires)
        await self._ask(self._wanted[0])
        raise self._unanswered(self._wanted[0])

    async def _ask(self, one: Mapping[str, str]) -> bool | None:
        assert self._call.ask is not None
        return await self._call.ask(Question(one["id"], one["text"]))

    async def _pending(self, name: str) -> Approval | None:
        """The approval, if it has no answer yet; one that is over is asked for anew by the gate."""
        with suppress(UnknownApproval):
            approval = await self._agent.gateway.approvals.find(name)
            return approval if approval.state == "pending" else None
        return None

    def _unanswered(self, one: Mapping[str, str]) -> ApprovalNeeded:
        # Refused, as by the gate: so a call that is made again for each answer is no loop, and has no outcome to be replayed.
        return ApprovalNeeded("the run waits for a person's yes; make the same call again once it is given", one["id"])
