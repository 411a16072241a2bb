"""Which model to ask: permitted, healthy, good enough, and of those the cheapest.

    policy ─▶ health ─▶ quality ─▶ cost and speed ─▶ choice ─▶ chain

Without labelled prompts the first choice is the cheapest model whose quality, lowered by how unsure it is, is within the loss that the
policy allows of the best one. With them (`calibration`) it is the one with most quality less the price that they gave to its cost.
Now and then, and ever less, the model that may be best is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from toolgate.llm.beliefs import Beliefs
from toolgate.llm.calibration import EXPECTED_OUTPUT, Calibration
from toolgate.llm.candidates import Candidates, Look, Option, Sieve
from toolgate.llm.decision import Decision, Health, Mode, Rates, Scores, Speeds
from toolgate.llm.messages import Errand, Prompt, ToolResult
from toolgate.llm.model import Model
from toolgate.llm.runs import Runs
from toolgate.llm.scoring import CALIBRATED, STRENGTH, Belief, believe, by_price, effect, exploring, floor, to_try, usual
from toolgate.llm.task import asked, guessed
from toolgate.money import Micros
from toolgate.policy.models import Models

Source = Literal["feedback", "verifier", "arguments", "tool"]
"""Who says how good an answer was: a person, a check of the whole answer, the schema of a tool's arguments, the tool's success."""
WORTH: Mapping[Source, float] = {"feedback": 1.0, "verifier": 1.0, "arguments": 0.2, "tool": 0.2}
"""Observations. The last two are nearly always right and say little of an answer: guesses."""
ANSWERS = 20.0
"""Answers that the expected length of answers is worth until a task's own are known: a guess."""


Heard = Callable[[str, str, float, float], None]
"""Takes the model's id, the task, how good the answer was, and how many answers that is worth."""
TASKS = 100
"""Task types for which what is thought of models is kept ready."""
NOBODY_SAYS = 0.5
"""`Model.quality` where the operator says nothing of it."""
Why = tuple[Mode, tuple[str, ...]]
BY_QUALITY: Callable[[Option], float] = lambda option: option[2][0]  # noqa: E731 - by number, which is half of the time of a sort
BY_COST: Callable[[Option], tuple[float, float]] = lambda option: (option[3], -option[2][0])  # noqa: E731


