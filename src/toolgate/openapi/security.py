"""Security schemes and requirements of all versions to alternatives of `Scheme` values."""

from __future__ import annotations

from typing import Any, cast

from toolgate.openapi.operation import Scheme
from toolgate.openapi.reading import Reading, text
from toolgate.openapi.resolve import join

Alternatives = tuple[tuple[Scheme, ...], ...]
PLAIN_TYPES = ("openIdConnect", "mutualTLS")


class Security:
    """The schemes of one description, each read once."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._schemes = self._read(reading)
        self._root = self.alternatives(reading.root.get("security"), "/security")

    def of(self, operation: dict[str, Any], pointer: str) -> Alternatives:
        """What an operation may be called with: its own `security`, else the document's."""
        if "security" not in operation:
            return self._root
        return self.alternatives(operation["security"], f"{pointer}/security")

    def alternatives(self, requirements: Any, pointer: str) -> Alternatives:
        """A list of requirements; one that names an unknown scheme cannot be met and is left out."""
        if isinstance(requirements, dict):  # one requirement without its list
            requirements = [requirements]
        if not isinstance(requirements, list):
            return ()
        self._reading.look(len(requirements))
        found = []
        for number, requirement in enumerate(requirements):
            names = list(requirement) if isinstance(requirement, dict) else [requirement] if isinstance(requirement, str) else []
            unknown = [name for name in names if name not in self._schemes]
            if unknown:
                where = f"{pointer}/{number}"
                self._reading.findings.warning("unknown-scheme", where, f"no security scheme is called {', '.join(unknown)}")
            else:
                found.append(tuple(self._schemes[name] for name in names))
        return tuple(found)

    @staticmethod
    def _read(reading: Reading) -> dict[str, Scheme]:
        if reading.version == "2.0":
            owner, pointer = reading.root, "/securityDefinitions"
        else:
            owner, pointer = reading.mapping(reading.root, "components", ""), "/components/securitySchemes"
        schemes = {}
        for name, node in reading.mapping(owner, pointer.rpartition("/")[2], pointer.rpartition("/")[0]).items():
            place = join(pointer, name)
            item = reading.item(node, place, f"the security scheme {name}")
            scheme = _scheme(name, item[0]) if item else None
            if scheme:
                schemes[name] = scheme
            elif item:
                reading.findings.warning("unknown-scheme", place, f"the security scheme {name} is of no known kind and is passed over")
        return schemes


def _scheme(name: str, node: dict[str, Any]) -> Scheme | None:
    kind = node.get("type")
    if kind == "apiKey":
        if node.get("in") not in ("header", "query", "cookie") or not text(node, "name"):
            return None
        return Scheme(name, "apiKey", parameter=node["name"], location=node["in"])
    if kind == "basic":  # 2.0
        return Scheme(name, "http", http_scheme="basic")
    if kind == "http":
        said = text(node, "scheme")
        return Scheme(name, "http", http_scheme=said.lower()) if said else None
    if kind == "oauth2":
        return Scheme(name, "oauth2", token_url=_token_url(node))
    return Scheme(name, cast("Any", kind)) if kind in PLAIN_TYPES else None


def _token_url(node: dict[str, Any]) -> str | None:
    """Where client credentials are exchanged, the one flow that works without a person."""
    if node.get("flow") == "application":  # 2.0
        return text(node, "tokenUrl")
    flows = node.get("flows")
    flow = flows.get("clientCredentials") if isinstance(flows, dict) else None
    return text(flow, "tokenUrl") if isinstance(flow, dict) else None
