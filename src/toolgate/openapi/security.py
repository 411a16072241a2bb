"""Security schemes and requirements of all versions to the parameters that credentials go into."""

from __future__ import annotations

from typing import Any

from toolgate.openapi.operation import Key
from toolgate.openapi.reading import Reading, text
from toolgate.pointer import join

OTHERS = ("basic", "oauth2", "openIdConnect", "mutualTLS")
"""Types of schemes without a parameter of their own; the first is 2.0's."""


class Security:
    """The schemes of one description, each read once."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._schemes = self._read(reading)
        self._root = self.keys(reading.root.get("security"), "/security")

    def of(self, operation: dict[str, Any], pointer: str) -> tuple[Key, ...]:
        """Those of an operation: of its own `security`, else of the document's."""
        if "security" not in operation:
            return self._root
        return self.keys(operation["security"], f"{pointer}/security")

    def keys(self, requirements: Any, pointer: str) -> tuple[Key, ...]:
        """Those of a list of requirements; one that names an unknown scheme cannot be met and is left out."""
        if isinstance(requirements, dict):  # one requirement without its list
            requirements = [requirements]
        if not isinstance(requirements, list):
            return ()
        self._reading.look(len(requirements))
        found: dict[Key, None] = {}
        for number, requirement in enumerate(requirements):
            names = list(requirement) if isinstance(requirement, dict) else [requirement] if isinstance(requirement, str) else []
            unknown = [name for name in names if name not in self._schemes]
            if unknown:
                where = f"{pointer}/{number}"
                self._reading.findings.warning("unknown-scheme", where, f"no security scheme is called {', '.join(unknown)}")
            else:
                found |= dict.fromkeys(key for name in names for key in self._schemes[name])
        return tuple(found)

    @staticmethod
    def _read(reading: Reading) -> dict[str, tuple[Key, ...]]:
        if reading.version == "2.0":
            owner, pointer = reading.root, "/securityDefinitions"
        else:
            owner, pointer = reading.mapping(reading.root, "components", ""), "/components/securitySchemes"
        schemes = {}
        for name, node in reading.mapping(owner, pointer.rpartition("/")[2], pointer.rpartition("/")[0]).items():
            place = join(pointer, name)
            item = reading.item(node, place, f"the security scheme {name}")
            keys = _keys(item[0]) if item else None
            if keys is not None:
                schemes[name] = keys
            elif item:
                reading.findings.warning("unknown-scheme", place, f"the security scheme {name} is of no known kind and is passed over")
        return schemes


def _keys(node: dict[str, Any]) -> tuple[Key, ...] | None:
    """Those of a scheme; None: it is of no known kind."""
    kind, name, location = node.get("type"), text(node, "name"), node.get("in")
    if kind == "apiKey":
        return (Key(name, location),) if name and location in ("header", "query", "cookie") else None
    return () if kind in OTHERS or (kind == "http" and text(node, "scheme")) else None
