"""The book of approvals: which calls wait for a person's yes, and which have one.

An approval is for one call and no other: its id is made from who calls (and on whose behalf), the tool and its fingerprint,
the arguments and the policy, by a key that only this Toolgate has. So the same call finds its yes again, in any worker and
without naming it, and any other call finds nothing. Each change replaces the version that it was decided on, so that of
two calls that come for one yes at once, one gets it.

    pending ── yes ──▶ approved ── its call ──▶ used
       └───── no ───▶ denied                     │ and the next such call asks anew
       └─ too late ─▶ expired ───────────────────┘

The last part of an id is drawn anew each time that the same call is asked for again: a yes that was meant for an earlier
question never answers a later one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import orjson

from toolgate.audit import redact
from toolgate.audit.event import Type, told
from toolgate.audit.line import canonical, exact, line
from toolgate.audit.redact import Redactor
from toolgate.calls import AGENT, Call, Principal, Question
from toolgate.errors import LimitReached, NotPermitted, UnknownApproval
from toolgate.settings import Settings
from toolgate.stores import Record, Stores, every
from toolgate.times import stamp

KIND = "approval"
CALLER, CALL, TURN = 8, 16, 8
"""Hexadecimal characters of an id that stand for the caller, for the call, and for the turn of asking."""
UNNOTICED = 3600.0  # seconds that an expired approval is kept, so that whoever looks next can write down that it expired
CROSSED = 10.0
"""Seconds in which a no may not have been seen yet by who says yes; a guess, the console's list is 2 s old at most."""
SHOWN = 2000  # characters of arguments in a question
PAGE = 500

State = Literal["pending", "approved", "denied", "used", "expired"]
How = Literal["client", "terminal", "operator"]


@dataclass(frozen=True, slots=True)
class Approval:
    """A question to a person, and what came of it."""

    id: str
    state: State
    tenant: str
    caller: str
    acting_for: tuple[str, ...]
    tool: str
    fingerprint: str
    digest: str
    """Keyed, of the arguments."""
    policy: str
    """The digest of the policy that asks for it."""
    arguments: Mapping[str, Any]
    """As the audit keeps them: `values`, redacted, or `names`."""
    asked: float
    """Seconds since 1970, as all times here."""
    expires: float
    """The end of the waiting; once it is answered, of the answer."""
    by: str | None = None
    """Who answered."""
    how: How | None = None
    reason: str | None = None
    instead_of: str | None = None
    """The id of the question whose arguments whoever said yes changed to these; None: they are the caller's own."""
    version: int = 0
    """Of the record that it was read from."""

    @property
    def open(self) -> bool:
        """Whether it may still be answered, or answered otherwise."""
        return self.state in ("pending", "approved", "denied")


