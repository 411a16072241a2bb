"""Which language models may be asked, by whom, and how much quality a saving may cost: the content of `models.yaml`."""

from __future__ import annotations

from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field

from toolgate.calls import Principal
from toolgate.settings import Seconds, Strict


class ModelRule(Strict):
    """What holds for some requests. Of several rules that apply, every one has to be met."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """Stable: it stands in refusals and in the audit."""
    tenants: tuple[str, ...] = ()
    """Globs; the rule applies to requests of these. Empty: of all. So with tiers, roles and tasks; all four have to fit."""
    tiers: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    """Of the type that the asker declares, or that is plain from the prompt."""
    models: tuple[str, ...] = ()
    """Globs over `provider/model`: only these may be asked. Empty: any."""
    deny: tuple[str, ...] = ()
    """Globs: these may not, whatever `models` says."""
    regions: tuple[str, ...] = ()
    """Only models that compute there; one whose region is not known does not. Empty: anywhere."""
    tags: tuple[str, ...] = ()
    """Only models that have each of these words."""
    max_price: Decimal | None = Field(default=None, ge=0)
    """US dollars for a million tokens, read or written."""
    max_cost: Decimal | None = Field(default=None, ge=0)
    """US dollars that one request is expected to cost."""
    max_p95: Seconds | None = None
    """Seconds within which 95 of 100 answers came lately; a model not measured yet passes."""
    max_first_token: Seconds | None = None
    """The same for the first piece of an answer."""
    max_quality_loss: float | None = Field(default=None, ge=0, le=100)
    """Points; over the general one."""
    explore: bool = True
    """False: no experiments with these requests."""

    def applies(self, principal: Principal, *tasks: str) -> bool:
        return (
            _any(self.tenants, (principal.tenant,))
            and _any(self.tiers, (principal.tier,))
            and _any(self.roles, principal.roles)
            and _any(self.tasks, tasks)
        )


class Models(Strict):
    """The content of `policies/models.yaml`."""

    max_quality_loss: float = Field(default=1.0, ge=0, le=100)
    """Points of quality, of 100, that a cheaper model may be worse than the best."""
    explore: float = Field(default=0.3, ge=0, le=1)
    """Share of requests that try a plausible model at first; it falls as experience grows. 0: never."""
    on_empty: Literal["refuse", "cheapest"] | str = "refuse"
    """When the ceilings leave no model: refuse, ask the cheapest that is permitted, or the named `provider/model`, if it is permitted.
    Rules about who may ask what (models, deny, regions, tags) are never passed over."""
    switch_share: float = Field(default=0.0, ge=0, le=1)
    """Part of what a run has spent that may be given up in caches by changing its model; 0: a run changes models only when it must."""
    cascade: bool = True
    """Requests whose answers are checked may begin with a cheap model, and go up when the check fails."""
    half_life: Seconds = 14 * 86_400.0
    """After so long an observation counts half."""
    rules: tuple[ModelRule, ...] = ()

    def applying(self, principal: Principal, *tasks: str) -> tuple[ModelRule, ...]:
        """The rules for requests of `principal` that are of any of `tasks`."""
        return tuple(rule for rule in self.rules if rule.applies(principal, *tasks))


def forbidden(rules: tuple[ModelRule, ...], id: str, region: str, tags: frozenset[str]) -> str | None:
    """Why the model may not be asked at all, in a sentence that names the rule; None: it may."""
    for rule in rules:
        if any(fnmatchcase(id, glob) for glob in rule.deny):
            return f"{rule.id} denies it"
        if rule.models and not any(fnmatchcase(id, glob) for glob in rule.models):
            return f"{rule.id} allows {', '.join(rule.models)} only"
        if rule.regions and region not in rule.regions:
            where = f"it does in {region}" if region else "nobody says where it does"
            return f"{rule.id} wants it to compute in {' or '.join(rule.regions)}, and {where}"
        if missing := [tag for tag in rule.tags if tag not in tags]:
            return f"{rule.id} wants the tag {missing[0]}"
    return None


def _any(globs: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs for name in names)
