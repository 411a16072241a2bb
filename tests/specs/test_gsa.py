"""The GSA integrations by themselves: legal, complete, bound to their keys, and in the guide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import jsonschema
import pytest

from tests.specs.gsa import CREDENTIALS, OURS, SPECS, Ours, document, followed
from toolgate import documents
from toolgate.integration import ApiKey, Integration, Selection, read_integration
from toolgate.openapi.convert import convert
from toolgate.openapi.definition import Defined
from toolgate.openapi.extract import extract
from toolgate.openapi.read import read_document
from toolgate.openapi.resolve import Resolver

GUIDE = SPECS.parent / "docs" / "gsa.md"

LISTED = {
    "gsa-apidata-metrics": 0,
    "gsa-assistance-listings": 1,
    "gsa-calc": 1,
    "gsa-dap": 1,
    "gsa-datagov": 2,
    "gsa-federal-hierarchy": 2,
    "gsa-location": 1,
    "gsa-perdiem": 2,
    "gsa-psc": 1,
    "gsa-regulations": 3,
    "gsa-sam-awards": 1,
    "gsa-sam-entity": 1,
    "gsa-sam-exclusions": 1,
    "gsa-sam-opportunities": 2,
    "gsa-search": 1,
    "gsa-site-scanning": 2,
    "gsa-subawards": 2,
}
"""How many operations of each service are in `tools/list`; the rest is found by search."""

SAM = {name for name in LISTED if "sam" in name} | {
    "gsa-assistance-listings",
    "gsa-federal-hierarchy",
    "gsa-location",
    "gsa-psc",
    "gsa-subawards",
}

each_folder = pytest.mark.parametrize("folder", LISTED)
each_operation = pytest.mark.parametrize("ours", OURS, ids=lambda ours: ours.id)


def integration(folder: str, environ: Mapping[str, str] | None = None) -> Integration:
    return read_integration(SPECS / folder, environ or {})


def listed(folder: str) -> list[str]:
    known = [ours.described["operationId"] for ours in OURS if ours.folder == folder]
    match integration(folder).expose:
        case "list":
            return known
        case "search":
            return []
        case Selection(operations=entries):
            assert set(entries) <= set(known)
            return list(entries)


def test_every_service_has_its_folder() -> None:
    assert {path.parent.name for path in SPECS.glob("gsa-*/integration.yaml")} == set(LISTED)


def test_a_client_sees_two_dozen_of_the_operations_in_its_list() -> None:
    assert {folder: len(listed(folder)) for folder in LISTED} == LISTED
    assert 20 <= sum(LISTED.values()) <= 25


@each_folder
def test_calls_go_to_production_over_https_where_the_description_says_too(folder: str) -> None:
    base = integration(folder).base_url

    assert base is not None
    assert urlsplit(base).scheme == "https"
    assert urlsplit(base).hostname == {True: "api.sam.gov", False: "api.gsa.gov"}[folder in SAM] or folder == "gsa-regulations"
    assert document(folder)["servers"] == [{"url": base}]


@each_folder
def test_the_key_comes_from_the_environment_and_is_demo_key_without_it(folder: str) -> None:
    where = {"gsa-search": ("query", "access_key")}.get(folder, ("query", "api_key") if folder in SAM else ("header", "X-Api-Key"))
    variable = "SEARCHGOV_ACCESS_KEY" if folder == "gsa-search" else "DATA_GOV_API_KEY"

    without, given = integration(folder).auth, integration(folder, {variable: "abc"}).auth

    assert isinstance(without, ApiKey)
    assert isinstance(given, ApiKey)
    assert (without.location, without.name) == where
    assert without.value is None if folder == "gsa-search" else without.value and without.value.get_secret_value() == "DEMO_KEY"
    assert given.value is not None
    assert given.value.get_secret_value() == "abc"


@each_folder
def test_the_scheme_in_the_description_is_the_one_that_is_bound(folder: str) -> None:
    bound = integration(folder).auth

    assert isinstance(bound, ApiKey)
    assert document(folder)["components"]["securitySchemes"] == {"key": {"type": "apiKey", "in": bound.location, "name": bound.name}}
    assert document(folder)["security"] == [{"key": []}]


@each_folder
def test_the_limits_of_the_other_side_are_declared_demo_key_apart(folder: str) -> None:
    own = (1000, 86400.0) if folder in SAM else (1000, 3600.0)
    demo = [] if folder == "gsa-search" else [(30, 3600.0), (50, 86400.0)]

    with_demo_key = [(rate.calls, rate.per) for rate in integration(folder).rates]
    with_own_key = [(rate.calls, rate.per) for rate in integration(folder, {"DATA_GOV_API_KEY": "abc"}).rates]

    assert with_demo_key == [own, *demo]
    assert with_own_key == [own]


@each_folder
def test_tool_names_are_legal_short_and_unique(folder: str) -> None:
    names = [integration(folder).tool_prefix + ours.described["operationId"] for ours in OURS if ours.folder == folder]

    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"gsa_[a-z0-9_]{1,44}", name)] == []


def test_no_two_services_begin_their_tools_alike() -> None:
    prefixes = [integration(folder).tool_prefix for folder in LISTED]

    assert len(set(prefixes)) == len(prefixes)


@each_operation
def test_an_operation_says_what_it_is_for(ours: Ours) -> None:
    assert 10 <= len(ours.described["summary"]) <= 72
    assert len(ours.described["description"]) >= 40
    # Both are advertised together, cut at 400 characters: nothing here may fall off.
    assert len(ours.described["summary"]) + 2 + len(ours.described["description"]) <= 400
    assert ours.described["description"].endswith((".", "`"))


@each_operation
def test_every_parameter_is_described_and_its_schema_is_sound(ours: Ours) -> None:
    for parameter in ours.parameters:
        assert len(parameter["description"]) >= 10, parameter["name"]
        jsonschema.Draft202012Validator.check_schema(parameter["schema"])
        for key in ("default", "example"):
            if key in parameter["schema"]:
                jsonschema.validate(parameter["schema"][key], parameter["schema"], jsonschema.Draft202012Validator)


@each_operation
def test_path_parameters_are_those_of_the_path(ours: Ours) -> None:
    in_path = [parameter for parameter in ours.parameters if parameter["in"] == "path"]

    assert sorted(parameter["name"] for parameter in in_path) == sorted(re.findall(r"\{([^}]+)\}", ours.path))
    assert all(parameter["required"] for parameter in in_path)


@each_operation
def test_nobody_is_asked_for_a_credential(ours: Ours) -> None:
    assert [parameter["name"] for parameter in ours.parameters if parameter["name"].lower() in CREDENTIALS] == []


@each_operation
def test_parameters_are_named_once(ours: Ours) -> None:
    names = [parameter["name"] for parameter in ours.parameters]

    assert len(set(names)) == len(names)


def tools(folder: str) -> Defined:
    """What becomes of a folder, without any variable set."""
    read = read_document((SPECS / folder / "openapi.yaml").read_bytes(), name=folder)
    resolver = Resolver(read.root)
    operations, findings = extract(read, resolver)
    converted = convert(operations, resolver, integration(folder), read.version)
    return Defined(converted.definitions, (*read.diagnostics, *findings, *converted.diagnostics))


@each_folder
def test_every_operation_becomes_a_tool_and_nothing_has_to_be_mended(folder: str) -> None:
    converted = tools(folder)

    prefix = integration(folder).tool_prefix
    assert converted.diagnostics == ()
    assert {tool.name: tool.listed for tool in converted.definitions} == {
        prefix + ours.described["operationId"]: ours.described["operationId"] in listed(folder) for ours in OURS if ours.folder == folder
    }
    assert [tool.name for tool in converted.definitions if not tool.annotations.read_only] == (
        ["gsa_search_record_click"] if folder == "gsa-search" else []
    )


def test_the_site_of_search_gov_is_the_operators_to_choose() -> None:
    arguments = {tool.name: set(tool.schema["properties"]) for tool in tools("gsa-search").definitions}

    assert arguments["gsa_search_search_site"] == {"query", "enable_highlighting", "limit", "offset", "sort_by", "sitelimit"}
    assert "affiliate" not in arguments["gsa_search_record_click"]


@pytest.mark.parametrize("folder", ["gsa-psc", "gsa-sam-awards", "gsa-sam-opportunities"])
def test_an_offset_that_counts_pages_moves_by_one(folder: str) -> None:
    plan = tools(folder).definitions[0].plan_data["paging"]

    assert (plan["kind"], plan["argument"], plan["size_argument"], plan["first"]) == ("page", "offset", "limit", 0)


def test_only_the_click_writes() -> None:
    assert {ours.id: ours.method for ours in OURS if ours.method != "get"} == {"gsa-search record_click": "post"}


@each_folder
def test_answers_are_described_with_sound_schemas(folder: str) -> None:
    root = document(folder)
    for ours in (ours for ours in OURS if ours.folder == folder):
        answers = followed(root, ours.described["responses"])
        assert set(answers) == {"200"}
        for media in answers["200"].get("content", {}).values():
            jsonschema.Draft202012Validator.check_schema(media["schema"])


@each_folder
def test_a_description_says_where_its_facts_come_from(folder: str) -> None:
    assert "written from" in document(folder)["info"]["x-source"]


def test_the_guide_names_every_tool_where_a_client_finds_it() -> None:
    rows = re.findall(r"^\| `(gsa-[a-z-]+)` \| (.*) \| (.*) \|$", GUIDE.read_text(), re.MULTILINE)

    def names(folder: str, *, in_list: bool) -> list[str]:
        known = (ours.described["operationId"] for ours in OURS if ours.folder == folder)
        return [integration(folder).tool_prefix + name for name in known if (name in listed(folder)) is in_list]

    assert [(folder, re.findall(r"`(\w+)`", first), re.findall(r"`(\w+)`", second)) for folder, first, second in rows] == [
        (folder, names(folder, in_list=True), names(folder, in_list=False)) for folder in LISTED
    ]
    assert f": {len(OURS)} operations" in GUIDE.read_text()


def test_the_guide_shows_the_limits_as_they_are_declared() -> None:
    shown = next(block for block in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL) if block.startswith("limits:"))
    declared = documents.parse((SPECS / "gsa-perdiem" / "integration.yaml").read_bytes(), name="gsa-perdiem")

    assert documents.parse(shown.encode(), name="the guide") == {"limits": declared["limits"]}
