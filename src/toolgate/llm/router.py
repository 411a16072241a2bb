"""Which model to ask: permitted, healthy, good enough, and of those the cheapest.

    policy ─▶ health ─▶ quality ─▶ cost and speed ─▶ choice ─▶ chain

Without labelled prompts the first choice is the cheapest model whose quality, lowered by how unsure it is, is within the loss that the
policy allows of the best one. With them (`calibration`) it is the one with most quality less the price that they gave to its cost.
Now and then, and ever less, the model that may be best is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from toolgate.calls import Principal
from toolgate.llm.beliefs import Beliefs
from toolgate.llm.calibration import Calibration
from toolgate.llm.candidates import Options, Sieve
from toolgate.llm.decision import Decision, Health, Mode, Rates, Scores, Speeds
from toolgate.llm.messages import Errand, Prompt, ToolResult
from toolgate.llm.model import Model
from toolgate.llm.runs import Runs
from toolgate.llm.scoring import effect, exploring, to_try, usual
from toolgate.llm.standing import Standing
from toolgate.llm.task import asked, guessed
from toolgate.money import Micros
from toolgate.policy.models import Models

Source = Literal["feedback", "verifier", "arguments", "tool"]
"""Who says how good an answer was: a person, a check of the whole answer, the schema of a tool's arguments, the tool's success."""
WORTH: Mapping[Source, float] = {"feedback": 1.0, "verifier": 1.0, "arguments": 0.2, "tool": 0.2}
"""Observations. The last two are nearly always right and say little of an answer: guesses."""
Heard = Callable[[str, str, float, float], None]
"""Takes the model's id, the task, how good the answer was, and how many answers that is worth."""
Why = tuple[Mode, tuple[str, ...]]
Order = list[int]
"""Positions in `Options`, the one to ask first in front."""


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
        self._standing: Standing | None = None
        self._standing_of: tuple[object, ...] = ()

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
            self.runs.remember(errand.run, decision, errand.principal)
        return decision

    def explain(self, prompt: Prompt, errand: Errand, tokens: int, *, left: Micros | None = None) -> Decision:
        """What `route` would decide now; nothing changes by it. Raises as `route` does."""
        policy = self._policy()
        standing = self._prepared(policy)
        undeclared = errand.task == "other"
        guess = guessed(prompt) if undeclared or any(rule.tasks for rule in policy.rules) else "other"
        task = guess if undeclared else errand.task
        # What kind of task it is says its asker, who may want to slip through a rule: what is plain from the prompt counts as well.
        tasks = (task,) if guess in ("other", task) else (task, guess)
        known = self.runs.get(errand.run)
        there = self._sieve.candidates(policy, prompt, errand, tasks, tokens, standing.at(task), left)
        options, slate = there.options, there.slate
        order, why = self._ordered(options, prompt, task, slate.loss)
        if policy.cascade and errand.checkable and len(order) > 1 and not errand.high_risk:
            order, why = cascade(options, order, known.failed if known else frozenset())
        else:
            if slate.explore and not errand.high_risk and not prompt.model:
                order, why = self._tried(options, order, slate.explore, why)
            if known:
                order, why = self._kept_to(known.model, options, order, known.spare(policy.switch_share), tokens, why)
        if there.fallback:
            why = "fallback", (there.fallback, *why[1])
        if prompt.model:
            why = "named", (f"the prompt names {prompt.model}", *why[1])
        chain = tuple([options.models[at] for at in order])
        scores = Scores(options, order, self._speeds)
        return Decision(chain, scores, why[1], there.dropped, why[0], task, undeclared, slate.names)

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
        own = 0.0 if table is not None else effect(self._prepared(self._policy()).expected(model_id), overall, at_task)
        beliefs.add("effect", model_id, task, worth * (good - base), worth)
        beliefs.add(kind, "", task, worth * (good - own), worth)
        self._hear(model_id)
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

    def feedback(self, run: str, good: float, who: Principal) -> str | None:
        """Hear from a person how good a run was: its model learns, once.

        Args:
            who: says it; only the run's own is heard.

        Returns:
            The model's id; None: no such run of theirs is known (any more), or it was told before.
        """
        known = self.runs.get(run)
        if known is None or known.owner != (who.tenant, who.user) or known.told:
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
        self._hear(model_id)

    def _ordered(self, options: Options, prompt: Prompt, task: str, loss: float) -> tuple[Order, Why]:
        """All that may be asked, the one to ask first, and why."""
        calibration, ranking = self.calibration, options.ranking
        if calibration is not None and ranking.predicted:
            said = calibration.qualities(task, asked(prompt), len(prompt.tools))
            means, sure = list(options.means), list(options.sure)
            for at in ranking.first:  # the quality at this very prompt in place of that at its task
                by = said[options.ids[at]] - (ranking.tables[at] or 0.0)
                means[at] += by
                sure[at] += by
            options.means, options.sure = means, sure
            order = self._priced(options, calibration, loss)
            best = max(order, key=means.__getitem__)
        else:
            order, best = sorted(ranking.first, key=options.costs.__getitem__), ranking.best
            self._quickest_first(options, order)
        order += ranking.rest
        return order, ("chosen", _because(options, order[0], best, loss))

    def _priced(self, options: Options, calibration: Calibration, loss: float) -> Order:
        """By quality less what calibration has the cost be worth."""
        ids, costs, means, kept = options.ids, options.costs, options.means, options.ranking.first
        price, reference = calibration.price(loss), calibration.reference
        if price is None:
            return sorted(kept, key=lambda at: (ids[at] == reference, means[at]), reverse=True)
        alone = next((costs[at] for at in kept if ids[at] == reference), 0.0) or max(costs[at] for at in kept) or 1.0
        worth = {at: means[at] - price * costs[at] / alone for at in kept}
        return sorted(kept, key=worth.__getitem__, reverse=True)

    def _quickest_first(self, options: Options, order: Order) -> None:
        """Of several that cost the same, the one that is known to answer soonest."""
        costs, same = options.costs, 1
        while same < len(order) and costs[order[same]] == costs[order[0]]:
            same += 1
        if same > 1:
            lately = self._speeds.lately()
            order[:same] = sorted(order[:same], key=lambda at: (speed.p95 if (speed := lately.get(options.ids[at])) else None) or 0.0)

    def _tried(self, options: Options, order: Order, share: float, why: Why) -> tuple[Order, Why]:
        """Perhaps with one first that may be better than is known."""
        calibration = self.calibration
        seen = self.beliefs.of("usual", "", "").seen + (calibration.rows if calibration else 0)
        if draw(self._seed, self._decisions) >= exploring(share, seen):
            return order, why
        worth_asking = order[: len(options.ranking.first)] if options.ranking.predicted else order
        tried = to_try(worth_asking, options.means, options.sure)
        if tried == order[0]:
            return order, why
        seen = options.seen[tried]
        because = f"{options.ids[tried]} is tried: little is known of it ({seen:.0f} answers), and it may be the best"
        return _first(tried, order), ("explored", (because,))

    def _kept_to(self, model: Model, options: Options, order: Order, spare: float, tokens: int, why: Why) -> tuple[Order, Why]:
        """The run's own model first, while it can be asked and a change is not worth its cache."""
        own, best = options.ids.index(model.id) if model.id in options.ids else None, order[0]
        if own not in order:
            return order, ("switched", (f"{model.id}, which the run began with, cannot be asked now", *why[1]))
        if own == best:
            return order, ("kept", why[1])
        lost = self._sieve.reading(options.models[best], tokens)
        if spare and lost <= spare and options.costs[best] + lost < options.costs[own]:
            return order, ("switched", (f"the cache of {model.id} is given up, which the run can spare", *why[1]))
        return _first(own, order), ("kept", (f"the run stays with {model.id}",))

    def _prepared(self, policy: Models) -> Standing:
        """What is thought of models, begun anew where it is of a state that is no more."""
        self.beliefs.fade()
        models = self._sieve.models(policy)
        now = (self.beliefs.version, self.calibration, models, policy)
        if self._standing is None or now != self._standing_of:
            self._standing_of = now
            self._standing = Standing(models, self._sieve.prices(), self.beliefs, self.calibration)
        return self._standing

    def _hear(self, model_id: str) -> None:
        if self._standing is not None:
            self._standing.hear(model_id)


