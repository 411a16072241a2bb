"""Every file that GSA publishes is read, as it is published.

How many operations a file has is counted in its text, line by line, so that neither our reader nor any YAML parser
judges itself; three of the files are no YAML at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from toolgate.errors import BadDocument
from toolgate.integration import Integration
from toolgate.openapi.convert import convert
from toolgate.openapi.extract import extract
from toolgate.openapi.operation import Operation
from toolgate.openapi.read import read_document
from toolgate.openapi.resolve import Resolver

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "gsa.md"
pytestmark = pytest.mark.specs

CREDENTIALS_BOUND = b"""
overlay: 1.0.0
info: {title: Credentials are bound by the gate, version: "1"}
actions:
  - target: $.paths.*.*.parameters[?match(@.name, 'api_key|access_key|Authorization|X-Auth-Token|x-Api-Roles')]
    remove: true
"""
ONE_ADDRESS = b"""
overlay: 1.0.0
info: {title: "The server is a host; the path has the rest", version: "1"}
actions:
  - target: $.servers
    remove: true
  - target: $
    update: {servers: [{url: "https://api.sam.gov"}]}
  - target: $.paths.*.get.parameters[?@.name == 'type'].schema
    update: {enum: [contract, assistance]}
  - target: $.paths.*.get.parameters[?@.name == 'subType'].schema
    update: {enum: [subcontracts, subawards]}
"""


@dataclass(frozen=True)
class Official:
    """One file of GSA's and what must come of it."""

    file: str
    operations: int
    fragment: bool = False
    """Bare path items; `integration.yaml` has to say so."""
    overlays: tuple[bytes, ...] = ()
    told: Sequence[str] = ()
    """Codes of all that is repaired or passed over, each once; none of them costs an operation."""


@dataclass(frozen=True)
class Extracted:
    operations: Sequence[Operation]
    told: Sequence[tuple[str, str]]
    """Level and code of each finding."""


WRAPPED = ("wrapped-fragment", "no-info")
BOUND = (CREDENTIALS_BOUND,)

