"""The official descriptions, read as they are published: how many operations each file has, counted in its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolgate.openapi.extract import extract
from toolgate.openapi.operation import Operation
from toolgate.openapi.read import Document, read_document
from toolgate.openapi.resolve import Dangling, Resolver

pytestmark = pytest.mark.specs

# Lines that are a method below a path, counted without parsing (22 in datadotgov's file, which is flow style).
GSA = [
    ("PSC-Public-API/v1/psc.yml", 1),
    ("_other/notifications-api.openapi.yml", 17),
    ("_other/touchpoints.v0.openapi.yml", 2),
    ("_other/touchpoints.v1.openapi.yml", 10),
    ("acquisition-subaward-reporting-api/v1/subawardreportingpublicapi.yaml", 1),
    ("ag-api/v1/openapi.yaml", 4),
    ("ag-api/v4/openapi.yaml", 2),
    ("apidatagov/v1/openapi.yaml", 36),
    ("apidatagov-metrics/v1/openapi.yaml", 1),
    ("assistance-listings-api/v1/assistance-listings-api.openapi.yaml", 1),
    ("assistance-subaward-reporting-api/v1/subawardreportingpublicapi.yaml", 1),
    ("contract-awards/v1/openapi.yaml", 2),
    ("dap/v1/openapi.yaml", 3),
    ("dap/v2/openapi.yaml", 3),
    ("datadotgov/v1/openapi.json", 22),
    ("entity-api/v1/openapi.yaml", 14),
    ("entity-hierarchy/v1/OpenhsDataAPI.yaml", 1),
    ("exclusions-api/v1/openapi.yaml", 2),
    ("fh-fouo-api/v1/fh-fouo-hierarchy.yml", 1),
    ("fh-fouo-api/v1/fh-fouo-org.yml", 1),
    ("fh-fouo-api/v1/fh-fouo.yml", 55),
    ("fh-public-api/v1/fh-public-hierarchy.yml", 1),
    ("fh-public-api/v1/fh-public-org.yml", 1),
    ("fh-public-api/v1/fh-public.yml", 55),
    ("get-opportunities-public-api/v1/get-opportunities-v1.yml", 1),
    ("get-opportunities-public-api/v1/get-opportunities-v2.yml", 1),
    ("location-public-api/v1/location.yml", 4),
    ("opportunities-api/v1/openapi.json", 24),
    ("perdiem/v2/openapi.yaml", 5),
    ("regulationsgov/v4/openapi.yaml", 10),
    ("sam-entity-extracts-api/v1/openapi.yaml", 2),
    ("sample-api/v1/openapi.yaml", 2),
    ("sample-api-basic/v1/openapi.yaml", 2),
    ("searchgov-clicks/v2/openapi.yml", 1),
    ("searchgov-results/v2/openapi.yml", 1),
    ("spr-api/v1/openapi.yaml", 1),
    ("subawards-bulkupload-api/v1/subawardapi.yml", 10),
]


def read(file: Path) -> tuple[Document, tuple[Operation, ...], list[str]]:
    document = read_document(file.read_bytes(), name=file.name, fragment=True)
    operations, findings = extract(document, Resolver(document.root))
    return document, operations, [finding.code for finding in (*document.diagnostics, *findings) if finding.level == "error"]


def test_github_has_all_of_its_operations_and_no_dangling_reference(real_specs: Path) -> None:
    document, operations, errors = read(real_specs / "github" / "api.github.com.json.gz")
    resolver = Resolver(document.root)

    methods = [operation.method for operation in operations]
    assert {method: methods.count(method) for method in sorted(set(methods))} == {
        "DELETE": 187,
        "GET": 639,
        "PATCH": 70,
        "POST": 193,
        "PUT": 134,
    }
    assert (len(operations), document.diagnostics, errors) == (1223, (), [])
    assert sum(parameter.location == "path" for operation in operations for parameter in operation.parameters) == 2422
    assert sum(parameter.location == "query" for operation in operations for parameter in operation.parameters) == 1104
    assert (
        sum(parameter.multi_segment for operation in operations for parameter in operation.parameters) == 66
    )  # declared in 25 places, one of them for a query
    assert sum(operation.body is not None for operation in operations) == 344
    assert sum(any("link" in answer.headers for answer in operation.answers) for operation in operations) == 209
    assert [operation.servers[0].url for operation in operations if operation.servers_own] == ["https://uploads.github.com"]
    assert dangling(document.root, resolver) == []


@pytest.mark.parametrize(("path", "count"), GSA)
def test_every_gsa_file_has_all_of_its_operations(real_specs: Path, path: str, count: int) -> None:
    _, operations, errors = read(real_specs / "gsa" / path)

    assert (len(operations), len({operation.key for operation in operations}), errors) == (count, count, [])


def test_no_gsa_file_is_missing_from_the_table(real_specs: Path) -> None:
    folder = real_specs / "gsa"

    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.suffix in (".json", ".yaml", ".yml")}

    assert found == {path for path, _ in GSA}


def dangling(node: object, resolver: Resolver) -> list[str]:
    """Every `$ref` below `node` that leads nowhere."""
    found: list[str] = []
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            try:
                resolver.deref(node)
            except Dangling as error:
                found.append(str(error))
            pending += node.values()
        elif isinstance(node, list):
            pending += node
    return found
