"""Requests of Chat Completions as programs send them that do not have OpenAI's SDK between."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.talking import Talking, events
from toolgate.testing import Line

ASKS: dict[str, Any] = {"model": "toolgate", "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_field_that_is_null_is_one_that_is_not_there() -> None:
    nulls = dict.fromkeys(("stream", "stream_options", "response_format", "metadata", "n", "tools", "tool_choice", "functions"))
    async with Talking([Line("Hello.")] * 2).client() as client:
        whole = await client.post("/v1/chat/completions", json=ASKS | nulls)
        streamed = await client.post("/v1/chat/completions", json=ASKS | {"stream": True, "stream_options": {"include_usage": None}})

    assert whole.json()["choices"][0]["message"]["content"] == "Hello."
    assert all(chunk["choices"] for chunk in events(streamed))


@pytest.mark.parametrize(
    "more",
    [
        {"metadata": {"toolgate_high_risk": ["true"]}},
        {"metadata": {"toolgate_task_type": {}}},
        {"response_format": {"type": "json_schema", "json_schema": None}},
        {"response_format": {"type": ["json_schema"]}},
    ],
)
async def test_what_cannot_be_meant_is_the_callers_fault(more: dict[str, Any]) -> None:
    async with Talking([]).client() as client:
        answer = await client.post("/v1/chat/completions", json=ASKS | more)

    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