class Approvals:
    """Keeps nothing itself: any number of these over one store are one book."""

    def __init__(
        self, stores: Stores, settings: Settings, clock: Callable[[], float] = time.time, find: redact.Find = lambda name: None
    ) -> None:
        """
        Args:
            find: tools by name, for calls that carry another.
        """
        self.settings = settings.approvals
        self._records = stores.records
        self._journal = stores.journal
        self._keys = stores.keys
        self._redactor = Redactor(settings.audit.redact, find)
        self._values = settings.audit.arguments == "values"
        self._clock = clock

    @property
    def seal(self) -> bytes:
        """What clients carry for us between two rounds is sealed with this key."""
        return self._keys.key("request state")

    async def of(self, call: Call) -> Approval:
        """The approval for this very call, whether a person has answered or not; asked for if there is none.

        Raises:
            LimitReached: too many questions of this caller wait already.
        """
        wanted = self._asked(call)
        while True:  # ends: each turn but the last was lost to another call that got on
            there = await self._read(wanted.id)
            if there is not None and there.open and not self._late(there) and _same(there, wanted):
                return there
            await self._refuse_too_many(call.principal)
            if there is not None and there.open:
                await self._expire(there)
                continue
            version = there.version if there else 0
            if await self._put(wanted, version):
                await self._tell("approval.requested", wanted, call.principal, arguments=wanted.arguments, expires=wanted.expires)
                return replace(wanted, version=version + 1)

    def question(self, call: Call, approval: Approval) -> Question:
        """What to ask the person at the caller's client."""
        text = line(self._redactor.arguments(call.tool, canonical(call.arguments)))
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}… (cut; {len(text)} characters in all)"
        effects = call.tool.annotations
        effect = "only reads" if effects.read_only else "may destroy or overwrite something" if effects.destructive else "changes something"
        return Question(
            approval.id,
            f"{call.principal.id} wants to call {call.tool.name}, which {effect}.\n\nArguments: {shown}\n\n"
            f"A yes counts once, for exactly this call, within {_minutes(self.settings.ttl)}.",
        )

    async def find(self, id: str) -> Approval:
        """What may still be answered under `id`.

        Raises:
            UnknownApproval: nothing waits there (any more).
        """
        there = await self._read(id)
        if there is not None and there.id == id and there.open:
            if not self._late(there):
                return there
            await self._expire(there)
        raise UnknownApproval(f"nothing waits for a yes under {id[:64]!r}: it never did, or it was used or has expired")

    async def decide(
        self, id: str, yes: bool, who: Principal, how: How, reason: str | None = None, *, instead_of: str | None = None
    ) -> Approval:
        """Answer a question; what was answered already, an operator may answer otherwise, and others only with a no.

        Args:
            instead_of: the id of the question whose arguments `who` has changed to these.

        Raises:
            UnknownApproval: nothing waits under that id (any more).
            NotPermitted: somebody else has just said no, which who says yes cannot have seen.
        """
        while True:
            there = await self.find(id)
            if yes and how != "operator" and there.state != "pending":
                return there
            ago = self._clock() + self.settings.ttl - there.expires
            if yes and there.state == "denied" and there.by != who.id and ago < CROSSED:
                wait = f"look again, and say yes in {CROSSED - ago:.0f} s if it is to be made all the same"
                raise NotPermitted(f"{there.by} said no to this call {ago:.0f} s before; {wait}", "approvals.crossed")
            decided = replace(
                there,
                state="approved" if yes else "denied",
                by=who.id,
                how=how,
                reason=reason,
                instead_of=instead_of,
                expires=self._clock() + self.settings.ttl,
            )
            if await self._put(decided, there.version):
                said = {"by": who.id, "how": how, "reason": reason, **({"instead_of": instead_of} if instead_of else {})}
                await self._tell("approval.granted" if yes else "approval.denied", decided, who, **said)
                return replace(decided, version=there.version + 1)

    async def use(self, approval: Approval, call: Call) -> Approval | None:
        """Take the yes for `call`; None when somebody else has taken it."""
        used = replace(approval, state="used")
        if approval.state != "approved" or self._late(approval) or not await self._put(used, approval.version):
            return None
        await self._tell("approval.used", used, call.principal, call=call.id, by=approval.by)
        return replace(used, version=approval.version + 1)

    async def give_back(self, used: Approval, call: Call) -> None:
        """Let a yes count again: the call that took it was refused before anything ran."""
        if await self._put(replace(used, state="approved"), used.version):
            await self._tell("approval.returned", used, call.principal, call=call.id)

    async def list(self, of: Principal | None = None) -> Sequence[Approval]:
        """Those that may still be answered or used, the one that waits longest first.

        Args:
            of: only those of this caller; None: everybody's.
        """
        found = []
        async for each in self._each(of):
            if each.open and self._late(each):
                await self._expire(each)
            elif each.open:
                found.append(each)
        return sorted(found, key=lambda each: (each.asked, each.id))

    def owns(self, who: Principal, approval: Approval) -> bool:
        """Whether the question is about a call of `who`, or of its agent."""
        return approval.tenant == who.tenant and who.id in (approval.caller, *approval.acting_for)

    async def _each(self, of: Principal | None) -> AsyncIterator[Approval]:
        for prefix in [self._prefix(of.id, of.tenant), self._prefix(AGENT + of.id, of.tenant)] if of else [""]:
            async for found in every(self._records, KIND, prefix, page=PAGE):
                each = _from(found)
                if of is None or self.owns(of, each):
                    yield each

    async def _refuse_too_many(self, caller: Principal) -> None:
        waiting = [each.expires async for each in self._each(caller) if each.state == "pending" and not self._late(each)]
        if len(waiting) >= self.settings.waiting:
            left = max(1.0, min(waiting) - self._clock())
            raise LimitReached(f"{len(waiting)} calls of {caller.id} wait for a person's yes already; have some answered, or wait", left)

    def _asked(self, call: Call) -> Approval:
        """A new question about `call`."""
        caller, tool, now = call.principal, call.tool, self._clock()
        digest = self._keys.digest(caller.tenant, exact(call.arguments))
        binding = [KIND, caller.id, caller.acting_for, tool.name, tool.fingerprint, digest, call.policy]
        return Approval(
            id=self._prefix(caller.id, caller.tenant)
            + self._keys.digest(caller.tenant, exact(binding))[:CALL]
            + secrets.token_hex(TURN // 2),
            state="pending",
            tenant=caller.tenant,
            caller=caller.id,
            acting_for=caller.acting_for,
            tool=tool.name,
            fingerprint=tool.fingerprint,
            digest=digest,
            policy=call.policy,
            arguments=self._kept(call),
            asked=now,
            expires=now + self.settings.ttl,
        )

    def _kept(self, call: Call) -> Mapping[str, Any]:
        if not self._values:
            return {"names": redact.names(call.arguments)}
        return {"values": orjson.loads(line(self._redactor.arguments(call.tool, canonical(call.arguments))))}

    def _prefix(self, caller: str, tenant: str) -> str:
        return self._keys.digest(tenant, exact([KIND, caller]))[:CALLER]

    def _late(self, approval: Approval) -> bool:
        return approval.expires <= self._clock()

    async def _expire(self, approval: Approval) -> bool:
        """Whether we were the one to notice."""
        if not await self._put(replace(approval, state="expired"), approval.version):
            return False
        await self._tell("approval.expired", approval, None, answered=approval.state)
        return True

    async def _read(self, id: str) -> Approval | None:
        found = await self._records.get(KIND, id[: CALLER + CALL])
        return _from(found) if found else None

    async def _put(self, approval: Approval, replaces: int) -> bool:
        body = {name: value for name, value in asdict(approval).items() if name != "version"}
        keep = approval.expires + (UNNOTICED if approval.open or approval.state == "expired" else 0.0)
        return await self._records.put(KIND, approval.id[: CALLER + CALL], body, replaces=replaces, expires=keep)

    async def _tell(self, type: Type, approval: Approval, who: Principal | None, **details: Any) -> None:
        about = {"id": approval.id, "caller": approval.caller, "tool": approval.tool, "digest": approval.digest, "policy": approval.policy}
        said = redact.details({**about, **details})
        await self._journal.append("audit", told(type, self._journal.instance, said, who, approval.tenant))


def told_of(approval: Approval) -> dict[str, Any]:
    """What people and programs are shown of it."""
    return {
        "id": approval.id,
        "state": approval.state,
        "tenant": approval.tenant,
        "caller": approval.caller,
        "acting_for": list(approval.acting_for),
        "tool": approval.tool,
        "arguments": dict(approval.arguments),
        "asked": stamp(approval.asked),
        "expires": stamp(approval.expires),
        "by": approval.by,
        "reason": approval.reason,
    }


def _same(one: Approval, other: Approval) -> bool:
    """Whether both are about the same call. Their ids say so already, in fewer characters."""
    return all(
        getattr(one, name) == getattr(other, name) for name in ("tenant", "caller", "acting_for", "tool", "fingerprint", "digest", "policy")
    )


def _from(record: Record) -> Approval:
    body = dict(record.body)
    return Approval(**{**body, "acting_for": tuple(body["acting_for"]), "version": record.version})


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
