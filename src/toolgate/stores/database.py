"""SQLite with one writer thread and group commit.

A commit with `synchronous=FULL` waits for the disk, so one commit a line would allow some hundred lines a second. The
obvious remedy, a weaker `synchronous`, would break the promise that what was written is durable when `write` returns.
Instead one thread takes every job that is waiting, runs each in a savepoint of its own, and commits them together:
measured 46 times the rate of one commit a line at 50 concurrent callers, and no lock is contended within a process.

Jobs run in the order in which they were handed in. So a job that need not be waited for (`send`) is durable, at the
latest, with the next one that is. Items for the same `together`, of those between two other jobs, are written by one call of
it, those that are waited for first: each command that SQLite carries out gives the interpreter's lock away and has to wait
for it again.

SQLite moves its log into the file within whichever commit makes that 1,000 pages long, which then takes ten times as long as
others (4-9 ms and 0.6, under load). Here that is done more often, so less at a time, and when those who wait for the commit
have been told. By the same connection: two that write and move at once can damage the file, in every SQLite before 3.51.3
(sqlite.org/wal.html, "The WAL-Reset Bug").

After a commit that failed, for whatever reason, the thread tries again every second whether writing works, so that nobody
has to restart anything once the disk has room.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from toolgate.errors import AuditUnavailable

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
Together = Callable[[sqlite3.Connection, Sequence[I]], Sequence[T]]
"""Writes many items at once; returns a result for each."""
BATCH = 512  # items and jobs a commit, or those more that were handed over together; at 50 concurrent callers batches of 30-50 were seen
TURNS = 4  # of the loop, at most, that a job waits for others; 4 of them take 20 µs where nothing else is to be done
MOVED = 400  # rows written, and about as many pages of the log, after which these are moved; takes 1-2 ms
LONGEST = (
    4000  # pages of the log, 16 MB, from which on SQLite moves them itself: one transaction was that large, or readers were in the way
)
LATER = 0.005  # seconds; longer than a loop takes from one step to the next, and not worth waking the thread for before
HEAL_SECONDS = 1.0
LOCK_SECONDS = 5.0  # that SQLite waits for the lock of another process
STUCK_SECONDS = 10.0


@dataclass(slots=True)
class _Job:
    """Some work, or items to be written together."""

    work: Callable[..., Any]
    done: list[asyncio.Future[Any]]
    """Of those who wait: for the work, or for each of the items."""
    items: list[Any]
    """Empty: `work` needs none."""
    results: Sequence[Any] = ()
    """For each of those, unless there is a problem."""
    problem: BaseException | None = None


class Database:
    """Written from one event loop, read from anywhere."""

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._handed_in: list[_Job] = []
        self._together: dict[tuple[bool, Together[Any, Any]], _Job] = {}
        """The last jobs of `_handed_in`, which take more items: by whether these are waited for, and what writes them."""
        self._kept_back: list[_Job] = []
        self._loop = asyncio.get_running_loop()
        self._connection = self._connect(schema)
        self._schema = schema
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}", daemon=True)
        self._failure: str | None = None
        self._failed_at = 0.0
        self._began: float | None = None
        self._moved = 0
        """Of the rows that the connection has written, those whose pages have left the log."""
        self._ended = False
        self.restored: Callable[[sqlite3.Connection, str, float], Callable[[], None]] = _nothing_more
        """Run within the first commit after one or more that failed; hears why the last failed, and since when, in seconds since 1970.
        What it returns is run once that commit is durable."""

        self.committed: Callable[[], object] = _nothing
        """Run by the writer's thread after each commit."""

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, schema: str) -> AsyncIterator[Database]:
        """The database in the file `path`, made if absent; closed with everything written.

        Raises:
            AuditUnavailable: the file cannot be opened, written or is not a database.
        """
        database = cls(path, schema)
        database._thread.start()
        try:
            yield database
        finally:
            database._hand_over()
            database._queue.put(None)
            await asyncio.to_thread(database._thread.join)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, once it is durable. What `work` raises undoes what it did, and nothing else.

        Raises:
            AuditUnavailable: it could not be written.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        self._put(_Job(work, [done], []))
        return await done

    def write_together(self, together: Together[I, T], item: I) -> asyncio.Future[T]:
        """Comes to what `together` returns for `item`, once it is durable; cheaper than `write` where many write the same at once.

        When `together` raises, nothing of the commit has happened.

        Raises:
            AuditUnavailable: it could not be written.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        self._put_together(together, item).done.append(done)
        return done

    def write_later(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """As `write`, kept back for a moment so that it is done in one commit with what is handed in next. The future tells."""
        done: asyncio.Future[T] = self._loop.create_future()
        self._check()
        self._together.clear()
        if not self._kept_back:
            self._loop.call_later(LATER, self._hand_over)
        self._kept_back.append(_Job(work, [done], []))
        return done

    def send(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Have `work` done before anything handed in later, without waiting. Its failure is only seen in `fault`."""
        self._put(_Job(work, [], []))

    def send_together(self, together: Together[I, Any], item: I) -> None:
        """As `send`, of an item for `together`; it may come after items that were handed in later and are waited for."""
        self._put_together(together, item, waited=False)

    def post(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """As `send`, from any thread; what is handed in at the same time may come first."""
        self._queue.put([_Job(work, [], [])])

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work` on a connection that cannot write."""

        def run() -> T:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as connection:
                return work(connection)

        return await asyncio.to_thread(run)

    @property
    def fault(self) -> str | None:
        """Why the last commit failed, or does not end; None while writing works."""
        if self._failure is None and self._stuck():
            return "a write does not end"
        return self._failure

    def _stuck(self) -> bool:
        began = self._began
        return began is not None and time.monotonic() - began > STUCK_SECONDS

    def _put(self, job: _Job) -> None:
        self._check()
        self._together.clear()
        self._append(job)

    def _put_together(self, together: Together[Any, Any], item: Any, *, waited: bool = True) -> _Job:
        """The job that `item` is a part of now."""
        self._check()
        job = self._together.get((waited, together))
        if job is None:
            job = self._together[waited, together] = _Job(together, [], [])
            self._append(job)
        job.items.append(item)
        return job

    def _append(self, job: _Job) -> None:
        if not self._handed_in:
            self._loop.call_soon(self._hand_over_soon, 0, TURNS)
        self._handed_in += self._kept_back
        self._kept_back = []
        self._handed_in.append(job)

    def _check(self) -> None:
        if self._ended:
            raise AuditUnavailable(f"{self.path} is closed")
        if self._began is not None and self._stuck():  # refused at once, rather than that calls pile up behind a disk that does not answer
            raise AuditUnavailable(f"{self.path} cannot be written: a write does not end")

    def _hand_over_soon(self, before: int, turns: int) -> None:
        """Hand over when a turn of the loop has brought nothing more, or after some.

        To wake the thread costs more than any step of a call: it takes the processor and waits for the interpreter's lock. What
        it is woken for should be a commit of many jobs.
        """
        if turns and (now := _size(self._handed_in)) > before:
            self._loop.call_soon(self._hand_over_soon, now, turns - 1)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        if batch := self._handed_in + self._kept_back:
            self._handed_in, self._kept_back, self._together = [], [], {}
            self._queue.put(batch)

    def _connect(self, schema: str) -> sqlite3.Connection:
        """A connection that can write. Raises AuditUnavailable when there is none to be had."""
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                return self._prepared(schema)
            except (OSError, sqlite3.Error) as error:
                # Of two processes that make the file at once, one is refused the change to WAL without any wait (SQLite, "Write-Ahead
                # Logging", section 8: it does not call the busy handler there).
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise AuditUnavailable(f"{self.path} cannot be opened: {error}") from error
                time.sleep(0.02)

    def _prepared(self, schema: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=LOCK_SECONDS)
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.execute(f"pragma wal_autocheckpoint = {LONGEST}")
            connection.executescript(schema)
            connection.executescript("begin immediate; commit")  # a file that can only be read is noticed now
        except BaseException:
            connection.close()
            raise
        return connection

    def _run(self) -> None:
        """The thread: until None comes, take what waits and commit it together."""
        try:
            ending = False
            while not ending:
                batch, ending = self._take()
                if batch or self._failure:
                    self._write(batch)
        finally:
            self._ended = True
            self._connection.close()

    def _take(self) -> tuple[list[_Job], bool]:
        """The jobs that wait, at least one unless the database closes or it is time to heal, and whether it closes."""
        batch: list[_Job] = []
        while _size(batch) < BATCH and (not batch or not self._queue.empty()):
            try:
                jobs = self._queue.get(timeout=HEAL_SECONDS if self._failure else None)
            except Empty:
                return batch, False
            if jobs is None:
                return batch, True
            batch += jobs
        return batch, False

    def _write(self, batch: list[_Job]) -> None:
        self._began = time.monotonic()
        if self._failure:
            self._open_again()
        self._commit(batch)
        if batch:
            self._loop.call_soon_threadsafe(_tell, batch)
        self._move()
        self._began = None

    def _move(self) -> None:
        """Move what the log holds into the file, if that is some hundred pages."""
        written = self._connection.total_changes
        if self._failure is None and written - self._moved >= MOVED:
            self._moved = written
            with suppress(sqlite3.Error):  # the pages stay where they are, and are safe there
                self._connection.execute("pragma wal_checkpoint(passive)").fetchall()

    def _open_again(self) -> None:
        """After a failed commit the connection is not trusted; while a new one cannot be had, it has to do."""
        with suppress(AuditUnavailable):
            connection = self._connect(self._schema)
            self._connection.close()
            self._connection, self._moved = connection, 0

    def _commit(self, batch: list[_Job]) -> None:
        """All of `batch` in one transaction; when that fails, none of it happened and each job is told."""
        try:
            self._connection.execute("begin immediate")
            committed = self.restored(self._connection, self._failure, self._failed_at) if self._failure else None
            self._do_all(batch)
            self._connection.execute("commit")
            self._failure = None
            if committed is not None:
                committed()
            self.committed()
        except Exception as error:  # SQLite's, or a bug of `together`: the thread has to live on
            self._failed_at = self._failed_at if self._failure else time.time()
            self._failure = str(error)
            self._roll_back()
            for job in batch:
                job.problem = AuditUnavailable(f"{self.path} cannot be written: {error}")

    def _do_all(self, batch: list[_Job]) -> None:
        groups: dict[tuple[bool, Together[Any, Any]], list[_Job]] = {}
        for job in batch:
            if job.items:
                groups.setdefault((not job.done, job.work), []).append(job)
            else:
                self._do_groups(groups)
                self._do(job)
        self._do_groups(groups)

    def _do_groups(self, groups: dict[tuple[bool, Together[Any, Any]], list[_Job]]) -> None:
        # Who no longer waits for an item may have handed in another that undoes it, without waiting: that one comes after.
        for (_, together), (job, *more) in sorted(groups.items(), key=lambda group: group[0][0]):
            for later in more:
                job.items += later.items
                job.done += later.done
                later.done = []
            job.results = together(self._connection, job.items)
            assert len(job.results) == len(job.items)
        groups.clear()

    def _do(self, job: _Job) -> None:
        self._connection.execute("savepoint job")
        try:
            job.results = [job.work(self._connection)]
        except sqlite3.Error:
            raise
        except Exception as error:  # the caller's own: carried back to it, the other jobs go on
            job.problem = error
            self._connection.execute("rollback to job")
        self._connection.execute("release job")

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("rollback")


def _size(jobs: Sequence[_Job]) -> int:
    return sum([len(job.items) or 1 for job in jobs])


def _nothing() -> None:
    """Nobody wants to know."""


def _nothing_more(_connection: sqlite3.Connection, _reason: str, _since: float) -> Callable[[], None]:
    return lambda: None


def _tell(batch: list[_Job]) -> None:
    for job in batch:
        for at, done in enumerate(job.done):
            if done.done():  # a cancelled caller no longer waits
                continue
            if job.problem is None:
                done.set_result(job.results[at])
            else:
                done.set_exception(job.problem)
