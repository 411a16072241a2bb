"""The calls of one reply, through the gate: first a person's yes to all that need one, then all of them, at the same time.

Siblings are independent: what becomes of one is no reason to end another. Whatever becomes of a call, it has exactly one
result; only one that waits for a person's yes has none yet.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import anyio

from toolgate.agent.bill import called, edited
from toolgate.agent.events import ApprovalWanted, Calling, Noted, Wanted
from toolgate.agent.facts import Answered, Edited
from toolgate.agent.offer import FOUND, LOAD_SKILL, SKILLS, outside
from toolgate.agent.result import cut, text_of
from toolgate.approvals import Approval, How
from toolgate.audit.line import canonical
from toolgate.calls import UNSET, Outcome, Problem, Question, Text, Tool, key, new_id
from toolgate.errors import KeyReused, UnknownApproval
from toolgate.gateway import unwrapped
from toolgate.llm.messages import ToolCall

if TYPE_CHECKING:
    from toolgate.agent.drive import Drive

log = logging.getLogger("toolgate")

Answer = bool | Mapping[str, Any]
"""A person's: yes, no, or yes to the same call with these arguments instead, all of them."""
Person = Callable[[Wanted], Awaitable[Answer | None]]
"""Asks whoever is there. None: no answer came, and the run waits."""
Unanswered = Literal["wait", "refuse"]
"""What becomes of calls that need a yes and have none: the run waits for it, or the gate refuses them."""
ROUNDS = 3
"""In which a call may come to need yet another yes, as when the policy changes meanwhile; after them it is refused."""
SAFE = 0.9
"""Of the time in which idempotency keys are remembered: what may have begun longer ago is not made again."""
SHOWN = 2000  # characters of changed arguments that the model is told
USED = ("cost", "tokens", "steps", "calls")


