from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from toolgate.errors import Misconfigured
from toolgate.llm.declared import LOOPBACK, Declared, declared
from toolgate.llm.known import SERVICES
from toolgate.settings import Settings, read_settings
from toolgate.thinking import ModelProvider


def of(text: str, tmp_path: Path) -> Settings:
    (tmp_path / "toolgate.yaml").write_text(text)
    return read_settings(tmp_path / "toolgate.yaml", {"KEY": "sk-1"})


def test_without_settings_every_service_whose_variable_is_set_serves() -> None:
    found = declared(Settings(), {"OPENAI_API_KEY": "sk-1", "CO_API_KEY": "co-1", "GROQ_API_KEY": "", "PATH": "/bin"})

    assert [(each.name, each.by) for each in found] == [("openai", "OPENAI_API_KEY"), ("cohere", "CO_API_KEY"), ("scripted", "always")]
    assert found[0].api_key == SecretStr("sk-1")
    assert found[0].models[0].id == "openai/gpt-6.1-terra"
    assert "sk-1" not in repr(found)


def test_without_settings_and_variables_nobody_serves_but_who_is_named() -> None:
    for found in (declared(Settings(), {}), declared(Settings(providers={}), {"OPENAI_API_KEY": "sk-1"})):
        assert [each.name for each in found] == ["scripted"]
        assert [model.only_named for model in found[0].models] == [True]


def test_a_script_that_was_declared_is_chosen_only_where_there_is_no_model(tmp_path: Path) -> None:
    alone = declared(of("providers: {play: {kind: scripted}}", tmp_path), {})
    beside = declared(of("providers: {play: {kind: scripted}, main: {kind: openai}}", tmp_path), {})

    def named(found: tuple[Declared, ...]) -> dict[str, bool]:
        return {each.name: each.models[0].only_named for each in found}

    assert named(alone) == {"play": False, "scripted": True}
    assert named(beside) == {"play": True, "main": False, "scripted": True}


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000/v1"),
        ("http://gpu.lan:11434", "http://gpu.lan:11434/v1"),
        ("https://ollama.example.com/", "https://ollama.example.com:443/v1"),
        ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1"),
        ("[::1]:11434", "http://[::1]:11434/v1"),
    ],
)
def test_a_local_server_is_where_its_variable_says(place: str, url: str) -> None:
    ollama, _ = declared(Settings(), {"OLLAMA_HOST": place})

    assert (ollama.base_url, ollama.models, ollama.api_key) == (url, (), None)


def test_what_the_operator_says_of_a_model_stands_over_what_is_known(tmp_path: Path) -> None:
    settings = of(
        """
providers:
  main: {kind: openai, api_key: "${KEY}", region: eu, models: {gpt-5.4-mini: {quality: 0.9, tags: [cheap]}, gpt-9: {window: 1000}}}
""",
        tmp_path,
    )

    main, _ = declared(settings, {"ANTHROPIC_API_KEY": "not used, since the settings name others"})
    known, unknown = main.models

    assert (main.base_url, main.api_key, main.by) == ("https://api.openai.com/v1", SecretStr("sk-1"), "settings")
    assert (known.id, known.quality, known.window, known.region, set(known.tags)) == ("main/gpt-5.4-mini", 0.9, 272_000, "eu", {"cheap"})
    assert (unknown.window, unknown.max_output, unknown.strict) == (1000, 1000, False)


def test_a_loopback_address_is_reachable_by_being_named_and_no_other() -> None:
    def networks(url: str) -> object:
        provider = ModelProvider.model_validate({"kind": "compatible", "base_url": url, "models": ["llama"]})
        return declared(Settings(providers={"local": provider}), {})[0].networks

    assert networks("http://localhost:8000/v1") == networks("http://127.0.0.1:8000/v1") == LOOPBACK
    assert networks("http://10.0.0.7/v1") == networks("http://localhost.example.com/v1") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("providers: {main: {kind: compatible}}", "providers.main: Value error, a compatible provider needs base_url and models"),
        ("providers: {main: {kind: openai, default: a, models: [b]}}", "default is not among models"),
        ("providers: {main: {kind: openai, script: a.yaml}}", "only a scripted provider has a script"),
        ("providers: {Main/x: {kind: openai}}", "providers.Main/x.[key]: String should match pattern"),
        ("providers: {main: {kind: openapi}}", "providers.main.kind: Input should be 'openai'"),
        ("providers: {main: {kind: openai, models: [{id: a}]}}", "providers.main.models: Value error, models are a list of names"),
        ("models: {attempts: 4}", "models.attempts: Input should be less than or equal to 3"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_key(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        of(text, tmp_path)

    assert message in str(refused.value)


def test_the_time_for_connecting_is_the_operators() -> None:
    settings = Settings.model_validate({"models": {"connect": "2s"}})

    assert {each.connect for each in declared(settings, {"OPENAI_API_KEY": "k"})} == {2.0}


def test_a_script_is_beside_the_settings(tmp_path: Path) -> None:
    it, _ = declared(of("providers: {play: {kind: scripted, script: play.yaml}}", tmp_path), {})

    assert (it.script, it.models[0].id) == (tmp_path / "play.yaml", "play/scripted-1")


def test_every_kind_has_a_service() -> None:
    assert all(service.base_url.startswith("http") for kind, service in SERVICES.items() if kind not in ("compatible", "scripted"))
    assert all(known.max_output <= known.window for service in SERVICES.values() for known in service.models.values())
