"""The operator's folder of policies, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolgate import documents
from toolgate.errors import Misconfigured
from toolgate.policy.prices import Prices
from toolgate.policy.rules import Policy, Role
from toolgate.policy.tiers import Tier, Tiers
from toolgate.settings import checked


def load_policy(folder: Path) -> Policy:
    """The policy that `roles/*.yaml`, `tiers.yaml` and `prices.yaml` of `folder` tell.

    Raises:
        Misconfigured: no roles there, or a file says something unknown. Nothing is ever let in by mistake.
    """
    files = sorted((folder / "roles").glob("*.yaml"))
    if not files:
        raise Misconfigured(f"{folder}/roles holds no policy; nobody could call anything")
    return Policy((_role(file) for file in files), _tiers(folder / "tiers.yaml"), _prices(folder / "prices.yaml"))


def _tiers(file: Path) -> Mapping[str, Tier]:
    if not file.is_file():
        return {}
    return checked(Tiers, _mapping(file), name=str(file)).tiers


def _prices(file: Path) -> Prices:
    return checked(Prices, _mapping(file), name=str(file)) if file.is_file() else Prices()


def _role(file: Path) -> Role:
    return checked(Role, _mapping(file), name=str(file))


def _mapping(file: Path) -> dict[str, Any]:
    values = documents.parse(file.read_bytes(), name=str(file))
    if not isinstance(values, dict):
        raise Misconfigured(f"{file} must hold a mapping")
    return values
