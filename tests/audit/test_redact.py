"""No secret gets into an event, and what is no secret does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.audit import redact
from toolgate.audit.line import canonical
from toolgate.audit.redact import HIDDEN, Redactor
from toolgate.testing import a_tool

# Put together here, so that no scanner of repositories takes them for real ones.
SECRETS = [
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "11ABCDEFG0" * 5,
    "glpat-" + "x" * 20,
    "sk-" + "proj-" + "Ab1_" * 8,
    "sk-ant-" + "api03-" + "Z" * 24,
    "sk_" + "live_" + "4" * 24,
    "AKIA" + "IOSFODNN7EXAMPLE",
    "AIza" + "Sy" + "d" * 33,
    "xoxb-" + "123456789012-abcdef",
    "tg_" + "a1b2c3d4_" + "s" * 43 + "_c0ffee",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "Bearer " + "mF_9.B5f-4.1JqM",
    "Authorization: Basic " + "QWxhZGRpbjpvcGVuc2VzYW1l",
]


def kept(arguments: dict[str, Any], schema: dict[str, Any] | None = None, *rules: str, tool: str = "crm_add") -> Any:
    found = Redactor(rules).arguments(a_tool(name=tool, schema=schema), canonical(arguments))
    return orjson.loads(orjson.dumps(found))


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:8])
@pytest.mark.parametrize("where", ["{}", "see {}, please", "first\n\t{}\nlast"])
def test_a_text_in_the_shape_of_a_key_is_taken_out_wherever_it_stands(secret: str, where: str) -> None:
    arguments = {"plain": "stays", "note": where.format(secret), where.format(secret): [where.format(secret)]}

    text = orjson.dumps(kept(arguments)).decode()

    core = max(secret.replace("Basic ", "Bearer ").split("Bearer ")[-1].split("\n"), key=len)
    assert core not in text
    assert "stays" in text
    assert text.count(HIDDEN) == 3


def test_the_userinfo_of_an_address_is_taken_out_and_the_address_stays() -> None:
    assert kept({"url": "postgres://ada:pass@db.example:5432/x"}) == {"url": f"postgres://{HIDDEN}@db.example:5432/x"}


@pytest.mark.parametrize(
    "name", ["password", "userPassword", "api_key", "apiKey", "X-Api-Key", "client_secret", "access_token", "Authorization", "Set-Cookie"]
)
def test_a_text_under_a_telling_name_is_taken_out(name: str) -> None:
    assert kept({"a": {name: "abc", "other": "def"}}) == {"a": {name: HIDDEN, "other": "def"}}


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (["one", "two"], [HIDDEN, HIDDEN]),
        ({"value": "one", "since": 2026, "more": [{"n": "two"}]}, {"value": HIDDEN, "since": 2026, "more": [{"n": HIDDEN}]}),
        (4096, 4096),
    ],
)
def test_under_a_telling_name_no_text_is_left_whatever_holds_it(value: Any, left: Any) -> None:
    assert kept({"secrets": value}) == {"secrets": left}


@pytest.mark.parametrize(
    ("name", "left"),
    [("password", HIDDEN), ("user_password", HIDDEN), ("Password", HIDDEN), ("api_key", HIDDEN), ("token", HIDDEN)]
    + [(name, 1234) for name in ("max_tokens", "password_length", "number", "keys")],
)
def test_a_number_is_a_secret_where_its_name_is_that_of_one(name: str, left: Any) -> None:
    assert kept({name: 1234}) == {name: left}
    assert kept({"deep": {name: [1234, True, None]}}) == {"deep": {name: [left, True, None]}}


@pytest.mark.parametrize("told", [{"name": "Authorization"}, {"key": "X-Api-Key", "enabled": True}, {"header": "cookie"}])
def test_a_pair_of_a_telling_name_and_a_value_is_kept_without_the_value(told: dict[str, Any]) -> None:
    pairs = [{**told, "value": "abc"}, {"name": "Accept", "value": "text/html"}]

    assert kept({"request": {"headers": pairs}}) == {"request": {"headers": [{**told, "value": HIDDEN}, pairs[1]]}}


def test_pairs_in_a_list_of_pairs_are_too() -> None:
    said = {"headers": [["Accept", "text/html"], ["X-Api-Key", "abc"], ["Set-Cookie", ["a", "b"]]], "words": ["token", "economy"]}

    assert kept(said) == said | {"headers": [["Accept", "text/html"], ["X-Api-Key", HIDDEN], ["Set-Cookie", [HIDDEN, HIDDEN]]]}


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ('{"password":"hunter2","a":1}', f'{{"a":1,"password":"{HIDDEN}"}}'),
        (' [{"name": "Authorization", "value": "abc"}]', f'[{{"name":"Authorization","value":"{HIDDEN}"}}]'),
        ('{"body": "{\\"pin_secret\\": 12}"}', f'{{"body":"{{\\"pin_secret\\":\\"{HIDDEN}\\"}}"}}'),
        ('{"b": 1,  "a": "nothing"}', '{"b": 1,  "a": "nothing"}'),
        ('curl -d \'{"user":"ada","password": "hunt\\"er2"}\' x', f'curl -d \'{{"user":"ada","password": "{HIDDEN}"}}\' x'),
        ('log: {\\"apiKey\\":\\"abc\\",\\"page\\":2}', f'log: {{\\"apiKey\\":\\"{HIDDEN}\\",\\"page\\":2}}'),
        ("{not json, but password", "{not json, but password"),
    ],
)
def test_json_within_a_text_is_looked_through(said: str, left: str) -> None:
    assert kept({"v": said}) == {"v": left}


def test_what_an_address_says_under_a_telling_name_is_taken_out() -> None:
    said = "see https://x.example/a?page=2&access_token=abc.def&sort=up#top and ?X-Api-Key=ghi"

    assert kept({"q": said}) == {"q": f"see https://x.example/a?page=2&access_token={HIDDEN}&sort=up#top and ?X-Api-Key={HIDDEN}"}


DEFINED = {
    "login": {"type": "object", "properties": {"pin": {"type": "string", "format": "password"}, "user": {"type": "string"}}},
    "a code": {"writeOnly": True},
    "several": {"oneOf": [{}, {"writeOnly": True}]},
}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"format": "password"}, "x", HIDDEN),
        ({"writeOnly": True}, {"deep": ["x"]}, HIDDEN),
        ({"x-sensitive": True}, 7, HIDDEN),
        ({"x-sensitive": "personal"}, None, HIDDEN),
        ({"x-sensitive": False}, "x", "x"),
        ({"items": {"x-sensitive": True}}, ["x", 1], [HIDDEN, HIDDEN]),
        ({"prefixItems": [{}, {"x-sensitive": True}]}, ["x", 1], [HIDDEN, HIDDEN]),
        ({"additionalProperties": {"writeOnly": True}}, {"any": "x"}, {"any": HIDDEN}),
        ({"patternProperties": {"^n": {"writeOnly": True}}}, {"name": "x"}, {"name": HIDDEN}),
        ({"$ref": "#/$defs/login"}, {"pin": "1", "user": "ada"}, {"pin": HIDDEN, "user": "ada"}),
        ({"allOf": [{"type": "object"}, {"$ref": "#/$defs/login"}]}, {"pin": "1"}, {"pin": HIDDEN}),
        ({"anyOf": [{"type": "null"}, {"oneOf": [{"$ref": "#/$defs/login"}]}]}, {"pin": "1"}, {"pin": HIDDEN}),
        ({"if": {}, "then": {"$ref": "#/$defs/login"}}, {"pin": "1"}, {"pin": HIDDEN}),
        ({"properties": {"pin": {"$ref": "#/$defs/a%20code"}}}, {"pin": "1"}, {"pin": HIDDEN}),
        ({"properties": {"pin": {"$ref": "#/$defs/several/oneOf/1"}}}, {"pin": "1"}, {"pin": HIDDEN}),
        (
            {"properties": {"next": {"$ref": "#/properties/v"}, "pin": {"writeOnly": True}}},
            {"next": {"next": {"pin": 1}}},
            {"next": {"next": {"pin": HIDDEN}}},
        ),
    ],
)
def test_what_the_schema_marks_is_hidden_whatever_it_is(schema: dict[str, Any], value: Any, expected: Any) -> None:
    whole = {"type": "object", "properties": {"v": schema}, "$defs": DEFINED}

    assert kept({"v": value}, whole) == {"v": expected}


def test_a_number_that_the_schema_marks_is_hidden_under_a_telling_name_too() -> None:
    schema = {"properties": {"secrets": {"type": "array", "items": {"x-sensitive": True}}}}

    assert kept({"secrets": [1, "two"]}, schema) == {"secrets": [HIDDEN, HIDDEN]}


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"properties": {"v": {"allOf": [{"$ref": "#/properties/v"}], "x-sensitive": True}}}

    assert kept({"v": 1, "w": 2}, schema) == {"v": HIDDEN, "w": 2}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("crm_*:customer.email", {"customer": {"email": HIDDEN, "name": "Ada"}, "lines": [{"email": "c@d"}]}),
        ("*:customer", {"customer": HIDDEN, "lines": [{"email": "c@d"}]}),
        ("*:*.email", {"customer": {"email": HIDDEN, "name": "Ada"}, "lines": [{"email": HIDDEN}]}),
        ("erp_*:customer", {"customer": {"email": "a@b", "name": "Ada"}, "lines": [{"email": "c@d"}]}),
    ],
)
def test_an_operator_hides_what_a_rule_names(rule: str, expected: Any) -> None:
    assert kept({"customer": {"email": "a@b", "name": "Ada"}, "lines": [{"email": "c@d"}]}, None, rule) == expected


def test_a_long_text_is_cut_after_what_is_secret_was_taken_out() -> None:
    secret = SECRETS[0]
    found = kept({"body": "x" * (redact.TEXT - 10) + f" {secret} " + "y" * 3000})["body"]

    assert found.startswith("x" * 100)
    assert "ghp_" not in found
    assert found.endswith("characters]")
    assert len(found) < redact.TEXT + 50


def test_arguments_that_are_too_large_in_all_keep_their_names() -> None:
    assert kept({f"n{n}": "x" * 2000 for n in range(20)}) == {"cut": sorted(f"n{n}" for n in range(20))}


HARMLESS = st.text(alphabet="abcdefgh \n\u00e9", max_size=12)


@given(st.dictionaries(HARMLESS, st.recursive(HARMLESS | st.integers(-9, 9), lambda inner: st.lists(inner, max_size=3), max_leaves=6)))
def test_what_is_no_secret_is_kept_as_it_is(arguments: dict[str, Any]) -> None:
    marked = {"type": "object", "properties": {"zzz": {"writeOnly": True}}}

    assert kept(arguments) == arguments
    assert kept(arguments, marked) == arguments


@given(st.text(max_size=60), st.sampled_from(SECRETS[:7]), st.text(max_size=60))
def test_no_surroundings_hide_a_key_that_stands_apart(before: str, secret: str, after: str) -> None:
    text = f"{before} {secret} {after}"

    assert secret not in redact.text(text)
    assert secret not in orjson.dumps(kept({"a": text.encode(errors="replace").decode()})).decode()


@pytest.mark.parametrize("text", ["a risk-assessment-framework", "AKIA", "bearer of bad news", "eyJ", "tg_short", "https://a.example/b:c"])
def test_what_only_resembles_a_key_is_kept(text: str) -> None:
    assert kept({"a": text}) == {"a": text}


def test_details_of_other_events_are_cleaned_too() -> None:
    found = redact.details({"reason": f"no such key {SECRETS[9]}", "n": 10**40, "token": "abc", "lone": "\ud800"})

    assert found == {"reason": f"no such key {HIDDEN}", "n": "1" + "0" * 40, "token": HIDDEN, "lone": "?"}


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,24}", fullmatch=True), st.one_of(st.integers(-(2**63), 2**63), st.booleans(), st.none())))
def test_numbers_are_kept_and_names_in_the_shape_of_a_key_are_not(arguments: dict[str, Any]) -> None:
    assert kept(arguments) == {redact.KEYS.sub(HIDDEN, name): value for name, value in arguments.items()}


@pytest.mark.parametrize("name", ["ghp_" + "a" * 16, "sk_live_" + "a" * 16, "github_pat_" + "a" * 16])
def test_a_key_for_a_name_is_taken_out_of_numbers_too(name: str) -> None:
    assert kept({name: 1}) == {HIDDEN: 1}


CARRIES = {"type": "object", "properties": {"tool": {"type": "string"}, "arguments": {"type": "object", "x-arguments-of": "tool"}}}
INNER = {
    "type": "object",
    "properties": {"word": {"$ref": "#/$defs/word"}, "plain": {"type": "string"}},
    "$defs": {"word": {"type": "string", "format": "password"}},
}


def carried(arguments: dict[str, Any], *rules: str) -> Any:
    tools = {"crm_add": a_tool(name="crm_add", schema=INNER), "job": a_tool(name="job", schema=CARRIES)}
    found = Redactor(rules, tools.get).arguments(tools["job"], canonical(arguments))
    return orjson.loads(orjson.dumps(found))


def test_a_carried_call_is_held_against_the_schema_and_the_rules_of_its_own_tool() -> None:
    arguments = {"word": "x", "plain": "p"}
    nested = {"tool": "job", "arguments": {"tool": "crm_add", "arguments": arguments}}

    assert carried({"tool": "crm_add", "arguments": arguments})["arguments"] == {"word": HIDDEN, "plain": "p"}
    assert carried({"tool": "crm_add", "arguments": arguments}, "crm_*:plain")["arguments"] == {"word": HIDDEN, "plain": HIDDEN}
    assert carried(nested)["arguments"]["arguments"] == {"word": HIDDEN, "plain": "p"}


@pytest.mark.parametrize("tool", ["unknown", 7, None])
def test_of_a_carried_call_that_no_schema_knows_nothing_is_kept(tool: Any) -> None:
    assert carried({"tool": tool, "arguments": {"word": "x"}}) == {"tool": tool, "arguments": HIDDEN}
