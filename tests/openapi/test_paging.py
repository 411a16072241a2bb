"""Sources: RFC 8288 section 3 (Link), RFC 6901 (pointers), GitHub's, DRF's and SAM.gov's paging."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.calls import UNSET, Text
from toolgate.egress.wire import Response
from toolgate.openapi import answer, paging, request
from toolgate.openapi.operation import Key, Paging, ParameterPlan, Plan

SERVER = "https://api.example.com"


def query(name: str, argument: str | None = None, **more: Any) -> ParameterPlan:
    more.setdefault("explode", True)
    return ParameterPlan(name, "query", argument or name, more.pop("style", "form"), **more)


ISSUES = Plan(
    "GET",
    "/repos/{owner}/issues",
    parameters=(
        ParameterPlan("owner", "path", "owner", required=True),
        query("page", type="integer"),
        query("per_page"),
        query("state"),
        query("labels[]", "labels"),
        query("ids", explode=False),
        query("filter", style="deepObject"),
        query("archived"),
        query("q", "q_query", required=True),
        ParameterPlan("api_key", "query", None, "form", constant="SECRET"),
    ),
)


def next_of(link: str, **arguments: Any) -> dict[str, Any] | None:
    arguments = {"owner": "o", **arguments}
    url = request.compile(ISSUES, SERVER).build(arguments).url
    return paging.following(ISSUES, Response(200, (("link", link),)), UNSET, url=url, arguments=arguments)


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('<https://x.org/?page=2>; rel="next"', "https://x.org/?page=2"),
        ("<?page=2>; rel=next", "?page=2"),
        ('<a>; rel="prev", <b>; rel="next", <c>; rel="last"', "b"),
        ('<a>;rel="prev",<b>;rel="next"', "b"),
        ('<b> ; title="x, <y>; rel=\\"prev\\"" ; REL = "NEXT"', "b"),
        ('<b>; rel="last next"', "b"),
        ('<a,b;c>; rel="next"', "a,b;c"),
        ('<a>; rel="prev"; rel="next"', None),
        ('<a>; rel="next"; anchor="#x"', None),
        ('<a>; rev="next"', None),
        ('<a>; title="rel=next"', None),
        ("<a>", None),
        ("a; rel=next", None),
        ("<a; rel=next", None),
        ('<a>; rel="next', None),
        ("", None),
        (", , <b>; rel=next,", "b"),
    ],
)
def test_the_next_link_is_read_as_rfc_8288_says(header: str, target: str | None) -> None:
    assert paging.next_link(Response(200, (("Link", header),))) == target


def test_the_next_link_may_stand_in_a_header_of_its_own() -> None:
    assert paging.next_link(Response(200, (("Link", "<a>; rel=prev"), ("link", "<b>; rel=next")))) == "b"


@given(st.text(alphabet='<>;,"\\= relnxt', max_size=200))
def test_any_link_header_is_read_or_left(header: str) -> None:
    target = paging.next_link(Response(200, (("Link", header),)))

    assert target is None or f"<{target}" in header.replace(" ", "") or target in header


@pytest.mark.parametrize(
    ("link", "arguments", "expected"),
    [
        ("?page=2", {}, {"page": 2}),
        ("?page=3&state=open&per_page=50", {"page": 2, "state": "open", "per_page": 50}, {"page": 3, "state": "open", "per_page": 50}),
        ("https://api.example.com/repositories/17/issues?page=2", {}, {"page": 2}),  # GitHub's own links
        ("https://API.example.com:443/x?page=2", {}, {"page": 2}),
        ("?page=2&state=12", {"state": "7"}, {"page": 2, "state": "12"}),
        ("?page=2&archived=false", {"archived": True}, {"page": 2, "archived": False}),
        ("?page=2&labels%5B%5D=a&labels%5B%5D=b+c", {"labels": ["a", "b c"]}, {"page": 2, "labels": ["a", "b c"]}),
        ("?page=2&labels%5B%5D=1", {"labels": ["1"]}, {"page": 2, "labels": ["1"]}),
        ("?page=2&ids=1%2C2", {"ids": [1, 2]}, {"page": 2, "ids": [1, 2]}),
        ("?page=2&ids=a%2Cb", {"ids": ["a,b"]}, {"page": 2, "ids": ["a,b"]}),  # no delimiter, but a piece of an item
        ("?page=2&filter%5Ba%5D=1&filter%5Bb%5D=x", {"filter": {"a": 1, "b": "x"}}, {"page": 2, "filter": {"a": 1, "b": "x"}}),
        ("?page=2&q=term", {"q_query": "term"}, {"page": 2, "q_query": "term"}),
        ("?page=2", {"q_query": "term"}, {"page": 2, "q_query": "term"}),  # a required argument stays
        ("?page=2", {"state": "open"}, {"page": 2}),  # the link is the whole next query
        ("?page=2&api_key=SECRET", {}, {"page": 2}),
        ("?page=02", {}, None),
        ("?page=two", {}, None),
        ("?page=2&cursor=abc", {}, None),  # unknown: half a link would get the same page for ever
        ("?page=1", {"page": 1}, None),
        ("https://evil.example.com/?page=2", {}, None),
        ("http://api.example.com/?page=2", {}, None),
        ("https://api.example.com:8443/?page=2", {}, None),
        ("//evil.example/?page=2", {}, None),
        ("https://api.example.com@evil.example/?page=2", {}, None),
        ("javascript:alert(1)", {}, None),
        ("http://[broken?page=2", {}, None),
    ],
)
def test_a_link_of_the_same_origin_becomes_the_next_calls_arguments(
    link: str, arguments: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    found = next_of(f'<{link}>; rel="next"', **arguments)

    assert found == (None if expected is None else {"owner": "o", **expected})


def test_following_the_arguments_makes_the_links_query() -> None:
    link = f"{SERVER}/repos/o/issues?page=2&state=a%20b&labels%5B%5D=x&labels%5B%5D=y&filter%5Bk%5D=v&api_key=SECRET"
    arguments: dict[str, Any] = {"owner": "o", "state": "a b", "labels": ["x", "y"], "filter": {"k": "v"}, "page": 1}

    found = next_of(f'<{link}>; rel="next"', **arguments)

    assert found is not None
    assert request.compile(ISSUES, SERVER).build(found).url == link


def test_a_links_credential_is_neither_followed_nor_in_the_way() -> None:
    plan = Plan("GET", "/x", parameters=(query("page"),), keys=(Key("api_key", "query"),))

    found = paging.read_back(plan, "?page=2&api_key=SECRET", url=f"{SERVER}/x", arguments={})

    assert found == {"page": 2}


CURSOR = Plan("GET", "/x", parameters=(query("after"), query("limit")), paging=Paging("cursor", "after", "limit", "/meta/next~1cursor"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"meta": {"next/cursor": "abc"}}, {"limit": 5, "after": "abc"}),
        ({"meta": {"next/cursor": 17}}, {"limit": 5, "after": 17}),
        ({"meta": {"next/cursor": None}}, None),
        ({"meta": {"next/cursor": ""}}, None),
        ({"meta": {"next/cursor": False}}, None),
        ({"meta": {}}, None),
        ({"meta": [1]}, None),
        ([], None),
        (UNSET, None),
        ("text", None),
        # DRF gives the URL of the next page
        ({"meta": {"next/cursor": f"{SERVER}/x?after=z&limit=5"}}, {"limit": 5, "after": "z"}),
        ({"meta": {"next/cursor": "?after=z&limit=5"}}, {"limit": 5, "after": "z"}),
        ({"meta": {"next/cursor": "https://evil.example/x?after=z"}}, None),
        ({"meta": {"next/cursor": "/wEAAQ=="}}, {"limit": 5, "after": "/wEAAQ=="}),  # base64 (RFC 4648, 4) has slashes
    ],
)
def test_a_cursor_is_taken_from_the_answer(value: Any, expected: dict[str, Any] | None) -> None:
    assert paging.following(CURSOR, Response(200), value, url=f"{SERVER}/x?limit=5", arguments={"limit": 5}) == expected


def test_a_cursor_that_does_not_move_is_the_end() -> None:
    value = {"meta": {"next/cursor": "abc"}}

    assert paging.following(CURSOR, Response(200), value, url=f"{SERVER}/x?after=abc", arguments={"after": "abc"}) is None


def test_a_number_as_cursor_of_a_text_argument_becomes_text() -> None:
    plan = Plan("GET", "/x", parameters=(query("after", type="string"),), paging=Paging("cursor", "after", field="/last/id"))

    assert paging.following(plan, Response(200), {"last": {"id": 9}}, url=f"{SERVER}/x", arguments={}) == {"after": "9"}


FULL = list(range(10))


@pytest.mark.parametrize(
    ("rule", "value", "arguments", "expected"),
    [
        (Paging("page", "page", "size"), FULL, {"size": 10}, {"size": 10, "page": 2}),
        (Paging("page", "page", "size"), FULL, {"size": 10, "page": 4}, {"size": 10, "page": 5}),
        (Paging("page", "page", "size"), FULL, {"size": 20}, None),
        (Paging("page", "page", "size"), [], {}, None),
        (Paging("page", "page", "size"), FULL, {}, {"page": 2}),
        (Paging("page", "page", "size", size=30), FULL, {}, None),
        (Paging("page", "page", "size", size=10), FULL, {}, {"page": 2}),
        (Paging("page", "page", first=0), FULL, {}, {"page": 1}),  # SAM.gov counts pages from 0
        (Paging("page", "page", "size"), {"items": FULL, "total_count": 20}, {"size": 10, "page": 2}, None),
        (Paging("page", "page", "size"), {"items": FULL, "total_count": 21}, {"size": 10, "page": 2}, {"size": 10, "page": 3}),
        (Paging("page", "page", "size", first=0), {"totalRecords": 20, "entityData": FULL}, {"size": 10, "page": 1}, None),
        (
            Paging("page", "page", "size", first=0),
            {"totalRecords": 21, "entityData": FULL},
            {"size": 10, "page": 1},
            {"size": 10, "page": 2},
        ),
        (Paging("offset", "offset", "limit"), FULL, {"limit": 10}, {"limit": 10, "offset": 10}),
        (Paging("offset", "offset", "limit"), FULL, {"limit": 10, "offset": 30}, {"limit": 10, "offset": 40}),
        (Paging("offset", "offset", "limit"), {"data": {"rows": FULL, "total": 20}}, {"limit": 10, "offset": 10}, None),
        (
            Paging("offset", "offset", "limit"),
            {"data": {"rows": FULL, "total": 21}},
            {"limit": 10, "offset": 10},
            {"limit": 10, "offset": 20},
        ),
        (Paging("offset", "offset", "limit"), {"data": {"rows": FULL}, "total": True}, {}, {"offset": 10}),
        (Paging("offset", "offset"), "text", {}, None),
        (Paging("offset", "offset"), UNSET, {}, None),
        (Paging("offset", "offset"), FULL, {"offset": "3"}, None),
        (Paging("page"), FULL, {}, None),
        (Paging("link"), FULL, {}, None),
    ],
)
def test_pages_and_offsets_move_on_while_pages_are_full(
    rule: Paging, value: Any, arguments: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    plan = Plan("GET", "/x", parameters=(query("page"), query("size"), query("offset"), query("limit")), paging=rule)

    assert paging.following(plan, Response(200), value, url=f"{SERVER}/x", arguments=arguments) == expected


@pytest.mark.parametrize(
    ("rule", "arguments", "expected"),
    [
        (Paging("page", "page", "size"), {}, {"page": "2"}),
        (Paging("page", "page", "size"), {"page": "2", "size": "10"}, {"page": "3", "size": "10"}),
        (Paging("page", "page", "size"), {"page": "2", "size": "20"}, None),
        (Paging("offset", "page", "size"), {"page": "10"}, {"page": "20"}),
        (Paging("page", "page", "size"), {"page": "last"}, None),
    ],
)
def test_pages_that_are_asked_for_by_text_move_on_as_text(rule: Paging, arguments: dict[str, Any], expected: dict[str, Any] | None) -> None:
    plan = Plan("GET", "/x", parameters=(query("page", type="string"), query("size", type="string")), paging=rule)

    assert paging.following(plan, Response(200), FULL, url=f"{SERVER}/x", arguments=arguments) == expected


def test_a_link_is_believed_before_counting() -> None:
    plan = Plan("GET", "/x", parameters=(query("page"),), paging=Paging("page", "page"))

    found = paging.following(plan, Response(200, (("Link", "<?page=7>; rel=next"),)), FULL, url=f"{SERVER}/x", arguments={})

    assert found == {"page": 7}


def test_the_next_page_is_shown_to_models_and_kept_for_programs() -> None:
    response = Response(200, (("Content-Type", "application/json"), ("Link", "<?page=2&api_key=SECRET>; rel=next")), b"[1]")

    outcome = answer.read(response, plan=ISSUES, url=f"{SERVER}/repos/o/issues?api_key=SECRET", arguments={"owner": "o"})

    assert outcome.content == (Text("[1]"), Text('Next page: {"owner":"o","page":2}'))
    assert outcome.meta == {"status": 200, "next": {"owner": "o", "page": 2}}
    assert outcome.structured == [1]


@pytest.mark.parametrize("filling", ["<", "<a", "<a>", "<a>;", '<a>;"', ";", "<a>; rel", "\\"])
def test_a_header_made_to_be_read_for_hours_is_read_at_once(filling: str) -> None:
    response = Response(200, (("link", filling * 500_000),), b"{}")  # a reading that is quadratic in it would not end today

    assert paging.following(Plan("GET", "/x", paging=Paging("link")), response, {}, url="https://x.example/x", arguments={}) is None
