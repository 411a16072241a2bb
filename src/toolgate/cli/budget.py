"""`toolgate budget`: who may spend how much, and how much of it is spent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from toolgate.cli.options import common, settings_of
from toolgate.cli.output import listed, tell
from toolgate.cli.state import opened

if TYPE_CHECKING:
    from toolgate.calls import Principal
    from toolgate.money import Micros
    from toolgate.stores import Account, Balance, Every, Scope, Stores

P = ParamSpec("P")
FORGETS = "the store `memory` forgets budgets at once; set `store` to another to keep them"
COLUMNS = ("whose", "tenant", "period", "limit", "spent", "held", "left")
SCOPES = ("user", "tenant", "tool", "session")


def whose(command: Callable[P, Any]) -> Callable[P, Any]:
    """The arguments and options that name an account and a period."""
    for option in (
        click.option("--period", "every", type=click.Choice(("day", "month")), required=True, help="A UTC day or calendar month."),
        click.option("--user", metavar="ID", help="Whose session it is."),
        click.option("--tenant", default="default", show_default=True, metavar="TENANT", help="Of a user or a session."),
        click.argument("name"),
        click.argument("scope", type=click.Choice(SCOPES)),
        common,
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Who may spend how much, and how much of it is spent."""


@command.command("show")
@common
@click.option("--scope", type=click.Choice(SCOPES), help="Only accounts of this kind.")
@click.option("--period", "every", type=click.Choice(("day", "month")), help="Only this period.")
async def show_(config: Path | None, as_json: bool, scope: str | None, every: str | None) -> None:
    """What is spent in the present day and month, and of what. A tier's limit shows once something was spent."""
    async with opened(settings_of(config), FORGETS, ledger=True) as (stores, _):
        balances = await stores.ledger.balances()
    found = [one for one in balances if scope in (None, one.account.scope) and every in (None, one.every)]
    none = "nothing is spent and no budget is set; `toolgate budget set user ID 5 --period day` sets one"
    listed([as_line(one) for one in found], as_json, COLUMNS, [_row(one) for one in found], none)


@command.command("set")
@whose
@click.argument("dollars")
async def set_(
    config: Path | None, as_json: bool, scope: Scope, name: str, tenant: str, user: str | None, every: Every, dollars: str
) -> None:
    """Let SCOPE NAME spend DOLLARS a period: a number, none for no limit, or default for what the tier says.

    It holds from the next call on, in every process, over what the tier says.
    """
    account, limit, unset = account_of(scope, name, tenant, user), _amount(dollars), dollars == "default"
    async with opened(settings_of(config), FORGETS, ledger=True) as (stores, who):
        if unset:
            await stores.ledger.unset(account, every)
        else:
            await stores.ledger.budget(account, every, limit)
        await _record(stores, who, account, every, change="unset" if unset else "set", limit=limit)
    told = {"scope": scope, "name": name, "tenant": account.tenant, "period": every, "set": dollars}
    tell(told, as_json, f"{scope} {name} may spend {_said(dollars, limit)} a {every}")


@command.command("reset")
@whose
async def reset_(config: Path | None, as_json: bool, scope: Scope, name: str, tenant: str, user: str | None, every: Every) -> None:
    """Let SCOPE NAME start the present period anew. Usage, and what calls under way hold, stay."""
    from toolgate.money import dollars, shown

    account = account_of(scope, name, tenant, user)
    async with opened(settings_of(config), FORGETS, ledger=True) as (stores, who):
        spent = await stores.ledger.reset(account, every)
        await _record(stores, who, account, every, change="reset", spent=spent)
    told = {"scope": scope, "name": name, "period": every, "spent": shown(spent)}
    tell(told, as_json, f"{scope} {name} had spent {dollars(spent)} this {every}, and starts anew")


def account_of(scope: Scope, name: str, tenant: str, user: str | None) -> Account:
    from toolgate.stores import Account

    if scope == "session":
        if not user:
            raise click.UsageError("a session is somebody's: say whose with --user ID")
        return Account("session", tenant, user, name)
    if scope == "user":
        return Account("user", tenant, name)
    return Account("tenant", name) if scope == "tenant" else Account("tool", name=name)


def as_line(one: Balance) -> dict[str, Any]:
    from toolgate.money import shown

    account = one.account
    return {
        "scope": account.scope,
        "name": _name(account),
        "tenant": account.tenant,
        "user": account.user,
        "every": one.every,
        "period": one.period,
        "limit": None if one.limit is None else shown(one.limit),
        "set_by": "operator" if one.set_by_operator else "tier",
        "spent": shown(one.spent),
        "held": shown(one.held),
    }


def _row(one: Balance) -> tuple[str, ...]:
    from toolgate.money import dollars

    limit = "none" if one.limit is None else f"{dollars(one.limit)}{' (set)' if one.set_by_operator else ''}"
    left = "" if one.limit is None else dollars(max(0, one.limit - one.spent - one.held))
    who = f"{one.account.scope} {_name(one.account)}"
    return (who, one.account.tenant, one.period, limit, dollars(one.spent), dollars(one.held), left)


def _name(account: Account) -> str:
    if account.scope == "tenant":
        return account.tenant
    return account.user if account.scope == "user" else account.name


def _amount(text: str) -> Micros | None:
    from toolgate.money import MOST, told

    if text in ("none", "default"):
        return None
    if (amount := told(text.removeprefix("$"), MOST * 1000)) is None:
        raise click.UsageError("DOLLARS is a number such as 5 or 0.50, none, or default")
    return amount


def _said(text: str, limit: Micros | None) -> str:
    from toolgate.money import dollars

    if limit is not None:
        return dollars(limit)
    return "any amount" if text == "none" else "what the tier says"


async def _record(stores: Stores, who: Principal, account: Account, every: Every, **change: Any) -> None:
    from toolgate.gateway.audit import record

    told = {"scope": account.scope, "name": _name(account), "period": every, **change}
    await record(stores.journal, "budget.changed", principal=who, tenant=account.tenant or None, **told)
