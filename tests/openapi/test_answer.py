"""Sources: RFC 9110 (statuses, Retry-After), RFC 9457 (problem+json), RFC 6901 and the shapes of the APIs named in each case."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.api.answers import outcome_answer
from toolgate.calls import UNSET, Binary, Outcome, Problem, Text
from toolgate.egress.wire import Response
from toolgate.openapi import answer, excerpt
from toolgate.openapi.operation import Paging, Plan

GET = Plan("GET", "/things")
POST = Plan("POST", "/things")
URL = "https://api.example.com/things"
JSON = "application/json"
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


def read(
    status: int, body: bytes = b"", media_type: str | None = None, *, plan: Plan = GET, limit: int = answer.LIMIT, **headers: str
) -> Outcome:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    typed = (("Content-Type", media_type),) if media_type is not None else ()
    return answer.read(Response(status, (*typed, *named), body), plan=plan, url=URL, arguments={}, limit=limit, now=1_000_000_000.0)


def text_of(outcome: Outcome) -> str:
    (only,) = outcome.content
    assert isinstance(only, Text)
    return only.text


# Success.


@pytest.mark.parametrize(
    ("body", "media_type", "value", "text"),
    [
        (b'{ "a" : [1, 2.5, null, true] }', JSON, {"a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true]}'),
        (b'{"b":1,"a":2}', "application/vnd.api+json; charset=utf-8", {"b": 1, "a": 2}, '{"b":1,"a":2}'),
        (b"null", JSON, None, "null"),
        (b"0", JSON, 0, "0"),
        (b'"x"', "application/problem+json", "x", '"x"'),
        (b"[]", "text/json", [], "[]"),
        (b"\xef\xbb\xbf{}", JSON, {}, "{}"),
        ('{"a":"é"}'.encode("utf-16"), JSON, {"a": "é"}, '{"a":"é"}'),
        ('{"a":"é"}'.encode("latin-1"), "application/json; charset=iso-8859-1", {"a": "é"}, '{"a":"é"}'),
        ('{"a":"é"}'.encode("cp1252"), JSON, {"a": "é"}, '{"a":"é"}'),
        (b'  {"a": 1}\n', None, {"a": 1}, '{"a":1}'),
        (b'{"a": 1}', "text/plain", {"a": 1}, '{"a":1}'),
        (b"[1, 2]", "text/html; charset=UTF-8", [1, 2], "[1,2]"),
        (b'{"a": 1}', "application/octet-stream", {"a": 1}, '{"a":1}'),
    ],
)
def test_json_is_shown_compact_and_as_a_value(body: bytes, media_type: str | None, value: Any, text: str) -> None:
    assert read(200, body, media_type) == Outcome((Text(text),), value, meta={"status": 200})


@pytest.mark.parametrize(
    "body",
    [
        b"18446744073709551616",
        b'{"id": -9223372036854775809}',
        b'[1, {"wei": 123456789012345678901234567890}]',
        b'{"long": 1' + b"0" * 5000 + b"}",
    ],
)
def test_an_integer_past_64_bits_is_shown_to_its_last_digit(body: bytes) -> None:
    outcome = read(200, body, JSON)

    assert (text_of(outcome), outcome.structured) == (body.decode(), UNSET)


@pytest.mark.parametrize("body", [b"18446744073709551615", b"-9223372036854775808", b'{"a":1e+22,"b":"e+123456789012345678901234567890"}'])
def test_other_numbers_are_values(body: bytes) -> None:
    assert read(200, body, JSON).structured == orjson.loads(body)


@pytest.mark.parametrize(
    ("body", "media_type", "text"),
    [
        (b"hello", "text/plain", "hello"),
        ("é".encode(), "text/plain", "é"),
        (b"\xe9", "text/plain; charset=ISO-8859-1", "é"),
        (b"\xe9", "text/plain", "é"),  # windows-1252, as the WHATWG encoding standard assumes
        ("é".encode("utf-16-be"), 'text/plain; charset="UTF-16BE"', "é"),
        (b"\xef\xbb\xbfa", "text/csv", "a"),
        (b"x", "text/plain; charset=klingon", "x"),
        (b"<a/>", "application/xml", "<a/>"),
        (b"<svg/>", "image/svg+xml", "<svg/>"),
        (b"a: 1", "application/yaml", "a: 1"),
        (b'{"a":1}\n{"a":2}\n', "application/x-ndjson", '{"a":1}\n{"a":2}\n'),
        (b"diff --git", "application/vnd.github.v3.diff", "diff --git"),
        (b"plain", None, "plain"),
        (b"plain", "application/octet-stream", "plain"),
        (b"[not json", "text/plain", "[not json"),
        (b'{"a": NaN}', JSON, '{"a": NaN}'),
        (b'{"a": 1', JSON, '{"a": 1'),
        (b"OK", JSON, "OK"),
        (b'"\\ud800"', JSON, '"\\ud800"'),
        (b"5", "text/plain", "5"),
    ],
)
def test_text_is_shown_as_text_and_broken_json_as_what_it_is(body: bytes, media_type: str | None, text: str) -> None:
    assert read(200, body, media_type) == Outcome((Text(text),), UNSET, meta={"status": 200})


@pytest.mark.parametrize(
    ("body", "media_type", "expected"),
    [
        (PNG, "image/png", "image/png"),
        (b"{}", "image/png; x=y", "image/png"),
        (PNG, "application/octet-stream", "application/octet-stream"),
        (PNG, None, "application/octet-stream"),
        (PNG, "application/vnd.custom", "application/vnd.custom"),
        (b"a\x00b", "application/vnd.custom", "application/vnd.custom"),
        (b"PK", "application/zip", "application/zip"),
        (b"%PDF", "Application/PDF", "application/pdf"),
    ],
)
def test_bytes_are_passed_on_as_bytes(body: bytes, media_type: str | None, expected: str) -> None:
    assert read(200, body, media_type) == Outcome((Binary(body, expected),), UNSET, meta={"status": 200})


def test_bytes_over_the_limit_are_named_instead() -> None:
    outcome = read(200, b"\x00" * (3 * 1024 * 1024), "application/zip")

    assert outcome == Outcome(
        (Text("The answer is 3.0 MiB of application/zip, more than the 2 MiB that are passed on."),), meta={"status": 200}
    )


@pytest.mark.parametrize(
    ("status", "media_type", "said"),
    [(204, None, "204 No Content"), (200, JSON, "200 OK"), (202, None, "202 Accepted"), (299, None, "299")],
)
def test_an_empty_answer_is_a_sentence(status: int, media_type: str | None, said: str) -> None:
    assert read(status, b"", media_type) == Outcome((Text(f"{said}: done, and there is nothing to show."),), meta={"status": status})


@pytest.mark.parametrize(
    ("status", "location", "path"),
    [
        (201, "/orders/17", "/orders/17"),
        (202, "https://api.example.com/operations/9?sig=canary", "/operations/9"),
        (201, "https://[", None),
        (200, "/orders/17", None),
    ],
)
def test_an_empty_answer_names_what_was_made(status: int, location: str, path: str | None) -> None:
    said = text_of(read(status, b"", None, location=location))

    assert said.partition("nothing to show.")[2] == (f" The Location that it names is {path}" if path else "")


@pytest.mark.parametrize("depth", [300, 1000, 5000])
def test_json_nested_beyond_reason_harms_nobody(depth: int) -> None:
    outcome = read(200, b"[" * depth + b"]" * depth, JSON)

    assert text_of(outcome) == "[" * depth + "]" * depth


@pytest.mark.parametrize("depth", [5, 300, 1000, 5000])
def test_an_error_nested_beyond_reason_harms_nobody(depth: int) -> None:
    outcome = read(400, b'{"error":' * depth + b"1" + b"}" * depth, JSON)

    assert outcome.problem is not None
    assert outcome.problem.message.startswith("GET /things was answered with 400 Bad Request")


# Long answers.


def test_a_long_list_keeps_its_first_whole_items_and_says_so() -> None:
    body = orjson.dumps([{"n": n, "text": "x" * 80} for n in range(100)])  # 10 items of 97 bytes, 90 of 98, 99 commas
    plan = Plan("GET", "/things", paging=Paging("page", "page", "per_page"))

    outcome = read(200, body, JSON, plan=plan, limit=1024)

    kept, marker, following = (part.text for part in outcome.content if isinstance(part, Text))
    assert outcome.structured is UNSET
    assert following == 'Next page: {"page":2}'
    assert orjson.loads(kept) == [{"n": n, "text": "x" * 80} for n in range(10)]
    assert (
        marker == "[Cut: this is the first 10 of 100 items, 1.0 of 9.7 KiB. Call again with a smaller 'per_page' to see what is missing.]"
    )


def test_the_dominating_list_of_an_object_is_cut_and_the_rest_kept() -> None:
    value = {"total": 50, "data": {"kind": "list", "items": ["x" * 98] * 50}, "tags": ["a", "b"]}

    outcome = read(200, orjson.dumps(value), JSON, limit=600)

    kept, marker = (part.text for part in outcome.content if isinstance(part, Text))
    assert orjson.loads(kept) == {"total": 50, "data": {"kind": "list", "items": ["x" * 98] * 5}, "tags": ["a", "b"]}
    assert "the first 5 of 50 items" in marker
    assert "narrower arguments" in marker


@pytest.mark.parametrize(
    ("body", "media_type"), [(b'{"a":"' + b"x" * 2000 + b'"}', JSON), (b'["' + b"x" * 2000 + b'"]', JSON), (b"x" * 2000, "text/plain")]
)
def test_what_has_no_items_is_cut_as_text(body: bytes, media_type: str) -> None:
    outcome = read(200, body, media_type, limit=1000)

    kept, marker = (part.text for part in outcome.content if isinstance(part, Text))
    assert kept == body[:1000].decode()
    assert marker == "[Cut: this is the first 1.0 of 2.0 KiB. Call again with narrower arguments to see what is missing.]"
    assert outcome.structured is UNSET


def test_text_is_cut_at_the_end_of_a_line_or_a_word_and_never_inside_a_character() -> None:
    assert excerpt.of_text("one line\nanother line\nthird", 24).text == "one line\nanother line"
    assert excerpt.of_text("word " * 10, 23).text == "word word word word"
    assert excerpt.of_text("é" * 10, 5).text == "éé"


@given(st.text(max_size=200), st.integers(1, 100))
def test_an_excerpt_is_a_beginning_within_its_limit(text: str, limit: int) -> None:
    shown = excerpt.of_text(text, limit).text

    assert text.startswith(shown)
    assert len(shown.encode()) <= limit


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=40,
)


@given(json_values, st.integers(4, 200))
def test_a_json_answer_is_whole_or_within_the_limit_and_marked(value: Any, limit: int) -> None:
    body = orjson.dumps(value)

    outcome = read(200, body, JSON, limit=limit)

    first = outcome.content[0]
    assert isinstance(first, Text)
    if len(body) <= limit:
        assert (outcome.structured, first.text, len(outcome.content)) == (value, body.decode(), 1)
    else:
        assert (outcome.structured, len(outcome.content)) == (UNSET, 2)
        assert len(first.text.encode()) <= limit


# Failure: what was said.


@pytest.mark.parametrize(
    ("body", "media_type", "said"),
    [
        # GitHub
        (b'{"message":"Not Found","documentation_url":"https://docs.github.com/x","status":"404"}', JSON, "Not Found"),
        (
            b'{"message":"Validation Failed","errors":[{"resource":"Issue","field":"title","code":"missing_field"}]}',
            JSON,
            'Validation Failed; {"resource":"Issue","field":"title","code":"missing_field"}',
        ),
        # Jira
        (
            b'{"errorMessages":["Issue type is required."],"errors":{"project":"project is required"}}',
            JSON,
            'Issue type is required.; {"project":"project is required"}',
        ),
        # api.data.gov
        (
            b'{"error":{"code":"API_KEY_INVALID","message":"An invalid api_key was supplied."}}',
            JSON,
            "An invalid api_key was supplied.; API_KEY_INVALID",
        ),
        # RFC 9457, section 3
        (
            b'{"type":"https://example.net/validation-error","title":"Your request is not valid.","errors":['
            b'{"detail":"must be a positive integer","pointer":"#/age"}]}',
            "application/problem+json",
            "Your request is not valid.; #/age: must be a positive integer",
        ),
        # JSON:API
        (
            b'{"errors":[{"status":"422","source":{"pointer":"/data/x"},"title":"Invalid","detail":"Too short"}]}',
            JSON,
            "/data/x: Invalid; Too short",
        ),
        # FastAPI
        (b'{"detail":[{"loc":["query","n"],"msg":"Field required","type":"missing","input":"secret"}]}', JSON, "query.n: Field required"),
        # OAuth 2
        (b'{"error":"invalid_scope","error_description":"no such scope"}', JSON, "no such scope; invalid_scope"),
        # SAM.gov
        (b'{"errorCode":"404","errorMessage":"No data"}', JSON, "No data; 404"),
        (b'{"error":"same","message":"same"}', JSON, "same"),
        (b'["one","two"]', JSON, "one; two"),
        (b'"just this"', JSON, "just this"),
        (b'{"strange":{"shape":1}}', JSON, '{"strange":{"shape":1}}'),
        (orjson.dumps({"errors": [str(n) for n in range(12)]}), JSON, "0; 1; 2; 3; 4; 5; 6; 7; 8; 9; and 2 more"),
        (b"line one\r\n\r\n  line\x00two ", "text/plain", "line one line two"),
        (b"<html><head><title>502 Bad &amp; Gateway</title></head><body>x</body></html>", "text/html", "502 Bad & Gateway"),
        (b"{broken", JSON, "{broken"),
    ],
)
def test_the_other_sides_own_words_are_passed_on(body: bytes, media_type: str, said: str) -> None:
    outcome = read(400, body, media_type)

    assert outcome == Outcome(
        problem=Problem("upstream_failed", f"GET /things was answered with 400 Bad Request: {said}.", None, {"status": 400}),
        effect="none",
        meta={"status": 400},
    )


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", None),
        (b"{}", JSON),
        (PNG, "image/png"),
        (b"<!doctype html><html><body>stack</body></html>", "text/html"),
        (PNG, "application/x-unknown"),
    ],
)
def test_where_nothing_readable_is_said_the_status_speaks(body: bytes, media_type: str | None) -> None:
    problem = read(404, body, media_type).problem

    assert problem is not None
    assert problem.message in {"GET /things was answered with 404 Not Found.", "GET /things was answered with 404 Not Found: {}."}


def test_long_complaints_are_cut() -> None:
    problem = read(400, orjson.dumps({"message": "x" * 10_000}), JSON).problem

    assert problem is not None
    assert len(problem.message) < 1600
    assert problem.message.endswith("x….")


# Failure: what it means.


@pytest.mark.parametrize(
    ("status", "plan", "effect"),
    [
        (400, POST, "none"),
        (404, POST, "none"),
        (409, POST, "none"),
        (429, POST, "none"),
        (500, POST, "unknown"),
        (502, POST, "unknown"),
        (503, Plan("DELETE", "/things"), "unknown"),
        (504, Plan("PATCH", "/things"), "unknown"),
        (500, GET, "none"),
        (503, Plan("HEAD", "/things"), "none"),
        (302, GET, "none"),
        (303, POST, "unknown"),
        (307, POST, "none"),
        (304, POST, "none"),
    ],
)
def test_after_a_write_only_some_answers_say_that_nothing_was_done(status: int, plan: Plan, effect: str) -> None:
    outcome = read(status, plan=plan)

    assert outcome.effect == effect
    assert outcome.problem is not None
    assert ("look before repeating the call" in outcome.problem.message) == (effect == "unknown")


def test_a_refused_credential_is_not_the_callers_to_mend() -> None:
    problem = read(401, b'{"message":"Bad credentials"}', JSON).problem

    assert problem is not None
    assert problem.message == (
        "GET /things was answered with 401 Unauthorized: Bad credentials. "
        "The integration's credential is missing or was not accepted; the caller cannot mend that."
    )


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://files.example.net/secret?signature=abc", "files.example.net"),
        ("//cdn.example.org/x", "cdn.example.org"),
        ("/elsewhere", "api.example.com"),
        ("https://user:pass@evil.example/", "evil.example"),
        ("http://[broken", "somewhere else"),
    ],
)
def test_a_redirection_names_the_host_and_nothing_else(location: str, host: str) -> None:
    problem = read(302, Location=location).problem

    assert problem is not None
    assert problem.message == f"GET /things was answered with 302 Found. It points to {host}, and redirections are not followed."


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (429, {"Retry_After": "15"}, 15.0),
        (503, {"Retry_After": " 0 "}, 0.0),
        # RFC 9110, 10.2.3 and 5.6.7
        (503, {"Retry_After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:07 GMT"}, 30.0),
        (503, {"Retry_After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 09:00:00 GMT"}, 0.0),
        (503, {"Retry_After": "Sun, 09 Sep 2001 01:46:50 GMT"}, 10.0),
        (429, {"Retry_After": "soon"}, None),
        (429, {"Retry_After": "-5"}, None),
        (429, {"Retry_After": "²"}, None),
        (429, {"Retry_After": "9" * 400}, None),
        (429, {"Retry_After": "Sun, 06 Nov 99999999999999999999 08:49:37 GMT"}, None),
        (429, {}, None),
        # GitHub
        (403, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1000000060"}, 60.0),
        (403, {"X_RateLimit_Remaining": "5", "X_RateLimit_Reset": "1000000060"}, None),
        (403, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1000000060", "Retry_After": "7"}, 7.0),
        (429, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "never"}, None),
        # IETF draft-ietf-httpapi-ratelimit-headers-03
        (429, {"RateLimit_Remaining": "0", "RateLimit_Reset": "30"}, 30.0),
    ],
)
def test_when_to_come_back(status: int, headers: dict[str, str], expected: float | None) -> None:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    problem = answer.read(Response(status, named), plan=GET, url=URL, arguments={}, now=1_000_000_000.0).problem

    assert problem is not None
    assert problem.retry_after == expected
    assert ("Try again in" in problem.message) == (expected is not None)


def test_a_part_of_a_second_to_wait_is_rounded_up_in_words() -> None:
    problem = read(429, RateLimit_Remaining="0", RateLimit_Reset="1.2").problem

    assert problem is not None
    assert problem.message == "GET /things was answered with 429 Too Many Requests. Try again in 2 s."


def test_an_unnamed_status_is_a_failure_too() -> None:
    problem = read(799).problem

    assert problem is not None
    assert problem.message == "GET /things was answered with 799."


@given(
    st.integers(100, 999),
    st.binary(max_size=60),
    st.sampled_from([None, JSON, "text/html", "image/png", "text/plain; charset=utf-16", "x/y"]),
)
def test_any_answer_has_an_outcome(status: int, body: bytes, media_type: str | None) -> None:
    outcome = read(status, body, media_type)

    assert outcome.ok == (200 <= status < 300)
    assert outcome.meta["status"] == status
    assert outcome.content or outcome.problem


@pytest.mark.parametrize("depth", [*range(240, 260), 900, 1023])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_is_shown_as_a_value_can_be_written_by_every_face(depth: int, opening: bytes, closing: bytes) -> None:
    outcome = read(200, opening * depth + b"1" + closing * depth, JSON)

    assert outcome_answer(outcome).status_code == 200
    assert text_of(outcome) == (opening * depth + b"1" + closing * depth).decode()