def cascade(options: Options, order: Order, failed: frozenset[str]) -> tuple[Order, Why]:
    """For answers that are checked: the least cost for a right answer first, and after a failed check the next.

    That order costs least until the first right answer where answers are right independently of each other: an exchange of two
    neighbours shows it. Those that failed in this run come last.
    """
    ids, costs, means = options.ids, options.costs, options.means
    order = sorted(order, key=lambda at: (ids[at] in failed, costs[at] / max(means[at], 0.05)))
    first = ids[order[0]]
    if failed:
        return order, ("escalated", (f"the check failed for {', '.join(sorted(failed))}; {first} is next",))
    return order, ("cascade", (f"answers are checked, so it begins with {first}, which costs least for a right one",))


def draw(seed: int, number: int) -> float:
    """A number from 0 to 1 that looks drawn, the same for the same arguments. Source: splitmix64, Steele, Lea, Flood 2014."""
    mask = 2**64 - 1
    z = (seed * 0x9E3779B97F4A7C15 + (number + 1) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) / 2**64


def _first(at: int, order: Order) -> Order:
    return [at, *[other for other in order if other != at]]


def _because(options: Options, first: int, best: int, loss: float) -> tuple[str, ...]:
    ids, means = options.ids, options.means
    said = f"{ids[first]} is expected to be right {means[first]:.1%} of the time"
    if first == best:
        return (f"{said}, and no other more often",)
    return (f"{said}, the best, {ids[best]}, {means[best]:.1%}: a loss of {loss:g} points on average is allowed, and it costs less",)
