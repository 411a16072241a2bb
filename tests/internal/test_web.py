from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.internal.theirs import GoogleSearch, SearXNG
from tests.internal.world import an_app, run
from toolgate.internal.searching import Result, one_list, same
from toolgate.standin import serving

LOOPBACK = ["127.0.0.0/8"]
A = ("https://www.example.org/a/?utm_source=x&q=1#top", "A", "About a.")
B = ("https://example.org/b", "B", "About b." + " more" * 200)
C = ("https://example.org/c", "C\u202e\x1b[31m", "About c.")


async def test_two_engines_give_one_list_with_each_page_once(tmp_path: Path) -> None:
    searxng, google = SearXNG([A, B]), GoogleSearch([("http://example.org/a?q=1", "A", "All about a."), C])
    async with serving(searxng.app()) as one, serving(google.app()) as two:
        engines = [
            {"kind": "searxng", "url": one, "allow_networks": LOOPBACK},
            {"kind": "google", "url": two, "key": "key", "engine": "engine", "allow_networks": LOOPBACK},
        ]
        async with an_app(tmp_path, web_search=engines) as app:
            outcome = await run(app, "web_search", query="letters", site="example.org", freshness="week", language="en")

    assert outcome.problem is None
    assert [result["title"] for result in outcome.structured["results"]] == ["A", "B", "C [31m"]
    first, second, _ = outcome.structured["results"]
    assert first["snippet"] == "All about a."
    assert first["engines"] == ["searxng:duckduckgo", "searxng:brave", "google"]
    assert len(second["snippet"]) <= 400
    assert searxng.asked == [{"q": "site:example.org letters", "format": "json", "time_range": "week", "language": "en"}]
    assert google.asked[0] == {"cx": "engine", "q": "site:example.org letters", "num": "8", "dateRestrict": "w1", "lr": "lang_en"}


async def test_an_engine_that_fails_is_named_while_another_answers_and_all_failing_is_an_error(tmp_path: Path) -> None:
    searxng, google = SearXNG([A], json=False), GoogleSearch([B])
    async with serving(searxng.app()) as one, serving(google.app()) as two:
        engines = [
            {"kind": "searxng", "url": one, "allow_networks": LOOPBACK},
            {"kind": "google", "url": two, "key": "key", "engine": "engine", "allow_networks": LOOPBACK},
        ]
        async with an_app(tmp_path, web_search=engines) as app:
            half = await run(app, "web_search", query="x")
            google.left = 0
            none = await run(app, "web_search", query="y")

    assert [result["title"] for result in half.structured["results"]] == ["B"]
    assert "add `json` to `search.formats`" in half.structured["problems"][0]
    assert none.problem is not None
    assert none.problem.code == "upstream_failed"


async def test_a_refused_key_is_told_without_the_key(tmp_path: Path) -> None:
    async with serving(GoogleSearch().app()) as url:
        engine = {"kind": "google", "url": url, "key": "wrong-and-secret", "engine": "engine", "allow_networks": LOOPBACK}
        async with an_app(tmp_path, web_search=[engine]) as app:
            outcome = await run(app, "web_search", query="x")

    assert outcome.problem is not None
    assert "INVALID_ARGUMENT" in outcome.problem.message
    assert "wrong-and-secret" not in repr(outcome)


async def test_an_engine_on_this_machine_is_not_reached_unless_it_is_allowed(tmp_path: Path) -> None:
    async with serving(SearXNG([A]).app()) as url, an_app(tmp_path, web_search=[{"kind": "searxng", "url": url}]) as app:
        outcome = await run(app, "web_search", query="x")

    assert outcome.problem is not None
    assert "egress_blocked" in outcome.problem.message


async def test_without_an_engine_there_is_no_such_tool(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        outcome = await run(app, "web_search", query="x")
        (status,) = app.roster.status()

    assert outcome.problem is not None
    assert outcome.problem.code == "unknown_tool"
    assert "web_search" in status["absent"]["internal_web_search"]


@given(st.text())
def test_any_url_has_a_page(url: str) -> None:
    assert same(url) == same(url)


@given(st.lists(st.lists(st.sampled_from("abcdef"), unique=True), max_size=4), st.integers(1, 5))
def test_one_list_has_no_page_twice_and_invents_none(lists: list[list[str]], limit: int) -> None:
    given_ = [[Result(f"https://{one}.example", one, "") for one in each] for each in lists]

    found = [result.title for result in one_list(given_, limit)]

    assert len(found) == min(limit, len({one for each in lists for one in each}))
    assert len(set(found)) == len(found)
