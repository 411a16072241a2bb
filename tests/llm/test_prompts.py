from __future__ import annotations

from hashlib import sha256

from toolgate.llm.prompts import templates, told

ISSUED = {
    "examples@1": "efdcc00d142e010a",
    "steps@1": "86b3e37132039a4b",
    "system@1": "99633c0093335b87",
    "tools@1": "ade4fd77ea06d509",
}
"""Every version that answers were ever asked with, and the digest of its text: one that changes needs a new number."""


def test_a_text_that_changes_has_a_new_version() -> None:
    now = {each.version: sha256(each.text.encode()).hexdigest()[:16] for each in templates().values()}

    assert {version: digest for version, digest in now.items() if ISSUED.get(version) != digest} == {}


def test_templates_are_joined_and_say_their_versions() -> None:
    said = told("system", "steps")

    assert said.version == "system@1+steps@1"
    assert said.text.startswith("You are Toolgate's agent. ")
    assert "Work step by step:" in said.text


def test_each_file_is_named_as_its_template() -> None:
    assert {file: each.version.partition("@")[0] for file, each in templates().items()} == {
        name: name for name in ("examples", "steps", "system", "tools")
    }
