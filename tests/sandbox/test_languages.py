"""Which programs run code here."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolgate.backends import Code
from toolgate.sandbox.languages import find_interpreters


def test_a_script_before_a_program_is_passed_over_for_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("shims", "programs"):
        (tmp_path / name).mkdir()
    script = tmp_path / "shims" / "node"
    script.write_text("#!/bin/sh\nexec a-version-manager node\n")
    script.chmod(0o755)
    (tmp_path / "programs" / "node").symlink_to("/usr/bin/env")
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{tmp_path / 'programs'}")

    found = find_interpreters(Code())

    assert found.node is not None
    assert found.node.path == str(Path("/usr/bin/env").resolve())


def test_where_there_is_only_a_script_there_is_no_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "node"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_interpreters(Code()).node is None
