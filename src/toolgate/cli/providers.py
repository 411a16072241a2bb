"""`toolgate providers`: which language models are set up, how they do, and which of them would be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolgate.cli.options import json_option
from toolgate.cli.output import emit, say, table


@click.group()
def command() -> None:
    """Language models: what is set up, how they do, which would be asked."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(1, 100), help="Splits and orders to take the mean of.")
@click.option("--loss", default=1.0, show_default=True, type=click.FloatRange(0, 100), help="Points of quality that may be lost.")
@json_option
def evaluate(file: Path, seeds: int, loss: float, as_json: bool) -> None:
    """What the router would have made of FILE's labelled prompts.

    Calibrated on 70 % of them and asked the rest; and from a cold start, learning only from the answers that it was given. FILE is JSON
    lines, perhaps in gzip; docs/routing.md describes it.
    """
    from toolgate.llm.evaluate import evaluate as run
    from toolgate.llm.samples import read_samples

    report = run(*read_samples(file), seeds=seeds, loss=loss)
    if as_json:
        emit(report)
        return
    table(("who", "right", "points", "cost", "US$ a thousand"), list(_lines(report)))
    say(f"{report['prompts']} prompts, {report['models']} models, {report['tasks']} task types, mean of {seeds}; points and cost against")
    say(f"{report['best_single']['model']}, the best single model. Worst split: {report['calibrated']['worst_points']:+.2f} points")


def _lines(report: dict[str, Any]) -> list[tuple[str, ...]]:
    best = report["best_single"]

    def line(who: str, said: dict[str, Any], points: float, ratio: float) -> tuple[str, ...]:
        return who, f"{said['accuracy']:.4f}", f"{points:+.2f}", f"{ratio:.3f}", f"{said['cost_usd_per_1000']:.4f}"

    def against(said: dict[str, Any]) -> tuple[float, float]:
        dear = best["cost_usd_per_1000"]
        return 100 * (said["accuracy"] - best["accuracy"]), said["cost_usd_per_1000"] / dear if dear else 1.0

    routed = [(name, report[name]) for name in ("calibrated", "cold_start")]
    return [
        *(line(name.replace("_", " "), said, said["points"], said["cost_ratio"]) for name, said in routed),
        *(line(name.replace("_", " "), report[name], *against(report[name])) for name in ("best_single", "cheapest", "random", "oracle")),
    ]
