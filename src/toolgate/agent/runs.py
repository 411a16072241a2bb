"""The book of runs: durable, and each its user's own."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any

from toolgate.agent.events import Status
from toolgate.agent.facts import Fact, Replied, from_json, to_json
from toolgate.agent.turns import Limits
from toolgate.calls import Principal, new_id
from toolgate.errors import Busy, UnknownRun
from toolgate.llm.messages import TaskType, ToolSpec
from toolgate.money import micros
from toolgate.policy.bounds import is_admin
from toolgate.stores import Stores, every

RUN, FACT, PICTURE, RESULT, JUDGED = "run", "run.fact", "run.picture", "run.result", "run.judged"
PAGE = 500


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done, and with what."""

    text: str
    task: TaskType = "tool_use"
    """Its kind, for the router."""
    model: str = ""
    """As of `Prompt.model`."""
    limits: Limits = field(default_factory=Limits)
    tools: tuple[str, ...] | None = None
    """Globs of the tools that it may use; None: any that the agent may call."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema that the answer has to fit; None: any text."""
    instructions: str = ""
    """Of the program that the agent works for, beside its own."""
    theirs: tuple[ToolSpec, ...] = ()
    """Tools of the program that the agent works for, which makes their calls itself: the run waits for what they answer."""
    has_to_call: bool = False
    """Its answer is a call of one of `theirs`, and no words."""
    high_risk: bool = False
    """No experiments with models: as of `Errand.high_risk`."""
    pipeline: str = ""
    """What plans it in the model's place, where that is a program of ours, and what for: only that can take it up. Empty: a model."""
    pictures: int = 0
    """That it came with; they themselves are in the first of the facts."""
    tainted: bool = False
    """What is to be done holds what strangers may have written."""

    def changed(self, said: Mapping[str, Any]) -> Task:
        """The same task, but for what `said`, arguments of `agent_run`, say of it."""
        cost = said.get("max_cost")
        limits = replace(self.limits, steps=said.get("max_steps", self.limits.steps))
        if cost is not None:
            limits = replace(limits, cost=micros(Decimal(str(cost))))
        return replace(
            self,
            limits=limits,
            task=said.get("task_type", self.task),
            model=said.get("model", self.model),
            tools=tuple(said["tools"]) if "tools" in said else self.tools,
            schema=said.get("schema", self.schema),
            high_risk=said.get("high_risk", self.high_risk),
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as the book has it."""

    id: str
    tenant: str
    owner: str
    """The user's id."""
    task: Task
    session: str
    """What its calls and requests draw their money from; its own id, unless another run made it."""
    started: float
    updated: float
    """Seconds since 1970."""
    status: Status | None
    """None: it is under way, or its process died."""
    instance: str
    """The process that works at it, or did."""
    cost: int = 0
    steps: int = 0
    calls: int = 0
    version: int = 0


class Runs:
    """Keeps nothing itself: any number of these over one store are one book."""

    def __init__(self, stores: Stores, keep: float) -> None:
        """
        Args:
            keep: seconds after its last change in which a run can be looked at and taken up.
        """
        self._records = stores.records
        self._lives = stores.lives
        self._keep = keep

    async def begin(self, task: Task, user: Principal, session: str | None, id: str | None = None) -> Run:
        """
        Args:
            id: of the call that asks for it, by which whoever made that finds it again; None: a new one.
        """
        await self._lives.join()
        name, now = id or new_id(), time.time()
        return await self.put(Run(name, user.tenant, user.user, task, session or name, now, now, None, self._lives.instance))

    async def put(self, run: Run) -> Run:
        """Write `run` down in place of its version.

        Raises:
            Busy: somebody else has changed it.
        """
        body = {name: value for name, value in asdict(run).items() if name not in ("id", "version")}
        if not await self._records.put(RUN, run.id, body, replaces=run.version, expires=time.time() + self._keep):
            raise Busy(f"the run {run.id} is taken up elsewhere")
        return _from_body(run.id, body, run.version + 1)

    async def get(self, id: str, who: Principal) -> Run:
        """
        Raises:
            UnknownRun: there is none, or it is not `who`'s.
        """
        there = await self._records.get(RUN, id)
        run = _from_body(there.id, there.body, there.version) if there else None
        if run is None or not _may_see(who, run):
            raise UnknownRun(f"there is no run {id[:64]!r} of yours; `toolgate runs list` shows those there are")
        return run

    async def seen_by(self, who: Principal) -> Sequence[Run]:
        """Those that `who` may see, the newest first."""
        runs = [_from_body(each.id, each.body, each.version) async for each in every(self._records, RUN, page=PAGE)]
        found = [run for run in runs if _may_see(who, run)]
        return sorted(found, key=lambda run: (-run.started, run.id))

    async def under_way(self, run: Run) -> bool:
        """Whether a process that is there works at it."""
        return run.status is None and await self._lives.alive(run.instance)

    @property
    def instance(self) -> str:
        return self._lives.instance

    async def join(self) -> None:
        """See `Lives.join`."""
        await self._lives.join()

    async def facts(self, run: Run, *, pictures: bool = False) -> tuple[Sequence[Fact], int]:
        """In order, and the number of the next one. Of facts that were written at the same time one may be missing that was not last.

        Args:
            pictures: with those that were shown, which may have 20 MiB, and of which only a model is told.
        """
        facts: list[Fact] = []
        number, beginning = 0, f"{run.id}-"
        async for each in every(self._records, FACT, beginning, page=PAGE):
            images = {"images": await self._pictures(each.body) if pictures else ()} if "images" in each.body else {}
            facts.append(from_json({**each.body, **images}))
            number = int(each.id.removeprefix(beginning)) + 1
        return facts, number

    async def add(self, run: Run, number: int, fact: Fact) -> None:
        """Write down the fact of that number, counted from 0; durable once it returns.

        Raises:
            Busy: there is one already: another process works at the run.
            AuditUnavailable: it could not be written.
        """
        # Kept longer than the run, which lives on with each change, while its facts are written once.
        expires = time.time() + 4 * self._keep
        body = to_json(fact)
        for picture in body.get("images", ()):
            picture["kept"] = new_id()
            await self._records.put(PICTURE, picture["kept"], {"data": picture.pop("data")}, expires=expires)
        if not await self._records.put(FACT, f"{run.id}-{number:08d}", body, expires=expires):
            raise Busy(f"the run {run.id} is taken up elsewhere")

    async def _pictures(self, body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Those of a fact, as `to_json` has them."""
        found = []
        for each in body["images"]:
            there = await self._records.get(PICTURE, each["kept"]) if "kept" in each else None
            found.append({**each, **(there.body if there else {})})  # older runs have them in the fact itself
        return found

    async def judge(self, id: str, good: float, who: Principal) -> tuple[str, str, str] | None:
        """Hear from its owner how good a run's answer was, once.

        Args:
            good: 0 (wrong) to 1 (right).

        Returns:
            Whom it is put down to: the model's id, the type of task as the router saw it, and the session; None: no model answered in it,
            or it was judged before.

        Raises:
            UnknownRun: as `get`; also where it is somebody else's whom `who` may see.
        """
        run = await self.get(id, who)
        if run.owner != who.user:
            raise UnknownRun(f"the run {id[:64]!r} is not yours to judge")
        replies = [fact for fact in (await self.facts(run))[0] if isinstance(fact, Replied) and fact.provider]
        body = {"good": good, "at": time.time()}
        if not replies or not await self._records.put(JUDGED, run.id, body, expires=time.time() + 4 * self._keep):
            return None
        last = replies[-1]
        return last.asked, last.route.get("task", run.task.task), run.session

    def add_soon(self, run: Run, number: int, fact: Fact) -> Awaitable[bool]:
        """As `add`, durable with the next thing that is; False once there was a fact of that number already."""
        return self._records.put_soon(FACT, f"{run.id}-{number:08d}", to_json(fact), expires=time.time() + 4 * self._keep)

    async def keep(self, run: Run, text: str, open: bool) -> str:
        """Keep a result whole for the owner of `run`; the id under which it can be read."""
        name = new_id()
        body = {"tenant": run.tenant, "owner": run.owner, "text": text, "open": open}
        await self._records.put(RESULT, name, body, expires=time.time() + self._keep)
        return name

    async def kept(self, id: str, who: Principal) -> str | None:
        """The result under `id`; None: there is none, or it is not `who`'s."""
        there = await self._records.get(RESULT, id)
        if there is None or (there.body["tenant"], there.body["owner"]) != (who.tenant, who.user):
            return None
        return str(there.body["text"])


def _may_see(who: Principal, run: Run) -> bool:
    return who.tenant == run.tenant and (who.user == run.owner or is_admin(who))


def _from_body(id: str, body: Mapping[str, Any], version: int) -> Run:
    task = body["task"]
    tools = None if task["tools"] is None else tuple(task["tools"])
    theirs = tuple(ToolSpec(**each) for each in task.get("theirs", ()))
    read = Task(**{**task, "tools": tools, "limits": Limits(**task["limits"]), "theirs": theirs})
    return Run(id, **{**body, "task": read}, version=version)
