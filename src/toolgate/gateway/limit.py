"""How many calls: in a minute and an hour, at the same time, and of everybody at once.

A call is counted when it is let through, whatever becomes of it, and against all limits that concern it or none: a refused
call takes nothing away. Calls that tools of ours make count like others, except against what is under way at the same time
of their user and of everybody: the call that they are made for stands for them there, and would wait for itself otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate

from toolgate.calls import Call, Outcome, Principal, Tool, key
from toolgate.chain import Handler
from toolgate.errors import Busy, LimitReached
from toolgate.policy.live import Live
from toolgate.policy.tiers import Tier
from toolgate.settings import CallLimit, Limits
from toolgate.stores import Allowance, Counters, UsedUp

KEPT = 16_384  # pairs of a caller and a tool whose limits are remembered; each takes about 1 kB
SOON = 1.0  # seconds; a guess when one of the calls under way will be over


@dataclass(frozen=True, slots=True)
class Cap:
    """So many calls at the same time."""

    key: str
    calls: int
    sentence: str
    """Who has how many under way."""
    nested: bool
    """Whether calls within calls count too."""


@dataclass(frozen=True, slots=True)
class Terms:
    """All that limits one caller's calls of one tool."""

    tier: Tier
    allowances: tuple[Allowance, ...]
    subjects: tuple[str, ...]
    """What each allowance counts, as in `60 calls to github_list_issues per 60 s`."""
    caps: tuple[Cap, ...]
    nested: tuple[Cap, ...]
    """Those of `caps` that calls within calls count against too."""


class Limit:
    def __init__(self, counters: Counters, live: Live, settings: Limits) -> None:
        self._counters = counters
        self._live = live
        self._settings = settings
        self._globs = [re.compile(translate(limit.tools)) for limit in settings.calls]
        self._terms: dict[tuple[Principal, Tool], Terms] = {}
        self._under_way: dict[str, int] = {}
        self._in_flight = 0

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        terms = self._terms_of(call.principal, call.tool)
        outermost = call.depth == 0
        caps = terms.caps if outermost else terms.nested
        self._check(outermost, caps)
        # Not a context manager: to make one for each call costs as much as all that is counted here.
        self._in_flight += outermost
        for cap in caps:
            self._under_way[cap.key] = self._under_way.get(cap.key, 0) + 1
        try:
            used_up = await self._counters.take(terms.allowances)
            if used_up is not None:
                raise _refusal(used_up, terms)
            return await call_next(call)
        finally:
            self._in_flight -= outermost
            for cap in caps:
                left = self._under_way[cap.key] - 1
                if left:
                    self._under_way[cap.key] = left
                else:
                    del self._under_way[cap.key]

    def _check(self, outermost: bool, caps: Sequence[Cap]) -> None:
        """Raises Busy or LimitReached when one more call at the same time is one too many."""
        if outermost and self._in_flight >= self._settings.in_flight:
            raise Busy(f"{self._in_flight} calls are under way here, as many as are carried at once; try again in {Busy.retry_after:g} s")
        for cap in caps:
            if self._under_way.get(cap.key, 0) >= cap.calls:
                raise LimitReached(f"{cap.sentence}; try again in {SOON:g} s", SOON)

    def _terms_of(self, principal: Principal, tool: Tool) -> Terms:
        """Kept once found, until the tier says something else."""
        tier = self._live.tier(principal.tier)
        terms = self._terms.get((principal, tool))
        if terms is None or terms.tier is not tier:
            if len(self._terms) >= KEPT:
                self._terms.clear()
            terms = self._terms[principal, tool] = self._find(principal, tool, tier)
        return terms

    def _find(self, principal: Principal, tool: Tool, tier: Tier) -> Terms:
        user = (principal.tenant, principal.user)  # an agent's calls are its user's
        counted: list[tuple[Allowance, str]] = []
        for calls, seconds in ((tier.limits.per_minute, 60.0), (tier.limits.per_hour, 3600.0)):
            if calls is not None:
                counted.append((Allowance(key("user", *user, str(seconds)), calls, seconds), f"calls by {principal.user}"))
        for limit, glob in zip(self._settings.calls, self._globs, strict=True):
            if glob.match(tool.name) and _concerns(limit, principal):
                counted.append(_own(limit, principal, tool))
        for rate in tool.rates:
            allowance = Allowance(key("pool", rate.pool, str(rate.seconds)), rate.calls, rate.seconds)
            counted.append((allowance, f"calls of everybody to {rate.pool}"))
        # Of two with one key, such as 1000 an hour and 30 an hour with a public credential, the smaller says it all.
        smallest = {one.key: (one, subject) for one, subject in sorted(counted, key=lambda pair: -pair[0].calls)}
        allowances, subjects = zip(*smallest.values(), strict=True) if smallest else ((), ())
        caps = tuple(self._caps(principal, tool, tier))
        return Terms(tier, allowances, subjects, caps, tuple(cap for cap in caps if cap.nested))

    def _caps(self, principal: Principal, tool: Tool, tier: Tier) -> Iterator[Cap]:
        if tier.limits.concurrency is not None:
            calls = self._share(tier.limits.concurrency)
            sentence = f"{principal.user} has {calls} calls under way, as many as the tier {principal.tier} may have at once"
            yield Cap(key("user", principal.tenant, principal.user), calls, sentence, nested=False)
        if tool.concurrency is not None:
            calls = self._share(tool.concurrency)
            sentence = f"{calls} calls to {tool.integration} are under way, as many as it is sent at once"
            yield Cap(key("integration", tool.integration), calls, sentence, nested=True)

    def _share(self, calls: int) -> int:
        """Of calls at the same time, which each process counts for itself."""
        return max(1, calls // self._settings.workers)


def _concerns(limit: CallLimit, principal: Principal) -> bool:
    return limit.role in (None, *principal.roles) and limit.tenant in (None, principal.tenant)


def _own(limit: CallLimit, principal: Principal, tool: Tool) -> tuple[Allowance, str]:
    """A limit of the settings for this caller and tool, and what it counts."""
    apart = {
        # A user's name means one user only within a tenant.
        "user": (principal.tenant, principal.user),
        "tenant": (principal.tenant,),
        "tool": (tool.name,),
    }
    parts = [part for by in sorted(set(limit.by)) for part in (by, *apart[by])]
    who = {"user": f" by {principal.user}", "tenant": f" of {principal.tenant}"}
    role = f" by the role {limit.role}" if limit.role and "user" not in limit.by else ""
    which = tool.name if "tool" in limit.by else limit.tools
    subject = f"calls{'' if which == '*' else f' to {which}'}{role}{''.join(who.get(by, '') for by in limit.by)}"
    name = key("settings", limit.tools, limit.role or "", limit.tenant or "", str(limit.per), *parts)
    return Allowance(name, limit.calls, limit.per), subject


def _refusal(used_up: UsedUp, terms: Terms) -> LimitReached:
    allowance = used_up.allowance
    subject = terms.subjects[terms.allowances.index(allowance)]
    wait = math.ceil(used_up.wait)
    return LimitReached(f"{allowance.calls} {subject} per {allowance.seconds:g} s are used up; try again in {wait} s", used_up.wait)
