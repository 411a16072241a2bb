"""create_issues: each issue exactly once, with all its links, whatever breaks off in between."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.internal.hub import API, SITE, Fault, Hub
from tests.internal.service import a_service
from toolgate.internal.issues import STATUSES
from toolgate.testing import a_call, a_principal, a_tool

BATCH = "/v1/issues:batch"
LOGIN: dict[str, Any] = {
    "batch": "login",
    "labels": ["login"],
    "issues": [
        {"key": "e2e", "title": "Test the login", "depends_on": ["form", "api"], "related": ["#1"]},
        {"key": "form", "title": "Build the form", "body": "Label it.", "parent": "epic", "related": ["api"]},
        {"key": "api", "title": "Check passwords", "assignees": ["grace"], "milestone": 3, "labels": ["security"]},
        {"key": "epic", "title": "Login"},
    ],
}


def a_hub(**more: Any) -> Hub:
    """One issue is there already."""
    hub = Hub(**more)
    hub.do_create_issue(title="Something else")
    return hub


def counts(**some: int) -> dict[str, int]:
    return {**dict.fromkeys(STATUSES, 0), **some}


def link(kind: str, to: str, status: str = "linked", error: Any = None) -> dict[str, Any]:
    return {"kind": kind, "to": to, "status": status, "error": error}


def bodies(hub: Hub) -> dict[int, str]:
    return {issue["number"]: issue["body"] for issue in hub.issues}


async def test_a_task_list_becomes_linked_issues() -> None:
    hub = a_hub()

    status, answer = await a_service(hub).post(BATCH, **LOGIN)

    def item(key: str, number: int, links: list[dict[str, Any]]) -> dict[str, Any]:
        return {"key": key, "status": "created", "number": number, "url": f"{SITE}/issues/{number}", "links": links, "error": None}

    assert status == 200
    assert answer == {
        "dry_run": False,
        "counts": counts(created=4),
        "issues": [
            item("e2e", 4, [link("depends_on", "form"), link("depends_on", "api"), link("related", "#1")]),
            item("form", 2, [link("related", "api"), link("parent", "epic")]),
            item("api", 3, []),
            item("epic", 5, []),
        ],
    }
    assert bodies(hub) == {
        1: "",
        2: "Label it.\n\nRelated: #3\n\n<!-- toolgate:login/form -->",
        3: "Related: #2\n\n<!-- toolgate:login/api -->",
        4: "Related: #1\n\n<!-- toolgate:login/e2e -->",
        5: "<!-- toolgate:login/epic -->",
    }
    assert hub.blockers == {4: [2, 3]}
    assert {issue["number"]: issue["parent_issue_url"] for issue in hub.issues if "parent_issue_url" in issue} == {2: f"{API}/issues/5"}
    assert [[label["name"] for label in issue["labels"]] for issue in hub.issues[1:]] == [
        ["login"],
        ["login", "security"],
        ["login"],
        ["login"],
    ]
    assert (hub.issues[2]["assignees"], hub.issues[2]["milestone"]["number"]) == ([{"login": "grace"}], 3)


async def test_the_second_time_everything_is_found_and_nothing_is_written() -> None:
    hub = a_hub()
    service = a_service(hub)
    _, first = await service.post(BATCH, **LOGIN)
    written = len(hub.writes())

    _, second = await service.post(BATCH, **LOGIN)

    assert second["counts"] == counts(existing=4)
    assert [{**item, "status": "created"} for item in second["issues"]] == first["issues"]
    assert len(hub.writes()) == written


async def test_what_people_edited_stays_and_only_a_new_link_is_added_to_it() -> None:
    hub = a_hub()
    service = a_service(hub)
    await service.post(BATCH, batch="b", issues=[{"key": "a", "title": "A", "body": "Old"}])
    hub.do_update_issue(issue_number=2, title="Better", body="New, see #9\n\n<!-- toolgate:b/a -->\n", state="closed")

    _, answer = await service.post(
        BATCH, batch="b", issues=[{"key": "a", "title": "A", "body": "Old", "related": ["z"]}, {"key": "z", "title": "Z"}]
    )

    assert answer["counts"] == counts(created=1, existing=1)
    assert (hub.issues[1]["title"], hub.issues[1]["state"]) == ("Better", "closed")
    assert bodies(hub)[2] == "New, see #9\n\nRelated: #3\n\n<!-- toolgate:b/a -->\n"


async def test_every_tool_is_called_as_the_caller_and_on_behalf_of_its_call() -> None:
    hub, principal = a_hub(), a_principal("admin", id="local:grace")
    call = a_call(a_tool(timeout=60.0), principal=principal, depth=1)

    await a_service(hub).post(BATCH, call, **LOGIN)

    assert {who for who, _ in hub.made_by} == {principal}
    assert {(parent.id, parent.depth) for _, parent in hub.made_by if parent} == {(call.id, 1)}


async def test_a_dry_run_writes_nothing_and_tells_what_would_be() -> None:
    hub = a_hub()
    service = a_service(hub)
    await service.post(BATCH, batch="login", issues=[{"key": "form", "title": "Build the form"}])
    written = len(hub.writes())

    _, answer = await service.post(BATCH, dry_run=True, **LOGIN)

    assert len(hub.writes()) == written
    assert (answer["dry_run"], answer["counts"]) == (True, counts(planned=3, existing=1))
    assert answer["issues"][1] == {
        "key": "form",
        "status": "existing",
        "number": 2,
        "url": f"{SITE}/issues/2",
        "links": [link("related", "api", "planned"), link("parent", "epic", "planned")],
        "error": None,
    }


@pytest.mark.parametrize(
    "issues",
    [
        [{"key": "a", "title": "A"}, {"key": "a", "title": "B"}],
        [{"key": "a", "title": "A", "depends_on": ["b"]}],
        [{"key": "a", "title": "A", "depends_on": ["b"]}, {"key": "b", "title": "B", "depends_on": ["a"]}],
        [{"key": "a", "title": "A", "related": ["#99"]}],
    ],
)
async def test_a_list_that_makes_no_sense_is_refused_before_anything_is_created(issues: list[dict[str, Any]]) -> None:
    hub = a_hub()

    status, _ = await a_service(hub).post(BATCH, batch="b", issues=issues)

    assert status == 422
    assert hub.writes() == []


async def test_a_repository_that_does_not_exist_is_said_to_be_missing() -> None:
    status, problem = await a_service(Hub()).post(BATCH, repo="other", batch="b", issues=[{"key": "a", "title": "A"}])

    assert (status, problem) == (
        404,
        {"code": "upstream_failed", "message": "was answered with 404: Not Found", "tool": "github_list_issues"},
    )


async def test_one_issue_that_fails_leaves_the_others_and_says_why() -> None:
    hub = a_hub()
    items = [{"key": "a", "title": "A"}, {"key": "b", "title": "B"}, {"key": "c", "title": "C", "depends_on": ["a"]}]
    hub.fault = lambda at, tool: "refused" if tool == "create_issue" and hub.writes().count("create_issue") == 1 else None

    _, answer = await a_service(hub).post(BATCH, batch="b", issues=items)

    missing = "'a' has no issue to link to: it could not be made; send the same again"
    assert answer["counts"] == counts(created=2, failed=1)
    assert answer["issues"][0] == {
        "key": "a",
        "status": "failed",
        "number": None,
        "url": None,
        "links": [],
        "error": {"code": "not_permitted", "message": "local:ada may not call github_create_issue", "tool": "github_create_issue"},
    }
    assert answer["issues"][2]["links"] == [link("depends_on", "a", "failed", {"code": "missing_target", "message": missing})]


async def test_who_may_not_read_the_list_is_refused_altogether() -> None:
    hub = a_hub(fault=lambda at, tool: "refused")

    status, problem = await a_service(hub).post(BATCH, **LOGIN)

    assert (status, problem["code"], problem["tool"]) == (403, "not_permitted", "github_list_issues")


async def test_once_a_limit_is_reached_nothing_more_is_sent_and_the_rest_is_skipped() -> None:
    hub = a_hub()
    hub.fault = lambda at, tool: "limited" if hub.writes().count("create_issue") == 2 else None

    _, answer = await a_service(hub).post(BATCH, **LOGIN)

    assert answer["counts"] == counts(created=1, skipped=3)
    assert hub.writes() == ["create_issue", "create_issue"]
    assert answer["issues"][3]["error"] == {
        "code": "limit_reached",
        "message": "not tried, after github_create_issue had said: 60 calls per 60 s are used up",
        "retry_after": 15.0,
        "tool": "github_create_issue",
    }


async def test_when_the_time_is_used_up_what_was_done_is_told_and_the_rest_is_skipped() -> None:
    hub = a_hub()
    service = a_service(hub)

    async def take_time() -> None:
        if hub.writes().count("create_issue") == 2:
            deadline = hub.made_by[-1][1]
            assert deadline is not None
            with anyio.move_on_after(deadline.seconds_left()):
                await anyio.sleep_forever()

    hub.pause = take_time
    status, answer = await service.post(BATCH, a_call(a_tool(timeout=0.5)), **LOGIN)

    assert (status, answer["counts"]) == (200, counts(created=2, skipped=2))
    assert {item["error"]["code"] for item in answer["issues"] if item["error"]} == {"out_of_time"}


async def test_where_a_repository_offers_no_links_the_texts_name_each_other() -> None:
    hub = a_hub(offers_links=False)
    service = a_service(hub)

    _, first = await service.post(BATCH, **LOGIN)
    told = bodies(hub)
    _, second = await service.post(BATCH, **LOGIN)

    assert first["issues"][0]["links"] == [
        link("depends_on", "form", "mentioned"),
        link("depends_on", "api", "mentioned"),
        link("related", "#1"),
    ]
    assert bodies(hub)[4] == "Related: #1\n\nDepends on: #2, #3\n\n<!-- toolgate:login/e2e -->"
    assert bodies(hub)[2] == "Label it.\n\nRelated: #3\nPart of: #5\n\n<!-- toolgate:login/form -->"
    assert [item["links"] for item in second["issues"]] == [item["links"] for item in first["issues"]]
    assert bodies(hub) == told


async def test_an_issue_that_is_a_part_of_another_stays_there() -> None:
    hub = a_hub()
    service = a_service(hub)
    await service.post(BATCH, batch="b", issues=[{"key": "a", "title": "A", "parent": "#1"}, {"key": "z", "title": "Z"}])

    _, answer = await service.post(BATCH, batch="b", issues=[{"key": "a", "title": "A", "parent": "z"}, {"key": "z", "title": "Z"}])

    message = "#2 cannot become a part of #3: it is a part of another issue"
    assert answer["issues"][0]["links"] == [link("parent", "z", "failed", {"code": "other_parent", "message": message})]
    assert hub.issues[1]["parent_issue_url"] == f"{API}/issues/1"


async def test_of_two_issues_with_one_marker_the_older_one_counts() -> None:
    hub = a_hub()
    for title in ("Ours", "Made by another process at the same moment"):
        hub.do_create_issue(title=title, body="<!-- toolgate:b/a -->")

    _, answer = await a_service(hub).post(
        BATCH, batch="b", issues=[{"key": "a", "title": "A"}, {"key": "z", "title": "Z", "related": ["a"]}]
    )

    assert [item["number"] for item in answer["issues"]] == [2, 4]


async def test_a_text_that_cannot_say_everything_at_first_says_all_of_it_in_one_line_later() -> None:
    hub = a_hub()
    items = [{"key": key, "title": key, "related": related} for key, related in (("a", []), ("b", ["a", "c"]), ("c", []))]

    await a_service(hub).post(BATCH, batch="b", issues=items)

    assert bodies(hub)[3] == "Related: #2, #4\n\n<!-- toolgate:b/b -->"


async def test_what_people_write_while_the_call_runs_is_not_lost() -> None:
    hub = a_hub()
    service = a_service(hub)
    await service.post(BATCH, batch="b", issues=[{"key": "a", "title": "A", "body": "Old"}])

    async def somebody_edits() -> None:
        if hub.calls[-1][0] == "create_issue":
            hub.do_update_issue(issue_number=2, body="New\n\n<!-- toolgate:b/a -->")

    hub.pause = somebody_edits
    await service.post(BATCH, batch="b", issues=[{"key": "a", "title": "A", "related": ["z"]}, {"key": "z", "title": "Z"}])

    assert bodies(hub)[2] == "New\n\nRelated: #3\n\n<!-- toolgate:b/a -->"


async def test_a_link_that_somebody_else_made_meanwhile_stands() -> None:
    hub = a_hub()

    async def somebody_links() -> None:
        if hub.calls[-1][0] == "add_issue_blocker":
            hub.blockers[2] = [1]
        if hub.calls[-1][0] == "add_sub_issue":
            hub.issues[1]["parent_issue_url"] = f"{API}/issues/1"

    hub.pause = somebody_links
    _, answer = await a_service(hub).post(BATCH, batch="b", issues=[{"key": "a", "title": "A", "depends_on": ["#1"], "parent": "#1"}])

    assert answer["issues"][0]["links"] == [link("depends_on", "#1"), link("parent", "#1")]


async def test_parts_are_joined_one_at_a_time_since_github_refuses_one_of_two() -> None:
    hub = a_hub(pause=anyio.lowlevel.checkpoint)
    items = [{"key": key, "title": key, "parent": "#1"} for key in "abcd"]

    _, answer = await a_service(hub).post(BATCH, batch="b", issues=items)

    assert [item["links"] for item in answer["issues"]] == [[link("parent", "#1")]] * 4


async def test_related_has_failed_while_one_of_both_texts_does_not_say_it() -> None:
    hub = a_hub()
    service = a_service(hub)
    await service.post(BATCH, batch="b", issues=[{"key": "a", "title": "A"}])
    hub.fault = lambda at, tool: "refused" if tool == "update_issue" else None
    items = [{"key": "a", "title": "A"}, {"key": "z", "title": "Z", "related": ["a"]}]

    _, failed = await service.post(BATCH, batch="b", issues=items)
    hub.fault = lambda at, tool: None
    _, mended = await service.post(BATCH, batch="b", issues=items)

    error = {"code": "not_permitted", "message": "local:ada may not call github_update_issue", "tool": "github_update_issue"}
    assert bodies(hub)[3].startswith("Related: #2\n")
    assert failed["issues"][1]["links"] == [link("related", "a", "failed", error)]
    assert mended["issues"][1]["links"] == [link("related", "a")]


async def test_who_waits_too_long_for_another_call_of_the_batch_is_told_to_come_again() -> None:
    hub = a_hub()
    service, started, done = a_service(hub), anyio.Event(), anyio.Event()

    async def linger() -> None:
        started.set()
        await done.wait()

    hub.pause = linger
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:

            async def first() -> None:
                assert (await service.post(BATCH, **LOGIN))[0] == 200

            tasks.start_soon(first)
            await started.wait()
            status, problem = await service.post(BATCH, a_call(a_tool(timeout=0.2)), **LOGIN)
            read = len(hub.calls)
            done.set()

    assert (status, problem["code"], read) == (502, "out_of_time", 1)
    assert len(hub.issues) == 5


async def test_issues_are_found_behind_pull_requests_and_on_later_pages() -> None:
    hub = Hub()
    service = a_service(hub)
    await service.post(BATCH, batch="b", issues=[{"key": "a", "title": "A"}])
    for number in range(2, 152):
        hub.do_create_issue(title="Other")["pull_request"] = {}
        hub.issues[-1]["pull_request"] = {"url": "x"}
        hub.issues[-1]["body"] = "<!-- toolgate:b/a -->"  # a pull request is no issue, whatever it says
        assert hub.issues[-1]["number"] == number

    _, answer = await service.post(BATCH, batch="b", issues=[{"key": "a", "title": "A"}])

    assert (answer["counts"], answer["issues"][0]["number"]) == (counts(existing=1), 1)


async def test_progress_is_told_issue_by_issue() -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(done: float, total: float | None, sentence: str | None) -> None:
        heard.append((done, total, sentence))

    call = a_call(a_tool(timeout=60.0), progress=hear)
    await a_service(a_hub()).post(BATCH, call, batch="b", issues=[{"key": "a", "title": "A"}, {"key": "z", "title": "Z"}])

    assert heard == [(1, 4, "a: created"), (2, 4, "z: created"), (3, 4, "a: linked"), (4, 4, "z: linked")]


async def test_sent_twice_at_the_same_time_each_issue_is_made_once() -> None:
    hub = a_hub(pause=anyio.lowlevel.checkpoint)
    service = a_service(hub)
    answers: list[Any] = []

    async def send(repo: str) -> None:
        answers.append((await service.post(BATCH, **LOGIN))[1]["counts"])

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(send, "engine")

    assert sorted(answers, key=str) == sorted([counts(created=4), counts(existing=4), counts(existing=4)], key=str)
    assert len(hub.issues) == 5


# The law: whatever the list and whatever breaks off, sent again until it is done each issue is there once, with its links.

KEYS = [f"k{number}" for number in range(5)]


@st.composite
def task_lists(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lists without circles: links of a direction lead from later keys to earlier ones, in any order of listing."""
    count = draw(st.integers(1, 5))
    items = []
    for at, key in enumerate(KEYS[:count]):
        before = [*KEYS[:at], "#1"]
        others = [other for other in [*KEYS[:count], "#1"] if other != key]
        item: dict[str, Any] = {"key": key, "title": key.upper(), "body": draw(st.sampled_from(["", "See #1.", "Text\n"]))}
        item["depends_on"] = draw(st.lists(st.sampled_from(before), unique=True, max_size=2))
        item["related"] = draw(st.lists(st.sampled_from(others), unique=True, max_size=2))
        if draw(st.booleans()):
            item["parent"] = draw(st.sampled_from(before))
        items.append(item)
    return draw(st.permutations(items))


