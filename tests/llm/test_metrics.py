from __future__ import annotations

import json

import pytest

from toolgate.llm.beliefs import Beliefs, read
from toolgate.llm.memory import Memory
from toolgate.llm.metrics import Performance, ProviderExecutionMetric
from toolgate.llm.minutes import HOUR, KEPT_MINUTES, MINUTE, Minutes
from toolgate.llm.router import Router
from toolgate.llm.scoring import Tally
from toolgate.llm.series import Batch, Key, Series, costs, stats, wins
from toolgate.policy.models import Models
from toolgate.stores import Records
from toolgate.stores.memory import MemoryRecords
from toolgate.telemetry import Metrics
from toolgate.testing import FakeClock

NOON = 1_800_000_000.0


def attempt(**more: object) -> ProviderExecutionMetric:
    """One that went well, of 100 tokens read and 20 written for 500 micro-dollars, in 200 ms."""
    plain = ProviderExecutionMetric(
        provider_id="acme",
        model="large",
        task_type="chat",
        tokens_in=100,
        tokens_out=20,
        cached_in=40,
        cache_write=10,
        reasoning_out=5,
        cost=500,
        latency_ms=200.0,
        ttft_ms=50.0,
        success=True,
        tool_calls_count=0,
        error_type=None,
        attempt=1,
        run_id="r1",
        user_id="ada",
        timestamp=NOON,
    )
    return plain._replace(**more)  # type: ignore[arg-type]


def heard(*attempts: ProviderExecutionMetric) -> Performance:
    performance = Performance(FakeClock(NOON))
    for each in attempts:
        performance.record(each)
    return performance


def whole(performance: Performance) -> Batch:
    return performance.unwritten(0, NOON * 2)


def test_stats_count_attempts_and_measure_those_that_succeeded() -> None:
    failed = attempt(success=False, error_type="rate_limited", latency_ms=9000.0, ttft_ms=None, cost=0, tokens_in=0, tokens_out=0)

    (found,) = stats(whole(heard(attempt(), attempt(latency_ms=400.0), failed)), ("provider",))

    assert (found["provider"], found["total_requests"], found["success_rate"]) == ("acme", 3, 0.6667)
    assert found["avg_latency_ms"] == 300
    assert found["p99_latency_ms"] == pytest.approx(200, rel=0.01)  # of two values the one of rank 0.99
    assert (found["total_cost"]["micros"], found["total_tokens_in"], found["total_tokens_out"]) == (1000, 200, 40)
    assert found["errors"] == {"rate_limited": 1}


def test_stats_are_told_apart_by_what_is_asked() -> None:
    batch = whole(heard(attempt(), attempt(model="small"), attempt(model="small", task_type="coding")))

    assert [(each["model"], each["total_requests"]) for each in stats(batch, ("model",))] == [("large", 1), ("small", 2)]
    told_apart = [(each["task"], each["model"]) for each in stats(batch, ("task", "model"))]
    assert told_apart == [("chat", "large"), ("chat", "small"), ("coding", "small")]


def test_costs_are_told_apart_by_user_tool_and_phase_the_dearest_first() -> None:
    batch = whole(heard(attempt(), attempt(user_id="bob", tool="search", phase="act", cost=2000)))

    assert [(line["user"], line["tool"], line["cost"]["micros"]) for line in costs(batch, ("user", "tool"))] == [
        ("bob", "search", 2000),
        ("ada", "", 500),
    ]


def test_a_win_rate_has_its_interval_and_its_count() -> None:
    performance = Performance(FakeClock(NOON))
    for good in (1.0, 1.0, 1.0, 0.0):
        performance.judge("acme/large", "coding", good, 1.0)

    (line,) = wins(whole(performance))

    assert (line["win_rate"], line["judged"]) == (0.75, 4)
    # Wilson's interval for 3 of 4, as Wikipedia's formula has it
    assert (line["low"], line["high"]) == (pytest.approx(0.3006, abs=1e-4), pytest.approx(0.9544, abs=1e-4))


def test_what_models_took_lately_is_forgotten_after_a_quarter_of_an_hour() -> None:
    clock = FakeClock(NOON)
    performance = Performance(clock)
    performance.record(attempt(latency_ms=3000.0))

    assert performance.lately()["acme/large"] == pytest.approx((3.0, 0.05), rel=0.01)
    clock.now += 16 * 60
    assert "acme/large" not in performance.lately()


