"""One run, step by step: does what `turns` decides, and writes each step down before the next.

What was written down is all there is. A run that is taken up, here or in another process, goes on from its facts, and no
call that has its result is made again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from toolgate.agent import turns
from toolgate.agent.batch import Answer, Batch, Person, Unanswered
from toolgate.agent.bill import finished, spent
from toolgate.agent.events import Event, Finished, Noted, Routed, Said, Started, Thought, Wanted, Withdrawn
from toolgate.agent.facts import Answered, Asked, Compacted, Ended, Fact, Hinted, Replied, Stopping
from toolgate.agent.offer import added, offered, skills
from toolgate.agent.output import read
from toolgate.agent.purse import Purse
from toolgate.agent.runs import Run, Runs
from toolgate.agent.summary import cut_at
from toolgate.agent.system import system
from toolgate.agent.turns import LAST, Act, Ask, Used
from toolgate.calls import Call, Principal
from toolgate.errors import AuditUnavailable, Busy, ModelFailed, OverBudget, TimedOut, ToolgateError
from toolgate.gateway import Gateway
from toolgate.llm.messages import Chosen, Done, Errand, Prompt, ReasoningDelta, Reply, Reset, System, TextDelta, ToolSpec
from toolgate.llm.provider import Provider
from toolgate.settings import Settings

NO_RESULTS: Mapping[str, str] = {}
Hear = Callable[[Event], Awaitable[None]]
Noting = Callable[[Reply], Awaitable[None]]
WRITE_SECONDS = 2.0  # a guess, as in the gate's `audit`
REPLY_SECONDS = 120.0
LAST_SECONDS = 10.0
"""That the last words may take at least, whatever time is left."""
LAST_TOKENS = 512
"""That they may have at least, whatever is left."""


@dataclass(frozen=True)
class Known:
    """What is known outside of runs of what they meet."""

    window: Callable[[str], int | None] = lambda model: None
    """Tokens of the window of the model that is named, or of the largest that may be asked; None: nobody knows."""
    skills: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By name, globs of the tools that a run may call while it follows the skill; empty: any."""


NOTHING_KNOWN = Known()


