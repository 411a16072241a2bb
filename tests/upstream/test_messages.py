from __future__ import annotations

import json

import pytest

from toolgate.upstream.messages import MAX_DEPTH, Garbage, decode, encode


def nested(levels: int, text: str = "") -> bytes:
    """A message of so many levels, itself included."""
    value: object = text
    for level in range(levels - 1):
        value = [value] if level % 2 else {"a": value}
    return json.dumps({"jsonrpc": "2.0", "result": value}).encode()


def test_a_message_may_be_nested_as_deep_as_is_passed_on_and_no_deeper() -> None:
    assert decode(nested(MAX_DEPTH))
    with pytest.raises(Garbage, match="nested deeper than 128 levels"):
        decode(nested(MAX_DEPTH + 1))


def test_braces_in_texts_make_nothing_deeper() -> None:
    assert decode(nested(3, "{[" * MAX_DEPTH))


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 12345678901234567890123, 10**18, 1.5e300])
def test_what_is_wider_than_64_bits_comes_in_as_it_is(number: float) -> None:
    (message,) = decode(b'{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"n":%b}}}' % json.dumps(number).encode())

    assert (message["result"]["structuredContent"]["n"], type(message["result"]["structuredContent"]["n"])) == (number, type(number))


def test_what_is_wider_than_anybody_reads_is_read_all_the_same() -> None:
    (message,) = decode(b'{"jsonrpc":"2.0","result":{"structuredContent":[1%b]}}' % (b"0" * 299))

    assert message["result"]["structuredContent"] == [10**299]
    assert decode(b'{"jsonrpc":"2.0","result":{"structuredContent":[0.1%b]}}' % (b"1" * 9000))


def test_what_is_wider_than_64_bits_goes_out_as_it_is() -> None:
    message = {"jsonrpc": "2.0", "params": {"number": 2**70, "text": "\ud800"}}

    assert json.loads(encode(message)) == message
