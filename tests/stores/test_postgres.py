"""What only a database on the network can do to a ledger: be away, come back, have a clock of its own (case F9)."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from toolgate.errors import AuditUnavailable, Misconfigured
from toolgate.stores import Account, Hold, Limit, Use, open_stores

pytest.importorskip("psycopg", reason="needs the extra postgres")

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.stores.conftest import user_of_servers
from toolgate.stores.ledger import SqlLedger
from toolgate.stores.postgres import Remote, open_postgres

ADA = Account("user", "acme", "ada")
BACK_WITHIN = 5.0  # seconds


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[SqlLedger]:
    async with open_postgres(url) as opened:
        yield opened


def hold(id: str, amount: int = 10, seconds: float = 60.0) -> Hold:
    return Hold(id, amount, seconds, (Limit(ADA, day=100),), Use("acme", "ada", "echo", "tests"))


def hang_up_on_everybody(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )


async def test_a_lost_connection_refuses_reserves_loses_no_hold_and_is_made_again(url: str, ledger: SqlLedger) -> None:
    await ledger.reserve(hold("1"))

    await asyncio.to_thread(hang_up_on_everybody, url)
    with pytest.raises(AuditUnavailable, match="the ledger cannot be written"):
        await ledger.reserve(hold("2"))
    with anyio.fail_after(BACK_WITHIN):
        while True:
            try:
                assert await ledger.reserve(hold("3")) is None
                break
            except AuditUnavailable:
                continue

    [day] = [one for one in await ledger.balances() if one.every == "day"]
    assert (day.spent, day.held) == (0, 20)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_processes_wait_for_each_other_whatever_isolation_is_the_databases_default(url: str, isolation: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"alter database {name} set default_transaction_isolation to '{isolation}'".encode())
    short: list[bool] = []

    async with open_postgres(url) as one, open_postgres(url) as other, anyio.create_task_group() as tasks:

        async def spend(ledger: SqlLedger, id: str) -> None:
            short.append(await ledger.reserve(hold(id)) is not None)

        for at in range(40):
            tasks.start_soon(spend, one if at % 2 else other, str(at))

    assert (short.count(False), short.count(True)) == (10, 30)


@pytest.fixture
def pooled(url: str, tmp_path: Path) -> Iterator[str]:
    """The same database behind a PgBouncer that gives each transaction any of two connections."""
    program, user = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", user_of_servers()
    if not Path(program).exists():
        pytest.skip("needs PgBouncer, which is not here")
    place = conninfo_to_dict(url)
    with tempfile.TemporaryDirectory(prefix="toolgate-pooler-", ignore_cleanup_errors=True) as name:
        (Path(name) / "users").write_text('"toolgate" ""')
        lines = [
            "[databases]",
            f"ledger = host={place['host']} dbname={place['dbname']} user=toolgate",
            *("[pgbouncer]", "listen_addr =", f"unix_socket_dir = {name}", "auth_type = trust", f"auth_file = {name}/users"),
            *("pool_mode = transaction", "default_pool_size = 2", "server_round_robin = 1"),
        ]
        (Path(name) / "pooler.ini").write_text("\n".join(lines))
        if user:
            for path in (Path(name), *Path(name).iterdir()):
                shutil.chown(path, user)
        with subprocess.Popen([program, "-q", f"{name}/pooler.ini"], user=user, stderr=subprocess.DEVNULL) as running:
            try:
                deadline = time.monotonic() + 10
                while not list(Path(name).glob(".s.PGSQL.*")) and time.monotonic() < deadline:
                    time.sleep(0.02)
                yield f"postgresql://toolgate@/ledger?host={name}&port=6432"
            finally:
                running.terminate()


async def test_a_ledger_is_kept_through_a_pooler(pooled: str) -> None:
    refused = list[bool]()

    async with open_postgres(pooled) as one, open_postgres(pooled) as other:
        for at in range(40):
            refused.append(await (one if at % 2 else other).reserve(hold(str(at))) is not None)

    assert (refused.count(False), refused.count(True)) == (10, 30)


async def test_a_machine_that_vanishes_is_noticed_unless_the_url_says_otherwise(url: str) -> None:
    remote = Remote(f"{url}&keepalives_idle=60", asyncio.get_running_loop())

    with await asyncio.to_thread(remote._connect) as connection:
        said = connection.info.get_parameters()

    names = ("connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count")
    assert [said[name] for name in names] == ["5", "10000", "60", "2", "3"]


async def test_a_command_is_bounded_in_each_transaction(url: str) -> None:
    asked = "select setting from pg_settings where name in ('statement_timeout', 'idle_in_transaction_session_timeout')"
    remote = Remote(url, asyncio.get_running_loop())
    await asyncio.to_thread(remote.prepare)
    remote.start()

    bounds = [await remote.read(lambda one: one.execute(asked).fetchall()), await remote.write(lambda one: one.execute(asked).fetchall())]
    await asyncio.to_thread(remote.stop)

    assert bounds == [[("10000",), ("10000",)]] * 2


async def test_what_could_not_be_booked_counts_as_spent_at_last(url: str) -> None:
    now = [time.time()]
    async with open_postgres(url, lambda: now[0]) as ledger:
        await ledger.reserve(hold("1"))
        await asyncio.to_thread(hang_up_on_everybody, url)
        ledger.settle("1", 4)
        with pytest.raises(AuditUnavailable):
            await ledger.reap()
        now[0] += 61

        with anyio.fail_after(BACK_WITHIN):
            while True:
                try:
                    [used] = await ledger.usage([])
                    break
                except AuditUnavailable:
                    continue

        assert (used.calls, used.unknown, used.cost) == (1, 1, 10)


async def test_one_who_stops_in_the_middle_of_a_transaction_keeps_others_waiting_and_no_longer(url: str, ledger: SqlLedger) -> None:
    from toolgate.stores.postgres import LOCK

    with psycopg.connect(url) as stuck:
        stuck.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        waiting = asyncio.create_task(ledger.reserve(hold("1")))
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        stuck.rollback()

    assert await waiting is None


async def test_the_period_is_the_databases_own(ledger: SqlLedger, url: str) -> None:
    await ledger.reserve(hold("1"))

    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select to_char(now() at time zone 'utc', 'YYYY-MM-DD'), to_char(now() at time zone 'utc', 'YYYY-MM')"
        ).fetchone()

    assert {one.period for one in await ledger.balances()} == set(row or ())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgres//ada:hunter2@db/x", "the URL of the ledger's PostgreSQL cannot be read"),
        ("postgresql://ada:hunter2%zz@db/x", "the URL of the ledger's PostgreSQL cannot be read"),
        ("postgresql://ada:hunter2@127.0.0.1:1/x", "the ledger's PostgreSQL cannot be used"),
    ],
)
async def test_a_database_that_cannot_be_used_is_said_without_its_password(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(Misconfigured, match=message) as refused:
        async with open_stores("memory", tmp_path, ledger=SecretStr(url)):
            pass

    assert "hunter2" not in str(refused.value)


async def test_a_closed_ledger_takes_nothing_and_has_written_everything(url: str) -> None:
    async with open_postgres(url) as ledger:
        await ledger.reserve(hold("1"))
        ledger.settle("1", 4)
    with pytest.raises(AuditUnavailable, match="is closed"):
        await ledger.reserve(hold("2"))

    async with open_postgres(url) as ledger:
        [used] = await ledger.usage([])

    assert used.cost == 4
