"""What docs/routing.md shows is read as it says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from toolgate.llm.samples import read_samples
from toolgate.policy.models import Models

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "routing.md").read_text()


def test_the_labelled_prompts_shown_are_read(tmp_path: Path) -> None:
    shown = re.search(r"```jsonl\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    (tmp_path / "shown.jsonl").write_text(shown[1])

    names, samples = read_samples(tmp_path / "shown.jsonl")

    assert names == ("acme/large", "acme/small")
    assert [sample.cost for sample in samples] == [(2000.0, 100.0), (3000.0, None)]


def test_the_policy_shown_can_be_meant_and_every_key_of_it_is_told_of() -> None:
    shown = re.search(r"```yaml\n(max_quality_loss.*?)```", PAGE, re.DOTALL)
    assert shown

    policy = Models.model_validate(yaml.safe_load(shown[1]))

    assert [rule.id for rule in policy.rules] == ["acme.eu", "free.small", "chat.quick", "no.experiments"]
    assert [key for key in Models.model_fields if f"`{key}`" not in PAGE and f"{key}:" not in PAGE] == []
