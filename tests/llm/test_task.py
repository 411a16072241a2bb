"""All patterns are looked for at once, in bytes: that finds what each of them would in the text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from toolgate.llm.messages import Prompt, User
from toolgate.llm.task import RULES, guessed

SAID = (
    "summarize summary of tl;dr TLDR shorten this key points extract parse the list all names in as json fill fields "
    "def class Foo( function x( stack trace stacktrace unit tests refactor Python sql solve how many "
    "prove that plan step-by-step break it down analyse trade-offs tradeoff root cause why did ``` é _ 2 - . 中文 Ж ² İ “ — \u0301"
).split()
GAPS = [" ", "", "_", "-", "\n", "\x00", "\udc80"]
texts = st.lists(st.tuples(st.sampled_from(SAID), st.sampled_from(GAPS)), max_size=8).map(
    lambda pieces: "".join(word + gap for word, gap in pieces)
)


@given(texts)
def test_a_guess_is_the_first_type_whose_pattern_is_found(text: str) -> None:
    said = text.lower()
    plain = next((task for task, pattern in RULES if re.search(pattern, said)), "other")

    assert guessed(Prompt([User(text)])) == plain
