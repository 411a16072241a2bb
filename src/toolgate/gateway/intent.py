"""Write down what is about to happen, durably, before anything can: no effect without an intent.

The last step before `run`. Should this process die between here and the outcome, the next one to open the journal finds the
intent and records the call as `call.unknown`; it is not made again.
"""

from __future__ import annotations

from toolgate.calls import Call, Outcome
from toolgate.chain import Handler
from toolgate.gateway.audit import Proof
from toolgate.settings import Audit as Settings


class Intent:
    def __init__(self, proof: Proof, settings: Settings) -> None:
        self._proof = proof
        self._writes_only = settings.intent == "writes"

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        if not (self._writes_only and call.tool.annotations.read_only):
            await self._proof.begin(call)
        return await call_next(call)
