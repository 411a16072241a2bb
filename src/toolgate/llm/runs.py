"""Runs and the models that they stay with."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from toolgate.calls import Principal
from toolgate.llm.decision import Decision
from toolgate.llm.model import Model

RUNS = 10_000
"""Remembered, those not heard of longest forgotten first."""


@dataclass(slots=True)
class Run:
    model: Model
    task: str
    owner: tuple[str, str]
    """Tenant and user."""
    told: bool = False
    """Somebody said how good it was."""
    spent: float = 0.0
    """Micro-US-dollars."""
    given_up: float = 0.0
    """Of them, for caches that a change of models left behind."""
    failed: frozenset[str] = field(default_factory=frozenset)
    """Models whose answers did not pass a check, by id."""
    result: str = ""
    """Id of the last call of a tool of which it was heard what came of it."""

    def fail(self, model_id: str) -> None:
        self.failed |= {model_id}

    def spare(self, share: float) -> float:
        """What may be given up for a change, in micro-US-dollars."""
        return max(0.0, self.spent * share - self.given_up)


class Runs:
    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def get(self, run: str) -> Run | None:
        return self._runs.get(run) if run else None

    def remember(self, run: str, decision: Decision, principal: Principal) -> None:
        first = decision.chain[0]
        known = self._runs.get(run)
        if known is None:
            self._runs[run] = Run(first, decision.task, (principal.tenant, principal.user))
            if len(self._runs) > RUNS:
                self._runs.popitem(last=False)
            return
        if known.model.id != first.id and decision.mode == "switched":
            known.given_up += decision.scores[first.id].cost
        known.model = first
        self._runs.move_to_end(run)
