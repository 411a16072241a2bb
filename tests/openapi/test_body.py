"""Expected values: OpenAPI 3.2.0 "Encoding Object" (3.2), WHATWG URL section 5 (W), RFC 7578 and RFC 2046 section 5.1 (M)."""

from __future__ import annotations

import base64
import json
from email.parser import BytesParser
from email.policy import compat32
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.errors import InvalidArguments
from toolgate.openapi import multipart, request
from toolgate.openapi.body import ReadFile
from toolgate.openapi.multipart import Part
from toolgate.openapi.operation import BodyPlan, FieldPlan, Plan

FORM = "application/x-www-form-urlencoded"
DATA = "multipart/form-data"
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
PNG64 = base64.b64encode(PNG).decode()


def sent(plan: BodyPlan, files: ReadFile | None = None, **arguments: Any) -> tuple[str | None, bytes | None]:
    """Content-Type and body."""
    built = request.compile(Plan("POST", "/x", bodies=(plan,)), "https://api.example.com").build(arguments, files=files)
    return dict(built.headers).get("Content-Type"), built.body


def whole(
    media_type: str, value: Any, *fields: FieldPlan, binary: bool = False, files: ReadFile | None = None
) -> tuple[str | None, bytes | None]:
    return sent(BodyPlan(media_type, "whole", "body", True, fields, binary=binary), files, body=value)


def parts(value: Any, *fields: FieldPlan, files: ReadFile | None = None, media_type: str = DATA) -> list[tuple[dict[str, str], bytes]]:
    """Headers and content of each part, as the standard library's MIME parser reads them."""
    content_type, data = whole(media_type, value, *fields, files=files)
    assert content_type is not None
    assert data is not None
    message = BytesParser(policy=compat32).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + data)
    assert message.is_multipart()
    assert not message.defects
    pieces: Any = message.get_payload()
    return [(dict(piece.items()), piece.get_payload(decode=True)) for piece in pieces]


def read_file(path: str) -> bytes:
    return {"logo.png": PNG, "sub/notes.txt": b"hello"}[path]


# JSON.


@pytest.mark.parametrize(
    ("media_type", "value", "expected"),
    [
        ("application/json", {"a": 1, "b": [True, None, "é"]}, '{"a":1,"b":[true,null,"é"]}'),
        ("application/json", None, "null"),
        ("application/json", [], "[]"),
        ("application/json", "text", '"text"'),
        ("application/json", 0, "0"),
        ("application/json", False, "false"),
        ("application/json", {"n": 123456789012345678901234567890}, '{"n":123456789012345678901234567890}'),
        ("application/json", {"b": 1, "a": 2}, '{"b":1,"a":2}'),
        ("application/json", {"a": '"\\\n\x01'}, '{"a":"\\"\\\\\\n\\u0001"}'),
        ("application/vnd.api+json", {"data": {}}, '{"data":{}}'),
        ("application/merge-patch+json", {"a": None}, '{"a":null}'),
        ("application/json-patch+json", [{"op": "remove", "path": "/a"}], '[{"op":"remove","path":"/a"}]'),
        ("application/json; charset=utf-8", {}, "{}"),
    ],
)
def test_json_is_compact_utf_8_under_the_media_type_as_described(media_type: str, value: Any, expected: str) -> None:
    assert whole(media_type, value) == (media_type, expected.encode())


@pytest.mark.parametrize("media_type", ["*/*", "application/*"])
def test_a_body_of_any_type_goes_as_json(media_type: str) -> None:
    assert whole(media_type, {"a": 1}) == ("application/json", b'{"a":1}')


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/jsonl"])
def test_json_lines_are_one_value_a_line(media_type: str) -> None:
    assert whole(media_type, [{"a": 1}, None, "x"]) == (media_type, b'{"a":1}\nnull\n"x"\n')


