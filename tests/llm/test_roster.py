from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from toolgate.egress.wire import Response
from toolgate.errors import Misconfigured, ModelFailed, NoModel
from toolgate.llm.declared import Declared, declared
from toolgate.llm.local import listed, tried
from toolgate.llm.model import Model
from toolgate.llm.provider import Provider
from toolgate.llm.roster import Roster
from toolgate.settings import Settings
from toolgate.stores.memory import memory_stores
from toolgate.switches import Switches
from toolgate.testing import FakeClock, ScriptedProvider, ScriptedSender, a_principal

VLLM = {"object": "list", "data": [{"id": "qwen3-32b", "object": "model", "owned_by": "vllm", "max_model_len": 40960}]}
"""https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html"""
OLLAMA = {"object": "list", "data": [{"id": "llama3.2:latest", "object": "model", "created": 1, "owned_by": "library"}]}
LLAMACPP = {"models": [], "object": "list", "data": [{"id": "gemma", "meta": {"n_ctx": 16384, "n_ctx_train": 131072}}]}


def local(name: str = "ollama") -> Declared:
    variable = {"ollama": "OLLAMA_HOST", "vllm": "VLLM_BASE_URL", "llamacpp": "LLAMACPP_BASE_URL"}[name]
    return declared(Settings(), {variable: "http://127.0.0.1:9/v1", "VLLM_API_KEY": "secret"})[0]


def answering(body: object, status: int = 200) -> ScriptedSender:
    return ScriptedSender(Response(status, (), json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("ollama", OLLAMA, ("ollama/llama3.2:latest", 8192)),
        ("vllm", VLLM, ("vllm/qwen3-32b", 40960)),
        ("llamacpp", LLAMACPP, ("llamacpp/gemma", 16384)),
    ],
)
async def test_a_local_server_says_itself_which_models_it_has(name: str, body: object, expected: tuple[str, int]) -> None:
    sender = answering(body)

    (found,) = await listed(local(name), sender)

    assert (found.id, found.window, found.priced_as) == (*expected, "free")
    assert sender.sent[0].url == "http://127.0.0.1:9/v1/models"
    assert sender.reaches[0].origins == {"http://127.0.0.1:9"}
    assert sender.sent[0].headers == ((("Authorization", "Bearer secret"),) if name == "vllm" else ())


async def test_a_service_is_tried_by_its_list_of_models_which_says_what_is_missing_too() -> None:
    anthropic = declared(Settings(), {"ANTHROPIC_API_KEY": "secret"})[0]
    sender = answering({"data": [{"id": each.name} for each in anthropic.models[1:]]})

    sentence = await tried(anthropic, sender)

    assert sentence == f"it answers and lists {len(anthropic.models) - 1} models; not among them: {anthropic.models[0].name}"
    assert sender.sent[0].url == "https://api.anthropic.com/v1/models?limit=1000"
    assert ("x-api-key", "secret") in sender.sent[0].headers


async def test_a_key_that_is_not_taken_fails_the_try_without_being_told() -> None:
    openai = declared(Settings(), {"OPENAI_API_KEY": "secret"})[0]

    with pytest.raises(ModelFailed) as failed:
        await tried(openai, answering({}, 401))

    assert failed.value.reason == "authentication"
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("body", "status", "reason"), [({"data": 3}, 200, "malformed"), ({}, 401, "authentication"), ([], 200, "malformed")]
)
async def test_what_is_no_list_of_models_is_a_failure(body: object, status: int, reason: str) -> None:
    with pytest.raises(ModelFailed) as failed:
        await listed(local(), answering(body, status))

    assert failed.value.reason == reason


class Server:
    """A local server that has these models, or is away."""

    def __init__(self, *models: str) -> None:
        self.models: Sequence[str] | None = models
        self.asked = 0

    async def __call__(self, provider: Declared) -> Sequence[Model]:
        self.asked += 1
        if self.models is None:
            raise ModelFailed("it is away", "transient")
        return [Model(provider.name, name) for name in self.models]


def roster(server: Server, environ: dict[str, str], clock: FakeClock | None = None, settings: Settings | None = None) -> Roster:
    def opened(provider: Declared) -> Provider:
        return ScriptedProvider([], name=provider.name)

    return Roster(
        declared(settings or Settings(), environ), opened, server, Switches(memory_stores(), "provider"), clock=clock or FakeClock()
    )


def ids(known: Roster) -> list[str]:
    return [model.id for model in known.models() if not model.only_named]


async def test_models_of_a_local_server_are_asked_for_once_a_minute() -> None:
    clock, server = FakeClock(1.0), Server("llama")
    known = roster(server, {"OLLAMA_HOST": "x"}, clock)
    assert ids(known) == []

    await known.ready("")
    await known.ready("ollama/llama")
    server.models = ("qwen",)
    assert (ids(known), server.asked) == (["ollama/llama"], 1)
    clock.now += 60
    await known.ready("")

    assert (ids(known), server.asked) == (["ollama/qwen"], 2)


