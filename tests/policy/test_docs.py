"""What docs/policy.md shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

from toolgate.policy.cases import Coverage, coverage
from toolgate.policy.decide import decide
from toolgate.policy.load import load_cases, load_tested
from toolgate.policy.rules import Permission
from toolgate.policy.words import why
from toolgate.testing import a_call, a_tool

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()


def test_the_example_passes_its_cases_covers_its_rules_and_refuses_in_the_words_shown(tmp_path: Path) -> None:
    for name, text in re.findall(r"```yaml\n# (policies/\S+)\n(.*?)```", PAGE, re.DOTALL):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    policy = load_tested(tmp_path / "policies")

    assert coverage(load_cases(tmp_path / "policies"), policy) == Coverage((), ())
    call = a_call(a_tool(name="github_create_issue", reads=False), {"owner": "evil"})
    assert f"\n{why(call, decide(call, policy), policy)}\n" in PAGE


def test_every_key_of_a_permission_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE)) == set(Permission.model_fields)
