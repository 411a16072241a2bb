"""One ledger for several machines, in PostgreSQL.

As with SQLite, one thread takes every job that is waiting and commits them together. A lock of the database's own lets
one such transaction in at a time over all machines, which is what makes "check, then add" one step. Commands wait for the
network, so a batch takes longer than in a file; it holds more jobs instead.

The journal is elsewhere: what is booked after a call is not waited for, and lost if this process dies before it is
written. The hold then expires and counts as spent, so that the error is never in the spender's favour.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from toolgate.errors import AuditUnavailable, Misconfigured
from toolgate.stores.ledger import SCHEMA, Connection, Rows, SqlLedger

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
BATCH = 512
LOCK = 0x746F6F6C67617465  # "toolgate": names our lock among others of the database
CONNECT_SECONDS = 5
MILLISECONDS = 10_000  # for a command, the wait for the lock included
# In each transaction, since poolers such as PgBouncer take no `options` when connecting, and give each transaction another
# connection. The second ends one of a machine that stopped in the middle of it, and held the lock.
BOUNDS = f"set local statement_timeout = {MILLISECONDS}; set local idle_in_transaction_session_timeout = {MILLISECONDS}"
LOCKED = f"{BOUNDS}; select pg_advisory_xact_lock({LOCK})"
VANISHED = {"tcp_user_timeout": MILLISECONDS, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
"""When a machine that says nothing any more is taken for gone: the kernel's own is a quarter of an hour, or two for an idle connection."""
RETRY_SECONDS = 1.0
"""After a connection could not be made, work is refused for so long rather than made to wait."""


@asynccontextmanager
async def open_postgres(url: str, clock: Callable[[], float] | None = None) -> AsyncIterator[SqlLedger]:
    """The ledger in the database at `url`, its tables made if absent; closed with everything written.

    Args:
        clock: seconds since 1970; None: the database's own.

    Raises:
        Misconfigured: the URL cannot be read, the database not be reached, or its tables not be made.
    """
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise Misconfigured("the URL of the ledger's PostgreSQL cannot be read") from None  # what the driver says may quote the password
    remote = Remote(url, asyncio.get_running_loop())
    try:
        await asyncio.to_thread(remote.prepare)
    except psycopg.Error as error:
        raise Misconfigured(f"the ledger's PostgreSQL cannot be used: {_said(error)}") from None
    remote.start()
    try:
        yield SqlLedger(remote, clock or remote.now)
    finally:
        await asyncio.to_thread(remote.stop)


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    done: asyncio.Future[Any] | None
    reads: bool = False
    result: Any = None
    problem: BaseException | None = None


class Remote:
    """A database on the network, spoken to by one thread."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self._url = url
        self._loop = loop
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer of the ledger", daemon=True)
        self._connection: psycopg.Connection[Any] | None = None
        self._refused_until = 0.0
        self._ahead = 0.0

    def now(self) -> float:
        """The database's clock, seconds since 1970."""
        return time.time() + self._ahead

    def prepare(self) -> None:
        """
        Raises:
            psycopg.Error: it cannot be reached, or refuses.
        """
        with self._connected().transaction() as transaction:
            transaction.connection.execute(LOCKED.encode())
            transaction.connection.execute(SCHEMA.replace(" without rowid", "").encode())

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what waits and hang up."""
        self._queue.put(None)
        self._thread.join()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """
        Raises:
            AuditUnavailable: it could not be written.
        """
        result: T = await self._done(_Job(work, self._loop.create_future()))
        return result

    def send(self, work: Callable[[Connection], object]) -> None:
        self._put(_Job(work, None))

    def send_together(self, together: Callable[[Connection, Sequence[I]], object], item: I) -> None:
        self.send(lambda connection: together(connection, [item]))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """After everything that was handed in before."""
        result: T = await self._done(_Job(work, self._loop.create_future(), reads=True))
        return result

    async def _done(self, job: _Job) -> Any:
        self._put(job)
        assert job.done is not None
        await job.done
        if job.problem is not None:
            raise job.problem
        return job.result

    def _put(self, job: _Job) -> None:
        if not self._thread.is_alive():
            raise AuditUnavailable("the ledger is closed")
        self._queue.put(job)

    def _run(self) -> None:
        ending = False
        while not ending:
            batch, ending = self._take()
            if batch:
                self._commit(batch)
                self._loop.call_soon_threadsafe(_tell, batch)
        self._hang_up()

    def _take(self) -> tuple[list[_Job], bool]:
        batch: list[_Job] = []
        while len(batch) < BATCH and (not batch or not self._queue.empty()):
            job = self._queue.get()
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, batch: list[_Job]) -> None:
        """All of `batch` in one transaction; when that fails none of it happened, and each job is told."""
        try:
            with self._connected().transaction() as transaction:
                transaction.connection.execute((BOUNDS if all(job.reads for job in batch) else LOCKED).encode())
                for job in batch:
                    job.result = job.work(_Spoken(transaction.connection))
        except Exception as error:  # a bug in a job must not end the thread; whoever waits is told
            if isinstance(error, psycopg.OperationalError):
                self._hang_up()
            for job in batch:
                job.problem = AuditUnavailable(f"the ledger cannot be written: {_said(error)}")

    def _connected(self) -> psycopg.Connection[Any]:
        """
        Raises:
            psycopg.OperationalError: it cannot be reached.
        """
        if self._connection is None or self._connection.closed:
            if time.monotonic() < self._refused_until:
                raise psycopg.OperationalError("it could not be reached a moment ago")
            try:
                self._connection = self._connect()
            except psycopg.Error:
                self._refused_until = time.monotonic() + RETRY_SECONDS
                raise
        return self._connection

    def _connect(self) -> psycopg.Connection[Any]:
        told: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, **VANISHED, **conninfo_to_dict(self._url)}
        connection = psycopg.connect(make_conninfo("", **told), autocommit=True)
        # Under another that the operator has made the default, what is read would be as it was before the wait for the lock.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        row = connection.execute("select extract(epoch from clock_timestamp())::double precision, pg_backend_pid()").fetchone()
        assert row is not None
        self._ahead = row[0] - time.time()
        if row[1] != connection.info.backend_pid:  # a pooler stands between: what is prepared is not there in the next transaction
            connection.prepare_threshold = None
        return connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


class _Spoken:
    """A connection that takes commands as they are written for SQLite."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, command: str, values: Sequence[Any] = (), /) -> Rows:
        return self._connection.execute(command.replace("?", "%s").encode(), values)


def _tell(batch: list[_Job]) -> None:
    for job in batch:
        if job.done is not None and not job.done.done():  # a cancelled caller no longer waits
            job.done.set_result(None)


def _said(error: BaseException) -> str:
    """The first line of what a driver says; the URL, which may hold a password, is not in it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
