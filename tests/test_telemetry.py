from __future__ import annotations

from toolgate.telemetry import Metrics


def test_everything_is_told_in_prometheus_words() -> None:
    """Source: Prometheus, "Exposition formats", text-based format 0.0.4."""
    metrics = Metrics()
    calls = metrics.counter("calls_total", "Calls.", "tool", "ending")
    seconds = metrics.histogram("call_seconds", "How long.", "tool", bounds=(0.1, 1.0))
    metrics.gauge("open", "Open now.", lambda: 0.25)
    calls.add("b", "ok")
    calls.add("a", "ok")
    calls.add("b", "ok")
    calls.add('q"\\\n', "ok")
    for taken in (0.05, 0.1, 0.5, 7.0):
        seconds.add(taken, "a")

    assert metrics.exposition() == (
        "# HELP calls_total Calls.\n"
        "# TYPE calls_total counter\n"
        'calls_total{tool="a",ending="ok"} 1\n'
        'calls_total{tool="b",ending="ok"} 2\n'
        'calls_total{tool="q\\"\\\\\\n",ending="ok"} 1\n'
        "# HELP call_seconds How long.\n"
        "# TYPE call_seconds histogram\n"
        'call_seconds_bucket{tool="a",le="0.1"} 2\n'
        'call_seconds_bucket{tool="a",le="1.0"} 3\n'
        'call_seconds_bucket{tool="a",le="+Inf"} 4\n'
        'call_seconds_sum{tool="a"} 7.65\n'
        'call_seconds_count{tool="a"} 4\n'
        "# HELP open Open now.\n"
        "# TYPE open gauge\n"
        "open 0.25\n"
    )


def test_what_never_happened_has_a_name_and_no_number() -> None:
    metrics = Metrics()
    metrics.counter("calls_total", "Calls.", "tool")

    assert metrics.exposition() == "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
