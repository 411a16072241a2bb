"""Roles and their permissions, and the immutable set of them that decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from operator import attrgetter
from typing import Literal
from weakref import WeakKeyDictionary

import orjson
from pydantic import Field, field_validator

from toolgate.calls import Principal, Tool
from toolgate.errors import Misconfigured
from toolgate.policy.conditions import Check, Condition, Facts, holds, tool_facts
from toolgate.policy.globs import Globs
from toolgate.policy.models import Models
from toolgate.policy.prices import Prices
from toolgate.policy.tiers import Tier
from toolgate.settings import Strict

Action = Literal["list", "call"]
KEPT_ROLE_SETS = 512  # combinations of roles whose rules are kept ready; a guess at what one company has


class Permission(Strict):
    """One rule, as its author writes it."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """Stable: it stands in refusals and in the audit."""
    tools: str
    """Glob over tool names."""
    operations: tuple[Action, ...] = ("list", "call")
    effect: Literal["allow", "deny"] = "allow"
    conditions: tuple[Condition, ...] = ()
    obligations: tuple[Literal["approve"], ...] = ()
    """What a call allowed by this rule has to meet besides: `approve`, a person's yes."""
    reason: str | None = None
    """Said to whoever is refused by this rule."""

    @field_validator("id")
    @classmethod
    def _not_ours(cls, id: str) -> str:
        if id in {"default", "scope", "bound"} or id.startswith("tier."):
            raise ValueError("default, scope, bound and tier.* are the gate's own rules")
        return id


