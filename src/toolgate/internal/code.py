"""execute_code and run_tests: somebody's code, run in a sandbox."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from toolgate.internal import results
from toolgate.internal.desk import Desk
from toolgate.internal.excerpt import shown
from toolgate.internal.files import no_folder_is_a_file
from toolgate.internal.trouble import Trouble
from toolgate.sandbox.box import Ended, Job, Limits
from toolgate.sandbox.languages import MAIN, Interpreter, Interpreters, Language
from toolgate.sandbox.sandbox import Sandbox

PATH = re.compile(r"(?!\.{1,2}(?:/|$))[^/\x00]+(?:/(?!\.{1,2}(?:/|$))[^/\x00]+)*")
"""Relative, and no part of it empty, `.` or `..`."""
ROOM = 56_000
"""Bytes of JSON that both streams may take: an answer has 64 KiB, and is no longer one JSON value when it is cut."""
LONGEST_NAME = 255
"""Bytes, on every file system that Linux has."""
ENDINGS = {
    "exit": "finished",
    "time": "time_limit",
    "output": "output_limit",
    "memory": "memory_limit",
    "disk": "disk_limit",
}
COMMANDS: Mapping[results.Runner, Sequence[str]] = {
    "pytest": ("-m", "pytest", "-q", "-rA", "--tb=short", "--color=no", "-p", "no:cacheprovider"),
    "unittest": ("-m", "unittest", "-v"),
    "node": ("--test", "--test-reporter=tap"),
    "deno": ("test", "--allow-all", "--no-prompt", "--no-remote", "--no-npm", "--no-lock", "--no-config", "--reporter=tap"),
}


@dataclass(frozen=True)
class Coding:
    """What code is run with here."""

    sandbox: Sandbox
    interpreters: Interpreters
    limits: Limits
    at_once: asyncio.Semaphore

    async def run(self, interpreter: Interpreter, job: Job, desk: Desk, seconds: float | None) -> Ended:
        """
        Raises:
            Trouble: no run ended in time for this one to start.
        """
        bound = {**interpreter.environment, **job.environment}
        job = replace(job, argv=(interpreter.path, *job.argv), readable=interpreter.readable, environment=bound)
        try:
            async with asyncio.timeout(max(0.0, desk.seconds_left() - 1)):
                await self.at_once.acquire()
        except TimeoutError:
            raise Trouble(
                "busy", "as much code runs as may; try again", status=HTTPStatus.BAD_GATEWAY, retry_after=5, tried=False
            ) from None
        try:
            wall = min(self.limits.seconds, seconds or self.limits.seconds, max(0.1, desk.seconds_left() - 1))
            return await self.sandbox.run(job, replace(self.limits, seconds=wall))
        finally:
            self.at_once.release()


async def execute_code(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: the language has no interpreter here, or a path of `files` leads elsewhere.
    """
    here, language = desk.backends.code, asked["language"]
    assert here is not None
    interpreter = _interpreter(here.interpreters, language)
    main = MAIN[language]
    files = _files([*asked.get("files", ()), {"path": main, "content": asked["code"]}])
    given = asked.get("arguments", ())
    if any("\x00" in word for word in given):
        raise Trouble("bad_argument", "an argument may not have a NUL character in it")
    words = (*interpreter.flags, main, *given)
    job = Job(words, files, asked.get("stdin", "").encode())
    ended = await here.run(interpreter, job, desk, asked.get("seconds"))
    return _told(ended, here.limits)


async def run_tests(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: the runner is not here, or a path leads elsewhere.
    """
    here, runner = desk.backends.code, asked["runner"]
    assert here is not None
    interpreter = {"deno": here.interpreters.deno, "node": here.interpreters.node}.get(runner, here.interpreters.python)
    if interpreter is None:
        raise Trouble("no_such_runner", f"{runner} is not installed where this runs; {_or_those(here)}")
    paths = [_checked(path) for path in asked.get("paths", ())]
    ended = await here.run(interpreter, Job((*COMMANDS[runner], *paths), _files(asked["files"])), desk, asked.get("seconds"))
    stdout, stderr = ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
    if runner == "pytest" and "No module named pytest" in stderr:
        raise Trouble("no_such_runner", f"pytest is not among the packages that code may import here; {_or_those(here)}")
    return {"passed": ended.code == 0, **results.read(runner, stdout, stderr), **_told(ended, here.limits, ROOM // 3)}


def _interpreter(interpreters: Interpreters, language: Language) -> Interpreter:
    if found := interpreters.of(language):
        return found
    raise Trouble("no_such_language", f"{language} has no interpreter where this runs; {', '.join(interpreters.languages())} would work")


def _or_those(here: Coding) -> str:
    others = {"unittest": here.interpreters.python, "node": here.interpreters.node, "deno": here.interpreters.deno}
    return f"{', '.join(name for name, there in others.items() if there) or 'none'} would work"


def _files(asked: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    files = {_checked(file["path"]): file["content"].encode() for file in asked}
    no_folder_is_a_file(files)
    return files


def _checked(path: str) -> str:
    if not PATH.fullmatch(path):
        raise Trouble("bad_path", "paths are relative, without empty parts, `.` and `..`, such as src/main.py")
    if any(len(part.encode()) > LONGEST_NAME for part in path.split("/")):
        raise Trouble("bad_path", f"a part of a path has {LONGEST_NAME} bytes at most")
    if path.startswith("-"):
        raise Trouble("bad_path", "a path may not begin with a dash, which would make it an option")
    return path


def _told(ended: Ended, limits: Limits, room: int = ROOM) -> dict[str, Any]:
    stdout, stderr, cut = shown(ended.stdout, ended.stderr, room)
    return {
        "status": ENDINGS[ended.by],
        "exit_code": ended.code,
        "stdout": stdout,
        "stderr": stderr,
        "truncated": cut or max(len(ended.stdout), len(ended.stderr)) >= limits.output,
        "seconds": round(ended.seconds, 3),
    }