def test_a_flat_body_gathers_the_arguments_that_were_given() -> None:
    fields = (FieldPlan("title", "title"), FieldPlan("id", "id_body"), FieldPlan("note", "note"))
    plan = BodyPlan("application/json", "flat", required=True, fields=fields, constants={"kind": "x"})

    assert sent(plan, title=None, id_body=7) == ("application/json", b'{"kind":"x","title":null,"id":7}')
    assert sent(plan, title="t", kind="y", other=1) == ("application/json", b'{"kind":"x","title":"t"}')


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [("application/json", ("application/json", b"{}")), (FORM, (FORM, b""))],
)
def test_a_required_flat_body_without_arguments_is_sent_empty(media_type: str, expected: tuple[str, bytes]) -> None:
    assert sent(BodyPlan(media_type, "flat", required=True, fields=(FieldPlan("a", "a"),))) == expected


@pytest.mark.parametrize("media_type", ["application/json", FORM, DATA, "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("mode", ["flat", "whole"])
def test_an_optional_body_that_is_absent_leaves_neither_body_nor_content_type(media_type: str, mode: Any) -> None:
    assert sent(BodyPlan(media_type, mode, argument="body", fields=(FieldPlan("a", "a"),))) == (None, None)


def test_a_required_whole_body_that_is_absent_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="POST /x cannot take 'body': 'body' is required"):
        sent(BodyPlan("application/json", "whole", "body", required=True))


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, ("application/json", b'"a"')),
        ({"type": "text/plain"}, ("text/plain", b"a")),
        ({"type": "application/json"}, ("application/json", b'"a"')),
    ],
)
def test_one_of_several_media_types_is_chosen_by_argument(chosen: dict[str, str], expected: tuple[str, bytes]) -> None:
    bodies = (BodyPlan("application/json", "whole", "body"), BodyPlan("text/plain", "whole", "body"))
    plan = Plan("POST", "/x", bodies=bodies, content_type_argument="type")

    built = request.compile(plan, "https://x.org").build({"body": "a", **chosen})

    assert (dict(built.headers)["Content-Type"], built.body) == expected


def test_an_unknown_media_type_is_refused_with_the_known_ones() -> None:
    bodies = (BodyPlan("application/json", "whole", "body"), BodyPlan("text/plain", "whole", "body"))

    with pytest.raises(InvalidArguments, match="cannot take 'type': it must be one of application/json, text/plain"):
        request.compile(Plan("POST", "/x", bodies=bodies, content_type_argument="type"), "https://x.org").build({"body": 1, "type": "x/y"})


