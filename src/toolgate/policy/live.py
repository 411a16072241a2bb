"""The policy in force. It is replaced whole, never changed: whoever takes `current` once decides by one policy."""

from __future__ import annotations

from toolgate.policy.rules import Policy
from toolgate.policy.tiers import Tier


class Live:
    def __init__(self, policy: Policy, candidate: Policy | None = None) -> None:
        self.current = policy
        """Take it once a call."""
        self.candidate = candidate
        """Decides beside it, to be seen in the audit and nowhere else."""

    def tier(self, name: str) -> Tier:
        """What the tier may use now."""
        return self.current.tier(name)
