"""What servers say of themselves is read where it may be said, and believed only of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from toolgate.errors import UpstreamFailed
from toolgate.oauth.metadata import (
    Challenge,
    Protected,
    challenge_of,
    is_safe,
    protected_of,
    resource_places,
    server_of,
    server_places,
)

URL = "https://tools.example/mcp"
SERVER: dict[str, Any] = {"issuer": "https://id.example", "token_endpoint": "https://id.example/token"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('Bearer resource_metadata="https://a.example/x", scope="a b"', Challenge(None, ("a", "b"), "https://a.example/x")),
        ('Bearer error="insufficient_scope", scope=a', Challenge("insufficient_scope", ("a",))),
        ('Basic realm="x", Bearer error="invalid_token"', Challenge("invalid_token")),
        (r'bearer error_description="say \"x\", scope=no", scope="yes"', Challenge(None, ("yes",))),
        ('Bearer scope=""', Challenge(None, ())),
        ("Bearer", Challenge()),
        ('Basic realm="Bearer"', Challenge()),
        ("", Challenge()),
    ],
)
def test_a_challenge_says_what_is_wanted(value: str, expected: Challenge) -> None:
    assert challenge_of([value]) == expected


def test_metadata_of_a_resource_is_looked_for_where_it_says_at_its_path_and_at_its_root() -> None:
    # RFC 9728, 3.1: between the host and the path.
    assert resource_places(URL, Challenge()) == [
        "https://tools.example/.well-known/oauth-protected-resource/mcp",
        "https://tools.example/.well-known/oauth-protected-resource",
    ]
    assert resource_places(URL, Challenge(metadata="https://tools.example/m"))[0] == "https://tools.example/m"


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://id.example", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]),
        (
            "https://id.example/acme",
            [
                "/.well-known/oauth-authorization-server/acme",
                "/.well-known/openid-configuration/acme",
                "/acme/.well-known/openid-configuration",
            ],
        ),
    ],
)
def test_metadata_of_a_server_is_looked_for_in_the_order_of_the_specification(issuer: str, expected: list[str]) -> None:
    assert server_places(issuer) == [f"https://id.example{path}" for path in expected]


@pytest.mark.parametrize(
    "resource", ["https://tools.example", "https://tools.example/", "https://tools.example/mcp", "https://TOOLS.example:443/mcp"]
)
def test_a_resource_covers_what_is_at_its_path_and_below(resource: str) -> None:
    said = {"resource": resource, "authorization_servers": ["https://id.example"]}

    assert protected_of(said, URL, "m") == Protected(resource, ("https://id.example",))


@pytest.mark.parametrize(
    "said",
    [
        {"resource": "https://evil.example/mcp", "authorization_servers": ["https://id.example"]},
        {"resource": "https://tools.example/mcp2", "authorization_servers": ["https://id.example"]},
        {"resource": "https://tools.example/mc", "authorization_servers": ["https://id.example"]},
        {"resource": "http://tools.example/mcp", "authorization_servers": ["https://id.example"]},
        {"resource": "https://tools.example/mcp?x", "authorization_servers": ["https://id.example"]},
        {"resource": "https://tools.example/mcp", "authorization_servers": []},
        {"authorization_servers": ["https://id.example"]},
        [],
        None,
    ],
)
def test_a_document_about_another_resource_counts_for_nothing(said: Any) -> None:
    with pytest.raises(UpstreamFailed):
        protected_of(said, URL, "m")


@pytest.mark.parametrize("issuer", ["https://evil.example", "https://id.example/a", "https://id.example//", "https://ID.example", None])
def test_a_document_of_another_issuer_counts_for_nothing(issuer: str | None) -> None:
    with pytest.raises(UpstreamFailed, match="another issuer"):
        server_of({**SERVER, "issuer": issuer}, "https://id.example", "m")


@pytest.mark.parametrize(
    "endpoint", ["http://id.example/token", "https://id.example/token#x", "file:///etc/passwd", "https://u@id.example/", 7]
)
def test_secrets_go_to_no_endpoint_without_tls(endpoint: Any) -> None:
    with pytest.raises(UpstreamFailed, match="token_endpoint"):
        server_of({**SERVER, "token_endpoint": endpoint}, "https://id.example", "m")


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://id.example", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://localhost:8000/x?y", True),
        ("http://[::1]/x", True),
        ("http://id.example", False),
        ("http://10.0.0.1/", False),
        ("http://127.0.0.1.evil.example/", False),
        ("http://localhost@evil.example/", False),
        ("ftp://localhost", False),
        ("", False),
    ],
)
def test_only_this_machine_is_spoken_to_in_clear(url: str, safe: bool) -> None:
    assert is_safe(url) is safe


@pytest.mark.parametrize("filling", ["a", " ", "a ", "a=", 'a="', "a='", ",", "\\", "bearer "])
def test_a_header_made_to_be_read_for_hours_is_read_at_once(filling: str) -> None:
    header = "Bearer " + filling * 500_000  # a reading that is quadratic in it would not end today

    assert challenge_of([header]).error is None


@pytest.mark.parametrize("written", ["https://id.example", "https://id.example/"])
@pytest.mark.parametrize("named", ["https://id.example", "https://id.example/"])
def test_an_issuer_that_is_a_host_is_the_same_with_a_slash_and_called_as_it_calls_itself(named: str, written: str) -> None:
    assert server_of({**SERVER, "issuer": named}, written, "m").issuer == named


def test_an_issuer_with_a_path_is_another_with_a_slash() -> None:
    with pytest.raises(UpstreamFailed, match="another issuer"):
        server_of({**SERVER, "issuer": "https://id.example/a/"}, "https://id.example/a", "m")
