"""Expected values: OpenAPI 3.2.0 "Style Examples" (3.2), RFC 6570 sections 2.3, 3.2 (R), RFC 6265 section 4.1.1 (C)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.egress.wire import Request
from toolgate.errors import InvalidArguments
from toolgate.openapi import request, style
from toolgate.openapi.operation import Location, ParameterPlan, Plan, Style

SERVER = "https://api.example.com"
BLUE = "blue"
COLORS = ["blue", "black", "brown"]
RGB = {"R": 100, "G": 200, "B": 150}


def sent(
    value: Any,
    location: Location,
    kind: Style,
    explode: bool,
    *,
    name: str = "color",
    path: str = "/x{color}",
    allow_reserved: bool = False,
    content_type: str | None = None,
    required: bool = True,
) -> Request:
    parameter = ParameterPlan(name, location, "color", kind, explode, allow_reserved, content_type, required=required)
    plan = Plan("GET", path if location == "path" else "/x", parameters=(parameter,))
    return request.compile(plan, SERVER).build({"color": value})


def placed(value: Any, location: Location, kind: Style, explode: bool, **options: Any) -> str | None:
    """What `value` became, without the request around it; None: it left nothing."""
    found = sent(value, location, kind, explode, **options)
    if location == "path":
        return found.url.removeprefix(f"{SERVER}/x")
    if location in {"query", "querystring"}:
        return found.url.partition("?")[2] or None
    return next((text for key, text in found.headers if key == ("Cookie" if location == "cookie" else "color")), None)


# 3.2: the table row by row; columns undefined (null), string, array, object. 'n/a' cells have tests of their own below.
@pytest.mark.parametrize(
    ("location", "kind", "explode", "undefined", "string", "array", "object_"),
    [
        ("path", "matrix", False, "", ";color=blue", ";color=blue,black,brown", ";color=R,100,G,200,B,150"),
        ("path", "matrix", True, "", ";color=blue", ";color=blue;color=black;color=brown", ";R=100;G=200;B=150"),
        ("path", "label", False, "", ".blue", ".blue,black,brown", ".R,100,G,200,B,150"),
        ("path", "label", True, "", ".blue", ".blue.black.brown", ".R=100.G=200.B=150"),
        ("path", "simple", False, "", "blue", "blue,black,brown", "R,100,G,200,B,150"),
        ("path", "simple", True, "", "blue", "blue,black,brown", "R=100,G=200,B=150"),
        ("header", "simple", False, None, "blue", "blue,black,brown", "R,100,G,200,B,150"),
        ("header", "simple", True, None, "blue", "blue,black,brown", "R=100,G=200,B=150"),
        ("query", "form", False, "color=", "color=blue", "color=blue,black,brown", "color=R,100,G,200,B,150"),
        ("query", "form", True, "color=", "color=blue", "color=blue&color=black&color=brown", "R=100&G=200&B=150"),
        ("query", "spaceDelimited", False, None, "color=blue", "color=blue%20black%20brown", "color=R%20100%20G%20200%20B%20150"),
        ("query", "pipeDelimited", False, None, "color=blue", "color=blue%7Cblack%7Cbrown", "color=R%7C100%7CG%7C200%7CB%7C150"),
        ("cookie", "form", True, "color=", "color=blue", "color=blue; color=black; color=brown", "R=100; G=200; B=150"),
        ("cookie", "form", False, "color=", "color=blue", "color=blue,black,brown", "color=R,100,G,200,B,150"),
        ("cookie", "cookie", True, "color=", "color=blue", "color=blue; color=black; color=brown", "R=100; G=200; B=150"),
    ],
)
def test_the_style_table(
    location: Location, kind: Style, explode: bool, undefined: str | None, string: str, array: str, object_: str
) -> None:
    assert placed(None, location, kind, explode) == undefined
    assert placed(BLUE, location, kind, explode) == string
    assert placed(COLORS, location, kind, explode) == array
    assert placed(RGB, location, kind, explode) == object_


@pytest.mark.parametrize("explode", [False, True])
def test_the_deep_object_row_of_the_style_table(explode: bool) -> None:
    assert placed(RGB, "query", "deepObject", explode) == "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150"


@pytest.mark.parametrize("explode", [False, True])
@pytest.mark.parametrize("empty", [[], {}, [None], {"R": None}])
@pytest.mark.parametrize(
    ("location", "kind"),
    [
        *[("path", kind) for kind in ("simple", "label", "matrix")],
        *[("query", kind) for kind in ("form", "spaceDelimited", "pipeDelimited", "deepObject")],
        *[("header", "simple"), ("cookie", "form")],
    ],
)
def test_an_array_or_object_without_defined_members_is_undefined_and_leaves_nothing(
    location: Location, kind: Style, explode: bool, empty: Any
) -> None:
    """RFC 6570, 2.3: a list without members, or an associative array whose members are all undefined, is undefined."""
    assert placed(empty, location, kind, explode) in ({""} if location == "path" else {None})


@pytest.mark.parametrize(
    ("location", "kind", "explode", "value", "expected"),
    [
        # R 3.2.7: matrix writes no "=" before an empty value; 3.2.8: form does.
        ("path", "matrix", False, "", ";color"),
        ("path", "matrix", True, ["a", "", "b"], ";color=a;color;color=b"),
        ("path", "matrix", True, {"a": "", "b": "1"}, ";a;b=1"),
        ("path", "label", False, "", "."),
        ("query", "form", False, "", "color="),
        ("query", "form", True, ["a", "", "b"], "color=a&color=&color=b"),
        ("query", "form", True, {"a": "", "b": "1"}, "a=&b=1"),
        ("query", "form", False, ["", ""], "color=,"),
        ("query", "form", False, [""], "color="),
        ("query", "deepObject", True, {"a": ""}, "color%5Ba%5D="),
        ("path", "simple", False, ["a", "", "b"], "a,,b"),
        ("path", "simple", True, {"a": ""}, "a="),
        ("path", "label", True, ["a", ""], ".a."),
        ("header", "simple", False, "", ""),
        ("cookie", "form", True, "", "color="),
        # R 2.3: undefined members of a list or an associative array are skipped.
        ("query", "form", True, ["a", None, "b"], "color=a&color=b"),
        ("query", "form", False, ["a", None, "b"], "color=a,b"),
        ("query", "form", True, {"a": None, "b": 1}, "b=1"),
        ("query", "deepObject", True, {"a": None, "b": 1}, "color%5Bb%5D=1"),
        ("path", "simple", True, {"a": None, "b": 1}, "b=1"),
        ("header", "simple", False, ["a", None], "a"),
        # One member.
        ("query", "form", False, ["a"], "color=a"),
        ("query", "pipeDelimited", False, ["a"], "color=a"),
        ("query", "tabDelimited", False, ["a", "b c"], "color=a%09b%20c"),
        ("path", "label", True, ["a"], ".a"),
        ("path", "matrix", True, {"a": 1}, ";a=1"),
    ],
)
def test_empty_and_undefined_values(location: Location, kind: Style, explode: bool, value: Any, expected: str) -> None:
    assert placed(value, location, kind, explode) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (9007199254740993, "9007199254740993"),
        (123456789012345678901234567890, "123456789012345678901234567890"),
        (0.1, "0.1"),
        (-0.5, "-0.5"),
        (5.0, "5"),  # ECMAScript Number::toString, as RFC 8785 3.2.2.3 takes it for JSON: no fraction
        (-0.0, "0"),
        (1e20, "100000000000000000000"),
        (1e22, "1e22"),
        (1.5e-9, "1.5e-9"),
    ],
)
def test_scalars_are_spelled_as_json_spells_them(value: Any, expected: str) -> None:
    assert style.spell(value).replace("e+", "e") == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [("path", "true,1.5,a"), ("query", "color=true,1.5,a"), ("header", "true,1.5,a"), ("cookie", "color=true,1.5,a")],
)
def test_scalars_in_arrays_are_spelled_alike_everywhere(location: Location, expected: str) -> None:
    kind: Style = "form" if location in {"query", "cookie"} else "simple"

    assert placed([True, 1.5, "a"], location, kind, False) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_are_refused(value: float) -> None:
    with pytest.raises(InvalidArguments, match="finite"):
        placed(value, "query", "form", True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("a&b=c", "a%26b%3Dc"),
        ("a#b", "a%23b"),
        ("a?b", "a%3Fb"),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("%41", "%2541"),
        ("a~b-c_d.e", "a~b-c_d.e"),
        ("!$'()*,;:@[]", "%21%24%27%28%29%2A%2C%3B%3A%40%5B%5D"),
        ('"<>\\^`{|}', "%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("é", "%C3%A9"),
        ("diṅnāga", "di%E1%B9%85n%C4%81ga"),  # 3.2: Parameter Object Examples
        ("😀", "%F0%9F%98%80"),
        ("\x00", "%00"),
        ("a\r\nb", "a%0D%0Ab"),
        ("\u200b", "%E2%80%8B"),
        ("e\u0301", "e%CC%81"),  # never normalised
    ],
)
def test_query_values_keep_only_unreserved_characters(value: str, expected: str) -> None:
    """RFC 3986, 2.1-2.3, as RFC 6570 3.2.1 applies it."""
    assert placed(value, "query", "form", True) == f"color={expected}"
    assert placed([value, "x"], "query", "form", True) == f"color={expected}&color=x"
    assert placed([value, "x"], "query", "form", False) == f"color={expected},x"
    assert placed([value, "x"], "query", "pipeDelimited", False) == f"color={expected}%7Cx"
    assert placed({"k": value}, "query", "deepObject", True) == f"color%5Bk%5D={expected}"
    assert placed({value: "x"}, "query", "form", True) == f"{expected}=x"
    assert placed({value: "x"}, "query", "deepObject", True) == f"color%5B{expected}%5D=x"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("filter[name]", "filter%5Bname%5D=v"),
        ("ids[]", "ids%5B%5D=v"),
        ("$top", "%24top=v"),
        ("a b", "a%20b=v"),
        ("x.y", "x.y=v"),
        ("❤️", "%E2%9D%A4%EF%B8%8F=v"),  # 3.2, appendix C
        ("a&b=c", "a%26b%3Dc=v"),
        ("@type", "%40type=v"),
    ],
)
def test_names_of_query_parameters_are_encoded_like_values(name: str, expected: str) -> None:
    assert placed("v", "query", "form", True, name=name) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x/y", "x/y"),  # 3.2, appendix C: a: x%2By, b: x/y, c: x^y
        ("x%2By", "x%2By"),
        ("x^y", "x%5Ey"),
        ("a:b@c,d;e!f$g'h(i)*", "a:b@c,d;e!f$g'h(i)*"),
        ("https://x.org/?q", "https://x.org/?q"),
        ("a&b", "a%26b"),  # "[]#&=+" are the application's to encode: 3.2, appendix C
        ("a=b", "a%3Db"),
        ("a+b", "a%2Bb"),
        ("a#b", "a%23b"),
        ("a[b]", "a%5Bb%5D"),
        ("50%", "50%25"),
        ("%zz", "%25zz"),
        ("%e9x", "%e9x"),
        ("a b", "a%20b"),
        ("é", "%C3%A9"),
    ],
)
def test_allow_reserved_lets_pass_what_has_no_meaning_in_a_query(value: str, expected: str) -> None:
    assert placed(value, "query", "form", True, allow_reserved=True) == f"color={expected}"
    assert placed([value, "x"], "query", "form", False, allow_reserved=True) == f"color={expected},x"
    assert placed([value, "x"], "query", "pipeDelimited", False, allow_reserved=True) == f"color={expected}%7Cx"
    assert placed({"R": value}, "query", "deepObject", True, allow_reserved=True) == f"color%5BR%5D={expected}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": {"b": 1}}, "f%5Ba%5D%5Bb%5D=1"),
        ({"a": {"b": {"c": True}}}, "f%5Ba%5D%5Bb%5D%5Bc%5D=true"),
        ({"a": ["x", "y"]}, "f%5Ba%5D%5B%5D=x&f%5Ba%5D%5B%5D=y"),
        ({"a": [{"b": 1}, {"b": 2}]}, "f%5Ba%5D%5B0%5D%5Bb%5D=1&f%5Ba%5D%5B1%5D%5Bb%5D=2"),
        ({"a": {"b": None, "c": 1}}, "f%5Ba%5D%5Bc%5D=1"),
        (["x", "y"], "f%5B%5D=x&f%5B%5D=y"),
        ("x", "f=x"),
    ],
)
def test_deep_objects_go_deeper_with_brackets_as_most_servers_read_them(value: Any, expected: str) -> None:
    assert placed(value, "query", "deepObject", True, name="f") == expected


@pytest.mark.parametrize(
    ("location", "kind", "explode", "value", "expected"),
    [
        ("query", "form", True, [{"a": 1}], "color=%7B%22a%22%3A1%7D"),
        ("query", "form", False, [["a", 1]], "color=%5B%22a%22%2C1%5D"),
        ("query", "form", True, {"a": {"b": "é"}}, "a=%7B%22b%22%3A%22%C3%A9%22%7D"),
        ("query", "form", True, {"a": [1, {}]}, "a=%5B1%2C%7B%7D%5D"),
        ("path", "simple", False, [{"a": 1}], "%7B%22a%22%3A1%7D"),
        ("header", "simple", False, {"a": [1]}, "a,[1]"),
    ],
)
def test_a_container_in_a_container_has_no_spelling_but_json(
    location: Location, kind: Style, explode: bool, value: Any, expected: str
) -> None:
    assert placed(value, location, kind, explode) == expected


def test_an_array_in_an_exploded_object_repeats_its_name_as_spring_and_others_read_it() -> None:
    value = {"page": 0, "sort": ["a,asc", None, "b"], "none": []}

    assert placed(value, "query", "form", True) == "page=0&sort=a%2Casc&sort=b"


@pytest.mark.parametrize(("location", "kind"), [("query", "form"), ("query", "deepObject"), ("header", "simple"), ("cookie", "form")])
def test_a_null_that_need_not_be_there_is_left_out(location: Location, kind: Style) -> None:
    assert placed(None, location, kind, True, required=False) is None


@pytest.mark.parametrize("kind", ["spaceDelimited", "pipeDelimited"])
def test_exploded_space_and_pipe_are_sent_like_exploded_form(kind: Style) -> None:
    assert placed(COLORS, "query", kind, True) == "color=blue&color=black&color=brown"
    assert placed(RGB, "query", kind, True) == "R=100&G=200&B=150"


@pytest.mark.parametrize(
    ("content_type", "value", "expected"),
    [
        # 3.2: Parameter Object Examples
        ("application/json", {"lat": 40.6, "long": -73.9}, "coordinates=%7B%22lat%22%3A40.6%2C%22long%22%3A-73.9%7D"),
        ("application/json", "a", "coordinates=%22a%22"),
        ("application/json", None, "coordinates=null"),
        ("application/json", [], "coordinates=%5B%5D"),
        ("application/vnd.api+json", [1, True], "coordinates=%5B1%2Ctrue%5D"),
        ("text/plain", "a b", "coordinates=a%20b"),
        ("text/plain", 5, "coordinates=5"),
        ("application/x-www-form-urlencoded", {"a": "b c", "d": 1}, "coordinates=a%3Db%2Bc%26d%3D1"),
    ],
)
def test_query_parameters_by_content_type(content_type: str, value: Any, expected: str) -> None:
    assert placed(value, "query", "form", True, name="coordinates", content_type=content_type) == expected


@pytest.mark.parametrize(
    ("content_type", "value", "expected"),
    [
        # 3.2: Parameter Object Examples
        ("application/x-www-form-urlencoded", {"foo": "a + b", "bar": True}, "foo=a+%2B+b&bar=true"),
        ("application/json", {"numbers": [1, 2], "flag": None}, "%7B%22numbers%22%3A%5B1%2C2%5D%2C%22flag%22%3Anull%7D"),
        ("application/jsonpath", "$.a.b[1:1]", "%24.a.b%5B1%3A1%5D"),
        ("application/x-www-form-urlencoded", {"a": ["x", "y"], "~": "*"}, "a=x&a=y&%7E=*"),
        ("text/plain", "a=1&b=2", "a%3D1%26b%3D2"),
        ("application/x-www-form-urlencoded", {}, None),
    ],
)
def test_the_whole_query_string_by_content_type(content_type: str, value: Any, expected: str | None) -> None:
    assert placed(value, "querystring", "form", True, content_type=content_type) == expected


def test_headers_and_paths_by_content_type() -> None:
    assert placed({"a": "é"}, "header", "simple", False, content_type="application/json") == '{"a":"\\u00e9"}'
    assert placed({"a": 1}, "path", "simple", False, content_type="application/json") == "%7B%22a%22%3A1%7D"
    assert placed({"a": 1}, "cookie", "form", True, content_type="application/json") == "color=%7B%22a%22%3A1%7D"


# 3.2, Parameter Object Examples, and C.
@pytest.mark.parametrize(
    ("kind", "explode", "value", "expected"),
    [
        ("cookie", True, {"greeting": "Hello%2C%20world!", "code": 42}, "greeting=Hello%2C%20world!; code=42"),
        ("form", True, "Hello, world!", "color=Hello%2C%20world%21"),
        ("form", True, "a;b", "color=a%3Bb"),
        ("form", True, "é", "color=%C3%A9"),
        ("cookie", True, "a=b", "color=a=b"),
        ("cookie", True, 5, "color=5"),
    ],
)
def test_cookies(kind: Style, explode: bool, value: Any, expected: str) -> None:
    assert placed(value, "cookie", kind, explode) == expected


@pytest.mark.parametrize(
    "value", ["a;b", "a, b", 'a"b', "a\\b", "a b", "é", "a\r\nSet-Cookie: b", "\x00", ["a", "b;c"], {"a;b": "c"}, {"": "c"}]
)
def test_cookies_sent_as_they_are_refuse_what_a_cookie_cannot_hold(value: Any) -> None:
    with pytest.raises(InvalidArguments, match="a cookie's"):
        placed(value, "cookie", "cookie", True)


def test_an_array_in_one_cookie_is_refused_where_nothing_is_encoded() -> None:
    with pytest.raises(InvalidArguments, match="one by one"):
        placed(COLORS, "cookie", "cookie", False)


@given(st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()), st.sampled_from(["form", "cookie"]), st.booleans())
def test_no_value_adds_a_cookie_of_another_name(value: Any, kind: Style, explode: bool) -> None:
    try:
        header = placed(value, "cookie", kind, explode)
    except InvalidArguments:
        return
    names = [pair.partition("=")[0] for pair in header.split("; ")] if header else []
    allowed = (
        [style.percent(key) if kind == "form" else key for key in value] if isinstance(value, dict) and explode else ["color"] * len(names)
    )
    assert names == allowed
    assert header is None or (header.isascii() and header.isprintable())


@given(st.dictionaries(st.text(), st.text() | st.none() | st.lists(st.text(), min_size=1)))
def test_a_query_read_back_by_another_parser_is_what_was_sent(values: dict[str, Any]) -> None:
    text = placed(values, "query", "deepObject", True, name="f") or ""

    expected = []
    for key, value in values.items():
        expected += (
            [(f"f[{key}][]", item) for item in value] if isinstance(value, list) else [(f"f[{key}]", value)] if value is not None else []
        )
    assert parse_qsl(text, keep_blank_values=True) == expected
