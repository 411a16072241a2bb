from __future__ import annotations

from pathlib import Path

import pytest

from toolgate.errors import Misconfigured
from toolgate.policy.load import load_policy
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.testing import a_tool


def role(name: str, *inherits: str, ids: tuple[str, ...] = ()) -> Role:
    return Role(role=name, inherits=inherits, permissions=tuple(Permission(id=one, tools="*") for one in ids))


def test_a_role_has_what_its_parents_have_once() -> None:
    policy = Policy([role("a", ids=("a1",)), role("b", "a", ids=("b1",)), role("c", "a"), role("d", "b", "c", ids=("d1",))])

    assert [rule.id for rule in policy.applicable(("d",), a_tool())] == ["a1", "b1", "d1"]
    assert [rule.id for rule in policy.applicable(("c", "b"), a_tool())] == ["a1", "b1"]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ([role("a", "b"), role("b", "a")], "roles inherit in a circle: a -> b -> a"),
        ([role("a", "ghost")], "the role a inherits from ghost, which is not defined"),
        ([role("a"), role("a")], "the role a is defined twice"),
        ([role("a", ids=("x",)), role("b", ids=("x",))], "two permissions have the id x"),
    ],
)
def test_roles_that_cannot_be_meant_are_refused(roles: list[Role], message: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        Policy(roles)

    assert str(refused.value) == message


def test_an_empty_folder_is_refused_rather_than_anything_let_in(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="holds no policy"):
        load_policy(tmp_path)


def test_a_misspelt_key_is_refused_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "x.yaml").write_text("role: x\npermissions: [{id: x.y, tools: '*', effects: deny}]")

    with pytest.raises(Misconfigured, match=r"x\.yaml does not fit\. permissions\.0\.effects: Extra inputs"):
        load_policy(tmp_path)
