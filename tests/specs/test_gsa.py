"""The GSA integrations: legal and complete by themselves, and true to what GSA publishes.

The second half reads the official files with PyYAML alone, so that nothing of ours judges itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from toolgate import documents
from toolgate.integration import ApiKey, Integration, Selection, read_integration
from toolgate.openapi.convert import Conversion, convert
from toolgate.openapi.extract import extract
from toolgate.openapi.read import read_document
from toolgate.openapi.resolve import Resolver

SPECS = Path(__file__).resolve().parents[2] / "tool-specs"
GUIDE = SPECS.parent / "docs" / "gsa.md"
CREDENTIALS = {"api_key", "apikey", "x-api-key", "access_key", "authorization", "token", "password"}

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


@dataclass(frozen=True)
class Ours:
    """One operation of our descriptions, references followed."""

    folder: str
    method: str
    path: str
    described: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> str:
        return f"{self.folder} {self.described['operationId']}"


def document(folder: str) -> Any:
    return documents.parse((SPECS / folder / "openapi.yaml").read_bytes(), name=folder)


def followed(root: Any, node: Any) -> Any:
    """`node` with every local reference in it replaced by its target."""
    if isinstance(node, list):
        return [followed(root, item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(ref := node.get("$ref"), str):
        target = root
        for part in ref.removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        return followed(root, target)
    return {key: followed(root, value) for key, value in node.items()}


def operations() -> Iterator[Ours]:
    for folder in LISTED:
        root = document(folder)
        for path, item in root["paths"].items():
            for method, described in item.items():
                yield Ours(folder, method, path, described, tuple(followed(root, described.get("parameters", []))))


OURS = tuple(operations())
BY_ID = {ours.id: ours for ours in OURS}
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


def tools(folder: str) -> Conversion:
    """What becomes of a folder, without any variable set."""
    read = read_document((SPECS / folder / "openapi.yaml").read_bytes(), name=folder)
    resolver = Resolver(read.root)
    operations, findings = extract(read, resolver)
    converted = convert(operations, resolver, integration(folder), read.version)
    return Conversion(converted.definitions, (*read.diagnostics, *findings, *converted.diagnostics))


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


# Against what GSA publishes.

PUBLISHED = {
    **{
        f"gsa-perdiem {name}": ("perdiem/v2/openapi.yaml", "get", path)
        for name, path in {
            "rates_by_city": "/v2/rates/city/{city}/state/{state}/year/{year}",
            "rates_by_state": "/v2/rates/state/{state}/year/{year}",
            "rates_by_zip": "/v2/rates/zip/{zip}/year/{year}",
            "lodging_rates": "/v2/rates/conus/lodging/{year}",
            "zip_destinations": "/v2/rates/conus/zipcodes/{year}",
        }.items()
    },
    **{
        f"gsa-regulations {name}": ("regulationsgov/v4/openapi.yaml", "get", path)
        for name, path in {
            "search_documents": "/documents",
            "get_document": "/documents/{documentId}",
            "search_comments": "/comments",
            "get_comment": "/comments/{commentId}",
            "search_dockets": "/dockets",
            "get_docket": "/dockets/{docketId}",
            "list_agency_categories": "/agency-categories",
        }.items()
    },
    "gsa-sam-entity search_entities": ("entity-api/v1/openapi.yaml", "get", "/entity-information/v4/entities"),
    "gsa-sam-entity search_entities_v3": ("entity-api/v1/openapi.yaml", "get", "/entity-information/v3/entities"),
    "gsa-sam-exclusions search_exclusions": ("exclusions-api/v1/openapi.yaml", "get", "/entity-information/v4/exclusions"),
    "gsa-sam-opportunities search_opportunities": ("get-opportunities-public-api/v1/get-opportunities-v2.yml", "get", "/v2/search"),
    "gsa-sam-awards search_awards": ("contract-awards/v1/openapi.yaml", "get", "/contract-awards/v1/search"),
    "gsa-federal-hierarchy search_organizations": ("fh-public-api/v1/fh-public-org.yml", "get", "/v1/orgs"),
    "gsa-federal-hierarchy list_child_organizations": ("fh-public-api/v1/fh-public-hierarchy.yml", "get", "/v1/org/hierarchy"),
    "gsa-psc search_codes": ("PSC-Public-API/v1/psc.yml", "get", "/locationservices/v1/api/publicpscdetails"),
    **{
        f"gsa-location {name}": ("location-public-api/v1/location.yml", "get", f"/locationservices/v1/{path}")
        for name, path in {
            "search_cities": "cities",
            "search_countries": "countries",
            "search_states": "states",
            "validate_zip": "zip",
        }.items()
    },
    "gsa-assistance-listings search_listings": (
        "assistance-listings-api/v1/assistance-listings-api.openapi.yaml",
        "get",
        "/assistance-listings/v1/search",
    ),
    "gsa-subawards search_subcontracts": (
        "acquisition-subaward-reporting-api/v1/subawardreportingpublicapi.yaml",
        "get",
        "/{type}/v1/{subType}/search",
    ),
    "gsa-subawards search_subgrants": (
        "assistance-subaward-reporting-api/v1/subawardreportingpublicapi.yaml",
        "get",
        "/{type}/v1/{subType}/search",
    ),
    "gsa-dap report": ("dap/v2/openapi.yaml", "get", "/reports/{report_name}/data"),
    "gsa-dap agency_report": ("dap/v2/openapi.yaml", "get", "/agencies/{agency_name}/reports/{report_name}/data"),
    "gsa-dap domain_report": ("dap/v2/openapi.yaml", "get", "/domain/{domain}/reports/{report_name}/data"),
    **{
        f"gsa-datagov {name}": ("datadotgov/v1/openapi.json", "get", f"/action/{path}")
        for name, path in {
            "search_datasets": "package_search",
            "get_dataset": "package_show",
            "autocomplete_datasets": "package_autocomplete",
            "list_dataset_activity": "package_activity_list",
            "list_organizations": "organization_list",
            "get_organization": "organization_show",
            "autocomplete_organizations": "organization_autocomplete",
            "search_resources": "resource_search",
            "get_resource": "resource_show",
            "list_tags": "tag_list",
            "get_status": "status_show",
        }.items()
    },
    "gsa-search search_site": ("searchgov-results/v2/openapi.yml", "get", "/results/i14y"),
    "gsa-search record_click": ("searchgov-clicks/v2/openapi.yml", "get", "/clicks/"),
    "gsa-apidata-metrics usage_summary": ("apidatagov-metrics/v1/openapi.yaml", "get", "/v0/analytics/summary"),
}

PROSE_ONLY = {
    "gsa-perdiem meal_breakdown": "endpoint 5 of open.gsa.gov/api/perdiem is missing in the file",
    "gsa-sam-opportunities get_notice_description": "the address that every notice's `description` holds",
    "gsa-site-scanning search_websites": "no file is published",
    "gsa-site-scanning get_website": "no file is published",
    "gsa-calc search_ceiling_rates": "no file is published",
}

REGULATIONS = "the file's prose describes the modifiers [ge] and [le] of the date filters"
CKAN = "the file names only q; CKAN's own documentation has the rest"
EXCEPTIONS = {
    **{
        (f"gsa-regulations {name}", parameter): REGULATIONS
        for name, fields in {
            "search_documents": ("commentEndDate", "postedDate", "lastModifiedDate"),
            "search_comments": ("postedDate", "lastModifiedDate"),
            "search_dockets": ("lastModifiedDate",),
        }.items()
        for parameter in (f"filter[{field}][{bound}]" for field in fields for bound in ("ge", "le"))
    },
    **{("gsa-datagov search_datasets", name): CKAN for name in ("fq", "sort", "rows", "start", "facet.field")},
    ("gsa-perdiem rates_by_zip", "zip"): "published as an integer, which loses the zero of 02139",
    **{
        (f"gsa-dap {name}", parameter): "published as an integer, described as YYYY-MM-DD"
        for name in ("report", "agency_report", "domain_report")
        for parameter in ("after", "before")
    },
    ("gsa-sam-opportunities search_opportunities", "organizationCode"): "version 2 of the prose; the file lacks it",
    ("gsa-sam-opportunities search_opportunities", "organizationName"): "version 2 of the prose; the file lacks it",
    ("gsa-search record_click", "module_code"): "published as an integer; the prose sends BOOS, and 20 is a default of another parameter",
}
"""Parameters of ours that the published description lacks or contradicts, and why ours stands."""

MORE_REQUIRED = {
    ("gsa-sam-opportunities search_opportunities", "postedFrom"): "required whenever limit is given, and limit always is",
    ("gsa-sam-opportunities search_opportunities", "postedTo"): "required whenever limit is given, and limit always is",
    ("gsa-federal-hierarchy list_child_organizations", "fhorgid"): "the prose calls it mandatory",
    **{
        (f"gsa-datagov {name}", parameter): "CKAN answers an error without it; the file marks nothing as required"
        for name, parameter in {
            "get_dataset": "id",
            "autocomplete_datasets": "q",
            "list_dataset_activity": "id",
            "get_organization": "id",
            "autocomplete_organizations": "q",
            "search_resources": "query",
            "get_resource": "id",
        }.items()
    },
}

LESS_REQUIRED = {("gsa-sam-opportunities search_opportunities", "offset"): "it has a default, and the prose calls it optional"}

OTHER_DEFAULTS = {("gsa-sam-awards search_awards", "offset"): "published as 1; the prose counts pages from 0"}


@cache
def published(real_specs: Path, name: str) -> Any:
    """A GSA file as it is, tab characters aside, which YAML forbids and JSON has."""
    root = yaml.safe_load((real_specs / "gsa" / name).read_text().replace("\t", "  "))
    return root if "paths" in root else {"paths": {key: value for key, value in root.items() if key.startswith("/")}}


def published_parameters(real_specs: Path, name: str, method: str, path: str) -> dict[tuple[str, str], dict[str, Any]]:
    """By location and name, each with `schema`; an object in the query stands for its properties (form, exploded)."""
    root = published(real_specs, name)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for parameter in followed(root, root["paths"][path][method].get("parameters", [])):
        schema = parameter.get("schema") or {key: parameter[key] for key in ("type", "items", "enum", "default") if key in parameter}
        if schema.get("type") == "object":
            found |= {("query", key): {"schema": value, "required": False} for key, value in schema["properties"].items()}
        else:
            found[parameter["in"], parameter["name"]] = {"schema": schema, "required": parameter.get("required", False)}
    return found


def narrows(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether every value of ours is sent as one that theirs takes.

    Numbers and booleans are text on the wire, and a repeated parameter may be given once.
    """
    if theirs.get("type") == "array" and ours.get("type") != "array":
        return narrows(ours, theirs.get("items", {}))
    if theirs.get("type") == "array":
        return narrows(ours["items"], theirs.get("items", {}))
    if ours.get("type") not in {theirs.get("type"), *({"integer", "boolean"} if theirs.get("type") in (None, "string", "ref") else ())}:
        return False
    return "enum" not in theirs or ("enum" in ours and set(ours["enum"]) <= set(theirs["enum"]))


