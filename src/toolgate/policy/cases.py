"""What an operator wants a policy to decide, case by case, and which rules the cases leave untried.

A case says what its tool is like, so that it means the same whatever integrations are loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from toolgate.calls import Annotations, Call, Outcome, Principal, Tool
from toolgate.policy.decide import decide, visible
from toolgate.policy.explain import considered, word
from toolgate.policy.rules import Permission, Policy
from toolgate.settings import Strict


class Caller(Strict):
    id: str = "user:test"
    roles: tuple[str, ...]
    tier: str = "pro"
    tenant: str = "default"
    via: Literal["stdio", "terminal", "loopback", "key", "token"] = "token"
    scopes: frozenset[str] | None = None
    """Absent: no bound."""
    credential: str | None = None
    acting_for: tuple[str, ...] = ()
    bound_by: tuple[str, ...] | None = None


class Made(Strict):
    """A call, and what its tool is like: by default one that may destroy."""

    tool: str
    args: Mapping[str, Any] = Field(default_factory=dict)
    depth: int = Field(default=0, ge=0)
    tainted: bool = False
    """Its caller has read what strangers may have written."""
    integration: str = "test"
    tags: tuple[str, ...] = ()
    read_only: bool = False
    destructive: bool | None = None
    """Absent: unless it only reads."""
    idempotent: bool = False
    open_world: bool = True


class Expected(Strict):
    decision: Literal["allow", "approve", "deny"]
    """`approve`: allowed once a person says yes."""
    rule: str | None = None
    """The id of the deciding rule; absent: any."""
    listed: bool | None = None
    """Whether the caller may know of the tool; absent: either."""


class Case(Strict):
    name: str
    principal: Caller
    call: Made
    expect: Expected

    def as_call(self) -> Call:
        made = self.call
        destructive = not made.read_only if made.destructive is None else made.destructive
        annotations = Annotations(made.read_only, destructive, made.idempotent, made.open_world)
        tool = Tool(made.tool, "", {}, _never, annotations=annotations, integration=made.integration, tags=made.tags)
        return Call(tool, made.args, Principal(**self.principal.model_dump()), depth=made.depth, tainted=made.tainted)


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    expected: Mapping[str, Any]
    got: Mapping[str, Any]
    """The same keys as `expected`."""

    @property
    def passed(self) -> bool:
        return self.expected == self.got


@dataclass(frozen=True, slots=True)
class Coverage:
    never_hit: tuple[str, ...]
    """Rules that fire in no case."""
    never_missed: tuple[str, ...]
    """Rules that fire in every case of a caller who has them."""

    @property
    def full(self) -> bool:
        return not self.never_hit and not self.never_missed


def run(cases: Iterable[Case], policy: Policy) -> list[Result]:
    return [_run(case, policy) for case in cases]


def coverage(cases: Sequence[Case], policy: Policy) -> Coverage:
    rules = {permission.id: permission for role in policy.roles.values() for permission in role.permissions}
    hit, missed = set[str](), set[str]()
    for case in cases:
        call = case.as_call()
        fired = {each.permission.id for each in considered(call, policy) if each.fires}
        had = policy.permissions(call.principal.every_role)
        hit |= fired
        missed |= {name for name, rule in rules.items() if name not in fired and (name in had or _always(rule))}
    return Coverage(tuple(sorted(rules.keys() - hit)), tuple(sorted(rules.keys() - missed)))


def _run(case: Case, policy: Policy) -> Result:
    call = case.as_call()
    decision = decide(call, policy)
    got = {"decision": word(decision), "rule": decision.rule, "listed": visible(call.principal, call.tool, policy)}
    expected = case.expect.model_dump(exclude_none=True)
    return Result(case.name, expected, {key: got[key] for key in expected})


def _always(permission: Permission) -> bool:
    """Whether it fires for everybody who has it, so that only a caller without it can miss it."""
    return permission.tools == "*" and not permission.conditions


async def _never(call: Call) -> Outcome:
    raise AssertionError(f"{call.tool.name} is a case's tool and never runs")
