"""`toolgate providers`: which language models are set up, how they do, and which of them would be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from toolgate.cli.options import common, json_option, settings_of
from toolgate.cli.output import emit, listed, say, table
from toolgate.cli.state import opened_models

if TYPE_CHECKING:
    from toolgate.llm.report import Report

T = TypeVar("T")
P = ParamSpec("P")


def reported(command: Callable[P, Any]) -> Callable[P, Any]:
    """The options of what tells of some time."""
    since = click.option("--since", default="24h", show_default=True, metavar="TIME", help="How far back: 15m, 24h, 7d.")
    return common(since(command))


@click.group()
def command() -> None:
    """Language models: what is set up, how they do, which would be asked."""


@command.command("list")
@common
async def list_(config: Path | None, as_json: bool) -> None:
    """What is set up, what it costs, and which variables of the environment would add more."""
    found = await _asked(config, lambda report: report.providers())
    if as_json:
        emit(found)
        return
    rows = [_row(provider, model) for provider in found["providers"] for model in provider["models"] or [None]]
    table(("model", "can", "window", "US$ a million in", "out", "by"), rows)
    if all(provider["kind"] == "scripted" for provider in found["providers"]):
        say("no language model is set up but the scripted one, which needs no key and is asked by its name only")
    for other in found["more"]:
        say(f"{other['provider']}: set {' or '.join(other['variables'])} to add it")
    say("or name providers in toolgate.yaml, under `providers`; docs/models.md tells how")


def _row(provider: Mapping[str, Any], model: Mapping[str, Any] | None) -> tuple[str, ...]:
    if model is None:
        why = "asked, and nothing came back" if provider["enabled"] else "switched off by an operator"
        return f"{provider['name']}/…", why, "", "", "", provider["by"]
    can = [word for word in ("tools", "vision", "strict") if model[word]]
    if model["only_named"]:
        can.append("by name only")
    if model["unavailable"]:
        can.append(model["unavailable"])
    price = model["usd_per_million"]
    return model["id"], ", ".join(can), str(model["window"]), f"{price['input']:g}", f"{price['output']:g}", provider["by"]


@command.command()
@reported
@click.option("--by", default="provider,model", show_default=True, help="Any of provider, model, task, prompt, separated by commas.")
async def stats(config: Path | None, as_json: bool, since: str, by: str) -> None:
    """Requests, success, latency, tokens and cost. Percentiles are within 1 %."""
    found, names = await _asked(config, lambda report: report.stats(since, by)), _names(by)
    columns = (*names, "requests", "success", "p50 ms", "p95 ms", "p99 ms", "tokens in", "out", "cost", "errors")
    listed(found, as_json, columns, [_stats_row(line, names) for line in found["stats"]], f"no model was asked within {since}")


def _stats_row(line: Mapping[str, Any], names: list[str]) -> tuple[str, ...]:
    latencies = (line[f"{name}_latency_ms"] for name in ("p50", "p95", "p99"))
    times = ("" if each is None else f"{each:.0f}" for each in latencies)
    errors = ", ".join(f"{count} {error}" for error, count in line["errors"].items())
    counts = str(line["total_tokens_in"]), str(line["total_tokens_out"]), f"${line['total_cost']['usd']}", errors
    return (*(line[name] for name in names), str(line["total_requests"]), f"{line['success_rate']:.1%}", *times, *counts)


@command.command()
@reported
@click.option("--task", default="", help="Only this task type.")
async def wins(config: Path | None, as_json: bool, since: str, task: str) -> None:
    """By task type, which share of a model's judged answers was right, and how sure that is."""
    found = await _asked(config, lambda report: report.wins(since, task))
    columns = ("task", "model", "right", "95 % between", "judged")
    listed(found, as_json, columns, [_wins_row(line) for line in found["wins"]], f"no answer was judged within {since}")


def _wins_row(line: Mapping[str, Any]) -> tuple[str, ...]:
    between = f"{line['low']:.1%} and {line['high']:.1%}"
    return line["task"], f"{line['provider']}/{line['model']}", f"{line['win_rate']:.1%}", between, f"{line['judged']:g}"


