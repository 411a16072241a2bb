from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.egress.origin import check_origin, locate, origin_of, spelled
from toolgate.egress.wire import Reach
from toolgate.errors import EgressBlocked


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.github.com/repos", "https://api.github.com:443"),
        ("http://api.github.com", "http://api.github.com:80"),
        ("HTTPS://API.GitHub.Com:8443/x", "https://api.github.com:8443"),
        ("https://api.github.com./x", "https://api.github.com:443"),
        ("https://api.github.com?a=1", "https://api.github.com:443"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example:443"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://127。0。0。1/", "http://127.0.0.1:80"),
        ("http://[::1]:80/", "http://[::1]:80"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]:80"),
        ("http://under_score.internal/", "http://under_score.internal:80"),
    ],
)
def test_an_origin_has_one_spelling(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://127.0.0.1..",
        "http://user@api.github.com/",
        "http://user:password@api.github.com/",
        "http://api.github.com@evil.example/",
        "http://api.github.com\\@evil.example/",
        "http://api.github.com%2eevil.example/",
        "http://a b/",
        "http://[::1%25lo]/",
        "http://[::1/",
        "http://host:0/",
        "http://host:65536/",
        "http://host:/",
        "http:///path",
        "http:host/path",
        "//api.github.com/",
        "/repos",
        "",
        "file:///etc/passwd",
        "ftp://host/",
        "javascript:alert(1)",
        "http://{host}/",
        f"http://{'a' * 64}.example/",
    ],
)
def test_a_url_that_readers_understand_differently_has_no_origin(url: str) -> None:
    with pytest.raises(EgressBlocked):
        origin_of(url)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://h.example", "/"),
        ("https://h.example?a=1", "/?a=1"),
        ("https://h.example/", "/"),
        ("https://h.example/a/../b/./c//d", "/a/../b/./c//d"),
        ("https://h.example/%2e%2E/%7Ea?x=%41&y=a+b", "/%2e%2E/%7Ea?x=%41&y=a+b"),
        ("https://h.example/a;b=c/@:!$'()*,", "/a;b=c/@:!$'()*,"),
        ("https://h.example/?url=https://other.example/?x", "/?url=https://other.example/?x"),
        ('https://h.example/"<>^`{|}', '/"<>^`{|}'),
    ],
)
def test_the_target_stays_as_it_was_written(url: str, target: str) -> None:
    assert locate(url)[1] == target


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#\\"), max_size=40))
def test_nothing_behind_the_host_changes_where_a_url_leads(rest: str) -> None:
    place, target = locate(f"https://api.github.com/{rest}")

    assert (place.origin, target) == ("https://api.github.com:443", f"/{rest}")


@pytest.mark.parametrize("character", [" ", "\t", "\r", "\n", "\0", "\x7f", "\\", "#", "ä", "\u2028"])
def test_a_character_that_cannot_be_sent_as_it_is_is_refused(character: str) -> None:
    with pytest.raises(EgressBlocked) as refused:
        locate(f"https://api.github.com/x?key=canary{character}y")

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "authority"),
    [("https://h.example:443/", "h.example"), ("https://h.example:8443/", "h.example:8443"), ("http://[::1]:8000/", "[::1]:8000")],
)
def test_the_host_header_has_a_port_where_it_is_not_the_usual_one(url: str, authority: str) -> None:
    assert locate(url)[0].authority == authority


def test_a_server_url_is_spelled_in_ascii_and_keeps_its_path() -> None:
    assert spelled("HTTPS://Bücher.Example:443/Api/V1?x=Y") == "https://xn--bcher-kva.example/Api/V1?x=Y"


def test_an_origin_is_allowed_when_scheme_host_and_port_are_the_same() -> None:
    reach = Reach(frozenset({"https://api.github.com:443"}))

    check_origin("https://api.github.com:443", reach)
    for other in ("http://api.github.com:443", "https://api.github.com:444", "https://api.github.com.evil.example:443"):
        with pytest.raises(EgressBlocked) as refused:
            check_origin(other, reach)
        assert str(refused.value) == f"{other} is not among the origins that may be reached: https://api.github.com:443"
