"""What a test runner says, as one line a test. Values in, values out.

The words come from code that nobody vouches for: a test may print what looks like a result. Whether all passed is said by the
runner's exit code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

Runner = Literal["pytest", "unittest", "node", "deno"]
Verdict = Literal["passed", "failed", "error", "skipped"]
MOST = 60
"""Tests that are told one by one."""
MESSAGE = 200
"""Characters of a reason."""

PYTEST = re.compile(r"^(PASSED|FAILED|ERROR|XFAIL|XPASS) (\S+(?: \S+)*?)(?: - (.*))?$", re.MULTILINE)
PYTEST_SKIPPED = re.compile(r"^SKIPPED \[\d+\] ([^:\n]+:\d+): (.*)$", re.MULTILINE)
UNITTEST = re.compile(r"^(\S+ \([\w.]+\))(?:\n.*)? \.\.\. (ok|FAIL|ERROR|expected failure|unexpected success|skipped .*)$", re.MULTILINE)
TAP = re.compile(r"^ *(not )?ok \d+ - (.*?)(?: # (SKIP|TODO)\b(.*))?$", re.MULTILINE)

PYTEST_WORDS: Mapping[str, Verdict] = {"PASSED": "passed", "FAILED": "failed", "ERROR": "error", "XFAIL": "skipped", "XPASS": "passed"}
UNITTEST_WORDS: Mapping[str, Verdict] = {
    "ok": "passed", "FAIL": "failed", "ERROR": "error", "expected failure": "skipped", "unexpected success": "failed",
}  # fmt: skip


def read(runner: Runner, stdout: str, stderr: str) -> dict[str, Any]:
    """`counts` by verdict and `tests` {name, verdict, message}, the first MOST of them, failures first."""
    tests = READERS[runner](stdout, stderr)
    counts = {verdict: sum(test["verdict"] == verdict for test in tests) for verdict in ("passed", "failed", "error", "skipped")}
    tests.sort(key=lambda test: test["verdict"] not in ("failed", "error"))
    return {"counts": counts, "tests": tests[:MOST]}


def _pytest(stdout: str, _stderr: str) -> list[dict[str, Any]]:
    tests = [_test(name, PYTEST_WORDS[word], message) for word, name, message in PYTEST.findall(stdout)]
    return tests + [_test(place, "skipped", message) for place, message in PYTEST_SKIPPED.findall(stdout)]


def _unittest(_stdout: str, stderr: str) -> list[dict[str, Any]]:
    return [_test(name, UNITTEST_WORDS.get(word, "skipped"), word.removeprefix("skipped ")) for name, word in UNITTEST.findall(stderr)]


def _tap(stdout: str, _stderr: str) -> list[dict[str, Any]]:
    return [
        _test(name, "skipped" if directive else "failed" if failed else "passed", message)
        for failed, name, directive, message in TAP.findall(stdout)
    ]


def _test(name: str, verdict: Verdict, message: str) -> dict[str, Any]:
    return {"name": name.strip()[:MESSAGE], "verdict": verdict, "message": message.strip()[:MESSAGE] if verdict != "passed" else ""}


READERS: Mapping[Runner, Callable[[str, str], list[dict[str, Any]]]] = {
    "pytest": _pytest,
    "unittest": _unittest,
    "node": _tap,
    "deno": _tap,
}