OFFICIAL = (
    Official("PSC-Public-API/v1/psc.yml", 1, fragment=True, overlays=BOUND, told=WRAPPED),
    Official("_other/notifications-api.openapi.yml", 17, told=("query-in-path",)),
    Official("_other/touchpoints.v0.openapi.yml", 2),
    Official("_other/touchpoints.v1.openapi.yml", 10),
    Official("acquisition-subaward-reporting-api/v1/subawardreportingpublicapi.yaml", 1, overlays=(ONE_ADDRESS,)),
    Official("ag-api/v1/openapi.yaml", 4),
    Official("ag-api/v4/openapi.yaml", 2, told=("query-in-path",)),
    Official("apidatagov-metrics/v1/openapi.yaml", 1),
    Official("apidatagov/v1/openapi.yaml", 36),
    Official("assistance-listings-api/v1/assistance-listings-api.openapi.yaml", 1),
    Official("assistance-subaward-reporting-api/v1/subawardreportingpublicapi.yaml", 1, overlays=(ONE_ADDRESS,)),
    Official("contract-awards/v1/openapi.yaml", 2, overlays=BOUND, told=("server-without-scheme",)),
    Official("dap/v1/openapi.yaml", 3),
    Official("dap/v2/openapi.yaml", 3),
    Official("datadotgov/v1/openapi.json", 22),
    Official("entity-api/v1/openapi.yaml", 14, overlays=BOUND, told=("server-without-scheme", "duplicate-operation-id")),
    Official("entity-hierarchy/v1/OpenhsDataAPI.yaml", 1, fragment=True, told=("mended-text", *WRAPPED, "flag-not-boolean")),
    Official("exclusions-api/v1/openapi.yaml", 2, told=("server-without-scheme",)),
    Official("fh-fouo-api/v1/fh-fouo-hierarchy.yml", 1, fragment=True, overlays=BOUND, told=WRAPPED),
    Official("fh-fouo-api/v1/fh-fouo-org.yml", 1, fragment=True, overlays=BOUND, told=WRAPPED),
    Official("fh-fouo-api/v1/fh-fouo.yml", 55, overlays=BOUND, told=("mended-text", "unknown-path-parameter", "optional-path-parameter")),
    Official("fh-public-api/v1/fh-public-hierarchy.yml", 1, fragment=True, overlays=BOUND, told=WRAPPED),
    Official("fh-public-api/v1/fh-public-org.yml", 1, fragment=True, overlays=BOUND, told=WRAPPED),
    Official(
        "fh-public-api/v1/fh-public.yml", 55, overlays=BOUND, told=("mended-text", "unknown-path-parameter", "optional-path-parameter")
    ),
    Official("get-opportunities-public-api/v1/get-opportunities-v1.yml", 1, fragment=True, overlays=BOUND, told=WRAPPED),
    Official("get-opportunities-public-api/v1/get-opportunities-v2.yml", 1, fragment=True, overlays=BOUND, told=WRAPPED),
    Official("location-public-api/v1/location.yml", 4, fragment=True, overlays=BOUND, told=WRAPPED),
    Official("opportunities-api/v1/openapi.json", 24, overlays=BOUND, told=("optional-path-parameter", "unknown-scheme")),
    Official("perdiem/v2/openapi.yaml", 5),
    Official("regulationsgov/v4/openapi.yaml", 10),
    Official("sam-entity-extracts-api/v1/openapi.yaml", 2, overlays=BOUND, told=("server-without-scheme",)),
    Official("sample-api-basic/v1/openapi.yaml", 2, overlays=BOUND),
    Official("sample-api/v1/openapi.yaml", 2, told=("tag-not-text",)),
    Official("searchgov-clicks/v2/openapi.yml", 1, overlays=BOUND, told=("info-not-text",)),
    Official("searchgov-results/v2/openapi.yml", 1, overlays=BOUND, told=("info-not-text",)),
    Official("spr-api/v1/openapi.yaml", 1, overlays=BOUND),
    Official("subawards-bulkupload-api/v1/subawardapi.yml", 10, overlays=BOUND),
)

CREDENTIALS = {"api_key", "access_key", "authorization", "x-auth-token", "x-api-roles"}

KEYED = Integration.model_validate(
    {"name": "official", "base_url": "https://api.sam.gov", "auth": {"type": "api_key", "in": "query", "name": "api_key", "value": "k"}}
)
each_file = pytest.mark.parametrize("official", OFFICIAL, ids=lambda official: official.file)


def read(real_specs: Path, official: Official, *, fragment: bool | None = None, overlays: Sequence[bytes] | None = None) -> Extracted:
    """The operations of a file, and the codes of what was found on the way."""
    document = read_document(
        (real_specs / "gsa" / official.file).read_bytes(),
        name=official.file,
        fragment=official.fragment if fragment is None else fragment,
        overlays=official.overlays if overlays is None else overlays,
    )
    operations, findings = extract(document, Resolver(document.root))
    return Extracted(operations, [(finding.level, finding.code) for finding in (*document.diagnostics, *findings)])


def methods_in(text: str) -> int:
    """How many verbs stand directly below a path, in the text of a YAML or JSON file."""
    found, path, depth = 0, -1, -1
    for line in text.replace("\t", "  ").splitlines():
        if match := re.fullmatch(r"""( *)(['"]?)/.*?\2(:( \{)?)? *""", line):
            path, depth = len(match[1]), -1
        elif (match := re.fullmatch(r"""( *)(['"]?)(get|put|post|delete|options|head|patch|trace)\2:( \{)? *""", line)) and path >= 0:
            depth = len(match[1]) if depth < 0 else depth
            found += path < len(match[1]) == depth
    return found


