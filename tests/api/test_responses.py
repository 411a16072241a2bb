"""Requests and answers of Responses as programs meet them that do not have OpenAI's SDK between."""

from __future__ import annotations

from tests.api.talking import Talking, events
from toolgate.testing import Line


async def test_a_response_says_when_it_was_made_in_whole_seconds_and_null_is_not_there() -> None:
    async with Talking([Line("Hello.")]).client() as client:
        answer = await client.post("/v1/responses", json={"model": "toolgate", "input": "Hi", "stream": None, "text": None, "tools": None})

    assert isinstance(answer.json()["created_at"], int)


async def test_a_stream_that_ends_with_a_question_is_completed() -> None:
    world = Talking([Line("I close it.", calls=(("close_issue", {"number": 7}),))])
    async with world.client() as client:
        answer = await client.post("/v1/responses", json={"input": "Close #7", "stream": True})

    told = events(answer)
    assert [event["item"]["type"] for event in told if event["type"] == "response.output_item.done"] == [
        "message",
        "mcp_approval_request",
        "message",
    ]
    assert (told[-1]["type"], told[-1]["response"]["incomplete_details"]) == ("response.completed", None)
