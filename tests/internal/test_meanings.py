"""retrieve_context and `toolgate index` with a provider of embeddings on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.internal.test_retrieve import RULES
from tests.internal.theirs import Embeddings
from tests.internal.world import ADMIN, an_app, run
from toolgate.app import App
from toolgate.calls import Principal
from toolgate.errors import Misconfigured
from toolgate.internal.opening import meanings
from toolgate.library.shelf import Shelf
from toolgate.llm.messages import Errand
from toolgate.standin import serving
from toolgate.testing import a_principal, raw_server

SENSES = ("holiday vacation leave", "boss manager supervisor")
PAGES = {"leave.md": "Vacation needs your supervisor.", "tea.md": "Kettles boil water.", "rain.md": "Umbrellas hang outside."}


def a_folder(tmp_path: Path, name: str = "docs") -> Shelf:
    (tmp_path / name).mkdir()
    for file, text in PAGES.items():
        (tmp_path / name / file).write_text(text)
    shelf = Shelf(tmp_path / "state" / "index.db")
    shelf.add(tmp_path / name)
    return shelf


def by(url: str, **more: Any) -> dict[str, Any]:
    acme = {"kind": "compatible", "base_url": f"{url}/v1", "models": ["chat-1"], "api_key": "key"}
    return {"providers": {"acme": acme}, "library": {"embeddings": {"provider": "acme", "model": "embed-1", **more}}}


@asynccontextmanager
async def a_library(tmp_path: Path, service: Embeddings, **more: Any) -> AsyncIterator[App]:
    async with serving(service.app()) as url, an_app(tmp_path, **by(url), **more) as app:
        yield app


async def found(app: App, query: str, who: Principal = ADMIN, **more: Any) -> tuple[Sequence[str], Sequence[str]]:
    outcome = await run(app, "retrieve_context", who, query=query, **more)
    return [one["source"] for one in outcome.structured["passages"]], outcome.structured.get("problems", [])


async def embedded(shelf: Shelf, model: str = "acme/embed-1") -> None:
    async with asyncio.timeout(20):
        while await asyncio.to_thread(shelf.count_unread, model, None):
            await asyncio.sleep(0.02)


async def test_a_passage_is_found_without_a_word_in_common(tmp_path: Path) -> None:
    shelf, service = a_folder(tmp_path), Embeddings(SENSES)
    async with a_library(tmp_path, service) as app:
        await found(app, "boss holiday")
        await embedded(shelf)
        sources, problems = await found(app, "boss holiday")

    assert (sources[0], problems) == ("docs/leave.md", [])
    assert sorted(service.texts) == sorted([*PAGES.values(), "boss holiday", "boss holiday"])
    assert {(body["model"], body["encoding_format"]) for body in service.asked} == {("embed-1", "float")}


async def test_nothing_is_sent_unless_it_is_set_up(tmp_path: Path) -> None:
    a_folder(tmp_path)
    service = Embeddings(SENSES)
    async with serving(service.app()) as url, an_app(tmp_path, providers=by(url)["providers"]) as app:
        assert await found(app, "boss holiday") == ([], [])
        assert await found(app, "kettles") == (["docs/tea.md"], [])

    assert service.asked == []


async def test_a_provider_that_is_down_leaves_the_words_and_is_made_up_for(tmp_path: Path) -> None:
    shelf, service = a_folder(tmp_path), Embeddings(SENSES, down=True)
    async with a_library(tmp_path, service) as app:
        sources, problems = await found(app, "kettles")
        assert await asyncio.to_thread(shelf.count_unread, "acme/embed-1", None) == 3
    service.down = False
    async with a_library(tmp_path, service) as app:
        await found(app, "kettles")
        await embedded(shelf)
        again = await found(app, "boss holiday")

    assert sources == ["docs/tea.md"]
    assert "by words alone: acme" in problems[0]
    assert again[0][0] == "docs/leave.md"


async def test_a_provider_that_does_not_answer_keeps_a_question_for_its_time_only(tmp_path: Path) -> None:
    a_folder(tmp_path)

    async def never(_: bytes, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with raw_server(never) as server, an_app(tmp_path, **by(server.origin, seconds="200ms")) as app:
        sources, problems = await found(app, "kettles")

    assert sources == ["docs/tea.md"]
    assert "in time" in problems[0]


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"index": 0, "embedding": "AAAA"}],
        [{"index": 0, "embedding": [0, 0]}],
        [{"index": 1, "embedding": [1]}],
        [{"index": 0, "embedding": [[1]]}],
        [[]],
        None,
    ],
)
async def test_an_answer_that_is_no_vector_is_as_none(tmp_path: Path, data: Any) -> None:
    async def odd(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": data})

    a_folder(tmp_path)
    async with serving(Starlette(routes=[Route("/v1/embeddings", odd, methods=["POST"])])) as url, an_app(tmp_path, **by(url)) as app:
        sources, problems = await found(app, "kettles")

    assert sources == ["docs/tea.md"]
    assert len(problems) == 1


async def test_a_folder_that_is_kept_from_its_caller_is_not_found_by_meaning_either(tmp_path: Path) -> None:
    a_folder(tmp_path)
    shelf = a_folder(tmp_path, "hr")
    (tmp_path / "policies" / "roles").mkdir(parents=True)
    (tmp_path / "policies" / "roles" / "reader.yaml").write_text(RULES)
    rita = a_principal("reader")
    async with a_library(tmp_path, Embeddings(SENSES), policies=tmp_path / "policies") as app:
        await found(app, "boss holiday", rita)
        await embedded(shelf)
        sources, _ = await found(app, "boss holiday", rita)

    assert sources[0] == "docs/leave.md"
    assert {source.partition("/")[0] for source in sources} == {"docs"}


async def test_a_rule_that_keeps_a_caller_from_the_model_keeps_the_question_here(tmp_path: Path) -> None:
    a_folder(tmp_path)
    service = Embeddings(SENSES)
    (tmp_path / "policies" / "roles").mkdir(parents=True)
    (tmp_path / "policies" / "roles" / "reader.yaml").write_text(RULES)
    (tmp_path / "policies" / "models.yaml").write_text("rules: [{id: nobody, deny: ['acme/*']}]")
    async with a_library(tmp_path, service, policies=tmp_path / "policies") as app:
        sources, problems = await found(app, "kettles", a_principal("reader"))

    assert (sources, service.asked) == (["docs/tea.md"], [])
    assert "nobody denies it" in problems[0]


async def test_a_provider_that_is_switched_off_is_sent_neither_questions_nor_passages(tmp_path: Path) -> None:
    shelf, service = a_folder(tmp_path), Embeddings(SENSES)
    async with a_library(tmp_path, service) as app:
        await app.models.roster.switches.switch("acme", False, ADMIN)
        sources, problems = await found(app, "kettles")
        complete = meanings(app.settings, shelf, app.models)
        assert complete is not None
        completed = await complete.complete()
        assert service.asked == []
        await app.models.roster.switches.switch("acme", True, ADMIN)
        again = await complete.complete()

    assert sources == ["docs/tea.md"]
    assert "switched off by an operator" in problems[0]
    assert (completed.done, completed.missing, "switched off" in completed.problem) == (0, 3, True)
    assert (again.done, again.missing) == (3, 0)


async def test_passages_too_long_for_the_model_are_embedded_by_their_beginning(tmp_path: Path) -> None:
    shelf = a_folder(tmp_path)
    (tmp_path / "docs" / "long.md").write_text(" ".join(f"w{number:03}" for number in range(220)))
    shelf.update()
    service = Embeddings(SENSES, window=100)
    async with serving(service.app()) as url, an_app(tmp_path, **by(url)) as app:
        complete = meanings(app.settings, shelf, app.models)
        assert complete is not None
        done = await complete.complete()
        service.window = 1
        (tmp_path / "docs" / "new.md").write_text("Two words.")
        shelf.update()
        refused = await complete.complete()

    assert (done.done, done.missing, done.problem) == (4, 0, "")
    assert [max(map(len, body["input"])) for body in service.asked[:3]] == [1099, 900, 450]
    assert (refused.done, refused.missing) == (0, 1)
    assert "shorten it" in refused.problem


async def test_tokens_are_paid_for_by_whose_they_are(tmp_path: Path) -> None:
    shelf = a_folder(tmp_path)
    async with a_library(tmp_path, Embeddings(SENSES)) as app:
        await found(app, "boss holiday")
        await embedded(shelf)
        usage = await app.stores.ledger.usage(("user", "tool", "phase"))

    paid = {(one.of["user"], one.of["phase"]) for one in usage if one.of["tool"] == "acme/embed-1"}
    assert paid == {(ADMIN.id, "internal_retrieve_context"), ("service:index", "index")}


@pytest.mark.parametrize(("provider", "why"), [("nobody", "there is acme"), ("scripted", "no embeddings")])
async def test_a_provider_that_cannot_embed_is_said_at_the_start(tmp_path: Path, provider: str, why: str) -> None:
    a_folder(tmp_path)
    chosen = {**by("http://127.0.0.1:9"), "library": {"embeddings": {"provider": provider, "model": "m"}}}

    with pytest.raises(Misconfigured, match=why):
        async with an_app(tmp_path, **chosen):
            pass


async def test_more_passages_than_a_request_takes_go_in_several_and_another_length_is_read_anew(tmp_path: Path) -> None:
    shelf = a_folder(tmp_path)
    for number in range(130):
        (tmp_path / "docs" / f"{number}.txt").write_text(f"number {number}")
    shelf.update()
    service = Embeddings(dimensions=8)
    async with serving(service.app()) as url, an_app(tmp_path, **by(url)) as app:
        complete = meanings(app.settings, shelf, app.models)
        assert complete is not None
        first = await complete.complete()
        service.dimensions = 16
        service.asked.clear()
        await complete.of("kettles", Errand(ADMIN))
        second = await complete.complete()

    assert (first.done, first.missing, first.problem) == (133, 0, "")
    assert (second.done, second.missing) == (133, 0)
    assert [len(body["input"]) for body in service.asked] == [1, 64, 64, 5]
