from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # Proxies that lead nowhere: who leaves this machine would be noticed.
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9") | {"NO_PROXY": "127.0.0.1"}
    environment = {
        **os.environ,
        **nowhere,
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "GITHUB_TOKEN": "not-for-a-stand-in",
        "TOOLGATE_DATA_DIR": str(folder / "elsewhere"),  # as in the image
        "TOOLGATE_SERVER__HOST": "0.0.0.0",
    }
    return subprocess.run(
        [sys.executable, "-m", "toolgate", "demo", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> Any:
    ran = demo(tmp_path_factory.mktemp("demo"), "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    return json.loads(ran.stdout)


def test_a_client_finds_a_tool_that_is_not_listed_and_the_stand_in_hears_its_call(happened: Any) -> None:
    assert happened["found"]["tools"][0] == happened["answered"]["name"] == "github_list_labels"
    assert happened["found"]["listed"] < happened["serving"]["tools"]
    assert happened["requests"] == ["GET /repos/acme/rocket/labels"]
    assert [label["name"] for label in json.loads(happened["answered"]["text"])] == ["bug", "engine", "paperwork"]


def test_a_call_that_is_forbidden_is_refused_with_its_reason_and_never_sent(happened: Any) -> None:
    assert happened["refused"]["name"] == "github_create_issue"
    assert happened["refused"]["error"] is True
    assert happened["refused"]["text"] == "anonymous may not call github_create_issue: guests read here; issues are opened by members"


def test_the_audit_has_a_line_for_every_call(happened: Any) -> None:
    assert [(line["tool"]["name"], line["result"]["ending"], line["result"]["code"]) for line in happened["audit"]] == [
        ("github_create_issue", "refused", "not_permitted"),
        ("github_list_labels", "ok", None),
        ("search_tools", "ok", None),
    ]


def test_the_agent_makes_issues_of_a_specification_once(happened: Any) -> None:
    first, again = happened["pipeline"]["runs"]

    assert first["created"]["issues"][0]["key"] == "tracking"
    assert (first["created"]["counts"]["created"], again["created"]["counts"]["existing"]) == (5, 5)


def test_every_bundled_integration_is_served(happened: Any) -> None:
    assert happened["serving"]["not_loaded"] == []


def test_for_people_it_tells_the_story_and_what_to_type_next(tmp_path: Path) -> None:
    ran = demo(tmp_path)

    assert ran.returncode == 0
    told = [line.strip() for line in ran.stdout.splitlines()]
    story = ["it finds:", "it calls:", "the stand-in hears:", "and gets:", "it calls:", "and is refused:"]
    assert [line.partition("  ")[0] for line in told if line.partition("  ")[0] in story] == story
    assert "toolgate serve" in ran.stderr
    assert list(tmp_path.iterdir()) == []
