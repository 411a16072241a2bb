"""A span around each call, so that a trace shows the gate where its caller's trace left off."""

from __future__ import annotations

import os

from opentelemetry import trace as otel
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from toolgate import telemetry
from toolgate.audit.event import what
from toolgate.calls import Call, Outcome
from toolgate.chain import Coming, Handler

_tracer = otel.get_tracer("toolgate")  # a proxy: does nothing until an operator installs an OpenTelemetry SDK
_FROM_ENVIRONMENT = OTEL_PYTHON_TRACER_PROVIDER in os.environ
_propagator = TraceContextTextMapPropagator()


def trace(call: Call, call_next: Handler) -> Coming:
    return _traced(call, call_next) if _is_watched() else call_next(call)  # not even a span that does nothing


def _is_watched() -> bool:
    """Whether somebody has installed an OpenTelemetry SDK."""
    # `get_tracer_provider` looks into the environment each time, which takes as long as a step; where it keeps what was installed is
    # its own affair, so it is asked if that is no longer there.
    if _FROM_ENVIRONMENT or getattr(otel, "_TRACER_PROVIDER", _tracer) is not None:
        return not isinstance(otel.get_tracer_provider(), otel.ProxyTracerProvider)
    return False


async def _traced(call: Call, call_next: Handler) -> Outcome:
    called = what(call.tool)["name"]
    parent = _propagator.extract({"traceparent": call.trace_parent}) if call.trace_parent else None
    attributes: dict[str, str | int] = {
        telemetry.OPERATION: "execute_tool",
        telemetry.TOOL: called,
        telemetry.CALL_ID: call.id,
        telemetry.INTEGRATION: call.tool.integration,
        telemetry.DEPTH: call.depth,
    }
    # A bug's words may quote what somebody sent: a span has its kind alone, the log has the rest.
    with _tracer.start_as_current_span(
        f"execute_tool {called}", parent, SpanKind.INTERNAL, attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            outcome = await call_next(call)
        except BaseException as error:
            span.set_attribute(telemetry.PROBLEM, type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        if outcome.problem is not None:
            span.set_attribute(telemetry.PROBLEM, outcome.problem.code)
        return outcome
