"""The operator's folder of policies, read and checked."""

from __future__ import annotations

from pathlib import Path

from toolgate import documents
from toolgate.errors import Misconfigured
from toolgate.policy.rules import Policy, Role
from toolgate.settings import checked


def load_policy(folder: Path) -> Policy:
    """The policy that `folder/roles/*.yaml` tells.

    Raises:
        Misconfigured: no roles there, or a file says something unknown. Nothing is ever let in by mistake.
    """
    files = sorted((folder / "roles").glob("*.yaml"))
    if not files:
        raise Misconfigured(f"{folder}/roles holds no policy; nobody could call anything")
    return Policy(_role(file) for file in files)


def _role(file: Path) -> Role:
    values = documents.parse(file.read_bytes(), name=str(file))
    if not isinstance(values, dict):
        raise Misconfigured(f"{file} must hold a mapping with the key role")
    return checked(Role, values, name=str(file))