async def test_a_local_server_that_is_away_keeps_its_models_and_is_not_asked_for_by_every_request() -> None:
    clock, server = FakeClock(1.0), Server("llama")
    known = roster(server, {"OLLAMA_HOST": "x"}, clock)
    await known.ready("")
    clock.now, server.models = 100.0, None

    await known.ready("")
    await known.ready("")

    assert (ids(known), server.asked) == (["ollama/llama"], 2)


async def test_a_local_server_is_not_asked_where_another_provider_is_named() -> None:
    server = Server("llama")

    await roster(server, {"OLLAMA_HOST": "x", "OPENAI_API_KEY": "k"}).ready("openai/gpt-6-luna")

    assert server.asked == 0


async def test_a_model_that_is_named_is_known_where_the_operator_did_not_say_which_may_be() -> None:
    free = roster(Server(), {"OPENAI_API_KEY": "k"})
    listed_only = Settings.model_validate({"providers": {"openai": {"kind": "openai", "models": ["gpt-6-luna"]}}})
    bound = roster(Server(), {}, settings=listed_only)

    for known in (free, bound):
        await known.ready("openai/gpt-9")
        await known.ready("nobody/gpt-9")

    assert "openai/gpt-9" in ids(free)
    assert ids(bound) == ["openai/gpt-6-luna"]


async def test_a_local_server_that_is_off_is_not_asked_for_its_models_and_who_names_it_is_told() -> None:
    server = Server("llama")
    known = roster(server, {"OLLAMA_HOST": "x", "OPENAI_API_KEY": "k"})
    switches = known.switches
    await switches.switch("ollama", False, a_principal())

    await known.ready("ollama/llama")

    assert server.asked == 0
    with pytest.raises(NoModel, match="ollama/llama: its provider is switched off"):
        known.check("ollama/llama")
    known.check("openai")
    await switches.switch("ollama", True, a_principal())
    await known.ready("ollama/llama")
    known.check("ollama/llama")


async def test_only_models_of_providers_that_are_off_are_off_those_that_were_named_too() -> None:
    known = roster(Server(), {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"})
    switches = known.switches
    await known.ready("openai/gpt-9")
    before = known.models()

    await switches.switch("openai", False, a_principal())

    assert {each.provider for each in known.models() if each.off} == {"openai"}
    assert "openai/gpt-9" in {each.id for each in known.models() if each.off}
    await switches.switch("openai", True, a_principal())
    assert known.models() == before
    assert known.models() is known.models()


async def test_no_more_named_models_are_kept_than_a_few() -> None:
    known = roster(Server(), {"OPENAI_API_KEY": "k"})
    before = len(ids(known))

    for n in range(200):
        await known.ready(f"openai/x{n}")

    assert len(ids(known)) == before + 64


def test_a_provider_alone_means_its_default() -> None:
    settings = Settings.model_validate(
        {"providers": {"a": {"kind": "openai", "models": ["x", "y"], "default": "y"}, "b": {"kind": "openai"}}}
    )
    known = roster(Server(), {}, settings=settings)

    assert [known.resolved(name) for name in ("a", "b", "a/x", "c", "")] == ["a/y", "b", "a/x", "c", ""]


async def test_what_asking_takes_is_imported_once_and_not_for_a_script() -> None:
    prepared = list[str]()
    paid, free = roster(Server(), {"OPENAI_API_KEY": "k"}), roster(Server(), {})
    paid.prepare, free.prepare = (lambda: prepared.append("paid")), (lambda: prepared.append("free"))

    for known in (paid, free, paid):
        await known.ready("")

    assert prepared == ["paid"]


def test_a_provider_is_opened_when_it_is_first_asked_and_once() -> None:
    known = roster(Server(), {"OPENAI_API_KEY": "k"})

    opened = known.get("openai")

    assert opened is known.get("openai")
    assert isinstance(opened, ScriptedProvider)
    assert opened.name == "openai"


def test_where_nobody_is_set_up_it_says_what_would_work() -> None:
    with pytest.raises(Misconfigured, match=r"no language model is set up. Set OPENAI_API_KEY, .*`--provider scripted` tries it without"):
        roster(Server(), {}).check("")

    roster(Server(), {}).check("scripted")
    roster(Server(), {"OPENAI_API_KEY": "k"}).check("")


async def test_where_a_local_server_is_away_it_says_so() -> None:
    server = Server()
    server.models = None
    known = roster(server, {"OLLAMA_HOST": "x"})
    await known.ready("")

    with pytest.raises(Misconfigured, match="ollama does not answer, or has none"):
        known.check("")


def test_a_model_that_there_is_not_is_answered_with_those_there_are() -> None:
    with pytest.raises(NoModel, match="nobody/x: there is no such model; `toolgate providers list`"):
        roster(Server(), {"OPENAI_API_KEY": "k"}).check("nobody/x")