def test_every_operation_of_ours_is_published_or_named_as_prose_only() -> None:
    assert set(PUBLISHED) | set(PROSE_ONLY) == set(BY_ID)
    assert set(PUBLISHED) & set(PROSE_ONLY) == set()


@pytest.mark.specs
@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_gsa_publishes_them(real_specs: Path, name: str) -> None:
    official = published_parameters(real_specs, *PUBLISHED[name])

    for parameter in BY_ID[name].parameters:
        key = (name, parameter["name"])
        theirs = official.get((parameter["in"], parameter["name"]))
        if key in EXCEPTIONS:
            continue
        assert theirs is not None, f"{key} is not published"
        assert narrows(parameter["schema"], theirs["schema"]), f"{key}: {parameter['schema']} against {theirs['schema']}"
        if "default" in theirs["schema"] and "default" in parameter["schema"]:
            assert (str(parameter["schema"]["default"]) == str(theirs["schema"]["default"])) is (key not in OTHER_DEFAULTS), key


@pytest.mark.specs
@pytest.mark.parametrize("name", PUBLISHED)
def test_what_gsa_requires_is_required(real_specs: Path, name: str) -> None:
    official = published_parameters(real_specs, *PUBLISHED[name])
    ours = {(parameter["in"], parameter["name"]): parameter.get("required", False) for parameter in BY_ID[name].parameters}
    filled_in = {("path", "type"), ("path", "subType")} if name.startswith("gsa-subawards") else set()
    bound = {key for key in official if key[1].lower() in CREDENTIALS} | filled_in
    requests = {("query", "contractRequest")}

    theirs = {key for key, parameter in official.items() if parameter["required"]} - bound - requests
    theirs -= {key for key in theirs if (name, key[1]) in LESS_REQUIRED}
    required = {key for key, needed in ours.items() if needed}
    required -= {key for key in required if (name, key[1]) in MORE_REQUIRED}

    assert required == theirs


@pytest.mark.specs
def test_exceptions_are_still_needed(real_specs: Path) -> None:
    idle = []
    for name, parameter in EXCEPTIONS:
        ours = {item["name"]: item for item in BY_ID[name].parameters}[parameter]
        theirs = published_parameters(real_specs, *PUBLISHED[name]).get((ours["in"], parameter))
        if theirs and narrows(ours["schema"], theirs["schema"]):
            idle.append((name, parameter))

    assert idle == []


@pytest.mark.specs
@pytest.mark.parametrize("folder", LISTED)
def test_no_eight_words_in_a_row_are_copied(real_specs: Path, folder: str) -> None:
    ours = {run for text in prose(document(folder)) for run in runs(text)}

    assert sorted(ours & published_runs(real_specs / "gsa")) == []


@cache
def published_runs(folder: Path) -> set[str]:
    return {run for path in folder.rglob("*.*") for run in runs(path.read_text(errors="replace"))}


def prose(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key in ("title", "summary", "description") and isinstance(value, str))
        for value in node.values():
            yield from prose(value)
    elif isinstance(node, list):
        for item in node:
            yield from prose(item)


def runs(text: str, length: int = 8) -> set[str]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {" ".join(words[start : start + length]) for start in range(len(words) - length + 1)}
