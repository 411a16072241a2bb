"""What the documents show is true: settings and integrations load, JSON is JSON, commands exist, tables are complete."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from toolgate.cli import root
from toolgate.integration import Integration, read_integration
from toolgate.settings import read_settings

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[Any]:
    """The fenced blocks of that language on all pages, named by page and number."""
    found = [(page, *one) for page in PAGES for one in enumerate(FENCE.findall(page.read_text()))]
    return [pytest.param(text, id=f"{page.name}-{number}") for page, number, (of, text) in found if of == language]


@pytest.mark.parametrize("text", blocks("json"))
def test_json_is_json(text: str) -> None:
    json.loads(text)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_is_what_its_first_line_says(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = text.partition("\n")[0].removeprefix("# ").partition(" ")[0].partition(":")[0]
    (tmp_path / "shown.yaml").write_text(text)

    if name == "integration.yaml":
        (tmp_path / name).write_text(text)
        assert read_integration(tmp_path, {}).name
    elif name == "toolgate.yaml":
        assert read_settings(tmp_path / "shown.yaml")
    else:
        assert isinstance(yaml.safe_load(text), (dict, list))


@pytest.mark.parametrize("text", blocks("sh"))
def test_every_command_shown_exists_with_its_options(text: str) -> None:
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0].endswith("toolgate"):
            assert known(words[1:]), line


def known(words: list[str]) -> bool:
    """Whether `--help` of the command knows the options."""
    path: list[str] = []
    for word in words:
        if word.startswith("-"):
            break
        if CliRunner().invoke(root, [*path, word, "--help"]).exit_code == 0:
            path.append(word)
        else:
            break
    help_text = CliRunner().invoke(root, [*path, "--help"]).output
    return bool(path) and all(word.partition("=")[0] in help_text for word in words if word.startswith("--"))


def test_every_key_of_an_integration_is_documented() -> None:
    shown = (ROOT / "docs" / "integrations.md").read_text()

    missing = [name for name in Integration.model_fields if not re.search(rf"^{name}:", shown, re.MULTILINE)]

    assert missing == ["asgi"]  # for bundled integrations only


def test_every_step_of_the_gate_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    steps = {file.stem for file in (ROOT / "src/toolgate/gateway").glob("*.py")} - {"__init__", "discover", "search"}

    assert {step for step in steps if f"| `{step}` |" not in page} == set()


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    suspicious = re.compile(r"--(extra-)?index-url|registry *= *\"http|(^|[^A-Za-z0-9_.])/(?:work|farm|root)/")
    files = [
        *PAGES,
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "tool-specs").rglob("*.yaml"),
        ROOT / "constraints.txt",
        ROOT / "requirements.lock",
    ]

    assert [file for file in files if suspicious.search(file.read_text())] == []
