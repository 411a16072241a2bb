"""A PostgreSQL of our own, where the machine has one to start."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BUILT = itertools.count()


@pytest.fixture(scope="session")
def new_database() -> Iterator[Callable[[], str]]:
    """Makes an empty database and gives its URL; skips, and says so, where there is no PostgreSQL."""
    pytest.importorskip("psycopg", reason="needs the extra postgres")
    found = [
        Path(program).parent for program in (shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))) if program
    ]
    if not found:
        pytest.skip("needs the programs of a PostgreSQL server, which are not here")
    user = user_of_servers()
    with tempfile.TemporaryDirectory(prefix="toolgate-postgres-") as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)

        def run(program: str, *arguments: str) -> None:
            command = [str(found[0] / program), *arguments]
            done = subprocess.run(command, user=user, capture_output=True, text=True, timeout=60, cwd=folder, check=False)
            assert done.returncode == 0, done.stderr + done.stdout

        run("initdb", "--pgdata", f"{folder}/data", "--username=toolgate", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        run("pg_ctl", "start", "-w", "-D", f"{folder}/data", "-l", f"{folder}/log", "-o", f"-k {folder} -c listen_addresses= -c fsync=off")
        try:
            yield lambda: _made(folder)
        finally:
            run("pg_ctl", "stop", "-D", f"{folder}/data", "-m", "immediate")


def _made(folder: Path) -> str:
    import psycopg

    name = f"t{next(BUILT)}"
    with psycopg.connect(f"host={folder} user=toolgate dbname=postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    return f"postgresql://toolgate@/{name}?host={folder}"


def user_of_servers() -> str | None:
    """Whom the server runs as: it refuses to be root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("a PostgreSQL server does not run as root, and there is no other user here")
