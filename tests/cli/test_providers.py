"""`toolgate providers`, as somebody uses it who has just installed Toolgate."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from tests.llm.labelled import labelled, write
from toolgate.app import open_app
from toolgate.cli import root
from toolgate.llm.model import OFF
from toolgate.settings import Settings
from toolgate.testing import a_principal

MODELS = ("openai/gpt-6.1-sol", "gpt-5.4-mini", "acme/unknown")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOOLGATE_DATA_DIR", str(tmp_path / "state"))
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def providers(*words: str) -> Result:
    return CliRunner().invoke(root, ["providers", *words])


def test_before_anything_is_set_up_the_list_says_what_would_set_it_up() -> None:
    result = providers("list")

    assert result.exit_code == 0
    assert "openai: set OPENAI_API_KEY to add it" in result.stderr
    assert "no language model is set up but the scripted one" in result.stderr


def test_what_is_switched_off_says_so_in_the_list_and_in_the_explanation(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not a key")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "nor this")

    async def switch() -> None:
        async with open_app(Settings(data_dir=here / "state", integrations=())) as app:
            await app.models.roster.switches.switch("openai", False, a_principal())

    anyio.run(switch)
    listed, explained = providers("list"), providers("explain", "Hello?")

    lines = [line for line in listed.stdout.splitlines() if line.startswith(("openai/", "anthropic/"))]
    assert {(line.split("/")[0], OFF in line) for line in lines} == {("openai", True), ("anthropic", False)}
    assert f": {OFF}" in explained.stderr


def test_an_explanation_for_a_model_that_there_is_not_says_so(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = str(providers("explain", "Hello?").exception)
    monkeypatch.setenv("OPENAI_API_KEY", "not a key")
    unknown = str(providers("explain", "Hello?", "--model", "acme/one").exception)

    assert "no language model is set up" in nobody
    assert unknown.startswith("no language model can be asked. acme/one: there is no such model")


def test_what_nobody_did_yet_is_an_empty_report() -> None:
    for noun in ("stats", "wins", "costs"):
        assert json.loads(providers(noun, "--json").stdout) == {"since": "24h", noun: []}


def test_labelled_prompts_are_learned_and_the_explanation_changes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not a key")
    as_good = [{"coding": 0.8}, {"coding": 0.8}, {"coding": 0.1}]
    file = write(here / "ours.jsonl", MODELS, labelled(400, as_good, (4000.0, 100.0, 1.0)))

    before = json.loads(providers("explain", "--json", "--high-risk", "--task", "coding", "Sort this.").stdout)
    learned = json.loads(providers("calibrate", str(file), "--json").stdout)
    after = json.loads(providers("explain", "--json", "--high-risk", "--task", "coding", "Sort this.").stdout)
    said = providers("calibrate", "--clear", "--json").stdout
    cleared = json.loads(providers("explain", "--json", "--high-risk", "--task", "coding", "Sort this.").stdout)

    assert learned["unknown"] == ["acme/unknown"]
    assert set(learned["models"]) == {"openai/gpt-6.1-sol", "openai/gpt-5.4-mini"}
    assert after["chain"][0] == "openai/gpt-5.4-mini" != before["chain"][0]
    assert cleared["chain"] == before["chain"]
    assert json.loads(said) == {"prompts": 0}


def test_a_file_that_names_one_model_twice_teaches_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not a key")
    names = ("openai/gpt-6.1-sol", "gpt-6.1-sol")
    file = write(here / "twice.jsonl", names, labelled(5, [{"chat": 0.5}, {"chat": 0.1}], (1.0, 1.0)))

    result = providers("calibrate", str(file))

    assert "names openai/gpt-6.1-sol twice" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("calibrate",), "Missing argument 'FILE'"),
        (("evaluate", "one.jsonl"), "after the first line there are 1 prompts, and it takes 2"),
        (("evaluate", "one.jsonl", "--loss", "nan"), "nan is not in the range 0<=x<=100"),
    ],
)
def test_what_cannot_be_calibrated_or_evaluated_is_refused_with_why(here: Path, arguments: tuple[str, ...], why: str) -> None:
    write(here / "one.jsonl", ("one",), labelled(1, [{"a": 0.5}], (1.0,)))

    result = providers(*arguments)

    assert result.exit_code != 0
    assert why in result.stderr + str(result.exception)


def test_a_file_about_nobody_here_is_refused_with_who_is_here(here: Path) -> None:
    file = write(here / "theirs.jsonl", ("acme/one",), labelled(5, [{"chat": 0.5}], (1.0,)))

    result = providers("calibrate", str(file))

    assert result.exit_code != 0
    assert "names no model that is set up here: acme/one" in str(result.exception)
    assert "scripted/scripted-1" in str(result.exception)


def test_an_evaluation_is_a_table_for_people_and_json_for_programs(here: Path) -> None:
    file = write(here / "ours.jsonl", ("dear", "cheap"), labelled(60, [{"a": 0.9}, {"a": 0.9}], (100.0, 1.0)))

    table = providers("evaluate", str(file), "--seeds", "1")
    report = json.loads(providers("evaluate", str(file), "--seeds", "1", "--json").stdout)

    who = [line.split("\t")[0] for line in table.stdout.splitlines()]
    assert who == ["calibrated", "cold start", "best single", "cheapest", "random", "oracle"]
    assert {"accuracy", "cost_ratio", "points", "worst_points"} <= report["calibrated"].keys()
