"""Passages and questions by what they mean: the index, and the model that embeds for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anyio.to_thread import run_sync

from toolgate.calls import Principal
from toolgate.errors import Failed, ModelFailed, Refused
from toolgate.library.shelf import Shelf
from toolgate.library.vectors import Meaning, Vector
from toolgate.llm.embedding import Embedder
from toolgate.llm.messages import Errand
from toolgate.settings import Caller

BATCH = 64
"""Passages of a request: up to about 20,000 tokens, a fifteenth of what OpenAI takes."""
SECONDS = 60.0
"""For a request of passages and its repetitions; nobody waits for them."""
CUTS = (4000, 900, 450)
"""Characters of each passage that the model is given: all, and less where it refuses so long ones. The last is 512 tokens in any script."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What became of the passages that had no vector."""

    done: int
    missing: int
    problem: str = ""
    """Why some are missing; empty: none had to be."""


@dataclass(frozen=True)
class Meanings:
    shelf: Shelf
    embedder: Embedder
    operator: Caller
    """Whose tier and tenant pay for the passages."""
    seconds: float
    """That a question waits for its vector."""

    async def complete(self) -> Completed:
        """Embed every passage that has no vector of the model; what was embedded is kept whatever happens then.

        Raises:
            Misconfigured: the index cannot be used.
        """
        shelf, embedder = self.shelf, self.embedder
        principal = Principal("service:index", self.operator.roles, self.operator.tier, self.operator.tenant, via="terminal")
        errand = Errand(principal, phase="index")
        done, last, problem = 0, 0, ""
        try:
            # By id, so that each is asked for once, whatever the model answers.
            while unread := await run_sync(lambda: shelf.unread(embedder.model.id, embedder.dimensions, after=last, limit=BATCH)):  # noqa: B023
                vectors = await self._read([one.text for one in unread], errand)
                done += await run_sync(shelf.keep, embedder.model.id, list(zip(unread, vectors, strict=True)))
                last = unread[-1].id
        except (Failed, Refused) as error:
            problem = str(error)
        return Completed(done, await run_sync(shelf.count_unread, embedder.model.id, embedder.dimensions), problem)

    async def _read(self, texts: Sequence[str], errand: Errand) -> Sequence[Vector]:
        for longest in CUTS:
            try:
                return await self.embedder.embed([text[:longest] for text in texts], errand, SECONDS)
            except ModelFailed as failed:
                if longest == CUTS[-1] or (failed.kind != "request" and failed.reason != "context_exceeded"):
                    raise
        raise AssertionError

    async def of(self, question: str, errand: Errand) -> Meaning | None:
        """What `question` means; None: it says nothing.

        Raises:
            Failed, Refused: as `Embedder.embed`.
        """
        if not question.strip():
            return None
        (vector,) = await self.embedder.embed([question], errand, self.seconds)
        return Meaning(self.embedder.model.id, vector)
