"""Events as JSON, for programs that follow a run: `{"type": "called", "tool": …}`. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from toolgate.agent.events import Event
from toolgate.agent.runs import Run
from toolgate.money import shown

HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def told(event: Event) -> dict[str, Any]:
    """All of `event`, its type in snake_case: `approval_wanted`. Money in micro-US-dollars."""
    return {"type": HUMP.sub("_", type(event).__name__).lower(), **asdict(event)}


def told_of(run: Run, under_way: bool) -> dict[str, Any]:
    """What lists show of a run.

    Args:
        under_way: a process works at it; of one without a status that none works at, the process died.
    """
    return {
        "run": run.id,
        "status": run.status or ("running" if under_way else "interrupted"),
        "owner": run.owner,
        "task": run.task.text,
        "started": run.started,
        "updated": run.updated,
        "cost": shown(run.cost),
        "steps": run.steps,
        "calls": run.calls,
    }
