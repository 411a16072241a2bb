"""`toolgate policy`: try a policy on its cases, look it over, have a decision explained, and see what a change would change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.options import common, settings_of
from toolgate.cli.output import emit, say, show, table
from toolgate.cli.state import opened

if TYPE_CHECKING:
    from toolgate.calls import Call, Principal, Tool
    from toolgate.policy.explain import Considered, Explanation
    from toolgate.policy.replay import Replayed
    from toolgate.policy.rules import Policy
    from toolgate.settings import Settings

PAGE = 500  # audit records read at once
DAY = 86_400 * 1_000_000_000  # nanoseconds
FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.group()
def command() -> None:
    """Test, lint, explain and compare the policies: who may call what."""


@command.command("test")
@common
@click.option("--coverage", "covered", is_flag=True, help="Every rule has to be hit by a case and missed by one.")
@click.argument("folder", type=FOLDER, required=False)
def test_(config: Path | None, as_json: bool, covered: bool, folder: Path | None) -> int:
    """Does the policy decide its tests/*.yaml as they expect? Exit code 1 if not.

    FOLDER is a folder of policies; default: the one in force.
    """
    from toolgate.policy.cases import coverage, run
    from toolgate.policy.load import load_cases, load_policy
    from toolgate.settings import policies_folder

    folder = folder or policies_folder(settings_of(config))
    policy, cases = load_policy(folder), load_cases(folder)
    results = run(cases, policy)
    failed = [result for result in results if not result.passed]
    untried = coverage(cases, policy) if covered else None
    if as_json:
        told = [{"name": each.name, "passed": each.passed, "expected": each.expected, "got": each.got} for each in results]
        tried = {"never_hit": untried.never_hit, "never_missed": untried.never_missed} if untried else None
        emit({"policy": policy.digest, "cases": told, "coverage": tried})
    else:
        table(("case", "expected", "got"), [(each.name, _pairs(each.expected), _pairs(each.got)) for each in failed])
        if untried:
            rows = [(rule, "hit by no case") for rule in untried.never_hit] + [(rule, "missed by no case") for rule in untried.never_missed]
            table(("rule", "untried"), rows)
        say(f"{len(results) - len(failed)} of {len(results)} cases are decided as they expect")
    return int(bool(failed) or (untried is not None and not untried.full))


@command.command()
@common
@click.argument("folder", type=FOLDER, required=False)
async def lint(config: Path | None, as_json: bool, folder: Path | None) -> int:
    """What is probably not meant, held against the tools that are there; exit code 1 if anything is an error.

    FOLDER is a folder of policies; default: the one in force.
    """
    from toolgate.policy.lint import lint as findings_of
    from toolgate.policy.lint import lint_callers
    from toolgate.policy.load import load_policy
    from toolgate.settings import policies_folder

    settings = settings_of(config)
    policy, tools = load_policy(folder or policies_folder(settings)), await _tools(settings)
    callers = {"stdio": settings.stdio} | ({"anonymous": settings.anonymous} if settings.anonymous else {})
    findings = [*findings_of(policy, tools), *lint_callers(policy, {name: (one.roles, one.tier) for name, one in callers.items()})]
    if as_json:
        emit([asdict(finding) for finding in findings])
    else:
        table(("level", "where", "code", "message"), [(each.level, each.where, each.code, each.message) for each in findings])
        say(f"{len(policy.roles)} roles, {len(policy.tiers)} tiers, {len(tools)} tools, {len(findings)} findings")
    return int(any(finding.level == "error" for finding in findings))


@command.command()
@common
@click.option("--as", "who", metavar="USER[:ROLE,...]", help="Who calls; default: you at this terminal.")
@click.option("--tier", metavar="TIER", help="The caller's tier.")
@click.option("--tenant", metavar="TENANT", help="The caller's tenant.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="A scope of the caller's credential; repeatable. None: no bound.")
@click.option("--depth", type=click.IntRange(0), default=0, help="Calls that this one would be within.")
@click.option("--args", "whole", metavar="@FILE|-|JSON", help="All arguments at once; KEY=VALUE goes over them.")
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
async def explain(
    config: Path | None,
    as_json: bool,
    who: str | None,
    tier: str | None,
    tenant: str | None,
    scopes: tuple[str, ...],
    depth: int,
    whole: str | None,
    name: str,
    words: tuple[str, ...],
) -> None:
    """Why a call of the tool NAME would be allowed or not: every rule considered, and what each condition says."""
    from toolgate.calls import Call
    from toolgate.cli.call import Wanted, arguments_of
    from toolgate.cli.tools import found
    from toolgate.policy.explain import explain as explained
    from toolgate.policy.load import load_policy
    from toolgate.server.identify import local
    from toolgate.settings import policies_folder

    settings = settings_of(config)
    policy, tool = load_policy(policies_folder(settings)), found(name, await _tools(settings))
    caller = _caller(local(settings.stdio, "terminal"), who)
    caller = replace(caller, tier=tier or caller.tier, tenant=tenant or caller.tenant, scopes=frozenset(scopes) if scopes else None)
    call = Call(tool, arguments_of(Wanted(name, words, whole, dry_run=True), tool), caller, depth=depth)
    told = explained(call, policy)
    if as_json:
        emit({"principal": {"id": caller.id, "roles": caller.roles, "tier": caller.tier}, "tool": name, **told.as_json()})
    else:
        _show(told, call, policy)


@command.command()
@common
@click.option("--replay", "replayed", is_flag=True, help="Which recorded calls would be decided otherwise.")
@click.option("--days", type=click.IntRange(1), default=7, show_default=True, help="Of how many days, back from now.")
@click.argument("old", type=FOLDER)
@click.argument("new", type=FOLDER)
async def diff(config: Path | None, as_json: bool, replayed: bool, days: int, old: Path, new: Path) -> None:
    """What changes from the policies of the folder OLD to those of NEW: rules, and what each role may do with each tool."""
    from toolgate.policy.compare import compare
    from toolgate.policy.load import load_policy

    settings = settings_of(config)
    one, other, tools = load_policy(old), load_policy(new), await _tools(settings)
    changes = list(compare(one, other, tools))
    flips = await _replay(settings, days, tools, (one, other)) if replayed else None
    if as_json:
        emit({"old": one.digest, "new": other.digest, "changes": [asdict(each) for each in changes], "replay": flips and asdict(flips)})
        return
    rows = [(each.what, each.name, each.tool or "", _short(each.before), _short(each.after)) for each in changes]
    table(("what", "name", "tool", "before", "after"), rows)
    say(f"{len(changes)} changes" if changes else "both say the same")
    if flips is not None:
        _show_replay(flips, days)


async def _tools(settings: Settings) -> Sequence[Tool]:
    """All tools that a gate would stand before, without one: a policy that cannot be loaded must not be in the way."""
    from toolgate.catalog import Catalog
    from toolgate.egress.transport import open_transport
    from toolgate.gateway.discover import discovery
    from toolgate.gateway.search import Search
    from toolgate.openapi.load import load_all
    from toolgate.openapi.source import tools_of

    async with open_transport() as transport:
        tools = [tool for loaded in load_all(settings) for tool in tools_of(loaded, transport)]
    finders = discovery(lambda _: {}, Search(lambda: Catalog(()))) if any(not tool.listed for tool in tools) else ()
    return sorted([*tools, *finders], key=lambda tool: tool.name)


def _caller(here: Principal, who: str | None) -> Principal:
    if who is None:
        return here
    name, colon, roles = who.rpartition(":")
    if not colon or (name == "local" and not roles.count(",")):  # `local:ada` is a name
        return replace(here, id=who)
    return replace(here, id=name, roles=tuple(filter(None, roles.split(","))))


def _show(told: Explanation, call: Call, policy: Policy) -> None:
    from toolgate.policy.explain import WORDS, word
    from toolgate.policy.words import why

    rows: list[tuple[str, ...]] = []
    for each in told.considered:
        rows.append((each.permission.id, each.permission.effect, _operations(each), "fires" if each.fires else "does not fire"))
        for condition, truth in zip(each.permission.conditions, each.truths, strict=True):
            rows.append(("", "", f"{condition.field} {condition.operator} {condition.value!r}", WORDS[truth]))
    table(("rule", "effect", "condition", "verdict"), rows)
    if told.bound:
        show(f"{told.bound}: the tier or the scopes bound it")
    show(f"{word(told.decision)}, by {told.decision.rule}; {'listed' if told.listed else 'not listed'}")
    if not told.decision.permitted:
        show(why(call, told.decision, policy) if told.listed else "the caller is told that there is no such tool")


def _operations(each: Considered) -> str:
    asks = f", {' and '.join(each.permission.obligations)}" if each.permission.obligations else ""
    return f"{' and '.join(each.permission.operations)} {each.permission.tools}{asks}"


async def _replay(settings: Settings, days: int, tools: Sequence[Tool], policies: tuple[Policy, Policy]) -> Replayed:
    from toolgate.gateway.audit import record
    from toolgate.policy.replay import replay

    since, before, events = time.time_ns() - days * DAY, None, []
    async with opened(settings) as (stores, _):
        while page := await stores.journal.read("audit", limit=PAGE, before=before):
            events += [entry.body for entry in page if entry.at >= since]
            before = page[-1].seq
            if page[-1].at < since:
                break
        await record(stores.journal, "audit.read", by="policy diff", lines=len(events))
    return replay(events, {tool.name: tool for tool in tools}, *policies)


def _show_replay(flips: Replayed, days: int) -> None:
    rows = [(each.principal, ",".join(each.roles), each.tool, each.before, each.after, str(each.calls)) for each in flips.flips]
    table(("who", "roles", "tool", "before", "after", "calls"), rows)
    unknown = sum(flips.unknown.values())
    flipped = flips.calls - flips.same - unknown
    say(f"{flips.calls} calls of {days} days: {flips.same} decided alike, {flipped} otherwise, {unknown} unknown")


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return "none" if value is None else str(value)
