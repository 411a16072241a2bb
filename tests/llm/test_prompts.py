from __future__ import annotations

from hashlib import sha256

import pytest

from toolgate.llm.prompts import templates, told

ISSUED = {
    "examples@1": "d664c2c3c53b8715",
    "steps@1": "17dbc92d7d699c60",
    "system@1": "c97933bc6da8be67",
    "tools@1": "16a66e732db50d44",
}
"""Every version that answers were ever asked with, and the digest of its text: one that changes needs a new number."""


def test_a_text_that_changes_has_a_new_version() -> None:
    now = {each.id: sha256(each.text.encode()).hexdigest()[:16] for each in templates().values()}

    assert {version: digest for version, digest in now.items() if ISSUED.get(version) != digest} == {}


def test_templates_are_joined_and_say_their_versions() -> None:
    said = told("system", "steps", user="local:ada", today="2026-11-27")

    assert said.version == "system@1+steps@1"
    assert said.text.startswith("You are Toolgate's agent. You carry out one task for local:ada with tools")
    assert "{{" not in said.text
    assert "Work step by step." in said.text


def test_a_value_that_looks_like_a_place_stays_what_it_is() -> None:
    assert "for {{today}} with tools" in told("system", user="{{today}}", today="2026-11-27").text


def test_a_place_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        told("system", user="local:ada")


def test_each_file_is_named_as_its_template() -> None:
    assert {file: each.name for file, each in templates().items()} == {name: name for name in ("examples", "steps", "system", "tools")}
