"""Expected values: RFC 3986 (paths), RFC 9110 section 5.5 (headers), OpenAPI 3.2.0 "Server Object" and "Paths Object"."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.egress.wire import Request
from toolgate.errors import InvalidArguments, Misconfigured
from toolgate.openapi import request
from toolgate.openapi.operation import BodyPlan, FieldPlan, ParameterPlan, Plan, ServerTemplate

SERVER = "https://api.example.com/v1"
OWNER = ParameterPlan("owner", "path", "owner", required=True)
REPO = ParameterPlan("repo", "path", "repo", required=True)
PATH = ParameterPlan("path", "path", "path", required=True, multi_segment=True)
LABEL = ParameterPlan("label", "path", "label", required=True, allow_reserved=True)
REPOS = Plan("GET", "/repos/{owner}/{repo}", parameters=(OWNER, REPO))
CONTENTS = Plan("GET", "/repos/{owner}/contents/{path}", parameters=(OWNER, PATH))
LABELS = Plan("GET", "/labels/{label}/issues", parameters=(LABEL,))


def url(plan: Plan, server: str = SERVER, **arguments: Any) -> str:
    return request.compile(plan, server).build(arguments).url


def headers(*parameters: ParameterPlan, **arguments: Any) -> tuple[tuple[str, str], ...]:
    return request.compile(Plan("GET", "/x", parameters=parameters), SERVER).build(arguments).headers


def test_a_request_is_the_plan_with_its_arguments_and_nothing_else() -> None:
    plan = Plan(
        "POST",
        "/repos/{owner}/{repo}/issues",
        parameters=(
            REPO,
            OWNER,
            ParameterPlan("page", "query", "page", "form", True),
            ParameterPlan("X-Trace", "header", "trace"),
            ParameterPlan("theme", "cookie", "theme", "form", True),
            ParameterPlan("v", "query", None, "form", True, constant=3),
        ),
        bodies=(BodyPlan("application/json", "whole", "body"),),
        accept="application/json",
    )
    arguments = {"owner": "o", "repo": "r", "page": 2, "trace": "t", "theme": "dark", "body": {"title": "é"}, "unknown": 1}

    built = request.compile(plan, SERVER, [("User-Agent", "toolgate")]).build(arguments)

    assert built == Request(
        "POST",
        "https://api.example.com/v1/repos/o/r/issues?page=2&v=3",
        (
            ("Accept", "application/json"),
            ("User-Agent", "toolgate"),
            ("X-Trace", "t"),
            ("Cookie", "theme=dark"),
            ("Content-Type", "application/json"),
        ),
        '{"title":"é"}'.encode(),
    )


def test_a_builder_serves_many_calls_and_remembers_none() -> None:
    builder = request.compile(REPOS, SERVER)

    first = builder.build({"owner": "a", "repo": "b"})
    second = builder.build({"owner": "c", "repo": "d"})

    assert (first.url, second.url) == (f"{SERVER}/repos/a/b", f"{SERVER}/repos/c/d")


# What stays one segment, whoever decodes it.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("toolgate", "toolgate"),
        ("a b", "a%20b"),
        ("a?x", "a%3Fx"),
        ("a#f", "a%23f"),
        (";", "%3B"),
        ("a;b=c", "a%3Bb%3Dc"),
        ("...", "..."),
        (".github", ".github"),
        ("v1..v2", "v1..v2"),
        ("a:b@c", "a%3Ab%40c"),
        ("100%", "100%25"),
        ("50%25", "50%2525"),
        ("%41", "%2541"),
        ("50%252525", "50%25252525"),  # three decodings after ours: as much as is looked at
        ("．．", "%EF%BC%8E%EF%BC%8E"),  # fullwidth dots are letters to every decoder of URLs
        ("／", "%EF%BC%8F"),
        ("é", "%C3%A9"),
        ("~", "~"),
        (0, "0"),
        (True, "true"),
        (False, "false"),
        ("null", "null"),
    ],
)
def test_a_path_argument_is_encoded_into_its_segment(value: Any, expected: str) -> None:
    assert url(REPOS, owner="o", repo=value) == f"{SERVER}/repos/o/{expected}"


HOSTILE = [
    *(
        "",
        ".",
        "..",
        "%2e%2e",
        "%2E%2e",
        ".%2e",
        "%2e",
        "%252e%252e",
        "%25252e%25252e",
        "%252525252e",
        "50%25252525",
        "..;",
        "..;x=y",
        ".. ",
        " ",
        "\t",
    ),
    *("/", "//", "a/b", "../x", "x/..", "a%2Fb", "a%2fb", "%2F", "..%2f", "%2e%2e%2f", "a%252Fb", "a%25252fb"),
    *(
        "\\",
        "..\\",
        "a\\b",
        "%5c",
        "a%5Cb",
        "%255c",
        "\x00",
        "a\nb",
        "a\r\nb",
        "%00",
        "%0a",
        "a%0D%0Ab",
        "%250d",
        "\x7f",
        "\x85",
        "a\ud800",
    ),
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_path_argument_that_could_change_the_path_is_refused_without_being_quoted(value: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        url(REPOS, owner="o", repo=value)

    said = str(refused.value)
    assert said.startswith("GET /repos/{owner}/{repo} cannot take 'repo': ")
    assert [problem["path"] for problem in refused.value.problems] == ["/repo"]
    assert len(value) < 4 or value not in said
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("value", [None, [], {}, [""], [".."], ["a/b"], {"..": "/"}, ["a", "../x"]])
def test_no_other_type_of_argument_gets_around_the_path_rules(value: Any) -> None:
    with pytest.raises(InvalidArguments):
        url(REPOS, owner="o", repo=value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("README.md", "README.md"),
        ("docs/a b/ä.md", "docs/a%20b/%C3%A4.md"),
        ("heads/feature/x", "heads/feature/x"),
        ("a?b/c#d", "a%3Fb/c%23d"),
        ("a%2Fb", "a%252Fb"),
        (".github/workflows", ".github/workflows"),
    ],
)
def test_a_multi_segment_argument_keeps_its_slashes(value: str, expected: str) -> None:
    assert url(CONTENTS, owner="o", path=value) == f"{SERVER}/repos/o/contents/{expected}"


@pytest.mark.parametrize(
    "value",
    [
        *("", "/", "/a", "a/", "a//b", "a/../b", "..", "a/./b", "a/%2e%2e/b", "a/%252e%252e", "a%2F..%2Fb", "a%252f%252e%252e"),
        *("a%2f%2fb", "a\\b", "a/..;x/b", "a/\x00", "a/%0a", "a/ /b"),
    ],
)
def test_each_segment_of_a_multi_segment_argument_obeys_the_rules(value: str) -> None:
    with pytest.raises(InvalidArguments):
        url(CONTENTS, owner="o", path=value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("area/cli", "area%2Fcli"),
        ("group%2Fproject", "group%2Fproject"),
        ("a+b:c", "a+b:c"),
        ("a?b#c[d]", "a%3Fb%23c%5Bd%5D"),
        ("5%", "5%25"),
    ],
)
def test_a_path_parameter_declared_allow_reserved_takes_slashes_as_one_segment(value: str, expected: str) -> None:
    assert url(LABELS, label=value) == f"{SERVER}/labels/{expected}/issues"


@pytest.mark.parametrize(
    "value", ["..", "../x", "a/..", "%2e%2e", "%2e%2e%2fx", "a//b", "/a", "a%2f", "a%5cb", "a/%252e%252e/b", "", "\r\n"]
)
def test_a_path_parameter_declared_allow_reserved_still_cannot_leave_its_place(value: str) -> None:
    with pytest.raises(InvalidArguments):
        url(LABELS, label=value)


@pytest.mark.parametrize(
    ("template", "arguments", "expected"),
    [
        ("/files/{a}.{b}", {"a": "x", "b": "md"}, "/files/x.md"),
        ("/compare/{a}...{b}", {"a": "main", "b": "dev"}, "/compare/main...dev"),
        ("/{a}{b}", {"a": "x", "b": "y"}, "/xy"),
        ("/users/@{a}/~{b}", {"a": "me", "b": "x"}, "/users/@me/~x"),
        ("/a b/ü/{a}", {"a": "x"}, "/a%20b/%C3%BC/x"),
        ("/done%2Falready/{a}", {"a": "x"}, "/done%2Falready/x"),
        ("relative/{a}", {"a": "x"}, "/relative/x"),
        ("/{a}/", {"a": "x"}, "/x/"),
        ("/", {}, "/"),
        ("/{undeclared}/{a}", {"a": "x"}, "/%7Bundeclared%7D/x"),
        ("/x:{a}", {"a": "verb"}, "/x:verb"),
    ],
)
def test_templates_mix_text_and_parameters(template: str, arguments: dict[str, str], expected: str) -> None:
    parameters = tuple(ParameterPlan(name, "path", name) for name in ("a", "b"))

    assert url(Plan("GET", template, parameters=parameters), **arguments) == SERVER + expected


@pytest.mark.parametrize(
    ("a", "b"), [(".", "."), ("", ".."), ("..", ""), ("", ""), ("%2e", "."), ("%", "2e%2e"), ("..%2", "f"), ("%2", "f")]
)
def test_two_harmless_arguments_make_no_harmful_segment_together(a: str, b: str) -> None:
    plan = Plan("GET", "/x/{a}{b}/y", parameters=(ParameterPlan("a", "path", "a"), ParameterPlan("b", "path", "b")))

    with pytest.raises(InvalidArguments, match="'a and b'"):
        url(plan, a=a, b=b)


def test_a_missing_path_argument_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="cannot take 'repo': it is part of the path and has to be given"):
        url(REPOS, owner="o")


@pytest.mark.parametrize(
    ("media_type", "fields"),
    [
        ("multipart/form-data", (FieldPlan("f[]", "f", binary=True), FieldPlan("g", "g"))),
        ("application/x-www-form-urlencoded", (FieldPlan("g", "g"), FieldPlan("f[]", "f", binary=True))),
        ("application/json", (FieldPlan("f[]", "f", binary=True), FieldPlan("g", "g"))),
    ],
)
def test_a_field_of_a_flat_body_is_called_by_its_argument(media_type: str, fields: tuple[FieldPlan, ...]) -> None:
    plan = Plan("POST", "/x", bodies=(BodyPlan(media_type, "flat", fields=fields),))

    with pytest.raises(InvalidArguments, match="cannot take 'f': it is not base64") as refused:
        request.compile(plan, SERVER).build({"g": "x", "f": {"base64": "~"}})

    assert refused.value.problems[0]["path"] == "/f"


def decodings(text: str) -> list[str]:
    found = [text]
    for _ in range(3):
        found.append(unquote(found[-1]))
    return found


hostile_text = (
    st.text() | st.text(alphabet="./\\%25eEfFcC0aA;a \t") | st.sampled_from(HOSTILE) | st.lists(st.sampled_from(HOSTILE)).map("".join)
)


@given(hostile_text, hostile_text)
def test_the_number_of_segments_on_the_wire_never_changes(owner: str, repo: str) -> None:
    try:
        built = url(REPOS, owner=owner, repo=repo)
    except InvalidArguments:
        return
    assert built.isascii()
    for path in decodings(built.removeprefix("https://api.example.com").partition("?")[0]):
        segments = path.split("/")
        assert segments[:3] == ["", "v1", "repos"]
        assert len(segments) == 5
        assert not {"", ".", ".."} & set(segments[1:])
        assert "\\" not in path
    assert "?" not in built
    assert "#" not in built
    assert unquote(built.rpartition("/")[2]) == repo


@given(hostile_text)
def test_a_multi_segment_argument_adds_exactly_its_own_segments(path: str) -> None:
    try:
        built = url(CONTENTS, owner="o", path=path)
    except InvalidArguments:
        return
    segments = built.removeprefix(SERVER).split("/")
    assert segments[:4] == ["", "repos", "o", "contents"]
    assert [unquote(segment) for segment in segments[4:]] == path.split("/")
    for decoded in decodings(built.removeprefix(SERVER)):
        assert not {"", ".", ".."} & set(decoded.split("/")[1:])


@given(hostile_text)
def test_one_decoding_never_frees_an_allow_reserved_argument_from_its_place(label: str) -> None:
    try:
        built = url(LABELS, label=label)
    except InvalidArguments:
        return
    assert len(built.removeprefix(SERVER).split("/")) == 4
    for decoded in decodings(built.removeprefix(SERVER)):
        assert not {"", ".", ".."} & set(decoded.split("/")[1:])


# Servers.


@pytest.mark.parametrize(
    ("server", "path", "expected"),
    [
        ("https://api.example.com", "/a", "https://api.example.com/a"),
        ("https://api.example.com/", "/a", "https://api.example.com/a"),
        ("https://api.example.com/v1/", "a", "https://api.example.com/v1/a"),
        ("https://api.example.com:8443/v1", "/a", "https://api.example.com:8443/v1/a"),
        ("http://127.0.0.1:9", "/", "http://127.0.0.1:9/"),
        ("https://api.example.com/v1?key=a%20b", "/a", "https://api.example.com/v1/a?key=a%20b"),
        ("https://api.example.com/v 1", "/a", "https://api.example.com/v%201/a"),
        ("https://api.example.com/v1#x", "/a", "https://api.example.com/v1/a"),
        ("https://[::1]:8080", "/a", "https://[::1]:8080/a"),
    ],
)
def test_a_path_is_appended_to_its_server(server: str, path: str, expected: str) -> None:
    assert url(Plan("GET", path), server) == expected


@pytest.mark.parametrize(
    "server", ["", "/v1", "//api.example.com", "ftp://x", "https://", "https://user:pass@x", "https://bücher.example", "x.org"]
)
def test_a_server_that_is_no_absolute_http_url_is_the_operators_mistake(server: str) -> None:
    with pytest.raises(Misconfigured):
        request.compile(Plan("GET", "/"), server)


def test_server_variables_take_the_descriptions_defaults() -> None:
    template = ServerTemplate("https://{region}.example.com:{port}/{base}", {"region": "eu", "port": "443"})

    assert request.base_url(template) == "https://eu.example.com:443/{base}"


def test_a_placeholder_may_be_called_whatever_the_description_calls_it() -> None:
    plan = Plan("GET", "/{id?}/{a#b}", parameters=(ParameterPlan("id?", "path", "id"), ParameterPlan("a#b", "path", "a_b")))

    assert url(plan, id=1, a_b="x") == f"{SERVER}/1/x"


# Queries.


def test_query_parameters_keep_the_plans_order_and_absent_ones_leave_nothing() -> None:
    names = ("b", "a", "c")
    plan = Plan("GET", "/x", parameters=tuple(ParameterPlan(name, "query", name, "form", True) for name in names))

    assert url(plan, a=1, b=2) == f"{SERVER}/x?b=2&a=1"
    assert url(plan) == f"{SERVER}/x"
    assert url(plan, c=[]) == f"{SERVER}/x"


def test_an_argument_key_may_differ_from_the_name_on_the_wire() -> None:
    plan = Plan("GET", "/x/{id}", parameters=(ParameterPlan("id", "path", "id"), ParameterPlan("id", "query", "id_query", "form")))

    assert url(plan, id="1", id_query="2") == f"{SERVER}/x/1?id=2"


@given(st.text())
def test_a_query_value_stays_inside_its_parameter(value: str) -> None:
    plan = Plan("GET", "/x", parameters=(ParameterPlan("q", "query", "q", "form", True),))
    built = url(plan, q=value)

    assert built.isascii()
    assert built.startswith(f"{SERVER}/x?q=")
    assert not set(built.partition("?q=")[2]) & set("&=#+?/ \r\n")
    assert unquote(built.partition("?q=")[2]) == value


# Headers.


@pytest.mark.parametrize(
    ("value", "expected"),
    [("abc", "abc"), ("a b\tc", "a b\tc"), ('"quoted", W/x', '"quoted", W/x'), (" padded ", "padded"), (5, "5"), (True, "true")],
)
def test_header_arguments_go_out_as_they_are(value: Any, expected: str) -> None:
    assert headers(ParameterPlan("X-A", "header", "a"), a=value) == (("X-A", expected),)


@pytest.mark.parametrize("value", ["a\r\nHost: b", "a\nb", "a\rb", "\x00", "\x7f", "é", "\u2028", "\ud800", ["a", "b\r\n"], {"a\r\n": "b"}])
def test_header_arguments_that_could_end_the_header_are_refused_without_being_quoted(value: Any) -> None:
    with pytest.raises(InvalidArguments) as refused:
        headers(ParameterPlan("X-A", "header", "a"), a=value)

    assert str(refused.value) == "GET /x cannot take 'a': a header's value may hold only visible ASCII characters, spaces and tabs"


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "content-length", "Transfer-Encoding", "Connection", "Authorization", "Cookie", "Proxy-Authorization", "X-Forwarded-For"),
        *("Forwarded", "Mcp-Session-Id", "X-HTTP-Method-Override", "Upgrade", "Content-Type", "bad name", "a:b", "", "a\r\nb"),
    ],
)
def test_headers_that_frame_or_reroute_the_request_are_never_set_by_parameters(name: str) -> None:
    with pytest.raises(InvalidArguments, match="no argument may set this header"):
        headers(ParameterPlan(name, "header", "a"), a="x")


def test_the_operators_headers_win_over_parameters_of_the_same_name() -> None:
    plan = Plan(
        "GET", "/x", parameters=(ParameterPlan("x-team", "header", "team"), ParameterPlan("Accept", "header", "accept")), accept="text/csv"
    )

    built = request.compile(plan, SERVER, [("X-Team", "ours")]).build({"team": "theirs", "accept": "b"})

    assert built.headers == (("Accept", "text/csv"), ("X-Team", "ours"))


def test_the_operators_accept_header_replaces_the_plans() -> None:
    plan = Plan("GET", "/x", accept="application/json")

    assert request.compile(plan, SERVER, [("accept", "text/csv")]).build({}).headers == (("accept", "text/csv"),)


@given(st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()))
def test_a_header_argument_is_one_line_of_visible_ascii_or_refused(value: Any) -> None:
    try:
        found = headers(ParameterPlan("X-A", "header", "a", explode=True), a=value)
    except InvalidArguments:
        return
    for _, text in found:
        assert all(" " <= character <= "~" or character == "\t" for character in text)


# Surrogates have no UTF-8, anywhere.


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (ParameterPlan("a", "query", "a", "form", True), "\ud800"),
        (ParameterPlan("a", "query", "a", "form", True), {"\udfff": "x"}),
        (ParameterPlan("a", "query", "a", "deepObject", True), {"x": ["\ud800"]}),
        (ParameterPlan("a", "query", "a", "form", True, content_type="application/json"), {"x": "\ud800"}),
        (ParameterPlan("a", "querystring", "a", content_type="application/x-www-form-urlencoded"), {"x": "\ud800"}),
        (ParameterPlan("a", "cookie", "a", "form", True), "\ud800"),
    ],
)
def test_half_a_surrogate_pair_is_refused(parameter: ParameterPlan, value: Any) -> None:
    with pytest.raises(InvalidArguments, match="cannot take 'a': it holds half of a surrogate pair"):
        url(Plan("GET", "/x", parameters=(parameter,)), a=value)


# Credentials, which somebody else adds last.


def test_a_credential_joins_the_query_or_the_cookies() -> None:
    built = request.compile(Plan("GET", "/x", parameters=(ParameterPlan("t", "cookie", "t", "form"),)), SERVER).build({"t": "1"})

    with_key = request.with_cookie(request.with_query(request.with_query(built, "api_key", "a&b"), "n", "1"), "session", "s")

    assert with_key == Request("GET", f"{SERVER}/x?api_key=a%26b&n=1", (("Cookie", "t=1; session=s"),))
