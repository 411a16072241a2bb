"""A server's tools are accepted from the terminal, by asking it."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from tests.upstream.conftest import plain, settings_of
from toolgate.cli import root
from toolgate.errors import Unreachable


def toolgate(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(root, [*words, "--config", str(folder / "toolgate.yaml"), "--json"])


def test_what_a_server_offers_is_accepted_and_what_is_new_is_told(tmp_path: Path) -> None:
    settings_of(tmp_path, {"plain": plain()})
    accepted = toolgate(tmp_path, "specs", "lock", "plain")
    settings_of(tmp_path, {"plain": plain("two")})

    told = toolgate(tmp_path, "specs", "diff", "plain", "--fetch")

    assert (accepted.exit_code, len(json.loads(accepted.stdout)["added"])) == (0, 6)
    assert json.loads(told.stdout) == {"added": ["plain_two"], "removed": [], "changed": []}


def test_a_server_that_is_not_there_is_not_accepted(tmp_path: Path) -> None:
    settings_of(tmp_path, {"gone": {"command": ["/no/such/program"]}})

    ended = toolgate(tmp_path, "specs", "lock", "gone")

    assert isinstance(ended.exception, Unreachable)
    assert not (tmp_path / "specs" / "gone" / "tools.lock.json").exists()
