"""What a tool carries from its integration's file besides its operation."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from toolgate.calls import Rate
from toolgate.egress.wire import Response
from toolgate.errors import EgressBlocked
from toolgate.openapi.load import load
from toolgate.openapi.source import tools_of
from toolgate.settings import bundled
from toolgate.testing import ScriptedSender, a_call

SPEC = """
openapi: 3.1.0
info: {title: t, version: "1"}
paths: {/a: {get: {operationId: get_a, responses: {"200": {description: fine}}}}}
"""


def carried(folder: Path, environ: dict[str, str], state: Path) -> set[tuple[tuple[Rate, ...], int | None, bool]]:
    loaded = load(folder, state, environ=environ)
    assert loaded.problem is None
    return {(tool.rates, tool.concurrency, tool.remote) for tool in tools_of(loaded, ScriptedSender([]))}


@pytest.mark.parametrize(
    ("key", "rates"),
    [
        ("DEMO_KEY", (Rate(100, 60, "acme"), Rate(30, 3600, "shared"))),
        ("own", (Rate(100, 60, "acme"),)),
    ],
)
def test_the_limits_that_hold_with_the_credential_at_hand(key: str, rates: tuple[Rate, ...], tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text(SPEC)
    (tmp_path / "integration.yaml").write_text(
        "name: acme\nspec: openapi.yaml\nbase_url: https://acme.test\nconcurrency: 7\n"
        'auth: {type: api_key, in: header, name: X-Key, value: "${KEY}"}\n'
        "limits: [{calls: 100, per: 1m}, {calls: 30, per: 1h, key: DEMO_KEY, pool: shared}]\n"
    )

    assert carried(tmp_path, {"KEY": key}, tmp_path / "state") == {(rates, 7, True)}


def test_tools_of_ours_are_answered_in_this_process(tmp_path: Path) -> None:
    assert carried(bundled("tool-specs") / "internal", {}, tmp_path) == {((), None, False)}


@pytest.mark.parametrize(("scope", "public"), [("user", False), ("public", True)])
def test_how_long_and_for_whom_answers_are_kept(scope: str, public: bool, tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text(SPEC)
    (tmp_path / "integration.yaml").write_text(
        f"name: acme\nspec: openapi.yaml\nbase_url: https://acme.test\ndefaults: {{cache: 1m, cache_scope: {scope}}}\n"
    )

    loaded = load(tmp_path, tmp_path / "state", environ={})

    assert {(tool.cache, tool.public) for tool in tools_of(loaded, ScriptedSender([]))} == {(60.0, public)}


def test_answers_to_callers_own_credentials_are_never_everybodys(tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text(SPEC)
    (tmp_path / "integration.yaml").write_text(
        "name: acme\nspec: openapi.yaml\nauth: {type: bearer, per_user: true}\ndefaults: {cache: 1m, cache_scope: public}\n"
    )

    loaded = load(tmp_path, tmp_path / "state", environ={})

    assert "defaults.cache_scope is public, and each caller is answered by their own credential" in (loaded.problem or "")


ELSEWHERE = """
openapi: 3.1.0
info: {title: t, version: "1"}
servers: [{url: "https://acme.test/v1"}]
paths:
  /a: {get: {operationId: a, responses: {}}}
  /b: {get: {operationId: b, servers: [{url: "https://evil.test"}], responses: {}}}
  /c: {get: {operationId: c, servers: [{url: "http://acme.test"}], responses: {}}}
  /d: {get: {operationId: d, servers: [{url: "https://files.acme.test"}], responses: {}}}
"""
SENT = {"a": "https://acme.test/v1/a", "b": "https://evil.test/b", "c": "http://acme.test/c", "d": "https://files.acme.test/d"}
KEY = 'auth: {type: api_key, in: header, name: X-Key, value: "s3cret"}\n'


@pytest.mark.parametrize(
    ("more", "reached"),
    [
        (KEY, {"a"}),
        (KEY + "servers: [https://files.acme.test]\n", {"a", "d"}),
        ("headers: {X-Api-Token: s3cret}\n", {"a"}),
        ("hide: [{name: access_token, value: s3cret}]\n", {"a"}),
        ("hide: [{name: access_token}]\n", {"a", "b", "c", "d"}),
        ("", {"a", "b", "c", "d"}),
    ],
)
async def test_an_operation_that_goes_elsewhere_is_not_shown_credentials(more: str, reached: set[str], tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text(ELSEWHERE)
    (tmp_path / "integration.yaml").write_text("name: acme\nspec: openapi.yaml\n" + more)
    loaded = load(tmp_path, tmp_path / "state", environ={})

    sender = ScriptedSender(Response(200, (), b"{}"))

    for tool in tools_of(loaded, sender):
        with nullcontext() if tool.name.removeprefix("acme_") in reached else pytest.raises(EgressBlocked, match="unless `servers` lists"):
            await tool.run(a_call(tool))

    assert {request.url for request in sender.sent} == {SENT[name] for name in reached}
