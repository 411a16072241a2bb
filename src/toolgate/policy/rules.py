"""Roles and their permissions, and the immutable set of them that decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import lru_cache
from hashlib import sha256
from typing import Literal
from weakref import WeakKeyDictionary

import orjson
from pydantic import Field

from toolgate.calls import Tool
from toolgate.errors import Misconfigured
from toolgate.policy.conditions import Condition, test, tool_facts
from toolgate.policy.tiers import Tier
from toolgate.settings import Strict

Action = Literal["list", "call"]


class Permission(Strict):
    """One rule."""

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


class Role(Strict):
    role: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    inherits: tuple[str, ...] = ()
    permissions: tuple[Permission, ...] = ()


class Rule(Strict):
    """A permission as it applies to one tool: conditions on the tool are already decided."""

    id: str
    operations: frozenset[Action]
    effect: Literal["allow", "deny"]
    conditions: tuple[Condition, ...]
    reason: str | None
    obligations: tuple[Literal["approve"], ...] = ()
    on_tool: bool | None = True
    """What the conditions on the tool said: None when one could not be told."""


UNDEFINED = Tier()


class Policy:
    """An immutable set of roles."""

    def __init__(self, roles: Iterable[Role], tiers: Mapping[str, Tier] | None = None) -> None:
        """
        Raises:
            Misconfigured: a role twice, an unknown parent, inheritance in a circle, or two different rules of one id.
        """
        self._roles: dict[str, Role] = {}
        for role in roles:
            if role.role in self._roles:
                raise Misconfigured(f"the role {role.role} is defined twice")
            self._roles[role.role] = role
        self._permissions = {name: self._collect(name, ()) for name in self._roles}
        self._tiers = tiers or {}
        self.digest = _digest(self._roles, self._tiers)
        """SHA-256 of everything it says, hexadecimal: names the policy in the audit and in approvals."""
        _refuse_twins(permission for role in self._roles.values() for permission in role.permissions)
        # Weak, so that stand-ins for names that callers make up do not pile up.
        self._applicable: WeakKeyDictionary[Tool, dict[tuple[str, ...], tuple[Rule, ...]]] = WeakKeyDictionary()

    @property
    def roles(self) -> Mapping[str, Role]:
        return self._roles

    def tier(self, name: str) -> Tier:
        """What the tier may use; a tier that is not defined has no limits of its own and no features."""
        return self._tiers.get(name, UNDEFINED)

    def _collect(self, name: str, path: tuple[str, ...]) -> tuple[Permission, ...]:
        if name in path:
            raise Misconfigured(f"roles inherit in a circle: {' -> '.join((*path, name))}")
        if name not in self._roles:
            raise Misconfigured(f"the role {path[-1] if path else '?'} inherits from {name}, which is not defined")
        role = self._roles[name]
        inherited = (permission for parent in role.inherits for permission in self._collect(parent, (*path, name)))
        return tuple({permission.id: permission for permission in (*inherited, *role.permissions)}.values())

    def applicable(self, roles: tuple[str, ...], tool: Tool) -> tuple[Rule, ...]:
        """The rules that `roles` have for `tool`, ordered by id; an unknown role has none. Kept once computed."""
        by_roles = self._applicable.setdefault(tool, {})
        rules = by_roles.get(roles)
        if rules is None:
            rules = by_roles[roles] = self._compute(roles, tool)
        return rules

    def _compute(self, roles: tuple[str, ...], tool: Tool) -> tuple[Rule, ...]:
        permissions = {permission.id: permission for role in roles for permission in self._permissions.get(role, ())}
        rules = (_applied(permission, tool) for permission in permissions.values() if _glob(permission.tools).match(tool.name))
        return tuple(sorted((rule for rule in rules if rule is not None), key=lambda rule: rule.id))


def _digest(roles: Mapping[str, Role], tiers: Mapping[str, Tier]) -> str:
    said = {
        "roles": {name: role.model_dump(mode="json") for name, role in roles.items()},
        "tiers": {name: {**tier.model_dump(mode="json"), "features": sorted(tier.features)} for name, tier in tiers.items()},
    }
    return sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def _applied(permission: Permission, tool: Tool) -> Rule | None:
    """None when the permission's conditions on the tool are False: it can never matter for this tool."""
    facts = {"tool": tool_facts(tool)}
    truths = [test(condition, facts) for condition in permission.conditions if condition.field.startswith("tool.")]
    if False in truths:
        return None
    return Rule(
        id=permission.id,
        operations=frozenset(permission.operations),
        effect=permission.effect,
        conditions=tuple(condition for condition in permission.conditions if not condition.field.startswith("tool.")),
        reason=permission.reason,
        obligations=permission.obligations,
        on_tool=None if None in truths else True,
    )


def _refuse_twins(permissions: Iterable[Permission]) -> None:
    seen: dict[str, Permission] = {}
    for permission in permissions:
        if seen.setdefault(permission.id, permission) is not permission:
            raise Misconfigured(f"two permissions have the id {permission.id}")
