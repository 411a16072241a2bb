"""Sources: IANA's media types; RFC 6839, RFC 8949 and RFC 9512 for suffixes."""

from __future__ import annotations

import pytest

from toolgate.openapi import media


@pytest.mark.parametrize(
    ("kind", "media_types"),
    [
        ("json", ["application/json; charset=utf-8", "application/vnd.api+json", "text/json", "*/*"]),
        ("text", ["text/csv", "application/xml", "application/atom+xml", "image/svg+xml", "application/yaml", "application/x+yaml"]),
        (
            "binary",
            ["image/png", "application/pdf", "application/x-tar", "application/x-gzip", "application/cbor", "application/cose+cbor"],
        ),
        ("binary", ["application/x-protobuf", "application/msgpack", "application/epub+zip", "application/wasm"]),
        ("binary", ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"]),
        ("other", ["application/vnd.ms-excel", "application/x-custom", "foo"]),  # the first is what many servers call CSV
    ],
)
def test_a_media_type_tells_what_it_announces(kind: str, media_types: list[str]) -> None:
    assert [media.kind(media_type) for media_type in media_types] == [kind] * len(media_types)