class Router:
    def __init__(
        self,
        models: Callable[[], Sequence[Model]],
        policy: Callable[[], Models],
        *,
        health: Health,
        speeds: Speeds,
        rates: Rates,
        seed: int = 0,
        beliefs: Beliefs | None = None,
        calibration: Calibration | None = None,
        heard: Heard | None = None,
    ) -> None:
        """
        Args:
            models: every model that is set up, in the operator's order; taken anew for each decision.
            policy: `models.yaml` in force.
            seed: equal seeds and states decide alike.
            heard: hears of every judgement of a whole answer, as `metrics.Performance.judge`.
        """
        self._policy, self._speeds, self._seed = policy, speeds, seed
        self._sieve = Sieve(models, health, speeds, rates)
        self.beliefs = beliefs or Beliefs(lambda: policy().half_life)
        self.calibration = calibration
        self._heard = heard
        self.runs = Runs()
        self._decisions = 0
        self._kept: dict[str, dict[str, tuple[Belief, float]]] = {}
        """Belief and expected tokens of an answer, by task and model, until something is heard of the model."""
        self._kept_of: tuple[object, ...] = ()
        self._expected: Mapping[str, float] = {}

    def route(self, prompt: Prompt, errand: Errand, tokens: int, *, left: Micros | None = None) -> Decision:
        """Decide which models to ask.

        Args:
            tokens: of the input, counted.
            left: what may still be spent; None: anything.

        Raises:
            NoModel: nothing is left; its message and `dropped` name what dropped each model.
        """
        decision = self.explain(prompt, errand, tokens, left=left)
        self._decisions += 1
        if errand.run:
            self.runs.remember(errand.run, decision, errand.principal.user)
        return decision

    def explain(self, prompt: Prompt, errand: Errand, tokens: int, *, left: Micros | None = None) -> Decision:
        """What `route` would decide now; nothing changes by it. Raises as `route` does."""
        policy = self._policy()
        undeclared = errand.task == "other"
        task = guessed(prompt) if undeclared else errand.task
        self._prepare()
        known = self.runs.get(errand.run)
        there = self._sieve.candidates(policy, prompt, errand, task, tokens, self._looking(task), left)
        options = there.able
        loss = min((rule.max_quality_loss for rule in there.rules if rule.max_quality_loss is not None), default=policy.max_quality_loss)
        options, why = self._ordered(options, prompt, task, loss)
        if policy.cascade and errand.checkable and len(options) > 1 and not errand.high_risk:
            options, why = cascade(options, known.failed if known else frozenset())
        else:
            if policy.explore and not errand.high_risk and not prompt.model and all(rule.explore for rule in there.rules):
                options, why = self._tried(options, policy.explore, why)
            if known:
                options, why = self._kept_to(known.model, options, known.spare(policy.switch_share), tokens, why)
        if there.fallback:
            why = "fallback", (there.fallback, *why[1])
        if prompt.model:
            why = "named", (f"the prompt names {prompt.model}", *why[1])
        return self._decision(options, there, why, task, undeclared)

    def learn(self, model_id: str, task: str, good: float, source: Source, *, run: str = "") -> None:
        """Hear how good an answer was. What the transport did is no business of quality: tell that to health.

        Args:
            model_id: `provider/model` that answered.
            task: as `Decision.task`; `other` where the run's is known is taken for that.
            good: 0 (wrong) to 1 (right).
            run: a cascade goes up in it when `good` is below a half.
        """
        known = self.runs.get(run)
        if known and task == "other":
            task = known.task
        worth, good = WORTH[source], min(1.0, max(0.0, good))
        beliefs = self.beliefs
        kind: Literal["usual", "form"] = "usual" if worth == 1.0 else "form"
        table = self.calibration.expected(model_id, task) if self.calibration and kind == "usual" else None
        base = usual(beliefs.of(kind, "", ""), beliefs.of(kind, "", task)) if table is None else table
        overall, at_task = beliefs.of("effect", model_id, ""), beliefs.of("effect", model_id, task)
        own = 0.0 if table is not None else effect(self._prior(model_id), overall, at_task)
        beliefs.add("effect", model_id, task, worth * (good - base), worth)
        beliefs.add(kind, "", task, worth * (good - own), worth)
        self._forget(model_id)
        if self._heard is not None and kind == "usual":
            self._heard(model_id, task, good, worth)
        if known and good < 0.5 and kind == "usual":
            known.fail(model_id)

    def results(self, run: str, results: Sequence[ToolResult]) -> None:
        """Hear what came of the tools that the run's last reply called: its model learns, once."""
        known = self.runs.get(run)
        if known is None or not results or known.result == results[-1].id:
            return
        known.result = results[-1].id
        good = sum(not result.failed for result in results) / len(results)
        self.learn(known.model.id, known.task, good, "tool", run=run)

    def feedback(self, run: str, good: float, user: str) -> str | None:
        """Hear from a person how good a run was: its model learns, once.

        Args:
            user: who says it, as `Principal.user`; only the run's own is heard.

        Returns:
            The model's id; None: no such run of theirs is known (any more), or it was told before.
        """
        known = self.runs.get(run)
        if known is None or known.user != user or known.told:
            return None
        known.told = True
        self.learn(known.model.id, known.task, good, "feedback", run=run)
        return known.model.id

    def used(self, model_id: str, task: str, tokens_in: int, tokens_out: int, cost: Micros, *, run: str = "") -> None:
        """Hear what an answer took: how long answers are, and what the run has spent."""
        known = self.runs.get(run)
        if known is not None:
            known.spent += cost
            task = known.task if task == "other" else task
        self.beliefs.add("output", model_id, task, tokens_out, 1.0)
        self._forget(model_id)

    def _ordered(self, options: list[Option], prompt: Prompt, task: str, loss: float) -> tuple[list[Option], Why]:
        """All of `options`, the one to ask first, and why."""
        calibration = self.calibration
        kept = calibration.kept if calibration else ()
        worth_asking = [option for option in options if option.id in kept]
        if calibration is not None and worth_asking:
            said = calibration.qualities(task, asked(prompt), len(prompt.tools))
            ordered = self._priced([self._shifted(option, said, task) for option in worth_asking], loss)
            best = max(ordered, key=BY_QUALITY)
            rest = sorted([option for option in options if option.id not in kept], key=BY_QUALITY, reverse=True)
        else:
            best = max(options, key=BY_QUALITY)
            enough = floor([option.belief for option in options], loss / 100)
            ordered = sorted([option for option in options if option.belief.sure >= enough], key=BY_COST)
            self._quickest_first(ordered)
            rest = sorted([option for option in options if option.belief.sure < enough], key=BY_QUALITY, reverse=True)
        return ordered + rest, ("chosen", _because(ordered[0], best, loss))

    def _priced(self, options: list[Option], loss: float) -> list[Option]:
        """By quality less what calibration has the cost be worth."""
        calibration = self.calibration
        assert calibration is not None
        price, reference = calibration.price(loss), calibration.reference
        alone = next((option.cost for option in options if option.id == reference), 0.0) or max(option.cost for option in options) or 1.0
        if price is None:
            return sorted(options, key=lambda option: (option.id == reference, option.belief.mean), reverse=True)
        return sorted(options, key=lambda option: option.belief.mean - price * option.cost / alone, reverse=True)

    def _quickest_first(self, ordered: list[Option]) -> None:
        """Of several that cost the same, the one that is known to answer soonest."""
        same = 1
        while same < len(ordered) and ordered[same].cost == ordered[0].cost:
            same += 1
        if same > 1:
            p95 = self._speeds.p95
            ordered[:same] = sorted(ordered[:same], key=lambda option: p95(option.id) or 0.0)

    def _shifted(self, option: Option, said: Mapping[str, float], task: str) -> Option:
        """`option` with the quality at this very prompt in place of that at its task."""
        assert self.calibration is not None
        belief, by = option.belief, said[option.id] - (self.calibration.expected(option.id, task) or 0.0)
        return option._replace(belief=belief._replace(mean=belief.mean + by, sure=belief.sure + by))

    def _tried(self, options: list[Option], share: float, why: Why) -> tuple[list[Option], Why]:
        """Perhaps with one first that may be better than is known."""
        beliefs = self.beliefs.of("usual", "", "")
        seen = beliefs.seen + (self.calibration.rows if self.calibration else 0)
        if draw(self._seed, self._decisions) >= exploring(share, seen):
            return options, why
        worth_asking = [option for option in options if not self.calibration or option.id in self.calibration.kept] or options
        tried = worth_asking[to_try([option.belief for option in worth_asking])]
        if tried is options[0]:
            return options, why
        because = f"{tried.id} is tried: little is known of it ({tried.belief.seen:.0f} answers), and it may be the best"
        return [tried, *(option for option in options if option is not tried)], ("explored", (because,))

    def _kept_to(self, model: Model, options: list[Option], spare: float, tokens: int, why: Why) -> tuple[list[Option], Why]:
        """The run's own model first, while it can be asked and a change is not worth its cache."""
        own = next((option for option in options if option.id == model.id), None)
        if own is None:
            return options, ("switched", (f"{model.id}, which the run began with, cannot be asked now", *why[1]))
        if own is options[0]:
            return options, ("kept", why[1])
        lost = self._sieve.reading(options[0].model, tokens)
        if spare and lost <= spare and options[0].cost + lost < own.cost:
            return options, ("switched", (f"the cache of {model.id} is given up, which the run can spare", *why[1]))
        return [own, *(option for option in options if option is not own)], ("kept", (f"the run stays with {model.id}",))

    def _decision(self, options: Sequence[Option], there: Candidates, why: Why, task: str, undeclared: bool) -> Decision:
        chain = tuple([option.model for option in options])
        scores = Scores(options, self._speeds)
        return Decision(chain, scores, why[1], there.dropped, why[0], task, undeclared, tuple([rule.id for rule in there.rules]))

    def _looking(self, task: str) -> Look:
        """What is thought of models at `task`, worked out once until something is heard of them."""
        kept = self._kept.get(task)
        if kept is None:
            if len(self._kept) >= TASKS:
                self._kept.clear()
            kept = self._kept[task] = {}
        for model in self._sieve.models() if len(kept) < len(self._expected) else ():
            if model.id not in kept:
                kept[model.id] = self._believed(model, task), self._length(model, task)
        return kept.__getitem__

    def _believed(self, model: Model, task: str) -> Belief:
        beliefs = self.beliefs
        overall, own = beliefs.of("effect", model.id, ""), beliefs.of("effect", model.id, task)
        table = self.calibration.expected(model.id, task) if self.calibration else None
        if table is not None:
            return believe(table, 0.0, overall, own, CALIBRATED)
        base = usual(beliefs.of("usual", "", ""), beliefs.of("usual", "", task))
        return believe(base, self._prior(model.id), overall, own, STRENGTH)

    def _prior(self, model_id: str) -> float:
        """How much better than usual a model is expected to be before anything was seen."""
        return self._expected.get(model_id, 0.0)

    def _length(self, model: Model, task: str) -> float:
        told = self.calibration.outputs.get(task, {}).get(model.id, EXPECTED_OUTPUT) if self.calibration else EXPECTED_OUTPUT
        seen = self.beliefs.of("output", model.id, task)
        return (told * ANSWERS + seen.sum) / (ANSWERS + seen.seen)

    def _prepare(self) -> None:
        """Forget what was worked out of a state that is no more."""
        self.beliefs.fade()
        now = (self.beliefs.version, self.calibration, self._sieve.models())
        if now != self._kept_of:
            self._kept_of = now
            self._kept.clear()
            models = now[2]
            ranked = by_price({model.id: self._sieve.price(model) for model in models})
            said = {model.id: ranked[model.id] if model.quality == NOBODY_SAYS else model.quality for model in models}
            middle = sum(said.values()) / max(1, len(said))
            self._expected = {model: quality - middle for model, quality in said.items()}

    def _forget(self, model_id: str) -> None:
        for kept in self._kept.values():
            kept.pop(model_id, None)


