"""The scripted provider of `toolgate.testing`."""

from __future__ import annotations

import pytest

from toolgate.errors import ModelFailed
from toolgate.llm.messages import CallDelta, Chosen, Delta, Done, Errand, Prompt, TextDelta, User
from toolgate.testing import Line, ScriptedProvider, a_principal

ERRAND = Errand(a_principal())
PROMPT = Prompt((User("Land the rocket"),))


async def test_a_line_is_streamed_in_pieces_that_add_up_to_the_reply() -> None:
    provider = ScriptedProvider([Line("Let me look.", (("github_list_issues", {"owner": "acme"}),))])

    deltas: list[Delta] = [delta async for delta in provider.stream(PROMPT, ERRAND)]

    assert isinstance(deltas[0], Chosen)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "Let me look."
    assert [delta.name for delta in deltas if isinstance(delta, CallDelta)] == ["github_list_issues"]
    assert isinstance(deltas[-1], Done)
    assert deltas[-1].reply.stop == "calls"
    assert deltas[-1].reply.message.calls[0].arguments == {"owner": "acme"}


async def test_an_error_comes_after_the_text_that_was_said() -> None:
    provider = ScriptedProvider([Line("Half a", error=ModelFailed("it was cut off", "transient", reason="cut_off"))])
    heard: list[Delta] = []

    async def listen() -> None:
        async for delta in provider.stream(PROMPT, ERRAND):
            heard.append(delta)

    with pytest.raises(ModelFailed, match="cut off"):
        await listen()

    assert [delta.text for delta in heard if isinstance(delta, TextDelta)] == ["Half ", "a"]


async def test_a_script_that_has_ended_says_so() -> None:
    provider = ScriptedProvider([])

    with pytest.raises(AssertionError, match="the script has ended"):
        await provider.reply(PROMPT, ERRAND)
