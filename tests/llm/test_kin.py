"""What a model's name says of it."""

from __future__ import annotations

import re

import pytest
from genai_prices.data_snapshot import get_snapshot

from toolgate.llm.declared import model
from toolgate.llm.kin import KIN, kin
from toolgate.llm.known import ANYWHERE, LOCAL, SERVICES


@pytest.mark.parametrize(
    ("name", "window", "vision"),
    [
        ("gpt-4o-2024-11-20", 128_000, True),
        ("gpt-4o-mini", 128_000, True),
        ("gpt-4", 8_192, False),
        ("gpt-4.1-nano", 1_047_576, True),
        ("o3-mini", 200_000, False),
        ("gpt-5-mini-2025-08-07", 272_000, True),
        ("openai/gpt-oss-20b", 131_072, False),
        ("claude-sonnet-4-5-20250929", 200_000, True),
        ("anthropic/claude-sonnet-4.5", 200_000, True),
        ("claude-opus-5-5", 1_000_000, True),
        ("llama-3.3-70b-versatile", 131_072, False),
        ("mistral-large-latest", 262_144, True),
    ],
)
def test_a_family_is_known_by_dated_and_prefixed_names(name: str, window: int, vision: bool) -> None:
    known = kin(name)

    assert known is not None
    assert (known.window, known.vision) == (window, vision)


def test_a_name_that_only_holds_another_is_not_of_its_family() -> None:
    assert kin("not-gpt-4o") is None
    assert kin("my-model") is None


def test_no_family_hides_behind_an_earlier_one() -> None:
    samples = [
        "gpt-6-luna",
        "gpt-6.1-sol",
        "gpt-5-nano",
        "gpt-5-mini",
        "gpt-5.3",
        "gpt-5.4",
        "gpt-5.2",
        "gpt-4.1-nano",
        "gpt-4.1-mini",
        "gpt-4.1",
    ]
    samples += [
        "gpt-4o-mini",
        "gpt-4o",
        "gpt-4-turbo",
        "gpt-4-0613",
        "gpt-3.5-turbo",
        "o3-mini",
        "o4-mini",
        "o1",
        "o1-mini",
        "gpt-oss-120b",
        "gpt-oss-20b",
    ]
    samples += [
        "claude-3-haiku-20240307",
        "claude-3-5-haiku-latest",
        "claude-3-7-sonnet",
        "claude-3-opus",
        "claude-haiku-4-5",
        "claude-haiku-5-5",
    ]
    samples += ["claude-sonnet-5", "claude-sonnet-4-5", "claude-opus-5", "claude-opus-4-5", "claude-opus-4-1", "claude-sonnet-4-0"]
    samples += [
        "gemini-2.5-pro",
        "gemini-2.5-flash",
        "gemma-3-27b-it",
        "mistral-large-4",
        "mistral-large-3",
        "mistral-medium-3",
        "mistral-small-2603",
    ]
    samples += [
        "mistral-small-latest",
        "devstral-medium",
        "codestral-latest",
        "ministral-8b",
        "open-mixtral-8x7b",
        "command-a-03-2025",
        "command-r-plus",
    ]
    samples += [
        "deepseek-r1",
        "deepseek-v4-pro",
        "deepseek-chat",
        "llama-4-scout",
        "llama-3.3-70b",
        "llama3.2:1b",
        "qwen3-coder",
        "qwen2.5:7b",
    ]
    samples += ["kimi-k2", "glm-4.6", "grok-4"]

    first = [next(index for index, (pattern, _) in enumerate(KIN) if pattern.search(name)) for name in samples]

    assert sorted(set(first)) == list(range(len(KIN)))


def test_a_service_and_the_family_say_the_same_window_of_a_model() -> None:
    services = {(kind, name): known.window for kind, service in SERVICES.items() for name, known in service.models.items()}
    families = {(kind, name): known.window for kind, name in services if (known := kin(name))}

    assert families == {key: window for key, window in services.items() if key[0] != "scripted"}


def test_no_window_is_larger_than_the_price_list_knows() -> None:
    listed = {each.id: {info.id: info.context_window for info in each.models} for each in get_snapshot().providers}
    wrong = {
        name: (known.window, window)
        for provider in ("openai", "anthropic")
        for name, window in listed[provider].items()
        if window and not re.search(r"realtime|audio|image|tts|search|embed|deep-research|codex|chat|spark|instant|transcribe", name)
        if (known := kin(name)) is not None and known.window > window * 1.05
    }

    assert wrong == {}


def test_a_local_server_is_taken_to_have_a_small_window_whatever_the_model_could() -> None:
    local, unknown = model("home", "ollama", "llama3.3"), model("x", "compatible", "model-x")

    assert (local.window, local.max_output) == (LOCAL, LOCAL // 2)
    assert (unknown.window, unknown.vision, unknown.strict, unknown.tools) == (ANYWHERE, False, False, True)
