"""Events in the shapes that other systems read: one JSON object a line.

`jsonl` is our own schema with the record's number, time and stream. `cloudevents` wraps it in CloudEvents 1.0. `ocsf` maps it to
OCSF 1.6.0 API Activity (class 6003), with what has no place there under `unmapped`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from toolgate.times import moment, stamp

Format = Literal["jsonl", "ocsf", "cloudevents"]

API_ACTIVITY, OTHER = 6003, 99
STATUS = {"ok": (1, "Success"), "refused": (2, "Failure"), "failed": (2, "Failure")}
SEVERITY_LOW, SEVERITY_INFORMATIONAL = 2, 1

MOST = 2**63 - 1
"""What stores count to: the year 2262."""


def exported(seq: int, at: int, body: Mapping[str, Any], form: Format, source: str) -> dict[str, Any]:
    """Record `seq` in that form.

    Args:
        at: nanoseconds since 1970, UTC.
        source: names the log, such as a checkpoint's origin.
    """
    if form == "ocsf":
        return ocsf(seq, at, body, source)
    if form == "cloudevents":
        return cloudevent(seq, at, body, source)
    return plain(seq, at, body)


def plain(seq: int, at: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """Our own schema."""
    return {"seq": seq, "at": when(at), **body}


def when(at: int) -> str:
    """RFC 3339, to the millisecond."""
    return stamp(at / 1e9, "milliseconds")


def nanoseconds(text: str) -> int:
    """A day or a moment that somebody wrote, as records are stamped; raises ValueError as `times.moment`."""
    return max(0, min(int(moment(text) * 1000) * 1_000_000, MOST))


def cloudevent(seq: int, at: int, body: Mapping[str, Any], source: str) -> dict[str, Any]:
    """CloudEvents 1.0, structured mode; `source` and `id` together name a record for good, so that a receiver may drop doubles."""
    return {
        "specversion": "1.0",
        "id": str(seq),
        "source": source,
        "type": f"toolgate.{body.get('type', 'event')}",
        "subject": str(_of(body, "tool", "name") or body.get("call") or body.get("tenant") or "toolgate"),
        "time": when(at),
        "datacontenttype": "application/json",
        "data": dict(body),
    }


def ocsf(seq: int, at: int, body: Mapping[str, Any], source: str) -> dict[str, Any]:
    """OCSF API Activity. `activity_id` is Other: whether a tool creates, reads or deletes is not ours to claim."""
    ending = _of(body, "result", "ending")
    status_id, status = STATUS.get(str(ending), (0, "Unknown"))
    name = str(body.get("type", "event"))
    event = {
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": API_ACTIVITY,
        "class_name": "API Activity",
        "activity_id": OTHER,
        "activity_name": name,
        "type_uid": API_ACTIVITY * 100 + OTHER,
        "type_name": f"API Activity: {name}",
        "severity_id": SEVERITY_LOW if status_id == 2 else SEVERITY_INFORMATIONAL,
        "time": at // 1_000_000,
        "status_id": status_id,
        "status": status,
        "actor": {"user": {"uid": _of(body, "principal", "id") or "unknown", "credential_uid": _of(body, "principal", "credential")}},
        "api": {
            "operation": _of(body, "tool", "name") or name,
            "service": {"name": _of(body, "tool", "integration") or "toolgate"},
            "request": {"uid": body.get("call") or body.get("id")},
        },
        "src_endpoint": {"name": _of(body, "principal", "via") or "unknown"},
        "metadata": {
            "version": "1.6.0",
            "uid": str(body.get("id")),
            "sequence": seq,
            "log_name": source,
            "tenant_uid": body.get("tenant"),
            "correlation_uid": body.get("call"),
            "product": {"name": "Toolgate", "vendor_name": "Toolgate"},
        },
        "unmapped": dict(body),
    }
    if (code := _of(body, "result", "code")) is not None:
        event["status_code"] = code
    if (duration := body.get("ms")) is not None:
        event["duration"] = round(duration)
    return event


def _of(body: Mapping[str, Any], part: str, name: str) -> Any:
    inner = body.get(part)
    return inner.get(name) if isinstance(inner, Mapping) else None
