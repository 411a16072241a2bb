"""What the SDKs make of an answer reaches the table of errors whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
import respx

from toolgate.errors import ModelFailed
from toolgate.llm.sdk import heard

URL = "https://models.example.com"
Ask = Callable[[], Awaitable[Any]]


def openai() -> Ask:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="k", base_url=URL, max_retries=0, http_client=httpx2.AsyncClient())
    return lambda: client.responses.create(model="gpt-5", input="Hello?", stream=True)


def anthropic() -> Ask:
    from anthropic import AsyncAnthropic

    client = AsyncAnthropic(api_key="k", base_url=URL, max_retries=0, http_client=httpx2.AsyncClient())
    return lambda: client.messages.create(
        model="claude-sonnet-5-5", max_tokens=9, messages=[{"role": "user", "content": "Hello?"}], stream=True
    )


BOTH = pytest.mark.parametrize("sdk", [openai, anthropic])


async def failure(ask: Ask) -> ModelFailed:
    with pytest.raises(ModelFailed) as failed:
        await anext(heard("acme", ask))
    return failed.value


@BOTH
@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, "request", "invalid"),
        (401, "provider", "authentication"),
        (402, "provider", "quota"),
        (403, "provider", "permission"),
        (404, "provider", "not_found"),
        (408, "transient", "timeout"),
        (409, "transient", "conflict"),
        (413, "request", "too_large"),
        (422, "request", "invalid"),
        (425, "transient", "too_early"),
        (429, "transient", "rate_limited"),
        (500, "transient", "server_error"),
        (503, "transient", "server_error"),
        (529, "transient", "overloaded"),
    ],
)
async def test_every_status_is_one_request_and_keeps_its_meaning(
    sdk: Callable[[], Ask], status: int, kind: str, reason: str, httpx2_mock: respx.Router
) -> None:
    route = httpx2_mock.post(url__startswith=URL).respond(status, json={"error": {"message": "no"}}, headers={"retry-after": "3"})

    failed = await failure(sdk())

    assert (failed.kind, failed.reason, failed.status, failed.retry_after) == (kind, reason, status, 3)
    assert route.call_count == 1


@BOTH
async def test_the_code_in_the_body_decides_where_the_status_says_too_little(sdk: Callable[[], Ask], httpx2_mock: respx.Router) -> None:
    httpx2_mock.post(url__startswith=URL).respond(
        429, json={"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "x"}}
    )

    failed = await failure(sdk())

    assert (failed.kind, failed.reason) == ("provider", "quota")


@BOTH
async def test_a_body_that_is_no_json_is_no_obstacle(sdk: Callable[[], Ask], httpx2_mock: respx.Router) -> None:
    httpx2_mock.post(url__startswith=URL).respond(502, html="<h1>Bad gateway</h1>")

    assert (await failure(sdk())).reason == "server_error"


@BOTH
@pytest.mark.parametrize(
    ("error", "reason"),
    [(httpx2.ConnectError("refused"), "connection"), (httpx2.ConnectTimeout("late"), "timeout"), (httpx2.ReadTimeout("late"), "timeout")],
)
async def test_no_answer_is_told_apart_from_a_late_one(
    sdk: Callable[[], Ask], error: Exception, reason: str, httpx2_mock: respx.Router
) -> None:
    route = httpx2_mock.post(url__startswith=URL).mock(side_effect=error)

    failed = await failure(sdk())

    assert (failed.kind, failed.reason) == ("transient", reason)
    assert route.call_count == 1


async def test_a_mistake_of_ours_stays_what_it_is() -> None:
    async def ask() -> Any:
        raise TypeError("create() got an unexpected keyword argument")

    with pytest.raises(TypeError, match="unexpected keyword"):
        await anext(heard("acme", ask))