@dataclass
class Drive:
    gateway: Gateway
    models: Provider
    runs: Runs
    settings: Settings
    run: Run
    user: Principal
    hear: Hear
    person: Person | None
    unanswered: Unanswered
    facts: list[Fact] = field(default_factory=list)
    """So far."""
    number: int = 0
    """Of the next one."""
    known: Known = NOTHING_KNOWN
    seen: bool = True
    """Somebody sees an answer while it is said; else it is heard once it is whole, and may begin anew until then."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    purse: Purse = field(init=False)
    """What it may spend, and the runs within it with it."""
    _asking: float = field(default=0.0, init=False)
    """Seconds that a person took to answer."""
    _model: str = field(default="", init=False)
    """Who was asked last."""
    _own: str = field(default="", init=False)
    """With whom the run stays: the first that the last request was put to."""
    _version: str = field(default="", init=False)
    """Of the templates that the model was told last."""
    _replied: object = field(default=None, init=False)
    """The last reply that was written down."""
    _unwritten: list[Awaitable[bool]] = field(default_factory=list, init=False)
    """Results on their way to the book."""
    _shown: tuple[tuple[object, int], list[ToolSpec], bool] | None = field(default=None, init=False)
    """What may be seen in which window, and what of it is shown: found out once."""

    def __post_init__(self) -> None:
        self.state = turns.after(self.facts)
        self.agent = self.user.delegate()
        self.doubtful = frozenset[str]() if self.state.idle else frozenset(call.id for call in self.state.waiting)
        """Ids of calls that may have been made before the run was taken up."""

    async def to_the_end(self, first: Fact, within: Call, results: Mapping[str, str] = NO_RESULTS) -> Finished:
        """Go on until nothing goes on by itself.

        Args:
            first: what it begins with, or goes on with.
            within: the run as a call.
            results: of calls that wait for the program that the agent works for, by id.
        """
        self.within = within
        try:
            await self.hear(Started(self.run.id, resumed=bool(self.state.messages)))
            await Batch(self).take(results)
            if isinstance(first, Asked) and self.state.waiting:
                await Batch(self).call_off(self.state.waiting)
            await self.add(first)
            while self.state.ended is None:
                await self._step()
        except (Busy, AuditUnavailable):  # another process has it, or it cannot be written down
            raise
        except BaseException as error:
            with anyio.move_on_after(WRITE_SECONDS, shield=True):
                if isinstance(error, anyio.get_cancelled_exc_class() | KeyboardInterrupt):
                    why = Ended(self.clock(), "cancelled")
                else:
                    said = str(error) if isinstance(error, ToolgateError) else f"unexpected {type(error).__name__}"
                    why = Ended(self.clock(), "failed", said)
                await self.add(why)
                await self._book()
            raise
        return await self.close()

    async def close(self) -> Finished:
        """Say how it ended, in the book and to whoever hears."""
        await self._book()
        end = finished(self.run.id, self.facts, self.state, self._output()[0])
        if end.status == "waiting":
            names = {spec.name for spec in self.run.task.theirs}
            end = replace(end, theirs=[call for call in self.state.waiting if call.name in names])
        await self.hear(end)
        return end

    async def _step(self) -> None:
        state = self.state
        over = self._over()
        move = turns.next_move(state, self.clock(), spent=over, wrong=self._wrong(), window=self._window)
        match move:
            case Ask(phase, last):
                await self._ask(phase, last)
            case Act(calls):
                # What a reply within the steps wants is done: the last words can tell of it.
                if wait := await Batch(self).make(calls, self._over(steps=False)):
                    await self.add(Ended(self.clock(), "waiting", wait))
            case Hinted(text=text):
                await self.add(move)
                await self.hear(Noted("hint", text))
            case Compacted(summary=summary):
                await self.add(move)
                await self.hear(Noted("compacted", summary))
            case Stopping(reason=reason):
                await self.add(move)
                await self.hear(Noted("warning", reason))
            case Ended():
                await self.add(move)

    async def _ask(self, phase: str, last: bool) -> None:
        began = time.perf_counter()
        try:
            reply = await self._reply(self._prompt(last), phase, lambda reply: self._note(reply, phase, last, began))
        except (AuditUnavailable, Busy):
            raise
        except ToolgateError as error:
            await self.add(self._following(error, last))
            return
        if self._replied is not reply.message:  # by a provider that writes nothing down
            await self._note(reply, phase, last, began)
        await self._tell_spent()

    def _following(self, error: ToolgateError, last: bool) -> Fact:
        """What follows from a request without an answer."""
        now, state, unpaid = self.clock(), self.state, isinstance(error, OverBudget)
        if unpaid and not last:
            return Stopping(now, "budget_exhausted", str(error), LAST.format(reason="The budget is used up"))
        if isinstance(error, TimedOut) and not last and (over := self._over()):  # it had what was left of the run's time
            return Stopping(now, "budget_exhausted", over, LAST.format(reason=over))
        if isinstance(error, ModelFailed) and error.reason == "context_exceeded" and (cut := cut_at(state.messages, keep=1)):
            return turns.compacted(state, cut, now, self._window)
        status = state.stopping.status if state.stopping else "budget_exhausted" if unpaid else "failed"
        return Ended(now, status, str(error), error.reason or error.code, error.retry_after)

    async def _note(self, reply: Reply, phase: str, last: bool, began: float) -> None:
        """Write down what the model has answered."""
        self._replied = reply.message
        fact = Replied(
            at=self.clock(),
            message=replace(reply.message, calls=() if last else self._renamed(reply)),
            stop="end" if last else reply.stop,
            phase=phase,
            provider=reply.provider,
            model=reply.model,
            tokens=reply.tokens,
            cost=reply.cost,
            estimated=reply.estimated,
            seconds=round(time.perf_counter() - began, 6),
            route=dict(reply.route),
        )
        await self.add(fact)

    async def _reply(self, prompt: Prompt, phase: str, noted: Noting) -> Reply:
        errand = Errand(
            principal=self.agent,
            task=self.run.task.task,
            phase=phase,
            run=self.run.session,
            high_risk=self.run.task.high_risk,
            checkable=self.run.task.schema is not None,
            seen=self.seen,
            prompt_version=self._version,
            noted=noted,
        )
        step, first = self.state.used.steps + 1, True
        async with aclosing(self.models.stream(prompt, errand)) as deltas:
            async for delta in deltas:
                match delta:
                    case Chosen(provider, model, route):
                        chosen = f"{provider}/{model}"
                        if first:
                            self._own, first = chosen, False
                        if self._model != chosen:
                            self._model = chosen
                            await self.hear(Routed(provider, model, list(route.get("reasons", ())), dict(route.get("scores", {}))))
                    case TextDelta(text) if self.seen:
                        await self.hear(Said(text, step))
                    case ReasoningDelta(text) if self.seen:
                        await self.hear(Thought(text, step))
                    case Reset(reason):
                        await self.hear(Withdrawn(step, reason))
                    case Done(reply):
                        if not self.seen and reply.message.text:
                            await self.hear(Said(reply.message.text, step))
                        return reply
        raise ModelFailed(f"{self._model or 'the model'} ended without an answer", "transient", reason="cut_off")

    def _prompt(self, last: bool) -> Prompt:
        task, state, of = self.run.task, self.state, self.settings.agent
        visible = self.gateway.visible(self.agent)
        window = self._window
        if self._shown is None or self._shown[0][0] is not visible or self._shown[0][1] != window:
            self._shown = ((visible, window), *offered(visible, task.tools, window))
        _, shown, all_of_them = self._shown
        tools = shown if all_of_them else [*shown, *added(visible, task.tools, state.offered)]
        if task.theirs:  # of two with one name the program's own is meant
            names = {spec.name for spec in task.theirs}
            tools = [*(spec for spec in tools if spec.name not in names), *task.theirs]
        tokens = of.reply_tokens
        if task.limits.tokens is not None:
            tokens = max(LAST_TOKENS, min(tokens, task.limits.tokens - state.allotted().tokens))
        over = [task.instructions] if task.instructions else []
        if task.has_to_call:
            over.append(f"Answer by a call of {self._theirs()}, and not in words, once you know what to put into it.")
        said = system(skills(visible), "\n\n".join(over), tools=tools, task=task.task)
        self._version = said.version
        return Prompt(
            messages=(System(said.text), *state.messages),
            tools=tools,
            model=task.model,
            choice="none" if last or not tools else "auto",
            max_tokens=tokens,
            schema=task.schema,
            seconds=min(REPLY_SECONDS, self.left()),
        )

    def _over(self, *, steps: bool = True) -> str | None:
        """Which budget leaves nothing but the reserve, of this run or of the outermost one, as `turns.over`.

        Args:
            steps: count them too.
        """
        allotted, seconds = self.state.allotted(), self._seconds()
        allotted = allotted if steps else replace(allotted, steps=0)
        return self.purse.over(seconds, steps=steps) or turns.over(allotted, seconds, self.run.task.limits)

    def _seconds(self) -> float:
        """Under way in this allotment, a person's time to answer not counted."""
        return max(0.0, self.state.seconds(self.clock()) - self._asking)

    def left(self) -> float:
        """Seconds that the run has left."""
        return max(LAST_SECONDS, self.run.task.limits.seconds - self._seconds())

    async def asked(self, wanted: Wanted) -> Answer | None:
        """What its person answers, whose time is not the run's. None: nothing."""
        began = self.clock()
        try:
            return await self.person(wanted) if self.person else None
        finally:
            self._asking += self.clock() - began

    @property
    def _window(self) -> int:
        """Tokens of the window of the model that the run stays with, before there is one of the largest, and no more than is set."""
        most = self.settings.agent.window
        return min(most, self.known.window(self._own or self.run.task.model) or most)

    def _renamed(self, reply: Reply) -> tuple[Any, ...]:
        """The calls, each with an id that none has had: results are told apart by them, and effects happen once by them."""
        seen = set(self.state.ids)
        calls = []
        for index, call in enumerate(reply.message.calls):
            name = call.id if call.id and call.id not in seen else f"call_{self.state.used.steps}_{index}_{len(seen)}"
            seen.add(name)
            calls.append(replace(call, id=name))
        return tuple(calls)

    def _wrong(self) -> str | None:
        """Why the last words are no answer."""
        return f"it has to be a call of {self._theirs()}" if self.run.task.has_to_call else self._output()[1]

    def _theirs(self) -> str:
        return " or ".join(spec.name for spec in self.run.task.theirs)

    def _output(self) -> tuple[Any, str | None]:
        """The answer as JSON where a schema was asked for, and what is wrong with it."""
        schema = self.run.task.schema
        return (None, None) if schema is None else read(self.state.answer, schema)

    async def add(self, fact: Fact) -> None:
        """Write `fact` down; then it has happened.

        A result is not waited for: it is durable, at the latest, with the next thing that is, and nothing leaves this process before
        that, no request to a model and no call. So it costs no commit of its own.
        """
        number, self.number = self.number, self.number + 1
        if isinstance(fact, Answered):
            self._unwritten.append(self.runs.add_soon(self.run, number, fact))
        else:
            await self.runs.add(self.run, number, fact)
            unwritten, self._unwritten = self._unwritten, []
            if not all([await written for written in unwritten]):
                raise Busy(f"the run {self.run.id} is taken up elsewhere")
        self.facts.append(fact)
        before, self.state = self.state, turns.after([fact], self.state)
        if isinstance(fact, Replied | Answered):
            within = Used(**fact.used) if isinstance(fact, Answered) else turns.NOTHING
            self.purse.add(self.state.used - before.used - within)  # a run within has put its own there already
        if isinstance(fact, Answered):
            await self._tell_spent()

    async def _tell_spent(self) -> None:
        await self.hear(spent(self.facts, self.state, self.purse.left))

    async def _book(self) -> None:
        """Say in the book how far it came."""
        used, ended = self.state.used, self.state.ended
        self.run = await self.runs.put(
            replace(
                self.run,
                status=ended.status if ended else None,
                updated=self.clock(),
                cost=used.cost,
                steps=used.steps,
                calls=used.calls,
            )
        )
