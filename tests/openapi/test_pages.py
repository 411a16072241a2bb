from __future__ import annotations

from typing import Any

import pytest

from toolgate.openapi.diagnostics import Findings
from toolgate.openapi.lift import Lifter
from toolgate.openapi.operation import Answer, MediaType, Operation, Paging, ParameterPlan
from toolgate.openapi.pages import pages
from toolgate.openapi.resolve import Resolver

LIST = {"type": "object", "properties": {"items": {}, "meta": {"properties": {"next_cursor": {"type": "string"}, "a/next": {}}}}}


def found(*names: str, answer: Answer | None = None, method: str = "GET", **defaults: int | str) -> Paging | None:
    plans = [ParameterPlan(name, "query", name.strip("$")) for name in names]
    schemas: dict[str, Any] = {name: {"default": value} for name, value in defaults.items()}
    operation = Operation(method, "/x", "", answers=(answer,) if answer else ())
    return pages(operation, plans, schemas, Lifter(Resolver({}), "3.0.3", Findings()))


@pytest.mark.parametrize(
    ("paging", "expected"),
    [
        (found("page", "per_page", answer=Answer("200", headers=("link",))), Paging("link", "page", "per_page")),
        (found("q", answer=Answer("200", headers=("link",))), Paging("link")),
        (found("page", "per_page", answer=Answer("404", headers=("link",)), per_page=30), Paging("page", "page", "per_page", size=30)),
        (found("pageNumber", "pageSize", pageNumber=0), Paging("page", "pageNumber", "pageSize", first=0)),
        (found("$skip", "$top"), Paging("offset", "skip", "top")),
        (found("page", "size", page="0", size="25"), Paging("page", "page", "size", first=0, size=25)),
        (found("offset", "limit", limit=10, offset=0), Paging("offset", "offset", "limit", first=0, size=10)),
        (found("start", "q"), None),
        (
            found("cursor", "limit", answer=Answer("200", (MediaType("application/json", LIST, ""),))),
            Paging("cursor", "cursor", "limit", "/meta/next_cursor"),
        ),
        (found("cursor", "limit"), None),
        (found("page", method="POST"), None),
    ],
)
def test_paging_is_told_by_headers_parameters_and_answers(paging: Paging | None, expected: Paging | None) -> None:
    assert paging == expected
