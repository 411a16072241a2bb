"""What people ask for is found among the bundled tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolgate.openapi.load import load
from toolgate.openapi.source import tools_of
from toolgate.search import Index
from toolgate.testing import ScriptedSender

SPECS = Path(__file__).resolve().parents[2] / "tool-specs"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    state = tmp_path_factory.mktemp("state")
    loaded = [found for folder in sorted(SPECS.iterdir()) if (found := load(folder, state)) is not None]
    return Index.of(tool for one in loaded for tool in tools_of(one, ScriptedSender([])))


@pytest.mark.parametrize(
    ("question", "tool"),
    [
        ("list open issues", "github_list_issues"),
        ("list issues", "github_list_issues"),
        ("create an issue", "github_create_issue"),
        ("list pull requests", "github_list_pull_requests"),
        ("merge a pull request", "github_merge_pull_request"),
        ("search code", "github_search_code"),
        ("add a label to an issue", "github_add_issue_labels"),
        ("comment on an issue", "github_add_issue_comment"),
        ("latest release", "github_get_latest_release"),
        ("my notifications", "github_list_notifications"),
        ("create many issues from a list", "internal_create_issues"),
        ("search datasets", "gsa_datagov_search_datasets"),
        ("who am i", "github_get_me"),
    ],
)
def test_what_people_ask_for_is_among_the_first_three(question: str, tool: str, index: Index) -> None:
    assert tool in index.search(question, limit=3)
