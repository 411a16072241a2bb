"""Which jobs are taken up again once their process is gone: those whose call does no harm when it is made twice.

That is a tool that only reads or says of itself that it is idempotent, and a run of the agent, which goes on from its own
journal without making a finished call anew. Not one that a run has submitted, whose money and bounds ended with that run;
not one of an agent that acts for somebody; and not one of a caller by token, which cannot be asked for anew.

Its owner is looked up again: it goes on with the roles that the owner has now, and not at all where the key was revoked.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import orjson

from toolgate.calls import Call, Outcome, Principal, Progress
from toolgate.errors import Misconfigured
from toolgate.gateway import Gateway
from toolgate.internal.jobs import Run, Work
from toolgate.stores.sealed import Sealer

log = logging.getLogger("toolgate")

RUNS = "agent_run"
LARGEST = 64 * 1024
"""Bytes of arguments that are kept so that the call can be made again."""


class Standing(Protocol):
    """Knows who is still who they were."""

    async def stands(self, principal: Principal) -> bool:
        """Whether what `principal` has shown is still good."""

    async def anew(self, id: str, tenant: str, via: str, credential: str | None) -> Principal | None:
        """Who that is now; None: nobody any more, or nobody can tell without a request of theirs."""


class Anew:
    """Knows which calls may be made again, and by whom."""

    def __init__(
        self,
        gateway: Gateway,
        standing: Standing,
        begun: Callable[[str, Principal], Awaitable[Outcome | bool]],
        sealer: Sealer | None = None,
    ) -> None:
        """
        Args:
            begun: whether the agent has a run of that id, which is the one of the call that asked for it; how it ended, if it has.
            sealer: seals the arguments, where whoever takes a job up has the same key; None: they are kept as they are.
        """
        self._sealer = sealer
        self._gateway = gateway
        self._standing = standing
        self._begun = begun
        self.stands = standing.stands

    def may(self, work: Work) -> bool:
        """Whether `work` can be begun anew by a later process, its effects being what they are."""
        who, tool = work.principal, self._gateway.visible(work.principal).get(work.tool)
        if tool is None or who.acting_for or who.via == "token" or work.session is not None:
            return False
        if not (tool.name == RUNS or tool.annotations.read_only or tool.annotations.idempotent):
            return False
        try:
            return len(orjson.dumps(work.arguments)) <= LARGEST
        except TypeError:
            return False

    def kept(self, work: Work) -> Mapping[str, Any]:
        """What that process has to know."""
        who, parent, said = work.principal, work.parent, orjson.dumps(work.arguments)
        above = None if parent is None else [parent.id, parent.depth, parent.tainted, parent.approval]
        return {
            "arguments": self._sealer.seal(said.decode(), _purpose(who.tenant, work.call)) if self._sealer else dict(work.arguments),
            "call": work.call,
            "who": [who.id, who.tenant, who.via, who.credential],
            "parent": above,
        }

    async def anew(self, tool: str, kept: Mapping[str, Any]) -> tuple[Work, Run] | None:
        """The same work, as whoever its owner is now; None: it cannot be done any more."""
        principal = await self._standing.anew(*kept["who"])
        found = None if principal is None else self._gateway.visible(principal).get(tool)
        if principal is None or found is None:
            return None
        begun = tool == RUNS and await self._begun(kept["call"], principal)
        try:
            arguments = {"resume": kept["call"]} if begun else self._opened(kept)
        except Misconfigured as error:
            log.warning("the job of %s is not taken up again: %s", tool, error)
            return None
        parent = None
        if kept["parent"] is not None:
            above, depth, tainted, approval = kept["parent"]
            parent = Call(found, {}, principal, id=above, depth=depth, tainted=tainted, approval=approval)
        work = Work(tool, arguments, principal, parent)

        async def run(progress: Progress) -> Outcome:
            if isinstance(begun, Outcome):  # all but the end of its job was written down
                return begun
            return await self._gateway.call(tool, arguments, principal, parent=parent, id=work.call, progress=progress)

        return work, run

    def _opened(self, kept: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments. Raises Misconfigured: there is no key that opens them."""
        said = kept["arguments"]
        if isinstance(said, str):
            if self._sealer is None:
                raise Misconfigured("its arguments are sealed, and there is no key here")
            said = orjson.loads(self._sealer.open(said, _purpose(kept["who"][1], kept["call"])))
        return dict(said)


def _purpose(tenant: str, call: str) -> bytes:
    return orjson.dumps(["job", tenant, call])
