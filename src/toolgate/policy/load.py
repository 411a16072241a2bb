"""The operator's folder of policies, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from toolgate import documents
from toolgate.errors import Misconfigured
from toolgate.policy.cases import Case, run
from toolgate.policy.models import Models
from toolgate.policy.prices import Prices
from toolgate.policy.rules import Policy, Role
from toolgate.policy.tiers import Tiers
from toolgate.settings import Strict, checked, read_bytes

Form = TypeVar("Form", bound=Strict)


def load_policy(folder: Path) -> Policy:
    """The policy that `roles/*.yaml`, `tiers.yaml`, `prices.yaml` and `models.yaml` of `folder` tell.

    Raises:
        Misconfigured: no roles there, or a file says something unknown. Nothing is ever let in by mistake.
    """
    files = sorted((folder / "roles").glob("*.yaml"))
    if not files:
        raise Misconfigured(f"{folder}/roles holds no policy; nobody could call anything")
    tiers = folder / "tiers.yaml"
    return Policy(
        (_read(Role, file) for file in files),
        _read(Tiers, tiers).tiers if tiers.is_file() else {},
        _read_if_there(Prices, folder / "prices.yaml"),
        _read_if_there(Models, folder / "models.yaml"),
    )


def load_tested(folder: Path) -> Policy:
    """The policy of `folder`, which decides all of `folder/tests/*.yaml` as they expect.

    Raises:
        Misconfigured: as `load_policy`, or it decides a case otherwise.
    """
    policy = load_policy(folder)
    results = run(load_cases(folder), policy)
    failed = [result for result in results if not result.passed]
    if failed:
        first = failed[0]
        raise Misconfigured(
            f"{folder} decides {len(failed)} of its {len(results)} tests otherwise than they expect; {first.name!r} expects "
            f"{_pairs(first.expected)} and gets {_pairs(first.got)}. `toolgate policy test` shows all"
        )
    return policy


def load_cases(folder: Path) -> list[Case]:
    """The cases of `folder/tests/*.yaml`, each file a list; there may be none.

    Raises:
        Misconfigured: a file says something unknown.
    """
    return [case for file in sorted((folder / "tests").glob("*.yaml")) for case in _cases(file)]


def _cases(file: Path) -> tuple[Case, ...]:
    values = _values(file) or []
    if not isinstance(values, list):
        raise Misconfigured(f"{file} must hold a list of cases")
    return checked(_Cases, {"cases": values}, name=str(file)).cases


class _Cases(Strict):
    cases: tuple[Case, ...]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _read_if_there(form: type[Form], file: Path) -> Form:
    return _read(form, file) if file.is_file() else form()


def _read(form: type[Form], file: Path) -> Form:
    values = _values(file)
    if not isinstance(values, dict):
        raise Misconfigured(f"{file} must hold a mapping")
    return checked(form, values, name=str(file))


def _values(file: Path) -> Any:
    return documents.parse(read_bytes(file), name=str(file))