class Batch:
    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._state = drive.state
        self._parent = replace(drive.within, tainted=drive.state.tainted or drive.run.task.tainted)
        self._tools = drive.gateway.visible(drive.agent)
        self._theirs = frozenset(spec.name for spec in drive.run.task.theirs)
        self._edited: dict[str, ToolCall] = {}
        """By id, calls that a person changed while this batch asked."""
        self._editors = dict(drive.state.edited)

    async def make(self, calls: Sequence[ToolCall], spent: str | None) -> str | None:
        """Make `calls`.

        Args:
            spent: which budget is used up, so that none is made.

        Returns:
            Why some of them wait, as a sentence; None: all have their result.
        """
        theirs = [call for call in calls if call.name in self._theirs and call.arguments is not None]
        if theirs and spent is None:
            wait = await self.make([call for call in calls if call not in theirs], None)
            for call in theirs:
                await self._calling(call)
            named = ", ".join(call.name for call in theirs)
            return wait or f"the program that the agent works for has to call {named}, and to say what came of it"
        calls = [call for call in calls if call.id not in self._drive.doubtful or not await self._ended(call)]
        if spent is not None:
            for call in calls:
                await self._refuse(call, "budget", f"not called. {spent}")
            return None
        for _ in range(ROUNDS):
            if wait := await self._yes(calls):
                return wait
            calls = await self._together([self._edited.get(call.id, call) for call in calls])
            if not calls:
                return None
        for call in calls:
            await self._refuse(call, "approval_needed", "not called: it needed a person's yes anew each time")
        return None

    async def take(self, results: Mapping[str, str]) -> None:
        """Give calls that the program of the run has made the results that it says they had. Strangers may have written them."""
        for call in self._state.waiting:
            if call.id in results:
                await self._answer(call, Outcome((Text(results[call.id]),)), "", 0.0, self._drive.settings.agent.result_bytes)

    async def call_off(self, calls: Sequence[ToolCall]) -> None:
        """Give `calls` their results without making them, for its user said something else."""
        for call in calls:
            if call.id not in self._drive.doubtful or not await self._ended(call):
                await self._refuse(call, "cancelled", "not called: the user said something else instead")

    async def _yes(self, calls: Sequence[ToolCall]) -> str | None:
        """Have a person asked about all of `calls` that need it, before any is made. Why to wait, if so."""
        drive = self._drive
        if drive.unanswered == "refuse":
            return None
        wanted: dict[str, tuple[Wanted, ToolCall]] = {}
        for call in calls:
            asked = await self._asks(call)
            if asked is not None and asked[0].state == "pending":
                approval, question = asked
                tool, arguments = unwrapped(*self._meant(call))
                wanted.setdefault(approval.id, (Wanted(approval.id, call.id, tool, arguments, question.text), call))
        if not wanted:
            return None
        await drive.hear(ApprovalWanted([one for one, _ in wanted.values()]))
        waiting = [one for one, call in wanted.values() if not await self._decided(one, call)]
        if not waiting:
            return None
        calls_wait = "1 call waits" if len(waiting) == 1 else f"{len(waiting)} calls wait"
        return f"{calls_wait} for a person's yes: {', '.join(one.approval for one in waiting)}"

    async def _asks(self, call: ToolCall) -> tuple[Approval, Question] | None:
        if self._wrong(call) is not None:
            return None
        return await self._drive.gateway.asks(*self._meant(call), self._drive.agent, parent=self._parent)

    async def _decided(self, wanted: Wanted, call: ToolCall) -> bool:
        """Ask, and write the answer down; False: there is none."""
        drive = self._drive
        approvals = drive.gateway.approvals
        if drive.person is None or approvals.settings.by != "caller":
            return False
        answer = await drive.asked(wanted)
        if answer is None:
            return False
        how: How = "terminal" if drive.user.via == "terminal" else "client"
        with suppress(UnknownApproval):  # it came too late; the gate will ask anew
            if isinstance(answer, bool) or canonical(answer) == canonical(wanted.arguments):
                await approvals.decide(wanted.approval, answer is not False, drive.user, how)
            else:
                await self._change(wanted, call, answer, how)
        return True

    async def _change(self, wanted: Wanted, call: ToolCall, arguments: Mapping[str, Any], how: How) -> None:
        """Have `call` made with `arguments`, to which its person has said yes by changing them; as it was, it is refused."""
        drive, approvals = self._drive, self._drive.gateway.approvals
        await approvals.decide(wanted.approval, False, drive.user, how, "its arguments were changed")
        whole = arguments if wanted.tool == call.name else {"name": wanted.tool, "arguments": arguments}
        fact = Edited(drive.clock(), call.id, whole, drive.user.id)
        await drive.add(fact)
        await drive.hear(edited(fact, wanted.tool))
        self._edited[call.id] = changed = replace(call, arguments=whole)
        self._editors[call.id] = fact.by
        asked = await self._asks(changed)
        if asked is not None:  # None: so it needs no yes, or is refused whatever anybody says
            await approvals.decide(asked[0].id, True, drive.user, how, instead_of=wanted.approval)

    async def _together(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """Make `calls` at the same time; those that turn out to need a yes all the same."""
        unanswered: dict[str, ToolCall] = {}
        limiter = anyio.CapacityLimiter(self._parallel())
        # Of many results each gets less, so that all of them fit.
        most = max(2000, self._drive.settings.agent.result_bytes // max(1, len(calls) // 2))

        async def make(call: ToolCall, held: int) -> None:
            try:
                async with limiter:
                    if not await self._one(call, most):
                        unanswered[call.id] = call
            finally:
                self._drive.purse.give_back(held)

        # Only now: what a person takes to answer is not the calls' time.
        until = time.monotonic() + self._drive.left()
        self._parent = replace(self._parent, deadline=min(until, self._parent.deadline or until))
        async with anyio.create_task_group() as tasks:
            for call in calls:
                held = self._price(call)
                no = self._wrong(call) or self._drive.purse.take(held)
                if no is not None:
                    await self._refuse(call, *no)
                else:
                    tasks.start_soon(make, call, held)
        return [call for call in calls if call.id in unanswered]

    async def _one(self, call: ToolCall, most: int) -> bool:
        """Make one call and write its result down; False: it waits for a yes."""
        drive, began, name = self._drive, time.perf_counter(), new_id()
        tool, arguments = self._meant(call)
        await self._calling(call)
        try:
            outcome = await drive.gateway.call(tool, arguments, drive.agent, parent=self._parent, id=name, idempotency_key=self._key(call))
        except Exception as error:  # a bug in one call is not the end of its siblings, and the audit has it
            log.exception("a call of the run %s broke", drive.run.id)
            problem = Problem("bug", f"the call ended by an unexpected {type(error).__name__}; nobody knows what it did")
            outcome = Outcome(problem=problem, effect="unknown")
        if outcome.problem is not None and outcome.problem.code == "approval_needed" and drive.unanswered == "wait":
            return False
        await self._answer(call, outcome, name, time.perf_counter() - began, most)
        return True

    async def _ended(self, call: ToolCall) -> bool:
        """Take the result of a call that was made before the run was taken up, where there is one or nobody can know."""
        drive, once = self._drive, self._key(call)
        if once is None or self._wrong(call) or call.name in self._theirs:
            return False
        name, arguments = self._meant(call)
        try:
            outcome = await drive.gateway.ended(name, arguments, drive.agent, parent=self._parent, idempotency_key=once)
        except KeyReused:
            return False  # the gate will say it
        if outcome is None and self._drive.clock() - self._state.pended > drive.settings.replay.keep * SAFE:
            problem = Problem("unknown", "nobody knows any more whether this call was made; look before you make it again")
            outcome = Outcome(problem=problem, effect="unknown")
        if outcome is None:
            return False
        await self._calling(call)
        await self._answer(call, replace(outcome, replayed=True), "", 0.0, drive.settings.agent.result_bytes)
        return True

    async def _answer(self, call: ToolCall, outcome: Outcome, name: str, seconds: float, most: int) -> None:
        drive, text, kept = self._drive, self._said_of(call) + text_of(outcome), None
        tool = self._tool(call)
        strange = (tool is None or tool.annotations.open_world) and not outcome.refused  # None: it came to be while the batch ran
        # What plans in a model's place reads all of it.
        if not drive.run.task.pipeline and len(text.encode(errors="replace")) > most:
            kept = await drive.runs.keep(drive.run, text, strange)
            text = cut(text, most, kept)
            await drive.hear(Noted("kept", f"the result of {call.name} is long; the whole of it is kept as {kept}"))
        fact = Answered(
            at=self._drive.clock(),
            id=call.id,
            tool=call.name,
            text=text,
            failed=outcome.problem is not None,
            code=outcome.problem.code if outcome.problem else None,
            cost=outcome.cost,
            estimated=bool(outcome.notes.get("spend", {}).get("estimated")),
            seconds=round(seconds, 6),
            call=name,
            open=strange,
            replayed=outcome.replayed,
            kept=kept,
            found=_found(call.name, outcome),
            follows=self._follows(call, outcome),
            used=_used(outcome),
        )
        await self._told(fact)

    def _said_of(self, call: ToolCall) -> str:
        """What the model has to know of its call before the result."""
        if (who := self._editors.get(call.id)) is None:
            return ""
        said = json.dumps(call.arguments, ensure_ascii=False)
        shown = said if len(said) <= SHOWN else f"{said[:SHOWN]}… (cut)"
        return f"[Toolgate] {who} changed the arguments of this call before it was made: {shown}\n\n"

    async def _refuse(self, call: ToolCall, code: str, text: str) -> None:
        """The result of a call that the gate is not asked about."""
        await self._calling(call)
        await self._told(Answered(self._drive.clock(), call.id, call.name, text, failed=True, code=code))

    async def _calling(self, call: ToolCall) -> None:
        """Whoever hears of a result has heard of its call."""
        await self._drive.hear(Calling(call.id, call.name, call.arguments or {}, self._state.used.steps))

    async def _told(self, fact: Answered) -> None:
        await self._drive.add(fact)
        await self._drive.hear(called(fact, self._state.used.steps))

    def _wrong(self, call: ToolCall) -> tuple[str, str] | None:
        """Why it cannot go to the gate, as a code and a sentence."""
        if call.arguments is None:
            return "invalid_arguments", f"not called: the arguments of {call.name} are not a JSON object; send them whole"
        if call.name == LOAD_SKILL and not isinstance(call.arguments.get("name"), str):
            return "invalid_arguments", f"not called: {LOAD_SKILL} wants name, one of the skills listed"
        whole = unwrapped(call.name, call.arguments)
        if name := outside(*whole, self._drive.run.task.tools):
            return "not_permitted", f"not called: {name} is not among the tools of this task"
        if name := outside(*whole, self._state.following):
            allowed = ", ".join(self._state.following or ())
            return "not_permitted", f"not called: the skill you read allows {allowed}; read another one for {name}, or do without"
        return None

    def _meant(self, call: ToolCall) -> tuple[str, Mapping[str, Any]]:
        """The call as the gate knows it."""
        arguments = call.arguments or {}
        return (f"{SKILLS}{arguments.get('name')}", {}) if call.name == LOAD_SKILL else (call.name, arguments)

    def _follows(self, call: ToolCall, outcome: Outcome) -> tuple[str, ...] | None:
        read = call.name == LOAD_SKILL and outcome.problem is None
        return self._drive.known.skills.get(str((call.arguments or {}).get("name")), ()) if read else None

    def _tool(self, call: ToolCall) -> Tool | None:
        return self._tools.get(unwrapped(*self._meant(call))[0])

    def _key(self, call: ToolCall) -> str | None:
        """What makes it happen once, however often the run is taken up; reads that cost nothing need none."""
        tool = self._tool(call)
        if tool is None or (tool.annotations.read_only and self._drive.gateway.live.current.prices.of(tool).free):
            return None
        return key(self._drive.run.id, call.id)

    def _price(self, call: ToolCall) -> int:
        tool = self._tool(call)
        return self._drive.gateway.live.current.prices.of(tool).reserve if tool else 0

    def _parallel(self) -> int:
        """Calls at the same time: no more than its user might make."""
        drive = self._drive
        concurrency = drive.gateway.live.tier(drive.agent.tier).limits.concurrency
        return min(drive.purse.limits.parallel, concurrency or drive.purse.limits.parallel)


def _found(name: str, outcome: Outcome) -> tuple[str, ...]:
    """Tools that the finders have told of."""
    said = outcome.structured
    if outcome.problem is not None or said is UNSET or not isinstance(said, Mapping):
        return ()
    if name == "search_tools":
        return tuple(one["name"] for one in said.get("tools", ())[:FOUND])
    return (said["name"],) if name == "describe_tool" and "name" in said else ()


def _used(outcome: Outcome) -> Mapping[str, int]:
    """What a run within the call has used, as its tool says in `meta`."""
    said = outcome.meta.get("used")
    return {name: said[name] for name in USED if isinstance(said.get(name), int)} if isinstance(said, Mapping) else {}