# Forms.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # 3.2: "URL Encoded Form with JSON Values"
        (
            {
                "id": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                "address": {"streetAddress": "123 Example Dr.", "city": "Somewhere", "state": "CA", "zip": "99999+1234"},
            },
            "id=f81d4fae-7dec-11d0-a765-00a0c91e6bf6&address=%7B%22streetAddress%22%3A%22123+Example+Dr.%22%2C%22city%22%3A%22Somewhere"
            "%22%2C%22state%22%3A%22CA%22%2C%22zip%22%3A%2299999%2B1234%22%7D",
        ),
        ({"a": "b c", "d": "e&f=g"}, "a=b+c&d=e%26f%3Dg"),
        ({"a b": "~*-._"}, "a+b=%7E*-._"),
        ({"a": "é😀"}, "a=%C3%A9%F0%9F%98%80"),
        ({"a": ["x", "y"], "b": []}, "a=x&a=y"),
        ({"a": True, "b": 1.5, "c": 2.0, "d": None, "e": ""}, "a=true&b=1.5&c=2&d=&e="),
        ({"a": [{"b": 1}]}, "a=%7B%22b%22%3A1%7D"),
        ({"filter[name]": "x"}, "filter%5Bname%5D=x"),
        ({"a": "1\r\n2"}, "a=1%0D%0A2"),
        ({}, ""),
    ],
)
def test_forms_without_encoding_objects(value: Any, expected: str) -> None:
    assert whole(FORM, value) == (FORM, expected.encode())


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (FieldPlan("c", None, style="form", explode=True), ["a b", "b"], "c=a%20b&c=b"),
        (FieldPlan("c", None, style="form", explode=False), ["a b", "b"], "c=a%20b,b"),
        (FieldPlan("c", None, style="form", explode=True), {"R": 100, "G": 200}, "R=100&G=200"),
        (FieldPlan("c", None, style="form", explode=False), {"R": 100, "G": 200}, "c=R,100,G,200"),
        (FieldPlan("c", None, style="deepObject", explode=True), {"R": 100, "G": {"x": 1}}, "c%5BR%5D=100&c%5BG%5D%5Bx%5D=1"),
        (FieldPlan("c", None, style="spaceDelimited", explode=False), ["a", "b"], "c=a%20b"),
        (FieldPlan("c", None, style="pipeDelimited", explode=False), ["a", "b"], "c=a%7Cb"),
        (FieldPlan("c", None, style="form", allow_reserved=True), "a/b?c&d", "c=a/b?c%26d"),
        (FieldPlan("c", None, style="form"), None, "c="),
        (FieldPlan("c", None, style="form"), [], ""),
        (FieldPlan("c", None, content_type="application/json"), "x", "c=%22x%22"),
        (FieldPlan("c", None, content_type="application/json"), {"a": None}, "c=%7B%22a%22%3Anull%7D"),
        (FieldPlan("c", None, content_type="text/plain"), ["x", "y"], "c=x&c=y"),
        (FieldPlan("c", None, binary=True), PNG64, f"c={PNG64.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}"),
    ],
)
def test_forms_with_encoding_objects(field: FieldPlan, value: Any, expected: str) -> None:
    assert whole(FORM, {"c": value}, field) == (FORM, expected.encode())


@given(st.dictionaries(st.text(), st.text()))
def test_a_form_read_back_by_another_parser_is_what_was_sent(value: dict[str, str]) -> None:
    _, data = whole(FORM, value)

    assert data is not None
    assert parse_qsl(data.decode("ascii"), keep_blank_values=True) == list(value.items())


# Multipart.


def test_a_multipart_form_byte_by_byte() -> None:
    fields = (FieldPlan("title", None), FieldPlan("file", None, content_type="image/png", binary=True), FieldPlan("meta", None))
    content_type, data = whole(DATA, {"title": "é", "file": {"base64": PNG64, "filename": "a.png"}, "meta": {"k": [1]}}, *fields)

    assert content_type is not None
    boundary = content_type.removeprefix("multipart/form-data; boundary=")
    assert data == b"\r\n".join(
        [
            f"--{boundary}".encode(),
            b'Content-Disposition: form-data; name="title"',
            b"",
            "é".encode(),
            f"--{boundary}".encode(),
            b'Content-Disposition: form-data; name="file"; filename="a.png"',
            b"Content-Type: image/png",
            b"",
            PNG,
            f"--{boundary}".encode(),
            b'Content-Disposition: form-data; name="meta"',
            b"Content-Type: application/json",
            b"",
            b'{"k":[1]}',
            f"--{boundary}--".encode(),
            b"",
        ]
    )


