"""Outputs as the runners themselves print them: pytest 9.2, CPython 3.11, node 20, Deno 2.9."""

from __future__ import annotations

import pytest

from toolgate.internal.results import Runner, read

PYTEST = """.Fs                                                                      [100%]
=================================== FAILURES ===================================
=========================== short test summary info ============================
PASSED test_a.py::test_good
PASSED test_a.py::test_many[a b]
SKIPPED [1] test_a.py:9: not today
XFAIL test_a.py::test_known - a known bug
FAILED test_a.py::test_bad - assert 1 == 2
ERROR test_b.py - ModuleNotFoundError: No module named 'x'
1 failed, 2 passed, 1 skipped in 0.01s
"""
UNITTEST = """test_good (test_a.T.test_good) ... ok
test_bad (test_a.T.test_bad)
What it is about. ... FAIL
test_skip (test_a.T.test_skip) ... skipped 'not today'
test_error (test_a.T.test_error) ... ERROR
"""
TAP = """TAP version 13
# Subtest: adds
ok 1 - adds
  ---
  duration_ms: 0.4
  ...
not ok 2 - subtracts
ok 3 - later # SKIP not today
1..3
"""


@pytest.mark.parametrize(
    ("runner", "stdout", "stderr", "counts", "first"),
    [
        ("pytest", PYTEST, "", (2, 1, 1, 2), ("test_a.py::test_bad", "failed", "assert 1 == 2")),
        ("unittest", "", UNITTEST, (1, 1, 1, 1), ("test_bad (test_a.T.test_bad)", "failed", "FAIL")),
        ("node", TAP, "", (1, 1, 0, 1), ("subtracts", "failed", "")),
        ("deno", TAP, "", (1, 1, 0, 1), ("subtracts", "failed", "")),
    ],
)
def test_each_runner_is_understood_failures_first(
    runner: Runner, stdout: str, stderr: str, counts: tuple[int, ...], first: tuple[str, str, str]
) -> None:
    told = read(runner, stdout, stderr)

    assert tuple(told["counts"].values()) == counts
    assert tuple(told["tests"][0].values()) == first


def test_output_without_results_has_none() -> None:
    assert read("pytest", "no tests ran", "")["counts"] == {"passed": 0, "failed": 0, "error": 0, "skipped": 0}