def cascade(options: Sequence[Option], failed: frozenset[str]) -> tuple[list[Option], Why]:
    """For answers that are checked: the least cost for a right answer first, and after a failed check the next.

    That order costs least until the first right answer where answers are right independently of each other: an exchange of two
    neighbours shows it. Those that failed in this run come last.
    """
    ordered = sorted(options, key=lambda option: (option.id in failed, option.cost / max(option.belief.mean, 0.05)))
    first = ordered[0].id
    if failed:
        return ordered, ("escalated", (f"the check failed for {', '.join(sorted(failed))}; {first} is next",))
    return ordered, ("cascade", (f"answers are checked, so it begins with {first}, which costs least for a right one",))


def draw(seed: int, number: int) -> float:
    """A number from 0 to 1 that looks drawn, the same for the same arguments. Source: splitmix64, Steele, Lea, Flood 2014."""
    mask = 2**64 - 1
    z = (seed * 0x9E3779B97F4A7C15 + (number + 1) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) / 2**64


def _because(first: Option, best: Option, loss: float) -> tuple[str, ...]:
    said = f"{first.id} is expected to be right {first.belief.mean:.1%} of the time"
    if first is best:
        return (f"{said}, more than any other",)
    return (f"{said}, the best, {best.id}, {best.belief.mean:.1%}: a loss of {loss:g} points on average is allowed, and it costs less",)
