"""The tree drawn in errors.py is the tree there is."""

from __future__ import annotations

import re

import pytest

from toolgate import errors
from toolgate.errors import InvalidArguments, NotPermitted, ToolgateError, UpstreamFailed


def drawn() -> dict[str, str]:
    """Each class in the docstring's drawing with the one it hangs from."""
    parents: list[str] = []
    tree: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^([│ ├└─]*)([A-Z]\w+)(?:  .*)?$", line)
        if not match or (match[1] == "" and match[2] != "ToolgateError"):
            continue
        depth = len(match[1]) // 4
        parents[depth:] = [match[2]]
        if depth:
            tree[match[2]] = parents[depth - 1]
    return tree


def test_the_drawing_shows_every_class_below_its_parent() -> None:
    classes = {
        name: cls.__bases__[0].__name__
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, ToolgateError) and cls is not ToolgateError
    }

    assert drawn() == classes


def test_every_class_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ToolgateError)]

    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("error", "details"),
    [
        (ToolgateError("x"), {}),
        (NotPermitted("x", "dev.no"), {"rule": "dev.no"}),
        (InvalidArguments("x"), {}),
        (InvalidArguments("x", ({"path": "/a"},)), {"problems": [{"path": "/a"}]}),
        (UpstreamFailed("x", 502), {"status": 502}),
        (UpstreamFailed("x"), {}),
    ],
)
def test_details_hold_what_a_program_wants_to_know(error: ToolgateError, details: object) -> None:
    assert error.details() == details
