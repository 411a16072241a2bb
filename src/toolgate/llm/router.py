"""Which model to ask: permitted, healthy, good enough, and of those the cheapest.

policy ─▶ health ─▶ quality ─▶ cost and speed ─▶ choice ─▶ chain
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from toolgate.errors import NoModel
from toolgate.llm.decision import Decision, Health, Rates, Score, Speeds
from toolgate.llm.messages import Errand, Prompt
from toolgate.llm.model import Model
from toolgate.llm.scoring import Belief, Tally, believe
from toolgate.money import Micros
from toolgate.policy.models import Models, forbidden

Source = Literal["feedback", "verifier", "arguments", "tool"]
"""Who says how good an answer was: a person, a check of the whole answer, the schema of a tool's arguments, the tool's success."""
WORTH = {"feedback": 1.0, "verifier": 1.0, "arguments": 0.2, "tool": 0.2}
"""Observations. The last two are nearly always right and say little of an answer: guesses."""
RUNS = 10_000
"""Runs whose model is remembered, those not heard of longest forgotten first."""
EXPECTED_OUTPUT = 400.0  # tokens, until a task's own are known: a guess


@dataclass(slots=True)
class Run:
    """What is remembered of a run."""

    model: Model
    task: str
    spent: float = 0.0


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
    ) -> None:
        """
        Args:
            models: every model that is set up, in the operator's order; taken anew for each decision.
            policy: `models.yaml` in force.
            seed: equal seeds and states decide alike.
        """
        self._models, self._policy = models, policy
        self._health, self._speeds, self._rates = health, speeds, rates
        self._seed = seed
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._tallies: dict[tuple[str, str], Tally] = {}

    def route(self, prompt: Prompt, errand: Errand, tokens: int, *, left: Micros | None = None) -> Decision:
        """Decide which models to ask.

        Args:
            tokens: of the input, counted.
            left: what may still be spent; None: anything.

        Raises:
            NoModel: nothing is left; its message and `dropped` name what dropped each model.
        """
        policy = self._policy()
        rules = policy.applying(errand.principal, errand.task)
        dropped: dict[str, str] = {}
        able: list[Model] = []
        for model in self._models():
            why = (
                _named(model, prompt)
                or forbidden(rules, model.id, model.region, model.tags)
                or _incapable(model, prompt, tokens)
                or self._health.available(model)
            )
            if why:
                dropped[model.id] = why
            else:
                able.append(model)
        if not able:
            raise NoModel(dropped)
        scores = {model.id: self._score(model, errand.task, tokens) for model in able}
        best = max(score.quality for score in scores.values())
        floor = best - policy.max_quality_loss / 100
        chain = sorted(able, key=lambda model: (scores[model.id].quality < floor, scores[model.id].cost, -scores[model.id].quality))
        kept = self._runs.get(errand.run) if errand.run else None
        if kept and kept.model in chain:
            chain.remove(kept.model)
            chain.insert(0, kept.model)
        self._remember(errand, chain[0])
        ordered = {model.id: scores[model.id] for model in chain}
        return Decision(tuple(chain), ordered, (), dropped, "kept" if kept else "chosen", errand.task, policy=tuple(r.id for r in rules))

    def learn(self, model_id: str, task: str, good: float, source: Source, *, run: str = "") -> None:
        """Hear how good an answer was. What the transport did is no business of quality: tell that to health.

        Args:
            model_id: `provider/model` that answered.
            good: 0 (wrong) to 1 (right).
            run: a cascade goes up in it when `good` is below a half.
        """
        worth = WORTH[source]
        for key in ((model_id, ""), (model_id, task)):
            self._tallies[key] = self._tallies.get(key, Tally()).plus(good * worth, worth)

    def feedback(self, run: str, good: float) -> str | None:
        """Hear from a person how good a run was: its model learns. The model's id; None: the run is not known (any more)."""
        known = self._runs.get(run)
        if known is None:
            return None
        self.learn(known.model.id, known.task, good, "feedback", run=run)
        return known.model.id

    def used(self, model_id: str, task: str, tokens_in: int, tokens_out: int, cost: Micros, *, run: str = "") -> None:
        """Hear what an answer took: how long answers are, and what the run has spent."""
        known = self._runs.get(run)
        if known is not None:
            known.spent += cost

    def _score(self, model: Model, task: str, tokens: int) -> Score:
        none = Tally()
        overall = self._tallies.get((model.id, ""), none)
        belief: Belief = believe(model.quality, overall, self._tallies.get((model.id, task), none))
        read, written = self._rates.per_token(model)
        cost = read * tokens + written * EXPECTED_OUTPUT
        return Score(belief.mean, belief.deviation, overall.seen, cost, self._speeds.p95(model.id))

    def _remember(self, errand: Errand, model: Model) -> None:
        if not errand.run:
            return
        known = self._runs.get(errand.run)
        if known is None:
            self._runs[errand.run] = Run(model, errand.task)
            if len(self._runs) > RUNS:
                self._runs.popitem(last=False)
        else:
            known.model = model
            self._runs.move_to_end(errand.run)


def _named(model: Model, prompt: Prompt) -> str | None:
    if prompt.model and prompt.model not in (model.id, model.provider):
        return f"the prompt names {prompt.model}"
    if model.only_named and not prompt.model:
        return "it is asked only where it is named"
    return None


def _incapable(model: Model, prompt: Prompt, tokens: int) -> str | None:
    """What the prompt needs and the model has not."""
    if prompt.tools and not model.tools:
        return "it takes no tools"
    if tokens + min(prompt.max_tokens, model.max_output) > model.window:
        return f"its window holds {model.window} tokens, and {tokens} and the reply are more"
    if not model.vision and any(getattr(message, "images", ()) for message in prompt.messages):
        return "it sees no images"
    return None
