"""What a router decides, and what it asks others about. Frozen values and small protocols."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from toolgate.llm.model import Model
from toolgate.llm.scoring import deviation

if TYPE_CHECKING:
    from toolgate.llm.candidates import Options

Mode = Literal["chosen", "explored", "kept", "switched", "cascade", "escalated", "named", "fallback"]
"""Why the first of a chain is first: the cheapest that is good enough; a try; the run's own model; the run's own cannot go on or
another is worth the change; the cheap beginning of a checked task; its next, after a check failed; the prompt names it; what
`on_empty` says."""


class Health(Protocol):
    """Which models can be asked just now."""

    def troubled(self) -> Container[str]:
        """Models that perhaps cannot, by id: only of these it is asked why. Called on every decision, as `available`: no work, no wait."""

    def available(self, model: Model) -> str | None:
        """Why it cannot, such as `its breaker is open for 12 s`; None: it can."""


class Speed(NamedTuple):
    """Seconds in which 95 of 100 answers of a model came lately."""

    p95: float | None
    """None: not measured."""
    first_token_p95: float | None
    """Until the first piece."""


class Speeds(Protocol):
    """How fast models are; `metrics.Performance` is one."""

    def lately(self) -> Mapping[str, Speed]:
        """Of the models that were measured, by id. Called on every decision: no work, no wait."""


class Rates(Protocol):
    """What tokens cost."""

    def per_token(self, model: Model) -> tuple[float, float]:
        """Micro-US-dollars for a token read and one written, without caches and tiers. Asked once for each model and policy."""


class Score(NamedTuple):
    """What the router thinks of a model for one request."""

    quality: float
    """Share of right answers expected, 0 to 1."""
    deviation: float
    """Of that estimate: one standard deviation."""
    seen: float
    """Observations behind it, those faded counted for what is left of them."""
    cost: float
    """Micro-US-dollars that the request is expected to cost."""
    p95: float | None
    """Seconds; None: not measured."""

    def to_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"quality": round(self.quality, 4), "deviation": round(self.deviation, 4), "seen": round(self.seen, 1)}
        return said | {"cost_micros": round(self.cost, 1), "p95_seconds": None if self.p95 is None else round(self.p95, 3)}


class Scores(Mapping[str, Score]):
    """Scores by `provider/model`, in the chain's order, made when somebody looks: the decision itself needs none."""

    def __init__(self, options: Options, order: Sequence[int], speeds: Speeds) -> None:
        self._options, self._order, self._speeds = options, order, speeds

    @cached_property
    def _made(self) -> dict[str, Score]:
        of, lately = self._options, self._speeds.lately()
        made = {}
        for at in self._order:
            mean, speed = of.means[at], lately.get(of.ids[at])
            made[of.ids[at]] = Score(mean, deviation(mean, of.sure[at]), of.seen[at], of.costs[at], speed.p95 if speed else None)
        return made

    @cached_property
    def said(self) -> Mapping[str, Any]:
        """As JSON, made once: the audit and each attempt tell of it."""
        return {model: score.to_json() for model, score in self._made.items()}

    def __getitem__(self, model_id: str) -> Score:
        return self._made[model_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._order)


class Decision(NamedTuple):
    """Which models to ask, in order."""

    chain: tuple[Model, ...]
    """The first is asked, the rest in order when those before fail; never empty."""
    scores: Scores
    """By `provider/model`, the chain's in its order."""
    reasons: tuple[str, ...]
    """Sentences: why the first is first."""
    dropped: Mapping[str, str]
    """Models that are not in the chain, by `provider/model`, each with what dropped it."""
    mode: Mode = "chosen"
    task: str = "other"
    """As declared, or as guessed."""
    guessed: bool = False
    """The task was not declared."""
    policy: tuple[str, ...] = ()
    """Ids of the rules of `models.yaml` that applied."""

    def to_json(self) -> dict[str, Any]:
        """For the audit and for people; no text of the prompt."""
        return {
            "chain": [model.id for model in self.chain],
            "mode": self.mode,
            "task": self.task,
            "guessed": self.guessed,
            "scores": self.scores.said,
            "reasons": list(self.reasons),
            "dropped": dict(self.dropped),
            "policy": list(self.policy),
        }
