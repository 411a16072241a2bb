"""What came of a run, as programs get it with its answer: how it ended, what it cost and why, where it is written down. Pure."""

from __future__ import annotations

from typing import Any

from toolgate.agent.events import Finished
from toolgate.money import shown


def report(end: Finished) -> dict[str, Any]:
    """What came of a run: its answer, and all that there is to know of how it came about."""
    bill = end.bill
    return {
        "run": end.run,
        "status": end.status,
        "reason": end.reason or None,
        "answer": end.answer,
        "output": end.output,
        "seconds": end.seconds,
        "steps": end.steps,
        "calls": end.calls,
        "bill": {
            "total": shown(bill.total),
            "models": shown(bill.models),
            "tools": shown(bill.tools),
            "estimated": shown(bill.estimated),
            "by_phase": {phase: shown(cost) for phase, cost in bill.by_phase.items()},
            "by_model": {model: {**line, "cost": shown(line["cost"])} for model, line in bill.by_model.items()},
            "by_tool": {tool: {**line, "cost": shown(line["cost"])} for tool, line in bill.by_tool.items()},
        },
        "audit": list(end.audit),
    }
