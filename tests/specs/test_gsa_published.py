"""The GSA integrations against what GSA publishes: each parameter's place, type, values and need, and no sentence copied.

The official files are read with PyYAML alone, so that nothing of ours judges itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.specs.gsa import BY_ID, CREDENTIALS, FOLDERS, document, followed

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
@pytest.mark.parametrize("folder", FOLDERS)
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