FAULTS = st.lists(st.sampled_from([None, None, "refused", "limited", "before", "after"]), max_size=25)


@settings(max_examples=300, deadline=None)
@given(issues=task_lists(), faults=FAULTS, offers_links=st.booleans())
def test_sent_until_done_each_issue_is_there_once_with_all_its_links(
    issues: list[dict[str, Any]], faults: Sequence[Fault | None], offers_links: bool
) -> None:
    hub = a_hub(fault=lambda at, tool: faults[at] if at < len(faults) else None, offers_links=offers_links)

    anyio.run(send_until_done, hub, issues)

    markers = Counter(marker for issue in hub.issues for marker in re.findall(r"<!-- toolgate:b/(\w+) -->", issue["body"]))
    assert markers == Counter(item["key"] for item in issues)
    numbers = {re.findall(r"toolgate:b/(\w+)", issue["body"])[-1]: issue["number"] for issue in hub.issues[1:]} | {"#1": 1}
    for item in issues:
        number, text = numbers[item["key"]], bodies(hub)[numbers[item["key"]]]
        parent = [item["parent"]] if "parent" in item else []
        said = {numbers[to] for to in item["related"]} | {numbers[other["key"]] for other in issues if item["key"] in other["related"]}
        if offers_links:
            assert sorted(hub.blockers.get(number, [])) == sorted(numbers[to] for to in item["depends_on"])
            assert hub.issues[number - 1].get("parent_issue_url") == next((f"{API}/issues/{numbers[to]}" for to in parent), None)
        else:
            said |= {numbers[to] for to in [*item["depends_on"], *parent]}
        ours = [
            (word, number) for word, numbers in re.findall(r"^(\w[\w ]*): (#.*)$", text, re.MULTILINE) for number in numbers.split(", ")
        ]
        assert {int(found) for found in re.findall(r"#(\d+)", text)} - {1} == said - {1}
        assert 1 not in said or "#1" in text
        assert [pair for pair, times in Counter(ours).items() if times > 1] == []


async def send_until_done(hub: Hub, issues: list[dict[str, Any]]) -> None:
    service = a_service(hub)
    for _ in range(30):
        status, answer = await service.post(BATCH, batch="b", issues=issues)
        if status == 200 and all(
            item["error"] is None and all(one["status"] in ("linked", "mentioned") for one in item["links"]) for item in answer["issues"]
        ):
            return
    raise AssertionError("never done")
