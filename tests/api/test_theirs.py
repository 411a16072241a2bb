"""Tools that a request brings with it."""

from __future__ import annotations

import re

from toolgate.agent.bill import bill_of
from toolgate.agent.events import Finished
from toolgate.api.theirs import Results, results_in, wanted
from toolgate.llm.messages import ToolCall


def test_a_result_is_of_its_call_however_long_the_id_is() -> None:
    id_ = "call." + "thought" * 1000
    asked = ToolCall(id_, "weather", {"city": "Rome"}, '{"city": "Rome"}')
    (call,) = wanted(Finished("0" * 32, "waiting", "", bill_of([]), 0.0, 1, 0, theirs=[asked]))

    found = results_in([{"role": "tool", "tool_call_id": call["id"], "content": "It rains."}])

    assert found == Results("0" * 32, {id_: "It rains."})


def test_the_id_of_a_call_has_nothing_that_its_own_has_not_but_what_every_provider_takes() -> None:
    asked = ToolCall("call_8Fq-2", "weather", {}, "{}")
    (call,) = wanted(Finished("0" * 32, "waiting", "", bill_of([]), 0.0, 1, 0, theirs=[asked]))

    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["id"])  # Anthropic's pattern, OpenAI's length
