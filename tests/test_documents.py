from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import within
from toolgate import documents
from toolgate.errors import BadDocument

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(text: str | bytes, *, strict: bool = True) -> Any:
    return documents.parse(text.encode() if isinstance(text, str) else text, name="a.yaml", strict=strict)


@pytest.mark.parametrize(
    ("scalar", "value"),
    [  # YAML 1.2.2, section 10.3.2
        ("null", None),
        ("~", None),
        ("", None),
        ("true", True),
        ("FALSE", False),
        ("12", 12),
        ("-7", -7),
        ("+5", 5),
        ("007", 7),
        ("0o17", 15),
        ("0xFf", 255),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1e3", -1000.0),
        ("9223372036854775807", 2**63 - 1),
        # Text by these rules, something else by those of YAML 1.1.
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("off", "off"),
        ("2024-01-01", "2024-01-01"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("=", "="),
        # What JSON cannot say stays text.
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("٣", "٣"),
        ("1e", "1e"),
        # Quoted, folded, tagged.
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("|\n  one\n  two", "one\ntwo"),
        (">\n  one\n  two", "one two"),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(scalar: str, value: Any) -> None:
    read_value = read(f"key: {scalar}")["key"]

    assert (type(read_value), read_value) == (type(value), value)


def test_keys_are_text_as_written() -> None:
    assert read("200: a\n1.10: b\ntrue: c\nnull: d\n0x1F: e\n~: f") == {
        "200": "a",
        "1.10": "b",
        "true": "c",
        "null": "d",
        "0x1F": "e",
        "~": "f",
    }


def test_an_alias_is_a_copy_and_a_merge_key_yields_to_what_is_written() -> None:
    text = "base: &base {a: 1, b: {c: 2}}\nsame: *base\nmore: {b: 3, <<: *base}\nmost: {<<: [*base, {a: 4, d: 5}]}\nplain: {'<<': 6}"

    value = read(text)

    assert value == {
        "base": {"a": 1, "b": {"c": 2}},
        "same": {"a": 1, "b": {"c": 2}},
        "more": {"a": 1, "b": 3},
        "most": {"a": 1, "b": {"c": 2}, "d": 5},
        "plain": {"<<": 6},
    }
    assert value["same"]["b"] is not value["base"]["b"]


@given(JSON)
def test_json_reads_back_as_it_was_written_plain_or_packed(value: Any) -> None:
    text = json.dumps(value).encode()

    assert read(text) == value
    assert read(gzip.compress(text)) == value
    assert read(b"\xef\xbb\xbf" + text) == value


@given(st.text() | st.text(alphabet="[]{}:,-?&*!|>'\"%@# \n\ta1<"))
def test_any_text_is_a_value_or_a_bad_document(text: str) -> None:
    try:
        value = read(text.encode("utf-8", errors="surrogatepass"))
    except BadDocument:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@given(st.binary() | st.binary().map(lambda data: b"\x1f\x8b\x08" + data))
def test_any_bytes_are_a_value_or_a_bad_document(data: bytes) -> None:
    try:
        value = read(data, strict=False)
    except BadDocument:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_several_gzip_members_and_utf_16_are_read_and_nothing_is_nothing() -> None:
    assert read(gzip.compress(b"a: 1\n") + gzip.compress(b"b: 2\n")) == {"a": 1, "b": 2}
    assert read("a: ü".encode("utf-16")) == {"a": "ü"}
    assert read(b"") is None
    assert read(b"# nothing\n") is None


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\na: 2", 2, "key 'a' for the second time"),
        ('{"a": {"b": 1, "b": 2}}', None, "has the key 'b' twice"),
        ("a: !secret x", 1, "tag !secret"),
        ("a: !!python/object:os.system {}", None, "python/object"),
    ],
)
def test_what_operators_write_is_read_strictly_and_what_others_wrote_is_not(text: str, line: int | None, says: str) -> None:
    if "python" not in says:
        with pytest.raises(BadDocument, match=says) as refused:
            read(text)
        assert refused.value.line == line

    assert list(read(text, strict=False)) == ["a"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: c: d", 2, "mapping values are not allowed"),
        ("a: 1\nb: *nowhere", 2, r"alias \*nowhere"),
        ("a: &a [*a]", 1, r"alias \*a"),
        ("? [1, 2]\n: x", 1, "key that is no text"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a: {<<: 1}", 1, "no mapping"),
        ('{"a": 1,\n "b" 2}', 2, "read as JSON"),
        ("a: \x01", None, "neither JSON nor YAML"),
    ],
)
def test_a_broken_document_is_refused_with_its_line(text: str, line: int | None, says: str) -> None:
    with pytest.raises(BadDocument, match=says) as refused:
        read(text, strict=False)

    assert refused.value.line == line
    assert str(refused.value).startswith("a.yaml")


def laughs(levels: int) -> str:
    """Nine times nine times nine: 9 ** levels nodes in a few hundred bytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def merges(levels: int) -> str:
    lines = ["a0: &a0 {a: 1, b: 2, c: 3}"]
    lines += [f"a{n}: &a{n} {{{', '.join(f'k{i}: {{<<: *a{n - 1}}}' for i in range(9))}}}" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("bomb", "says"),
    [
        pytest.param(laughs(9), "aliases", id="aliases"),
        pytest.param(merges(8), "aliases", id="merges"),
        pytest.param("[" * 50_000, "deeper", id="open brackets"),
        pytest.param("a: " + "[" * 50_000, "deeper", id="open brackets in YAML"),
        pytest.param("- " * 50_000, "deeper", id="dashes"),
        pytest.param("{a: " * 50_000, "deeper", id="open braces"),
        pytest.param("\n".join(" " * n + "a:" for n in range(2_000)), "deeper", id="indents"),
        pytest.param("[" * 65 + "]" * 65, "deeper", id="JSON one level too deep"),
        pytest.param("[" * 5_000 + "]" * 5_000, "deeper", id="JSON far too deep"),
        pytest.param("[" + "[]," * 3_000_000 + "[]]", "nodes", id="empty lists"),
        pytest.param("- a\n" * 2_000_000, "nodes", id="a long list"),
        pytest.param(gzip.compress(bytes(200_000_000)), "bytes", id="gzip"),
        pytest.param(gzip.compress(b" " * 1000)[:-9], "ends too early", id="half of a gzip"),
        pytest.param(b" " * (32 * 1024 * 1024 + 1), "bytes", id="too long"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_bomb_is_refused_within_two_seconds(bomb: str | bytes, says: str, strict: bool) -> None:
    data = bomb.encode() if isinstance(bomb, str) else bomb

    with within(2), pytest.raises(BadDocument, match=says):
        read(data, strict=strict)


def test_sixty_four_levels_are_not_too_deep() -> None:
    assert read("[" * 64 + "]" * 64) == read("- " * 63 + "[]")