def test_the_table_has_every_file(real_specs: Path) -> None:
    files = {str(path.relative_to(real_specs / "gsa")) for path in (real_specs / "gsa").rglob("*.*") if path.suffix != ".md"}

    assert {official.file for official in OFFICIAL} == files
    assert (len(files), sum(official.operations for official in OFFICIAL)) == (37, 301)


@each_file
def test_the_table_says_what_the_text_says(real_specs: Path, official: Official) -> None:
    assert methods_in((real_specs / "gsa" / official.file).read_text()) == official.operations


@each_file
def test_every_operation_is_read_and_what_was_mended_is_told(real_specs: Path, official: Official) -> None:
    extracted = read(real_specs, official)

    assert len({operation.key for operation in extracted.operations}) == official.operations
    assert {code for _, code in extracted.told} == set(official.told)
    assert "error" not in {level for level, _ in extracted.told}


@each_file
def test_no_operation_needs_the_overlay_to_be_read(real_specs: Path, official: Official) -> None:
    assert len(read(real_specs, official, overlays=()).operations) == official.operations


@each_file
def test_after_the_overlay_no_parameter_carries_a_credential(real_specs: Path, official: Official) -> None:
    extracted = read(real_specs, official)

    asked = {
        parameter.name for operation in extracted.operations for parameter in operation.parameters if parameter.name.lower() in CREDENTIALS
    }
    assert asked == set()


@each_file
def test_every_placeholder_has_its_parameter(real_specs: Path, official: Official) -> None:
    for operation in read(real_specs, official).operations:
        in_path = sorted(parameter.name for parameter in operation.parameters if parameter.location == "path")
        assert in_path == sorted(re.findall(r"\{([^}]*)\}", operation.path)), operation.key


@each_file
def test_every_operation_becomes_a_tool_with_a_valid_schema(real_specs: Path, official: Official) -> None:
    data = (real_specs / "gsa" / official.file).read_bytes()
    document = read_document(data, name=official.file, fragment=official.fragment, overlays=official.overlays)
    resolver = Resolver(document.root)
    operations, _ = extract(document, resolver)

    converted = convert(operations, resolver, KEYED, document.version)

    assert len({tool.name for tool in converted.definitions}) == official.operations
    for tool in converted.definitions:
        jsonschema.Draft202012Validator.check_schema(dict(tool.schema))
        assert not {argument.lower() for argument in tool.schema["properties"]} & CREDENTIALS, tool.name


@pytest.mark.parametrize("official", [official for official in OFFICIAL if official.fragment], ids=lambda official: official.file)
def test_a_fragment_is_read_only_where_the_operator_says_that_it_is_one(real_specs: Path, official: Official) -> None:
    with pytest.raises(BadDocument, match="say `fragment: true`"):
        read(real_specs, official, fragment=False)


def test_the_overlay_in_the_guide_works(real_specs: Path) -> None:
    shown = next(block for block in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL) if block.startswith("overlay:"))
    opportunities = next(official for official in OFFICIAL if official.file.startswith("opportunities-api"))

    extracted = read(real_specs, opportunities, overlays=(shown.encode(),))

    assert len(extracted.operations) == opportunities.operations
    assert {parameter.name for operation in extracted.operations for parameter in operation.parameters} & CREDENTIALS == set()
    assert "ignored-header" not in {code for _, code in extracted.told}


def test_an_overlay_says_what_the_file_leaves_open(real_specs: Path) -> None:
    subawards = next(official for official in OFFICIAL if official.file.startswith("acquisition-subaward"))

    (operation,) = read(real_specs, subawards).operations

    assert [server.url for server in operation.servers] == ["https://api.sam.gov"]
    assert {parameter.name: parameter.schema for parameter in operation.parameters if parameter.location == "path"} == {
        "type": {"type": "string", "enum": ["contract", "assistance"]},
        "subType": {"type": "string", "enum": ["subcontracts", "subawards"]},
    }
