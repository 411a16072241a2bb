"""What bounds the roles' grants: the caller's tier, and the scopes of what it showed. Both limit, neither grants.

Scopes are words of OAuth, and the bound is all of them together:

    tools:read     list everything that the roles show; call what only reads
    tools:call     list and call everything that the roles allow
    tool:GLOB      list and call the tools that GLOB means, such as tool:github_*

Other scopes (`openid`) mean nothing here, so a token without any of these may do nothing. A tool with the tag
`feature:NAME`, NAME one of the tiers' features, is for tiers that have the feature.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from toolgate.calls import Call, Principal, Tool
from toolgate.policy.globs import matches
from toolgate.policy.rules import Policy
from toolgate.policy.tiers import Feature, Tier

SCOPE, TIER_UNKNOWN, TIER_TOOLS, TIER_FEATURE, TIER_DEPTH = "scope", "tier.unknown", "tier.tools", "tier.feature", "tier.depth"
"""The rule ids of refusals that a bound made."""

READ, CALL, TOOL = "tools:read", "tools:call", "tool:"
ADMIN = "admin"
"""The role of operators."""
WHO = f"the role {ADMIN}, by a credential without scopes or with {CALL},"
"""May change things."""
FEATURES = {f"feature:{name}": name for name in get_args(Feature)}


def beyond(call: Call, policy: Policy) -> str | None:
    """The id of the bound that `call` is beyond, None when it is within all."""
    principal, tool = call.principal, call.tool
    tier = policy.tiers.get(principal.tier)
    if tier is None and policy.tiers:
        return TIER_UNKNOWN  # a misspelt tier must not be one without limits
    tier = tier or policy.tier(principal.tier)
    if not _of_tier(tool, tier):
        return TIER_TOOLS
    if lacking(tool, tier):
        return TIER_FEATURE
    if call.depth > tier.max_depth:
        return TIER_DEPTH
    return None if principal.scopes is None or _covered(tool, principal.scopes) else SCOPE


def shown(principal: Principal, tool: Tool, tier: Tier) -> bool:
    """Whether the bounds let `principal`, who is of `tier`, know of `tool`."""
    if not _of_tier(tool, tier) or lacking(tool, tier):
        return False
    return principal.scopes is None or READ in principal.scopes or _covered(tool, principal.scopes)


def is_admin(principal: Principal, *, changes: bool = False) -> bool:
    """Whether `principal` may see what is everybody's, as the role admin lets it. Agents may not, whoever they act for.

    Args:
        changes: it wants to change something besides, such as to answer for others: `tools:read` alone does not cover that.
    """
    scopes = principal.scopes
    covered = scopes is None or CALL in scopes or (READ in scopes and not changes)
    return ADMIN in principal.roles and principal.bound_by is None and covered


def lacking(tool: Tool, tier: Tier) -> list[str]:
    """The features that `tool` is tagged with and `tier` does not have."""
    return [FEATURES[tag] for tag in tool.tags if tag in FEATURES and FEATURES[tag] not in tier.features] if tool.tags else []


def would_cover(tool: Tool) -> tuple[str, ...]:
    """The scopes of which each alone covers a call of `tool`, the narrowest first."""
    return (f"{TOOL}{tool.name}", *((READ,) if tool.annotations.read_only else ()), CALL)


def _of_tier(tool: Tool, tier: Tier) -> bool:
    return "*" in tier.tools or _finds(tool) or any(matches(glob, tool.name) for glob in tier.tools)


def _covered(tool: Tool, scopes: Iterable[str]) -> bool:
    for scope in scopes:
        if scope == CALL or (scope == READ and tool.annotations.read_only):
            return True
        if scope.startswith(TOOL) and (_finds(tool) or matches(scope[len(TOOL) :], tool.name)):
            return True
    return False


def _finds(tool: Tool) -> bool:
    # Our own finders show nothing that their caller may not see, and without them what is not listed could not be reached.
    return tool.integration == "toolgate" and "discovery" in tool.tags
