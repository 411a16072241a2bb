"""What requests cost by the usage that providers send, to the micro-dollar.

Each row has a body as its API sends it, and what makes up its price: so many tokens at so many US dollars a million, as the providers'
price pages have them (genai-prices 0.2.3, at noon of 2026-11-27). Some counts are from public logs; all are in the shapes of the APIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

import pytest
from genai_prices import extract_usage

from toolgate.llm import blocks, completions, responses
from toolgate.llm.messages import Tokens
from toolgate.llm.model import Model
from toolgate.llm.prices import Cost, PriceList
from toolgate.policy.prices import Prices
from toolgate.testing import FakeClock

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
READ = {"responses": responses.tokens, "messages": blocks.tokens, "completions": completions.tokens}
FLAVOURS = {"responses": "responses", "messages": "default", "completions": "chat"}

Row = tuple[str, str, str, dict[str, Any], list[tuple[int, str]]]
BILLS: list[Row] = [
    (
        "responses",
        "openai",
        "gpt-5-mini-2025-08-07",
        {
            "input_tokens": 1200,
            "input_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 0},
            "output_tokens": 300,
            "output_tokens_details": {"reasoning_tokens": 256},
            "total_tokens": 1500,
        },
        [(176, "0.25"), (1024, "0.025"), (300, "2")],
    ),
    (
        "responses",
        "openai",
        "gpt-5",
        {
            "input_tokens": 41,
            "input_tokens_details": {"cached_tokens": 11, "cache_write_tokens": 0},
            "output_tokens": 12,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 53,
        },
        [(30, "1.25"), (11, "0.125"), (12, "10")],
    ),
    (
        "responses",
        "openai",
        "gpt-5.4",
        {
            "input_tokens": 3000,
            "input_tokens_details": {"cached_tokens": 2048, "cache_write_tokens": 0},
            "output_tokens": 150,
            "output_tokens_details": {"reasoning_tokens": 64},
            "total_tokens": 3150,
        },
        [(952, "2.5"), (2048, "0.25"), (150, "15")],
    ),
    (
        "responses",
        "openai",
        "gpt-5.4",
        {
            "input_tokens": 300000,
            "input_tokens_details": {"cached_tokens": 200000, "cache_write_tokens": 0},
            "output_tokens": 900,
            "output_tokens_details": {"reasoning_tokens": 100},
            "total_tokens": 300900,
        },
        [(100000, "5"), (200000, "0.5"), (900, "22.5")],
    ),
    (
        "responses",
        "openai",
        "gpt-5.6-sol",
        {
            "input_tokens": 2600,
            "input_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 400},
            "output_tokens": 300,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2900,
        },
        [(200, "4"), (2000, "0.4"), (400, "5"), (300, "20")],
    ),
    (
        "responses",
        "openai",
        "gpt-5.6-luna",
        {
            "input_tokens": 40000,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 38000},
            "output_tokens": 1500,
            "output_tokens_details": {"reasoning_tokens": 1200},
            "total_tokens": 41500,
        },
        [(2000, "0.2"), (38000, "0.25"), (1500, "1.2")],
    ),
    (
        "responses",
        "openai",
        "gpt-6.1-terra",
        {
            "input_tokens": 9000,
            "input_tokens_details": {"cached_tokens": 4096, "cache_write_tokens": 1024},
            "output_tokens": 800,
            "output_tokens_details": {"reasoning_tokens": 512},
            "total_tokens": 9800,
        },
        [(3880, "1"), (4096, "0.05"), (1024, "1.25"), (800, "5")],
    ),
    (
        "responses",
        "openai",
        "gpt-4.1",
        {
            "input_tokens": 500,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 100,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 600,
        },
        [(500, "2"), (100, "8")],
    ),
    (
        "responses",
        "openai",
        "gpt-4o-mini",
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 120,
        },
        [(40, "0.15"), (60, "0.075"), (20, "0.6")],
    ),
    (
        "responses",
        "openai",
        "o4-mini",
        {
            "input_tokens": 1500,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2048,
            "output_tokens_details": {"reasoning_tokens": 1984},
            "total_tokens": 3548,
        },
        [(1500, "1.1"), (2048, "4.4")],
    ),
    (
        "responses",
        "openai",
        "o4-mini",
        {
            "input_tokens": 1500,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2048,
            "output_tokens_details": {"reasoning_tokens": 1984},
            "total_tokens": 3548,
            "service_tier": "flex",
        },
        [(1500, "0.55"), (2048, "2.2")],
    ),
    (
        "responses",
        "openai",
        "o3",
        {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 10,
        },
        [(7, "2"), (3, "8")],
    ),
    (
        "completions",
        "openai",
        "gpt-4o",
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        [(86, "2.5"), (1920, "1.25"), (300, "10")],
    ),
    (
        "completions",
        "openai",
        "gpt-5-nano",
        {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "total_tokens": 1050,
            "prompt_tokens_details": {"cached_tokens": 800},
            "completion_tokens_details": {"reasoning_tokens": 32},
        },
        [(200, "0.05"), (800, "0.005"), (50, "0.4")],
    ),
    (
        "completions",
        "openai",
        "gpt-4.1-mini",
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 2}},
        [(8, "0.4"), (2, "0.1"), (5, "1.6")],
    ),
    (
        "messages",
        "anthropic",
        "claude-sonnet-4-5-20250929",
        {
            "input_tokens": 100,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 1000,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 50,
            "service_tier": "standard",
        },
        [(100, "3"), (1000, "0.3"), (50, "15")],
    ),
    (
        "messages",
        "anthropic",
        "claude-haiku-4-5-20251001",
        {
            "input_tokens": 3,
            "cache_creation_input_tokens": 5424,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 5424},
            "output_tokens": 220,
            "service_tier": "standard",
        },
        [(3, "1"), (5424, "2"), (220, "5")],
    ),
    (
        "messages",
        "anthropic",
        "claude-sonnet-4-6",
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 2000,
            "cache_read_input_tokens": 50000,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 2000},
            "output_tokens": 300,
            "service_tier": "standard",
        },
        [(10, "3"), (50000, "0.3"), (2000, "6"), (300, "15")],
    ),
    (
        "messages",
        "anthropic",
        "claude-sonnet-4-6",
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 1000,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600},
            "output_tokens": 120,
            "service_tier": "standard",
        },
        [(10, "3"), (400, "3.75"), (600, "6"), (120, "15")],
    ),
    (
        "messages",
        "anthropic",
        "claude-opus-4-6",
        {
            "input_tokens": 2,
            "cache_creation_input_tokens": 31874,
            "cache_read_input_tokens": 4862,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 31874},
            "output_tokens": 1450,
            "service_tier": "standard",
            "output_tokens_details": {"thinking_tokens": 1100},
        },
        [(2, "5"), (4862, "0.5"), (31874, "10"), (1450, "25")],
    ),
    (
        "messages",
        "anthropic",
        "claude-opus-5-5",
        {
            "input_tokens": 50,
            "cache_creation_input_tokens": 500,
            "cache_read_input_tokens": 40000,
            "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 900,
            "service_tier": "standard",
            "output_tokens_details": {"thinking_tokens": 600},
        },
        [(50, "4"), (40000, "0.2"), (500, "5"), (900, "20")],
    ),
    (
        "messages",
        "anthropic",
        "claude-sonnet-5-5",
        {
            "input_tokens": 12,
            "cache_creation_input_tokens": 1800,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 1800, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 64,
            "service_tier": "standard",
        },
        [(12, "2"), (1800, "2.5"), (64, "10")],
    ),
    (
        "messages",
        "anthropic",
        "claude-sonnet-5-5",
        {
            "input_tokens": 4,
            "cache_creation_input_tokens": 1200,
            "cache_read_input_tokens": 81000,
            "cache_creation": {"ephemeral_5m_input_tokens": 1200, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 210,
            "service_tier": "standard",
        },
        [(4, "2"), (81000, "0.1"), (1200, "2.5"), (210, "10")],
    ),
    (
        "messages",
        "anthropic",
        "claude-haiku-5-5",
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 6,
            "service_tier": "standard",
        },
        [(21, "0.1"), (6, "0.5")],
    ),
    (
        "messages",
        "anthropic",
        "claude-sonnet-4-5",
        {
            "input_tokens": 150000,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 60000,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 1000,
            "service_tier": "standard",
        },
        [(150000, "6"), (60000, "0.6"), (1000, "22.5")],
    ),
    ("messages", "anthropic", "claude-3-5-haiku-latest", {"input_tokens": 2095, "output_tokens": 503}, [(2095, "0.8"), (503, "4")]),
    (
        "messages",
        "anthropic",
        "claude-sonnet-4-0",
        {"input_tokens": 25, "cache_creation_input_tokens": 1253, "cache_read_input_tokens": None, "output_tokens": 467},
        [(25, "3"), (1253, "3.75"), (467, "15")],
    ),
    (
        "completions",
        "deepseek",
        "deepseek-chat",
        {"prompt_tokens": 13, "completion_tokens": 300, "total_tokens": 313, "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 13},
        [(13, "0.27"), (300, "1.1")],
    ),
    (
        "completions",
        "deepseek",
        "deepseek-chat",
        {
            "prompt_tokens": 8537,
            "completion_tokens": 1,
            "total_tokens": 8538,
            "prompt_tokens_details": {"cached_tokens": 7936},
            "prompt_cache_hit_tokens": 7936,
            "prompt_cache_miss_tokens": 601,
        },
        [(601, "0.27"), (7936, "0.07"), (1, "1.1")],
    ),
    (
        "completions",
        "deepseek",
        "deepseek-v4-pro",
        {
            "prompt_tokens": 20,
            "completion_tokens": 7,
            "total_tokens": 27,
            "completion_tokens_details": {"reasoning_tokens": 5},
            "prompt_cache_hit_tokens": 12,
            "prompt_cache_miss_tokens": 8,
        },
        [(8, "0.66"), (12, "0.022"), (7, "1.98")],
    ),
    (
        "completions",
        "groq",
        "openai/gpt-oss-120b",
        {
            "prompt_tokens": 1200,
            "completion_tokens": 80,
            "total_tokens": 1280,
            "prompt_tokens_details": {"cached_tokens": 1000},
            "completion_tokens_details": {"reasoning_tokens": 20},
            "queue_time": 0.01,
            "total_time": 0.4,
        },
        [(200, "0.15"), (1000, "0.075"), (80, "0.6")],
    ),
    (
        "completions",
        "groq",
        "llama-3.3-70b-versatile",
        {"prompt_tokens": 73, "completion_tokens": 18, "total_tokens": 91},
        [(73, "0.59"), (18, "0.79")],
    ),
    (
        "completions",
        "mistral",
        "mistral-large-4",
        {"prompt_tokens": 515, "completion_tokens": 141, "total_tokens": 656, "prompt_tokens_details": {"cached_tokens": 384}},
        [(131, "0.7"), (384, "0.07"), (141, "2.1")],
    ),
    (
        "completions",
        "mistral",
        "mistral-small-2603",
        {"prompt_tokens": 42, "completion_tokens": 7, "total_tokens": 49},
        [(42, "0.15"), (7, "0.6")],
    ),
    (
        "completions",
        "cohere",
        "command-a-03-2025",
        {"prompt_tokens": 318, "completion_tokens": 47, "total_tokens": 365},
        [(318, "2.5"), (47, "10")],
    ),
    (
        "completions",
        "openrouter",
        "anthropic/claude-sonnet-4.5",
        {
            "prompt_tokens": 16527,
            "completion_tokens": 95,
            "total_tokens": 16622,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        [(16527, "3"), (95, "15")],
    ),
    (
        "completions",
        "openrouter",
        "deepseek/deepseek-v3.2",
        {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500, "prompt_tokens_details": {"cached_tokens": 900}},
        [(100, "0.26"), (900, "0.13"), (500, "0.38")],
    ),
    (
        "completions",
        "openrouter",
        "openai/gpt-5-mini",
        {
            "prompt_tokens": 194,
            "completion_tokens": 2,
            "total_tokens": 196,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
            "cost": 0.00095,
            "is_byok": False,
        },
        [(1, "950.00000")],
    ),
    (  # xAI's own bill of it says 0.0232856 US dollars
        "completions",
        "xai",
        "grok-4.20",
        {
            "prompt_tokens": 10120,
            "completion_tokens": 1499,
            "total_tokens": 14428,
            "prompt_tokens_details": {"cached_tokens": 128},
            "completion_tokens_details": {"reasoning_tokens": 2809},
        },
        [(9992, "1.25"), (128, "0.2"), (4308, "2.5")],
    ),
    (  # Google's compatible address tells of thoughts in the total only
        "completions",
        "google",
        "gemini-2.5-flash",
        {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
        [(20, "0.3"), (603, "2.5")],
    ),
    (
        "completions",
        "google",
        "gemini-2.5-flash",
        {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81, "completion_tokens_details": {"reasoning_tokens": 60}},
        [(21, "0.3"), (60, "2.5")],
    ),
]
EACH = pytest.mark.parametrize(
    ("wire", "provider", "model", "usage", "terms"), BILLS, ids=lambda value: value if isinstance(value, str) else ""
)


def cost(provider: str, model: str, tokens: Tokens, usage: Mapping[str, Any]) -> Cost:
    prices = PriceList(lambda: Prices(), FakeClock(NOON.timestamp()))
    return prices.cost(Model(provider, model), tokens, tier=usage.get("service_tier") or "", said=usage.get("cost"))


@EACH
def test_a_bill_is_exact_to_the_micro_dollar(
    wire: str, provider: str, model: str, usage: dict[str, Any], terms: list[tuple[int, str]]
) -> None:
    exact = sum((count * Decimal(rate) for count, rate in terms), Decimal())

    assert cost(provider, model, READ[wire](usage), usage) == Cost(int(exact.to_integral_value(ROUND_CEILING)))


@EACH
def test_no_token_is_counted_twice(wire: str, provider: str, model: str, usage: dict[str, Any], terms: list[tuple[int, str]]) -> None:
    tokens = READ[wire](usage)

    assert tokens.cached + tokens.cache_written <= tokens.input
    assert tokens.cache_written_1h <= tokens.cache_written
    assert tokens.reasoning <= tokens.output
    if not usage.get("cost"):
        assert tokens.input + tokens.output == sum(count for count, _ in terms)


@pytest.mark.parametrize("row", [row for row in BILLS if row[1] in ("openai", "anthropic") and row[3].get("service_tier") != "flex"])
def test_the_price_list_itself_comes_to_the_same(row: Row) -> None:
    wire, provider, model, usage, _ = row
    read = extract_usage({"model": model, "usage": usage}, provider_id=provider, api_flavor=FLAVOURS[wire])

    exact = read.calc_price(genai_request_timestamp=NOON).total_price

    assert cost(provider, model, READ[wire](usage), usage).micros == int((exact * 1_000_000).to_integral_value(ROUND_CEILING))


@pytest.mark.parametrize("total", [0, 25, 10, None, "many", float("nan"), -3])
def test_a_total_that_says_no_more_than_its_parts_changes_nothing(total: object) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 10}, "total_tokens": total}

    assert completions.tokens(usage) == Tokens(20, 5, 10)


def test_what_was_read_from_a_cache_beside_the_prompt_is_no_thought() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 10}, "total_tokens": 35}

    assert completions.tokens(usage).output == 5


@pytest.mark.parametrize("wire", READ)
@pytest.mark.parametrize(
    "usage", [{}, {"input_tokens": None, "prompt_tokens": None}, {"input_tokens_details": None, "prompt_tokens_details": None}]
)
def test_a_usage_that_says_nothing_is_nothing(wire: str, usage: dict[str, Any]) -> None:
    assert READ[wire](usage) == Tokens()