def test_prometheus_hears_of_attempts_without_waiting_and_of_a_bounded_number_of_models() -> None:
    metrics, performance = Metrics(), Performance(FakeClock(NOON))
    performance.watch(metrics)
    for number in range(150):
        performance.record(attempt(model=f"m{number}"))

    text = metrics.exposition()

    assert 'toolgate_model_requests_total{provider="acme",model="m0",task="chat",ending="ok"} 1' in text
    assert 'toolgate_model_requests_total{provider="acme",model="(others)",task="chat",ending="ok"} 50' in text
    assert 'toolgate_model_tokens_total{provider="acme",model="m0",kind="input"} 50' in text
    assert 'toolgate_model_cost_usd_total{provider="acme",model="m0"} 0.0005' in text


def test_a_batch_is_read_from_json_as_it_was_written() -> None:
    performance = heard(attempt(), attempt(success=False, error_type="timeout", ttft_ms=None))
    performance.judge("acme/large", "chat", 1.0, 1.0)
    batch = whole(performance)

    assert Batch.from_json(batch.to_json()).to_json() == batch.to_json()


async def test_two_processes_add_to_one_minute() -> None:
    records = MemoryRecords()
    one, other = Minutes(records), Minutes(records)
    minute = int(NOON // 60)

    await one.add(minute, whole(heard(attempt())))
    await other.add(minute, whole(heard(attempt(), attempt())))

    (found,) = stats(await one.between(NOON, NOON + 60), ("model",))
    assert found["total_requests"] == 3


async def test_a_range_holds_its_minutes_and_no_others() -> None:
    minutes = Minutes(MemoryRecords())
    for number in range(3):
        await minutes.add(int(NOON // 60) + number, whole(heard(attempt())))

    async def requests(since: float, until: float) -> int:
        return sum(each["total_requests"] for each in stats(await minutes.between(since, until), ("provider",)))

    assert await requests(NOON, NOON + 180) == 3
    assert await requests(NOON + 60, NOON + 120) == 1
    assert await requests(NOON + 600, NOON + 700) == 0


async def test_minutes_of_more_than_seven_days_ago_become_hours_and_none_is_counted_twice() -> None:
    records = MemoryRecords(FakeClock(NOON))
    minutes, first = Minutes(records), int(NOON // 3600) * 60
    for number in (0, 1, 90):
        await minutes.add(first + number, whole(heard(attempt())))
    kept = await records.get(MINUTE, f"{first:010d}")
    assert kept is not None

    rolled = await minutes.roll((first + 60 + KEPT_MINUTES) * 60.0)
    await records.put(MINUTE, kept.id, kept.body)  # as if the process had died before it deleted the minute
    again = await minutes.roll((first + 60 + KEPT_MINUTES) * 60.0)

    assert (rolled, again) == (2, 1)
    assert [record.body["minutes"] for record in await records.list(HOUR)] == [[first, first + 1]]
    (found,) = stats(await minutes.between(first * 60.0, (first + 120) * 60.0), ("provider",))
    assert found["total_requests"] == 3


async def test_lines_of_costs_are_bounded() -> None:
    minutes, minute = Minutes(MemoryRecords()), int(NOON // 60)

    await minutes.add(minute, whole(heard(*(attempt(user_id=f"u{number}") for number in range(1200)))))

    lines = costs(await minutes.between(NOON, NOON + 60), ("user",))
    assert len(lines) == 1001
    assert sum(line["requests"] for line in lines) == 1200


def test_stats_tell_versions_of_a_template_apart_and_what_was_written_before_them_is_read() -> None:
    performance = Performance(FakeClock(NOON))
    for version in ("system@1", "system@2", "system@2"):
        performance.record(attempt(prompt_version=version))
    before = {"series": [["acme", "large", "chat", {"requests": 5, "succeeded": 5}]], "costs": []}

    batch = Batch.from_json(before)
    batch.merge(Batch.from_json(json.loads(json.dumps(whole(performance).to_json()))))

    assert [(each["prompt"], each["total_requests"]) for each in stats(batch, ["prompt"])] == [("", 5), ("system@1", 1), ("system@2", 2)]
    assert [each["total_requests"] for each in stats(batch, ["task"])] == [8]


def remembering(records: Records, clock: FakeClock) -> tuple[Router, Performance, Memory]:
    performance = Performance(clock)
    policy = Models()
    router = Router(
        lambda: (),
        lambda: policy,
        health=performance,  # type: ignore[arg-type]  # nobody is routed
        speeds=performance,
        rates=performance,  # type: ignore[arg-type]
        beliefs=Beliefs(lambda: policy.half_life, clock),
        heard=performance.judge,
    )
    return router, performance, Memory(records, router, performance, now=clock)


async def test_what_was_learned_and_measured_is_there_after_a_restart() -> None:
    records, clock = MemoryRecords(), FakeClock(NOON)
    router, performance, memory = remembering(records, clock)
    await memory.ready()
    router.learn("acme/large", "coding", 1.0, "verifier")
    performance.record(attempt())
    await memory.save()

    again, _, remembered = remembering(records, clock)
    await remembered.ready()

    assert again.beliefs.of("effect", "acme/large", "coding") == pytest.approx(
        router.beliefs.of("effect", "acme/large", "coding"), abs=1e-3
    )
    batch = await remembered.minutes.between(NOON - 60, NOON + 60)
    assert batch.series[Key("acme", "large", "coding")].judged == 1
    assert batch.series[Key("acme", "large", "chat")].requests == 1


async def test_two_processes_learn_from_each_other_and_nothing_is_overwritten() -> None:
    records, clock = MemoryRecords(), FakeClock(NOON)
    one, _, of_one = remembering(records, clock)
    other, _, of_other = remembering(records, clock)
    await of_one.ready()
    await of_other.ready()
    one.learn("acme/large", "coding", 1.0, "verifier")
    other.learn("acme/large", "coding", 1.0, "verifier")
    other.learn("acme/small", "chat", 0.0, "feedback")

    await of_one.save()
    await of_other.save()
    await of_one.look()

    for router in (one, other):
        assert router.beliefs.of("effect", "acme/large", "coding").seen == 2
        assert router.beliefs.of("effect", "acme/small", "chat").seen == 1


async def test_how_fast_models_are_is_known_of_all_processes_and_counted_once() -> None:
    records, clock = MemoryRecords(), FakeClock(NOON)
    _, one, of_one = remembering(records, clock)
    _, other, of_other = remembering(records, clock)
    await of_one.ready()
    for _ in range(19):
        other.record(attempt(latency_ms=1000.0))
    await of_other.save()
    clock.now += 60
    one.record(attempt(latency_ms=5000.0, timestamp=clock.now))  # alone, or counted twice, it would be in the last twentieth
    await of_one.save()

    await of_one.look()

    assert one.lately()["acme/large"].p95 == pytest.approx(1.0, rel=0.01)
    for _ in range(10):  # heard since the last look, and written since
        one.record(attempt(latency_ms=5000.0, timestamp=clock.now))
    await of_one.save()
    one.measure()
    assert one.lately()["acme/large"].p95 == pytest.approx(5.0, rel=0.01)
    clock.now += 14 * 60
    await of_one.look()
    assert one.lately()["acme/large"].p95 == pytest.approx(5.0, rel=0.01)
    clock.now += 2 * 60
    await of_one.look()
    assert "acme/large" not in one.lately()


class Unwritable(MemoryRecords):
    async def put(self, *_args: object, **_more: object) -> bool:
        return False


async def test_what_cannot_be_written_is_kept_for_later() -> None:
    router, performance, memory = remembering(Unwritable(), FakeClock(NOON))
    router.learn("acme/large", "coding", 1.0, "verifier")
    performance.record(attempt())

    with pytest.raises(RuntimeError):
        await memory.save()

    assert performance.changed
    assert router.beliefs.changed
    assert sum(series.requests for series in whole(performance).series.values()) == 1


def test_observations_fade_by_half_in_a_half_life_here_and_in_the_store() -> None:
    clock = FakeClock(NOON)
    beliefs = Beliefs(lambda: 86_400.0, clock)
    beliefs.add("effect", "acme/large", "chat", 4.0, 8.0)
    body = beliefs.merge_into(None, beliefs.take())
    clock.now += 86_400

    beliefs.fade()

    assert beliefs.of("effect", "acme/large", "chat") == Tally(2.0, 4.0)
    assert read(beliefs.merge_into(body, {}))[("effect", "acme/large", "chat")] == Tally(2.0, 4.0)


def test_series_without_attempts_have_no_stats() -> None:
    assert stats(Batch({Key("acme", "large", "chat"): Series(judged=1.0, won=1.0)}), ("model",)) == []