class Role(Strict):
    role: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    inherits: tuple[str, ...] = ()
    permissions: tuple[Permission, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A permission made ready to decide; it applies to the tools that `on_tool` says, of those that its glob means."""

    id: str
    denies: bool
    lists: bool
    calls: bool
    on_tool: tuple[Check, ...]
    """Conditions on the tool: decided once for each tool."""
    on_caller: tuple[Check, ...]
    """Conditions on the caller: known even while a list is made."""
    on_call: tuple[Check, ...]
    """Conditions on the arguments and the call."""
    conditions: tuple[Check, ...]
    """Both: what is asked when a call is made."""
    reason: str | None
    obligations: tuple[str, ...]

    def applies(self, facts: Facts) -> bool:
        """Whether it can ever matter for the tool of `facts`."""
        truth = holds(self.on_tool, facts)
        return truth is not False if self.denies else truth is True


BY_ID = attrgetter("id")
UNDEFINED = Tier()


class Policy:
    """An immutable set of roles, tiers, prices and rules about language models."""

    def __init__(
        self,
        roles: Iterable[Role],
        tiers: Mapping[str, Tier] | None = None,
        prices: Prices | None = None,
        models: Models | None = None,
    ) -> None:
        """
        Raises:
            Misconfigured: a role twice, an unknown parent, inheritance in a circle, or two different rules of one id.
        """
        self.roles: Mapping[str, Role] = _named(roles)
        self.tiers: Mapping[str, Tier] = tiers or {}
        self.prices = prices or Prices()
        self.models = models or Models()
        self.digest = _digest(self.roles, self.tiers, self.prices, self.models)
        """SHA-256 of everything it says, hexadecimal: names the policy in the audit and in approvals."""
        permissions = [permission for role in self.roles.values() for permission in role.permissions]
        _refuse_twins(permissions)
        self._permissions = {name: _collected(name, (), self.roles) for name in self.roles}
        self._rules = {permission.id: _ready(permission) for permission in permissions}
        conditions = [condition for permission in permissions for condition in permission.conditions]
        self._seen_of_caller = tuple(sorted({condition.path for condition in conditions if condition.root == "principal"}))
        self._role_sets: dict[tuple[str, ...], _RoleSet] = {}

    def tier(self, name: str) -> Tier:
        """What the tier may use; a tier that is not defined has no limits of its own and no features."""
        return self.tiers.get(name, UNDEFINED)

    def permissions(self, roles: Iterable[str]) -> Mapping[str, Permission]:
        """The permissions of `roles`, their own and inherited, by id; an unknown role has none."""
        return {permission.id: permission for role in roles for permission in self._permissions.get(role, ())}

    def applicable(self, roles: tuple[str, ...], tool: Tool) -> tuple[Rule, ...]:
        """The rules that `roles` have for `tool`, ordered by id. Kept once computed."""
        role_set = self._role_sets.get(roles)
        if role_set is None:
            if len(self._role_sets) >= KEPT_ROLE_SETS:
                self._role_sets.clear()
            role_set = self._role_sets[roles] = _RoleSet(self._rules, self.permissions(roles).values())
        return role_set.applicable(tool)

    def view(self, principal: Principal) -> tuple[object, ...]:
        """Callers for whom this is equal see the same tools."""
        bounds = principal.roles, principal.bound_by, principal.tier, principal.scopes
        return (*bounds, *(getattr(principal, name, None) for name in self._seen_of_caller)) if self._seen_of_caller else bounds


class _RoleSet:
    """The rules that one combination of roles has, found by a tool's name."""

    def __init__(self, rules: Mapping[str, Rule], permissions: Iterable[Permission]) -> None:
        had = [(permission.tools, rules[permission.id]) for permission in permissions]
        self._globs = Globs(had)
        self._asks_of_tool = any(rule.on_tool for _, rule in had)
        # Weak, so that stand-ins for names that callers make up do not pile up.
        self._kept: WeakKeyDictionary[Tool, tuple[Rule, ...]] = WeakKeyDictionary()

    def applicable(self, tool: Tool) -> tuple[Rule, ...]:
        rules = self._kept.get(tool)
        if rules is None:
            rules = self._kept[tool] = self._found(tool)
        return rules

    def _found(self, tool: Tool) -> tuple[Rule, ...]:
        rules = self._globs.of(tool.name)
        if self._asks_of_tool:
            facts = {"tool": tool_facts(tool)}
            rules = [rule for rule in rules if not rule.on_tool or rule.applies(facts)]
        return tuple(sorted(rules, key=BY_ID))


def _named(roles: Iterable[Role]) -> Mapping[str, Role]:
    named: dict[str, Role] = {}
    for role in roles:
        if named.setdefault(role.role, role) is not role:
            raise Misconfigured(f"the role {role.role} is defined twice")
    return named


def _collected(name: str, path: tuple[str, ...], roles: Mapping[str, Role]) -> tuple[Permission, ...]:
    if name in path:
        raise Misconfigured(f"roles inherit in a circle: {' -> '.join((*path, name))}")
    if name not in roles:
        raise Misconfigured(f"the role {path[-1] if path else '?'} inherits from {name}, which is not defined")
    role = roles[name]
    inherited = (permission for parent in role.inherits for permission in _collected(parent, (*path, name), roles))
    return tuple({permission.id: permission for permission in (*inherited, *role.permissions)}.values())


def _ready(permission: Permission) -> Rule:
    def on(*roots: str) -> tuple[Check, ...]:
        return tuple(condition.check for condition in permission.conditions if condition.root in roots)

    return Rule(
        id=permission.id,
        denies=permission.effect == "deny",
        lists="list" in permission.operations,
        calls="call" in permission.operations,
        on_tool=on("tool"),
        on_caller=on("principal"),
        on_call=on("args", "call"),
        conditions=on("principal", "args", "call"),
        reason=permission.reason,
        obligations=permission.obligations,
    )


def _refuse_twins(permissions: Iterable[Permission]) -> None:
    seen: dict[str, Permission] = {}
    for permission in permissions:
        if seen.setdefault(permission.id, permission) is not permission:
            raise Misconfigured(f"two permissions have the id {permission.id}")


def _digest(roles: Mapping[str, Role], tiers: Mapping[str, Tier], prices: Prices, models: Models) -> str:
    said = {
        "roles": {name: role.model_dump(mode="json") for name, role in roles.items()},
        "tiers": {name: {**tier.model_dump(mode="json"), "features": sorted(tier.features)} for name, tier in tiers.items()},
        "prices": prices.model_dump(mode="json"),
        "models": models.model_dump(mode="json"),
    }
    return sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