def disposition(name: str, filename: str | None = None) -> dict[str, str]:
    return {"Content-Disposition": f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")}


@pytest.mark.parametrize(
    ("value", "field", "expected"),
    [
        ("x", FieldPlan("p", None), [(disposition("p"), b"x")]),
        (True, FieldPlan("p", None), [(disposition("p"), b"true")]),
        (5.0, FieldPlan("p", None), [(disposition("p"), b"5")]),
        (None, FieldPlan("p", None), [(disposition("p"), b"")]),
        ("", FieldPlan("p", None), [(disposition("p"), b"")]),
        (["a", "b"], FieldPlan("p", None), [(disposition("p"), b"a"), (disposition("p"), b"b")]),
        ([], FieldPlan("p", None), []),
        ({"a": 1}, FieldPlan("p", None), [({**disposition("p"), "Content-Type": "application/json"}, b'{"a":1}')]),
        (
            [{"a": 1}, [2]],
            FieldPlan("p", None),
            [({**disposition("p"), "Content-Type": "application/json"}, part) for part in (b'{"a":1}', b"[2]")],
        ),
        ("x", FieldPlan("p", None, content_type="application/json"), [({**disposition("p"), "Content-Type": "application/json"}, b'"x"')]),
        ("x", FieldPlan("p", None, content_type="text/plain"), [({**disposition("p"), "Content-Type": "text/plain"}, b"x")]),
        (
            "<a/>",
            FieldPlan("p", None, content_type="application/xml; charset=utf-8"),
            [({**disposition("p"), "Content-Type": "application/xml; charset=utf-8"}, b"<a/>")],
        ),
        (
            "é",
            FieldPlan("p", None, content_type="text/plain; charset=iso-8859-1"),
            [({**disposition("p"), "Content-Type": "text/plain; charset=iso-8859-1"}, b"\xe9")],
        ),
        (
            "x",
            FieldPlan("p", None, headers=(("X-Kind", "a"),)),
            [({**disposition("p"), "X-Kind": "a"}, b"x")],
        ),
        # 3.2, Encoding Object: by style, without percent-encoding
        (["a b", "c"], FieldPlan("p", None, style="form", explode=True), [(disposition("p"), b"a b"), (disposition("p"), b"c")]),
        (["a b", "c"], FieldPlan("p", None, style="form", explode=False), [(disposition("p"), b"a b,c")]),
        ({"R": 1, "G": 2}, FieldPlan("p", None, style="form", explode=True), [(disposition("R"), b"1"), (disposition("G"), b"2")]),
        ({"R": 1}, FieldPlan("p", None, style="deepObject"), [(disposition("p[R]"), b"1")]),
        (["a", "b"], FieldPlan("p", None, style="pipeDelimited", explode=False), [(disposition("p"), b"a|b")]),
        # files
        (PNG64, FieldPlan("p", None, binary=True), [({**disposition("p", "p"), "Content-Type": "application/octet-stream"}, PNG)]),
        (
            {"base64": PNG64, "filename": "a.png", "media_type": "image/png"},
            FieldPlan("p", None, binary=True),
            [({**disposition("p", "a.png"), "Content-Type": "image/png"}, PNG)],
        ),
        (
            f"data:image/png;base64,{PNG64}",
            FieldPlan("p", None, content_type="image/png, image/jpeg", binary=True),
            [({**disposition("p", "p"), "Content-Type": "image/png"}, PNG)],
        ),
        (
            PNG64,
            FieldPlan("p", None, content_type="image/png, image/jpeg", binary=True),
            [({**disposition("p", "p"), "Content-Type": "image/png"}, PNG)],
        ),
        (
            PNG64,
            FieldPlan("p", None, content_type="image/*", binary=True),
            [({**disposition("p", "p"), "Content-Type": "application/octet-stream"}, PNG)],
        ),
        (
            {"path": "sub/notes.txt"},
            FieldPlan("p", None, binary=True),
            [({**disposition("p", "notes.txt"), "Content-Type": "application/octet-stream"}, b"hello")],
        ),
        (
            [{"path": "logo.png"}, PNG64],
            FieldPlan("p", None, binary=True),
            [({**disposition("p", name), "Content-Type": "application/octet-stream"}, PNG) for name in ("logo.png", "p")],
        ),
        ({"path": "logo.png"}, FieldPlan("p", None), [({**disposition("p"), "Content-Type": "application/json"}, b'{"path":"logo.png"}')]),
    ],
)
def test_the_parts_of_a_multipart_form(value: Any, field: FieldPlan, expected: Any) -> None:
    found = parts({"before": "1", "p": value}, field, files=read_file)

    assert found == [(disposition("before"), b"1"), *expected]


def test_names_and_file_names_are_escaped_as_browsers_do() -> None:
    _, data = whole(DATA, {'a"\r\nb': {"base64": "", "filename": 'x"\r\n.txt'}}, FieldPlan('a"\r\nb', None, binary=True))

    assert data is not None
    assert data.split(b"\r\n")[1] == b'Content-Disposition: form-data; name="a%22%0D%0Ab"; filename="x%22%0D%0A.txt"'


def test_other_multiparts_are_parts_in_order_without_names() -> None:
    found = parts([{"author": "x"}, {"base64": PNG64, "media_type": "image/png"}, "text"], media_type="multipart/mixed")

    assert found == [({"Content-Type": "application/json"}, b'{"author":"x"}'), ({"Content-Type": "image/png"}, PNG), ({}, b"text")]


def test_a_multipart_body_is_the_same_every_time_and_its_boundary_differs_by_content() -> None:
    assert whole(DATA, {"a": "x"}) == whole(DATA, {"a": "x"})
    assert whole(DATA, {"a": "x"})[0] != whole(DATA, {"a": "y"})[0]


def test_a_boundary_never_occurs_in_the_content() -> None:
    boundary, _ = multipart.encode([Part(b"x", "a")])

    again, body = multipart.encode([Part(b"x", "a"), Part(f"\r\n--{boundary}--".encode(), "b")])
    once_more, _ = multipart.encode([Part(b"x", "a"), Part(f"\r\n--{again}--".encode(), "b")])

    assert body.count(again.encode()) == 3
    assert len({boundary, again, once_more}) == 3


@given(st.dictionaries(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N"]), min_size=1), st.binary(), min_size=1))
def test_any_bytes_arrive_whole_in_their_parts(files: dict[str, bytes]) -> None:
    value = {name: base64.b64encode(data).decode() for name, data in files.items()}
    content_type, data = whole(DATA, value, *(FieldPlan(name, None, binary=True) for name in files))

    assert content_type is not None
    assert data is not None
    delimiter = b"--" + content_type.partition("boundary=")[2].encode()
    pieces = data.split(delimiter)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    assert [piece.partition(b"\r\n\r\n")[2][:-2] for piece in pieces[1:-1]] == list(files.values())


# Bytes and text.


@pytest.mark.parametrize("text", [PNG64, PNG64.rstrip("="), PNG64.replace("+", "-").replace("/", "_"), f" {PNG64[:4]}\n{PNG64[4:]} "])
@pytest.mark.parametrize("media_type", ["application/octet-stream", "image/png", "application/zip", "application/x-custom"])
def test_bytes_are_given_as_base64_in_any_of_its_spellings(media_type: str, text: str) -> None:
    assert whole(media_type, text, binary=True) == (media_type, PNG)


@pytest.mark.parametrize(
    ("media_type", "value", "expected"),
    [
        ("*/*", PNG64, "application/octet-stream"),
        ("image/*", {"base64": PNG64, "media_type": "image/png"}, "image/png"),
        ("image/*", {"base64": PNG64, "media_type": "text/html"}, "application/octet-stream"),
        ("application/octet-stream", {"base64": PNG64, "media_type": "image/png"}, "application/octet-stream"),
        ("application/octet-stream", {"path": "logo.png"}, "application/octet-stream"),
    ],
)
def test_the_media_type_of_bytes_is_never_a_range(media_type: str, value: Any, expected: str) -> None:
    assert whole(media_type, value, binary=True, files=read_file) == (expected, PNG)


@pytest.mark.parametrize("value", ["not base64!", "a", "====x", 5, ["x"], {"file": "x"}, {"path": "x", "extra": 1}, "é"])
def test_what_is_no_file_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArguments, match=r"cannot take 'body': (it is not base64|a file is base64 text)"):
        whole("application/octet-stream", value, binary=True, files=read_file)


@pytest.mark.parametrize(("encoded", "data"), [("base64", b"+/8A"), ("base64url", b"-_8A"), ("", b"\xfb\xff\x00")])
@pytest.mark.parametrize("value", ["+/8A", {"base64": "-_8A"}])
def test_bytes_go_as_text_where_the_description_says_so_under_their_own_type(encoded: str, data: bytes, value: Any) -> None:
    plan = BodyPlan("image/png", "whole", "body", binary=True, encoded=encoded)

    assert sent(plan, body=value) == ("image/png", data)


def test_a_path_is_refused_where_the_caller_may_not_name_files() -> None:
    with pytest.raises(InvalidArguments, match="files by path are read only for callers on this machine; send base64"):
        whole("application/octet-stream", {"path": "secret-name"}, binary=True)


def test_json_properties_that_are_files_are_sent_as_base64() -> None:
    field = FieldPlan("content", None, binary=True)

    assert (
        whole("application/json", {"content": {"path": "logo.png"}, "n": 1}, field, files=read_file)[1]
        == json.dumps({"content": PNG64, "n": 1}, separators=(",", ":")).encode()
    )
    assert whole("application/json", {"content": "any text"}, field)[1] == b'{"content":"any text"}'


@pytest.mark.parametrize(
    ("media_type", "value", "content_type", "data"),
    [
        ("text/plain", "hello", "text/plain", b"hello"),
        ("text/plain", "é", "text/plain; charset=utf-8", "é".encode()),
        ("text/plain; charset=iso-8859-1", "é", "text/plain; charset=iso-8859-1", b"\xe9"),
        ("text/x-markdown", "# é", "text/x-markdown; charset=utf-8", "# é".encode()),
        ("text/*", "x", "text/plain", b"x"),
        ("application/xml", "<a>é</a>", "application/xml", "<a>é</a>".encode()),
        ("application/soap+xml", "<a/>", "application/soap+xml", b"<a/>"),
        ("text/csv", "a,b\r\n1,2\r\n", "text/csv", b"a,b\r\n1,2\r\n"),
        ("text/plain", 5, "text/plain", b"5"),
        ("text/plain", "", "text/plain", b""),
        ("application/graphql", "{ a }", "application/graphql", b"{ a }"),
        ("application/vnd.custom", "x", "application/vnd.custom", b"x"),
        ("application/yaml", {"a": 1}, "application/yaml", b'{"a":1}'),  # JSON is YAML
    ],
)
def test_text_goes_as_it_is(media_type: str, value: Any, content_type: str, data: bytes) -> None:
    assert whole(media_type, value) == (content_type, data)


@pytest.mark.parametrize("media_type", ["application/json", FORM, DATA, "text/plain", "application/octet-stream"])
def test_half_a_surrogate_pair_in_a_body_is_refused(media_type: str) -> None:
    value = "\ud800" if media_type in {"text/plain", "application/octet-stream"} else {"a": "\ud800"}

    with pytest.raises(InvalidArguments, match="cannot take 'body'"):
        whole(media_type, value)


@pytest.mark.parametrize(
    ("media_type", "why"), [("text/plain; charset=us-ascii", "charset"), ("text/plain; charset=klingon", "unknown charset klingon")]
)
def test_text_that_does_not_fit_its_charset_is_refused(media_type: str, why: str) -> None:
    with pytest.raises(InvalidArguments, match=why):
        whole(media_type, "é")


def test_a_number_that_json_lacks_is_refused_in_a_body_too() -> None:
    with pytest.raises(InvalidArguments, match="finite"):
        whole(FORM, {"a": float("nan")})


def test_part_headers_cannot_be_injected() -> None:
    value = {"base64": PNG64, "media_type": "image/png\r\nX-Evil: 1"}

    with pytest.raises(InvalidArguments, match="visible ASCII"):
        whole(DATA, {"f": value}, FieldPlan("f", None, binary=True))


@pytest.mark.parametrize("value", [None, [], [None]])
def test_a_file_that_is_null_leaves_no_part(value: Any) -> None:
    assert parts({"a": "x", "photo": value}, FieldPlan("photo", None, binary=True)) == [
        ({"Content-Disposition": 'form-data; name="a"'}, b"x"),
    ]