@command.command()
@reported
@click.option("--by", default="provider,task,user,tool,phase", show_default=True, help="Any of these and model, separated by commas.")
async def costs(config: Path | None, as_json: bool, since: str, by: str) -> None:
    """What language models cost, and for what; `toolgate usage` has tools and models together."""
    found, names = await _asked(config, lambda report: report.costs(since, by)), _names(by)
    lines = found["costs"]
    rows = [(*(line[name] for name in names), str(line["requests"]), str(line["tokens"]), f"${line['cost']['usd']}") for line in lines]
    listed(found, as_json, (*names, "requests", "tokens", "cost"), rows, f"no model was asked within {since}")


def _names(by: str) -> list[str]:
    return [name for name in by.split(",") if name]


@command.command()
@click.argument("prompt")
@common
@click.option("--task", default="other", show_default=True, help="Its type, such as coding; other: guessed.")
@click.option("--model", default="", help="As a prompt may name it: provider/model, or a provider.")
@click.option("--high-risk", is_flag=True, help="No experiments.")
async def explain(prompt: str, config: Path | None, as_json: bool, task: str, model: str, high_risk: bool) -> None:
    """Which model PROMPT would be put to, and why. Nothing is asked."""
    from toolgate.server.identify import local

    who = local(settings_of(config).stdio, "terminal")
    found = await _asked(config, lambda report: report.explain(prompt, who, task, model, high_risk=high_risk))
    if as_json:
        emit(found)
        return
    rows = [_score_row(name, score) for name, score in found["scores"].items()]
    table(("model, in order", "right", "", "answers seen", "cost"), rows)
    say(f"{'guessed' if found['guessed'] else 'declared'} task: {found['task']}; {found['mode']}")
    for reason in found["reasons"]:
        say(reason)
    for dropped, why in found["dropped"].items():
        say(f"not {dropped}: {why}")


def _score_row(name: str, score: Mapping[str, Any]) -> tuple[str, ...]:
    cost = f"${score['cost_micros'] / 1e6:.6f}"
    return name, f"{score['quality']:.1%}", f"± {score['deviation']:.1%}", f"{score['seen']:g}", cost


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@common
@click.option("--clear", is_flag=True, help="Forget the labelled prompts; no FILE is read.")
async def calibrate(file: Path | None, config: Path | None, as_json: bool, clear: bool) -> None:
    """Learn from FILE's labelled prompts which models are good enough for what.

    The names in FILE's first line are those of `toolgate providers list`, with the provider or without. Replaces what an earlier FILE
    said; servers take it over within 15 s.
    """
    from toolgate.llm.calibrating import forget, learn_from

    if file is None and not clear:
        raise click.UsageError("Missing argument 'FILE'; --clear forgets what an earlier one said.")
    async with opened_models(settings_of(config)) as (models, _):
        if file is None or clear:
            await forget(models)
            if as_json:
                emit({"prompts": 0})
            say("the labelled prompts are forgotten")
            return
        found = await learn_from(models, file)
    if as_json:
        emit(found)
        return
    say(f"{found['prompts']} prompts of {len(found['models'])} models; the best is {found['reference']}")
    say(f"worth asking: {', '.join(found['kept'])}")
    for name in found["unknown"]:
        say(f"{name} is not set up here, so its answers count for nothing")


async def _asked(config: Path | None, work: Callable[[Report], Awaitable[T]]) -> T:
    from toolgate.llm.report import Report

    try:
        async with opened_models(settings_of(config)) as (models, _):
            return await work(Report(models))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


class Points(click.FloatRange):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if isnan(number):  # which is in every range, to click
            self.fail(f"{number} is not in the range {self._describe_range()}.", param, ctx)
        return number


@command.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(1, 100), help="Splits and orders to take the mean of.")
@click.option("--loss", default=1.0, show_default=True, type=Points(0, 100), help="Points of quality that may be lost.")
@json_option
def evaluate(file: Path, seeds: int, loss: float, as_json: bool) -> None:
    """What the router would have made of FILE's labelled prompts.

    Calibrated on 70 % of them and asked the rest; and from a cold start, learning only from the answers that it was given. FILE is JSON
    lines, perhaps in gzip; docs/routing.md describes it.
    """
    from toolgate.llm.evaluate import evaluate as run
    from toolgate.llm.samples import read_samples

    report = run(*read_samples(file, least=2), seeds=seeds, loss=loss)
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
