from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.llm.labelled import labelled, write
from toolgate.errors import BadDocument, Misconfigured
from toolgate.llm.calibration import Calibration, calibrate, tariff_of
from toolgate.llm.evaluate import evaluate
from toolgate.llm.samples import MOST_TASKS, read_samples

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "routing"
AS_GOOD = [{"sums": 0.85, "prose": 0.85}, {"sums": 0.85, "prose": 0.84}]
ONLY_AT_PROSE = [{"sums": 0.9, "prose": 0.8}, {"sums": 0.3, "prose": 0.82}]


def test_the_cheap_model_is_asked_where_it_is_as_good_and_not_where_it_is_worse() -> None:
    samples = labelled(800, ONLY_AT_PROSE, (1000.0, 10.0))

    calibration = calibrate(("dear", "cheap"), samples, tariff_of(("dear", "cheap"), samples))
    report = evaluate(("dear", "cheap"), samples, seeds=2)["calibrated"]

    assert calibration.reference == "dear"
    assert report["points"] > -2
    assert 0.4 < report["cost_ratio"] < 0.7  # half of the prompts are prose


def test_what_is_written_as_json_decides_as_before() -> None:
    samples = labelled(400, ONLY_AT_PROSE, (1000.0, 10.0))
    calibration = calibrate(("dear", "cheap"), samples, tariff_of(("dear", "cheap"), samples))

    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))

    assert again.prices == calibration.prices
    assert again.qualities("sums", "sums number 7", 0) == pytest.approx(calibration.qualities("sums", "sums number 7", 0), abs=1e-3)


@pytest.mark.parametrize("costs", [(None, None), (None, 3.0), (0.0, 0.0)])
def test_costs_may_be_unknown_or_nothing(costs: tuple[float | None, float | None]) -> None:
    report = evaluate(("one", "two"), labelled(60, AS_GOOD, costs), seeds=1)

    assert report["costs_estimated"] == 60 * costs.count(None)
    assert 0 <= report["calibrated"]["cost_ratio"] <= 1.5


@pytest.mark.parametrize("rows", [2, 3, 11])
def test_a_handful_of_prompts_is_enough_to_say_something(rows: int) -> None:
    assert evaluate(("one", "two"), labelled(rows, AS_GOOD, (2.0, 1.0)), seeds=2)["prompts"] == rows


def test_one_model_is_asked_everything() -> None:
    report = evaluate(("only",), labelled(30, AS_GOOD[:1], (2.0,)), seeds=1)

    assert report["calibrated"]["cost_ratio"] == 1
    assert report["cold_start"]["points"] == 0


def test_the_same_seeds_give_the_same_report() -> None:
    samples = labelled(120, ONLY_AT_PROSE, (1000.0, 10.0))

    assert evaluate(("dear", "cheap"), samples, seeds=2) == evaluate(("dear", "cheap"), samples, seeds=2)


def test_a_file_is_read_as_it_was_written_plain_or_zipped(tmp_path: Path) -> None:
    samples = labelled(10, AS_GOOD, (2.0, None))
    plain = write(tmp_path / "some.jsonl", ("one", "two"), samples)
    zipped = tmp_path / "some.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))

    assert read_samples(plain) == read_samples(zipped)
    assert [sample.ok for sample in read_samples(plain)[1]] == [sample.ok for sample in samples]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2: it is not JSON"),
        ("[]", "line 2: it has to be a JSON object"),
        ('{"text": "x", "ok": [1]}', "line 2: ok has to hold a value for each of the 2 models, and there is 1 values"),
        ('{"text": "x", "ok": [1, 2]}', "line 2: ok has to hold numbers from 0 to 1"),
        ('{"text": "x", "ok": [1, null]}', "line 2: ok has to hold numbers from 0 to 1, and has null"),
        ('{"text": "x", "ok": [1, 0], "cost": [-1, 0]}', "line 2: cost has to hold numbers from 0 to 1000000"),
        ('{"text": "x", "ok": [1, 0], "cost": [1e308, 0]}', "line 2: cost has to hold numbers from 0 to 1000000"),
        ('{"text": "x", "ok": [NaN, 0]}', "line 2: it is not JSON"),
        ('{"text": 7, "ok": [1, 0]}', "line 2: task and text have to be strings"),
        ("", "line 1: after the first line there are 0 prompts, and it takes 1"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(tmp_path: Path, line: str, why: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"models": ["one", "two"]}\n' + line + "\n")

    with pytest.raises(BadDocument, match=why):
        read_samples(file)


def test_a_file_without_models_or_cut_off_or_absent_is_refused(tmp_path: Path) -> None:
    empty, cut = tmp_path / "empty.jsonl", tmp_path / "cut.jsonl.gz"
    empty.write_text("\n \n")
    cut.write_bytes(gzip.compress(b'{"models": ["one"]}\n' * 1000)[:40])

    with pytest.raises(BadDocument, match="line 1: the file is empty"):
        read_samples(empty)
    with pytest.raises(BadDocument, match="not whole gzip"):
        read_samples(cut)
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_samples(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    "change", [lambda whole: b"\xef\xbb\xbf" + whole, lambda whole: b"\n\n" + whole, lambda whole: whole.replace(b"\n", b"\r\n\r\n")]
)
def test_marks_and_empty_lines_of_other_systems_are_passed_over(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    plain = write(tmp_path / "plain.jsonl", ("one", "two"), labelled(10, AS_GOOD, (2.0, None)))
    odd = tmp_path / "odd.jsonl"
    odd.write_bytes(change(plain.read_bytes()))

    assert read_samples(odd) == read_samples(plain)


def test_the_rarest_of_too_many_tasks_are_taken_together(tmp_path: Path) -> None:
    file = tmp_path / "ids.jsonl"
    lines = [json.dumps({"task": f"task {number:04}", "text": "x", "ok": [1]}) for number in (*range(MOST_TASKS + 5), 7, MOST_TASKS + 4)]
    file.write_text("\n".join(['{"models": ["one"]}', *lines]))

    tasks = [sample.task for sample in read_samples(file)[1]]

    assert len(set(tasks)) == MOST_TASKS + 1
    assert tasks.count("other") == 5
    assert tasks[-1] == f"task {MOST_TASKS + 4:04}"


def test_a_file_that_is_shorter_than_it_says_is_read_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "part.jsonl"
    file.write_text('{"models": ["one"], "n": 100}\n' + '{"text": "x", "ok": [1]}\n' * 9)

    _, samples = read_samples(file)

    assert len(samples) == 9
    assert "says that it has 100 prompts, and has 9" in caplog.text


def test_missing_tasks_and_soft_marks_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "soft.jsonl"
    file.write_text('{"models": ["one", "two"]}\n' + '{"text": "x", "ok": [0.5, 0.25]}\n' * 9)

    assert evaluate(*read_samples(file), seeds=1)["best_single"]["accuracy"] == 0.5


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data/routing is not there")
def test_a_cold_start_on_zeroeval_is_above_0_825_and_calibration_loses_little() -> None:
    names, samples = read_samples(SHARED / "zeroeval.jsonl.gz")

    report = evaluate(names, samples, seeds=2)

    assert report["cold_start"]["accuracy"] >= 0.825
    assert report["calibrated"]["cost_ratio"] < 0.65
    assert report["calibrated"]["points"] > -2  # of 852 prompts: one standard error of a split is 1 point
