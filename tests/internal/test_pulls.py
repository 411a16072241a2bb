"""create_pull_request: from files to an open pull request, and again without doing anything twice."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.internal.hub import SITE, Fault, Hub
from tests.internal.service import a_service
from toolgate.internal.files import Change, read_changes, tree
from toolgate.internal.pulls import closing
from toolgate.internal.trouble import Trouble

PULLS = "/v1/pull-requests"
FORM: dict[str, Any] = {
    "branch": "login-form",
    "title": "Build the login form",
    "body": "Labelled.",
    "files": [
        {"path": "web/login.html", "content": "<form></form>\n"},
        {"path": "bin/run", "content": "#!/bin/sh\n", "executable": True},
        {"path": "README.md", "content": None},
        {"path": "never/was.txt", "content": None},
    ],
    "closes": [12, 13],
    "labels": ["login"],
    "assignees": ["ada"],
    "reviewers": ["grace"],
}
WANTED = {"web/login.html": ("100644", "<form></form>\n"), "bin/run": ("100755", "#!/bin/sh\n")}


def result(hub: Hub, status: str, number: int | None = 1, *, commit: bool = False, problems: list[Any] | None = None) -> dict[str, Any]:
    return {
        "status": status,
        "number": number,
        "url": number and f"{SITE}/pull/{number}",
        "branch": "login-form",
        "base": "main",
        "commit": hub.refs["login-form"] if commit else None,
        "problems": problems or [],
    }


# Files as a tree


def test_files_become_entries_and_what_is_gone_already_needs_none() -> None:
    changes = read_changes(FORM["files"])

    assert changes[1] == Change("bin/run", "#!/bin/sh\n", executable=True)
    assert tree(changes, absent={"never/was.txt"}) == [
        {"path": "web/login.html", "mode": "100644", "type": "blob", "content": "<form></form>\n"},
        {"path": "bin/run", "mode": "100755", "type": "blob", "content": "#!/bin/sh\n"},
        {"path": "README.md", "mode": "100644", "type": "blob", "sha": None},
    ]


@pytest.mark.parametrize("paths", [["a", "a"], ["a", "a/b"], ["a/b/c", "a"]])
def test_a_path_is_given_once_and_is_a_file_or_a_folder(paths: list[str]) -> None:
    with pytest.raises(Trouble) as refused:
        read_changes([{"path": path, "content": ""} for path in paths])

    assert refused.value.status == 422


def test_a_file_may_make_way_for_a_folder() -> None:
    assert len(read_changes([{"path": "a", "content": None}, {"path": "a/b", "content": ""}])) == 2


def test_closing_words_are_added_for_what_the_text_does_not_close() -> None:
    asked = {"closes": [12, 13, 1]}

    assert closing("Fixes #12, see #13.", asked) == "Fixes #12, see #13.\n\nCloses #13, closes #1"
    assert closing("", {"closes": [12]}) == "Closes #12"
    assert closing("Text", {}) == closing("Text", {"closes": []}) == "Text"
    assert closing(closing("Text", asked), asked) == closing("Text", asked)


# The whole


async def test_files_become_a_branch_one_commit_and_a_pull_request() -> None:
    hub = Hub()

    answer = await a_service(hub).post(PULLS, **FORM)

    assert answer == (200, result(hub, "created", commit=True))
    assert hub.files("login-form") == WANTED
    assert list(hub.history("login-form")) == ["Build the login form", "The beginning"]
    pull = hub.pulls[1]
    assert (pull["title"], pull["body"]) == ("Build the login form", "Labelled.\n\nCloses #12, closes #13")
    assert [pull["labels"], pull["assignees"], pull["requested_reviewers"]] == [
        [{"name": "login"}],
        [{"login": "ada"}],
        [{"login": "grace"}],
    ]


async def test_the_second_time_nothing_is_written() -> None:
    hub = Hub()
    service = a_service(hub)
    await service.post(PULLS, **FORM)
    before = {**hub.refs}, len(hub.commits), {**hub.pulls[1]}, len(hub.writes())

    answer = await service.post(PULLS, **FORM)

    assert answer == (200, result(hub, "existing"))
    assert ({**hub.refs}, len(hub.commits), {**hub.pulls[1]}) == before[:3]
    assert hub.writes()[before[3] :] == ["create_tree"]  # by which one learns that nothing is to be done


async def test_other_files_are_a_further_commit_of_the_same_pull_request() -> None:
    hub = Hub()
    service = a_service(hub)
    await service.post(PULLS, **FORM)

    _, answer = await service.post(PULLS, branch="login-form", title="Fix", files=[{"path": "a.txt", "content": "a"}])

    assert answer == result(hub, "existing", commit=True)
    assert hub.files("login-form") == {**WANTED, "a.txt": ("100644", "a")}
    assert list(hub.history("login-form")) == ["Fix", "Build the login form", "The beginning"]


async def test_who_has_reviewed_is_not_asked_again() -> None:
    hub = Hub()
    service = a_service(hub)
    await service.post(PULLS, **FORM)
    hub.pulls[1]["requested_reviewers"] = []
    hub.reviews.append({"pull": 1, "user": {"login": "Grace"}})

    await service.post(PULLS, **FORM)

    assert hub.writes().count("request_pull_request_reviewers") == 1


async def test_a_branch_that_exists_needs_no_files() -> None:
    hub = Hub()
    hub.refs["login-form"] = hub._commit(hub._tree({}), [hub.refs["main"]], "By hand")

    answer = await a_service(hub).post(PULLS, branch="login-form", title="T", draft=True)

    assert answer == (200, result(hub, "created"))
    assert hub.pulls[1]["draft"] is True
    assert hub.writes() == ["create_pull_request"]


async def test_a_dry_run_writes_nothing() -> None:
    hub = Hub()
    service = a_service(hub)

    assert await service.post(PULLS, dry_run=True, **FORM) == (200, result(hub, "planned", None))
    assert hub.writes() == []

    await service.post(PULLS, **FORM)
    assert await service.post(PULLS, dry_run=True, **FORM) == (200, result(hub, "planned"))


async def test_what_could_not_be_set_is_told_while_the_pull_request_stands() -> None:
    hub = Hub(assignable=("ada",))

    _, answer = await a_service(hub).post(PULLS, **{**FORM, "assignees": ["ada", "nobody"]})

    assert (answer["status"], answer["number"]) == ("created", 1)
    assert [(problem["code"], problem["tool"]) for problem in answer["problems"]] == [
        ("not_assignable", "github_add_issue_assignees"),
        ("upstream_failed", "github_request_pull_request_reviewers"),
    ]
    assert answer["problems"][0]["message"] == "nobody cannot be assigned in ada/engine"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"branch": "main"}, (422, "contradiction")),
        ({"files": []}, (422, "unknown_branch")),
        ({"base": "gone"}, (404, "unknown_base")),
        ({"files": [{"path": "README.md", "content": "# Engine\n"}]}, (422, "nothing_to_propose")),
        ({"files": [{"path": "docs", "content": None}]}, (422, "contradiction")),
        ({"repo": "other"}, (404, "upstream_failed")),
    ],
)
async def test_what_cannot_become_a_pull_request_is_refused_and_leaves_no_branch(asked: dict[str, Any], expected: tuple[int, str]) -> None:
    hub = Hub()
    hub.refs["main"] = hub._commit(hub._tree({**hub.files("main"), "docs/a.md": ("100644", "")}), [hub.refs["main"]])

    status, problem = await a_service(hub).post(PULLS, **{**FORM, **asked})

    assert (status, problem["code"]) == expected
    assert set(hub.refs) == {"main"}


async def test_a_branch_that_moved_on_meanwhile_is_a_conflict() -> None:
    hub = Hub()
    hub.refs["login-form"] = hub._commit(hub._tree({}), [hub.refs["main"]])

    async def somebody_pushes() -> None:
        if hub.calls[-1][0] == "create_commit":
            hub.refs["login-form"] = hub._commit(hub._tree({"b": ("100644", "b")}), [hub.refs["login-form"]])

    hub.pause = somebody_pushes
    status, problem = await a_service(hub).post(PULLS, **FORM)

    assert (status, problem["code"], hub.files("login-form")) == (409, "branch_in_the_way", {"b": ("100644", "b")})


async def test_a_branch_below_or_above_the_name_is_in_the_way() -> None:
    hub = Hub()
    hub.refs["login-form/old"] = hub.refs["main"]

    status, problem = await a_service(hub).post(PULLS, **FORM)

    assert (status, problem["code"], problem["tool"]) == (409, "branch_in_the_way", "github_create_ref")


async def test_one_that_another_process_opened_meanwhile_is_used() -> None:
    hub = Hub()

    async def somebody_opens() -> None:
        if hub.calls[-1][0] == "create_pull_request":
            hub.do_create_pull_request(title="Theirs", head="login-form", base="main")

    hub.pause = somebody_opens
    _, answer = await a_service(hub).post(PULLS, **FORM)

    assert answer == result(hub, "existing", commit=True)
    assert hub.pulls[1]["body"] == "Closes #12, closes #13"


async def test_sent_twice_at_the_same_time_it_is_opened_once() -> None:
    hub = Hub(pause=anyio.lowlevel.checkpoint)
    service = a_service(hub)
    found: list[str] = []

    async def send(_: int) -> None:
        found.append((await service.post(PULLS, **FORM))[1]["status"])

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(send, number)

    assert (sorted(found), len(hub.pulls), len(hub.commits)) == (["created", "existing", "existing"], 1, 2)


FAULTS = st.lists(st.sampled_from([None, None, "refused", "limited", "before", "after"]), max_size=25)


@settings(max_examples=150, deadline=None)
@given(FAULTS)
def test_sent_until_done_there_is_one_pull_request_with_everything(faults: list[Fault | None]) -> None:
    hub = Hub(fault=lambda at, tool: faults[at] if at < len(faults) else None)

    async def send_until_done() -> None:
        service = a_service(hub)
        for _ in range(30):
            status, answer = await service.post(PULLS, **FORM)
            if status == 200 and not answer["problems"]:
                return
        raise AssertionError("never done")

    anyio.run(send_until_done)

    assert hub.files("login-form") == WANTED
    assert list(hub.history("login-form")) == ["Build the login form", "The beginning"]
    assert [(pull["head"]["ref"], pull["labels"], pull["requested_reviewers"]) for pull in hub.pulls.values()] == [
        ("login-form", [{"name": "login"}], [{"login": "grace"}])
    ]
