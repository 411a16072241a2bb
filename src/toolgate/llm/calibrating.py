"""Labelled prompts from a file, into the store: from then on every process that routes decides by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolgate.errors import AuditUnavailable, Misconfigured
from toolgate.llm.calibration import Sample, calibrate, tariff_of
from toolgate.llm.memory import CALIBRATION, CURRENT
from toolgate.llm.model import Model
from toolgate.llm.models import Models
from toolgate.llm.samples import read_samples

ATTEMPTS = 5


async def learn_from(models: Models, file: Path) -> dict[str, Any]:
    """Calibrate on the prompts of `file`, and say what came of it.

    Raises:
        BadDocument: a line of it is not what it should be.
        Misconfigured: it cannot be read, or names nobody who is set up here.
        AuditUnavailable: it could not be written down.
    """
    names, samples = read_samples(file)
    await models.roster.ready("")
    known = _matched(names, models.roster.models())
    unknown = [name for name in names if name not in known]
    if not known:
        there = ", ".join(model.id for model in models.roster.models()) or "none"
        raise Misconfigured(f"{file} names no model that is set up here: {', '.join(names[:5])} are not. Set up: {there}")
    ids = [model.id for model in known.values()]
    if twice := next((id for id in ids if ids.count(id) > 1), None):  # noqa: A001 - a model's
        raise Misconfigured(f"{file} names {twice} twice, with its provider and without; leave out one of them")
    columns = [number for number, name in enumerate(names) if name in known]
    rates = {model.id: models.provider.prices.per_token(model) for model in known.values()}
    samples = [_only(sample, columns) for sample in samples]
    found = calibrate(ids, samples, tariff_of(ids, samples, rates), loss=models.policy.max_quality_loss)
    await _keep(models, found.to_json())
    return {"prompts": found.rows, "models": ids, "reference": found.reference, "kept": list(found.kept), "unknown": unknown}


async def forget(models: Models) -> None:
    """Decide without labelled prompts again."""
    await models.stores.records.delete(CALIBRATION, CURRENT)


async def _keep(models: Models, body: Mapping[str, Any]) -> None:
    records = models.stores.records
    for _ in range(ATTEMPTS):
        there = await records.get(CALIBRATION, CURRENT)
        if await records.put(CALIBRATION, CURRENT, body, replaces=there.version if there else 0):
            return
    raise AuditUnavailable("the calibration could not be written: others wrote theirs whenever this was")


def _matched(names: Sequence[str], models: Sequence[Model]) -> dict[str, Model]:
    """Models by the names that a file has for them: their id, or their own name where only one provider has it."""
    by_id = {model.id: model for model in models}
    alone = {model.name: model for model in models if sum(other.name == model.name for other in models) == 1}
    return {name: found for name in names if (found := by_id.get(name) or alone.get(name))}


def _only(sample: Sample, columns: Sequence[int]) -> Sample:
    return replace(sample, ok=tuple(sample.ok[each] for each in columns), cost=tuple(sample.cost[each] for each in columns))
