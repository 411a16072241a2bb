"""Requests and answers of Responses as programs meet them that do not have OpenAI's SDK between."""

from __future__ import annotations

from tests.api.talking import Talking
from toolgate.testing import Line


async def test_a_response_says_when_it_was_made_in_whole_seconds_and_null_is_not_there() -> None:
    async with Talking([Line("Hello.")]).client() as client:
        answer = await client.post("/v1/responses", json={"model": "toolgate", "input": "Hi", "stream": None, "text": None, "tools": None})

    assert isinstance(answer.json()["created_at"], int)
