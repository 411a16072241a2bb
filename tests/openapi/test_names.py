from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.openapi.names import names
from toolgate.openapi.operation import Operation


def op(method: str, path: str, operation_id: str | None = None, name: str | None = None) -> Operation:
    return Operation(method, path, "", operation_id=operation_id, extensions={"name": name} if name else {})


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (op("GET", "/repos/{owner}/{repo}", "repos/get-content"), "x_repos_get-content"),
        (op("GET", "/a", "__a b$c__"), "x_a_b_c"),
        (op("GET", "/a", "getA", name="look"), "x_look"),
        (op("GET", "/rates/zip/{zip}/year/{year}"), "x_get_rates_zip_year"),
        (op("POST", "/forms/{id}.json"), "x_post_forms_by_id"),
        (op("DELETE", "/"), "x_delete"),
    ],
)
def test_a_name_comes_from_the_override_the_operation_id_or_the_path(operation: Operation, expected: str) -> None:
    assert names([operation, op("GET", "/zzz/{a}/b", "other")], "x_")[operation.key] == expected


def test_what_all_paths_begin_with_is_not_repeated() -> None:
    found = names([op("GET", "/api/v2/rates/{id}"), op("GET", "/api/v2/zips")], "")

    assert found == {"GET /api/v2/rates/{id}": "get_rates_by_id", "GET /api/v2/zips": "get_zips"}


def test_all_who_want_one_name_carry_the_hash_of_their_own_operation() -> None:
    found = names([op("GET", "/a", "List"), op("GET", "/b", "list"), op("GET", "/c", "other")], "x_")

    # sha256("GET /a") and sha256("GET /b"), six digits
    assert found == {"GET /a": "x_List_f302df", "GET /b": "x_list_db789e", "GET /c": "x_other"}


def test_a_long_name_is_cut_and_carries_a_hash() -> None:
    found = names([op("GET", "/a", "o" * 60)], "github_")

    assert found == {"GET /a": f"github_{'o' * 34}_f302df"}
    assert len(found["GET /a"]) == 48


def test_a_name_that_looks_like_anothers_hashed_name_gives_way_too() -> None:
    found = names([op("GET", "/a", "list"), op("GET", "/b", "list"), op("GET", "/c", "list_f302df")], "")

    assert len({name.lower() for name in found.values()}) == 3


OPERATIONS = st.lists(
    st.builds(
        op,
        st.sampled_from(["GET", "PUT", "DELETE"]),
        st.text("/ab{}.é", max_size=12).map(lambda path: f"/{path}"),
        st.none() | st.text("abAB/-_ é", max_size=60),
    ),
    max_size=12,
    unique_by=lambda operation: operation.key,
)


@given(OPERATIONS, st.randoms(use_true_random=False))
def test_names_are_legal_unique_and_the_same_in_any_order(operations: list[Operation], random: object) -> None:
    found = names(operations, "github_")
    shuffled = list(operations)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert names(shuffled, "github_") == found
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,48}", name) for name in found.values())
    assert len({name.lower() for name in found.values()}) == len(operations)
