"""What a model gets of an outcome."""

from __future__ import annotations

from toolgate.agent.kept import READ_RESULT
from toolgate.audit.line import whole
from toolgate.calls import UNSET, Binary, Outcome, Text

HEAD = 0.75
"""Of what is left of a long result; the rest is its end."""


def text_of(outcome: Outcome) -> str:
    """All of `outcome` that can be said in words."""
    said = [piece.text if isinstance(piece, Text) else _file(piece) for piece in outcome.content]
    if not said and outcome.structured is not UNSET:
        said = [whole(outcome.structured).decode()]
    if outcome.problem is not None:
        said = [outcome.problem.message, *said]
    return "\n".join(said) or "done; there is no answer beyond that"


def cut(text: str, most: int, kept: str) -> str:
    """`text` with its middle left out, so that at most about `most` bytes stay; `kept` is where the whole of it is."""
    data = text.encode(errors="replace")
    head = data[: int(most * HEAD)].decode(errors="ignore")
    tail = data[len(data) - (most - int(most * HEAD)) :].decode(errors="ignore")
    left_out = len(text) - len(head) - len(tail)
    marker = f"[Toolgate: {left_out} of {len(text)} characters left out; {READ_RESULT} {kept} from offset {len(head)} on shows them]"
    return f"{head}\n{marker}\n{tail}"


def _file(piece: Binary) -> str:
    return f"[a file of {len(piece.data)} bytes, {piece.media_type}, which cannot be shown]"
