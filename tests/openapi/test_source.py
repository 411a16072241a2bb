"""What a tool carries from its integration's file besides its operation."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolgate.calls import Rate
from toolgate.openapi.load import load
from toolgate.openapi.source import tools_of
from toolgate.settings import bundled
from toolgate.testing import ScriptedSender

SPEC = """
openapi: 3.1.0
info: {title: t, version: "1"}
paths: {/a: {get: {operationId: get_a, responses: {"200": {description: fine}}}}}
"""


def carried(folder: Path, environ: dict[str, str], state: Path) -> set[tuple[tuple[Rate, ...], int | None, bool]]:
    loaded = load(folder, state, environ=environ)
    assert loaded is not None
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

    assert loaded is not None
    assert {(tool.cache, tool.public) for tool in tools_of(loaded, ScriptedSender([]))} == {(60.0, public)}


def test_answers_to_callers_own_credentials_are_never_everybodys(tmp_path: Path) -> None:
    (tmp_path / "openapi.yaml").write_text(SPEC)
    (tmp_path / "integration.yaml").write_text(
        "name: acme\nspec: openapi.yaml\nauth: {type: bearer, per_user: true}\ndefaults: {cache: 1m, cache_scope: public}\n"
    )

    loaded = load(tmp_path, tmp_path / "state", environ={})

    assert loaded is not None
    assert "defaults.cache_scope is public, and each caller is answered by their own credential" in (loaded.problem or "")
