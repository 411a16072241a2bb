from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import within
from toolgate.openapi.template import QueryPiece, Template, template


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/pets", Template("/pets")),
        ("/pets/{id}", Template("/pets/{id}", ("id",))),
        ("/a/{x}/b/{y}.{z}", Template("/a/{x}/b/{y}.{z}", ("x", "y", "z"))),
        ("/a/{x}/{x}", Template("/a/{x}/{x}", ("x",))),
        ("/a/{key-id}:cancel", Template("/a/{key-id}:cancel", ("key-id",))),
        ("pets", Template("/pets")),
        (" /pets ", Template("/pets")),
        ("/pets#list", Template("/pets")),
        # RFC 6570, section 3.2.3 (reserved expansion), and the routers' spellings of "any number of segments"
        ("/a/{+path}", Template("/a/{path}", ("path",), frozenset({"path"}))),
        ("/a/{path+}", Template("/a/{path}", ("path",), frozenset({"path"}))),
        ("/a/{path*}", Template("/a/{path}", ("path",), frozenset({"path"}))),
        ("/a/{path:.*}", Template("/a/{path}", ("path",), frozenset({"path"}))),
        ("/a/{path:path}", Template("/a/{path}", ("path",), frozenset({"path"}))),
        # google/api/http.proto, "Path template syntax"
        ("/v1/{name=projects/*}:run", Template("/v1/{name}:run", ("name",), frozenset({"name"}))),
        ("/v1/{name=**}", Template("/v1/{name}", ("name",), frozenset({"name"}))),
        ("/v1/{name=*}", Template("/v1/{name}", ("name",))),
        ("/a/{id:[0-9]+}", Template("/a/{id}", ("id",))),
        ("/a/{id?}", Template("/a/{id}", ("id",))),
        # RFC 6570, section 3.2.8 (form-style query expansion)
        (
            "/a{?q,limit}",
            Template("/a", (), frozenset(), (QueryPiece("q", "q", required=False), QueryPiece("limit", "limit", required=False))),
        ),
        ("/{group}?search={word}", Template("/{group}", ("group",), frozenset(), (QueryPiece("search", "word"),), "search={word}")),
        ("/status?simple=1", Template("/status", (), frozenset(), (QueryPiece("simple", None, "1"),), "simple=1")),
        ("/a?b%20c=d+e&{f}", Template("/a", (), frozenset(), (QueryPiece("b c", None, "d e"), QueryPiece("f", "f")), "b%20c=d+e&{f}")),
    ],
)
def test_a_template_is_brought_to_its_plain_form(written: str, meant: Template) -> None:
    assert template(written) == meant


def test_a_placeholder_that_is_a_declared_name_is_taken_literally() -> None:
    assert template("/a/{id:int}/{path*}", frozenset({"id:int", "path*"})) == Template("/a/{id:int}/{path*}", ("id:int", "path*"))


@given(st.text(alphabet="/{}?&=+*:,#ab.- "))
def test_a_plain_template_stays_as_it_is(written: str) -> None:
    once = template(written)

    assert once.path.startswith("/")
    again = template(once.path, frozenset(once.names))
    assert (again.path, again.names) == (once.path.rstrip() or "/", once.names)


@pytest.mark.parametrize("written", ["{" + ":" * 300_000, "{" * 300_000, "{a" * 200_000, "/{a}" * 100_000, "/?" + "a&" * 100_000])
def test_a_hostile_template_takes_no_time(written: str) -> None:
    with within(2):
        template(written)
