"""Write down what is about to happen, durably, before anything can: no effect without an intent.

The last step before `run`; what a call may cost is set aside in the same commit, where `spend` asks for that. Should this
process die between here and the outcome, the next one to open the journal finds the intent and records the call as
`call.unknown`; it is not made again.
"""

from __future__ import annotations

from collections.abc import Awaitable

from toolgate.calls import Call, Outcome
from toolgate.chain import Coming, Handler
from toolgate.gateway.audit import Proof
from toolgate.settings import Audit as Settings
from toolgate.stores import Hold, Ledger, Shortage


class Intent:
    def __init__(self, proof: Proof, ledger: Ledger, settings: Settings) -> None:
        self._proof = proof
        self._ledger = ledger
        self._writes_only = settings.intent == "writes"

    def __call__(self, call: Call, call_next: Handler) -> Coming:
        return self._begun(call, call_next) if self._is_due(call) and not self._proof.has_begun(call) else call_next(call)

    def reserve(self, call: Call, hold: Hold) -> Awaitable[Shortage | None]:
        """As `Ledger.reserve`, and write down what is about to happen; then this step has nothing left to do."""
        return self._proof.begin(call, hold) if self._is_due(call) else self._ledger.reserve(hold)

    async def _begun(self, call: Call, call_next: Handler) -> Outcome:
        await self._proof.begin(call)
        return await call_next(call)

    def _is_due(self, call: Call) -> bool:
        return not (self._writes_only and call.tool.annotations.read_only)
