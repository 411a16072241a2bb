"""Where operations are served: 2.0's host, basePath and schemes, and the Server Objects of later versions."""

from __future__ import annotations

from typing import Any

from toolgate.openapi.operation import ServerTemplate
from toolgate.openapi.reading import Reading, text


def servers_of(reading: Reading, owner: dict[str, Any], pointer: str) -> tuple[ServerTemplate, ...]:
    """The usable `servers` of a document, path item or operation."""
    found = []
    for number, node in enumerate(reading.items(owner, "servers", pointer)):
        place = f"{pointer}/servers/{number}"
        url = text(node, "url") if isinstance(node, dict) else None
        if url is None:
            reading.findings.warning("no-server-url", place, "a server without `url` is passed over")
            continue
        url = url.strip()
        if url.startswith("//"):
            reading.findings.info("server-without-scheme", place, f"{url} has no scheme; https is used")
            url = f"https:{url}"
        found.append(ServerTemplate(url, _variables(reading, node, url, place)))
    return tuple(found)


def root_servers(reading: Reading) -> tuple[ServerTemplate, ...]:
    """The document's own servers; `/`, relative to where the description came from, when it names none."""
    if reading.version == "2.0" and "servers" not in reading.root:
        return _of_2(reading)
    return servers_of(reading, reading.root, "") or (ServerTemplate("/"),)


def _variables(reading: Reading, node: dict[str, Any], url: str, pointer: str) -> dict[str, str]:
    variables = {}
    for name, said in reading.mapping(node, "variables", pointer).items():
        if not isinstance(said, dict) or f"{{{name}}}" not in url:
            continue
        options = said.get("enum")
        default = said.get("default", options[0] if isinstance(options, list) and options else None)
        if default is None or isinstance(default, dict | list):
            reading.findings.warning("no-server-default", f"{pointer}/variables/{name}", f"the server variable {name} has no default")
        else:
            variables[name] = str(default)
    return variables


def _of_2(reading: Reading) -> tuple[ServerTemplate, ...]:
    root = reading.root
    base = "/" + (text(root, "basePath") or "").strip().lstrip("/")
    host = (text(root, "host") or "").strip()
    if not host:
        return (ServerTemplate(base),)
    # https first: where both are offered nobody should send a credential in the clear.
    schemes = sorted((said.lower() for said in reading.texts(root, "schemes", "")), key=lambda scheme: scheme != "https")
    return tuple(ServerTemplate(f"{scheme}://{host}{base}") for scheme in schemes if scheme in ("http", "https")) or (
        ServerTemplate(f"https://{host}{base}"),
    )
