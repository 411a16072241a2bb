"""One request on its way along a chain of models: attempt by attempt, to a reply or to the last failure."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from toolgate.errors import Misconfigured, ModelFailed, OverBudget, TimedOut, ToolgateError
from toolgate.llm.attempt import pieces
from toolgate.llm.breaker import Attempt
from toolgate.llm.count import count_text, family
from toolgate.llm.decision import Decision
from toolgate.llm.evidence import Request
from toolgate.llm.learning import judged
from toolgate.llm.messages import Assistant, CallDelta, Chosen, Delta, Done, Prompt, ReasoningDelta, Reply, Reset, TextDelta, Tokens
from toolgate.llm.metrics import ProviderExecutionMetric
from toolgate.llm.model import Model
from toolgate.llm.purse import Held
from toolgate.llm.retry import pause
from toolgate.money import Micros

if TYPE_CHECKING:
    from toolgate.llm.routed import Routed

LEFT = {"GeneratorExit": "left", "CancelledError": "cancelled"}
"""How an attempt ended that nobody waits for any more, in our words."""
UNKNOWN = frozenset({"timeout", "timed_out", *LEFT.values()})
"""Endings before the first piece of an answer of which nobody can say that they cost nothing: what was sent may have been read, and is
billed then. Who leaves in time again and again would else be answered for nothing."""


@dataclass
class Walk:
    """One request on its way along a chain."""

    routed: Routed
    request: Request
    decision: Decision
    seen: bool
    """Somebody sees the pieces as they come, so that what was said stands."""

    def __post_init__(self) -> None:
        self._chain = list(self.decision.chain)
        self._attempts: Counts[str] = Counts()
        self._failures: list[tuple[str, ToolgateError]] = []
        self._shown = False
        self._refused: Reply | None = None
        self._last: Attempt | None = None

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """The answer in pieces, with a `Chosen` before each attempt.

        Raises:
            ToolgateError: there is none; says what went wrong with each model.
        """
        while self._chain:
            async with aclosing(self._asked(self._chain.pop(0))) as deltas:
                async for delta in deltas:
                    yield delta
                    if isinstance(delta, Done):
                        return
        if self._refused is None:
            raise self._failure()
        yield Done(self._refused)

    async def _asked(self, model: Model) -> AsyncGenerator[Delta, None]:
        """The pieces of all attempts at one model; no `Done` is among them where the next of the chain is to be asked."""
        before: Attempt | None = None
        while self._attempts[model.provider] < self.routed.settings.attempts:
            try:
                async with aclosing(self._attempt(model, before)) as deltas:
                    async for delta in deltas:
                        yield delta
                return  # it answered, was not let through, or refuses and somebody else may not
            except (ModelFailed, OverBudget, Misconfigured) as error:
                self._failures.append((model.id, error))
                if not isinstance(error, ModelFailed) or not await self._again(model, error):
                    return
                before = self._last

    async def _again(self, model: Model, error: ModelFailed) -> bool:
        """Whether the same model is asked once more, after the pause for that.

        Raises:
            ModelFailed: no other model is asked either.
        """
        routed = self.routed
        if error.kind == "request" or (self._shown and routed.settings.cut_off == "fail"):
            raise error
        if error.reason == "context_exceeded":
            larger = [other for other in self._chain if other.window > model.window]
            self._chain = sorted(larger, key=lambda other: -other.window)
        if error.reason == "authentication":  # its other models are asked with the same key
            self._chain = [other for other in self._chain if other.provider != model.provider]
        left = self.request.deadline - routed.clock()
        seconds = pause(error, self._attempts[model.provider], routed.settings, left=left, chance=routed.chance)
        if seconds is not None:
            await routed.sleep(seconds)
        return seconds is not None

    async def _begun(self, model: Model, before: Attempt | None) -> tuple[Attempt, Held, Heard] | None:
        """An attempt with what it may cost set aside; None where it is not let through.

        Args:
            before: the request's last attempt at the same model.
        """
        routed, request = self.routed, self.request
        tokens, output = routed.counter.count(request.prompt, model), most(request.prompt, model)
        if tokens + output > model.window or model.provider in routed.providers.off:  # it may have been switched off since the decision
            return None
        left = request.deadline - routed.clock()
        if left <= 0:
            raise TimedOut(f"no model had answered when the {request.prompt.seconds:g} s for the request were over")
        begin = None if request.begun else partial(routed.evidence.begin, request, self.decision, model)
        held = await routed.purse.reserve(model, request.errand, tokens, output, left, begin)
        passed = routed.breakers.enter(model, before)
        if passed is None:
            held.release()
            return None
        request.reserved = max(request.reserved, held.amount)
        self._attempts[model.provider] += 1
        self._last = passed
        return passed, held, Heard(model, tokens, routed.clock())

    async def _attempt(self, model: Model, before: Attempt | None) -> AsyncGenerator[Delta, None]:
        """The pieces of one attempt; none where it is not let through."""
        if (begun := await self._begun(model, before)) is None:
            return
        routed, request = self.routed, self.request
        passed, held, heard = begun
        try:
            if self._shown:
                yield Reset(_told(self._failures[-1:]))
                self._shown = False
            yield Chosen(model.provider, model.name, self._route(model))
            left = request.deadline - heard.began
            prompt = replace(request.prompt, model=model.id, max_tokens=most(request.prompt, model), seconds=left)
            stream = routed.providers.get(model.provider).stream(prompt, request.errand)
            limits = {"first": routed.settings.first, "idle": routed.settings.idle}
            heard.asked = True
            async with aclosing(pieces(stream, model.provider, left=lambda: request.deadline - routed.clock(), **limits)) as deltas:
                async for delta in deltas:
                    heard.take(delta, routed.clock())
                    if isinstance(delta, CallDelta) or (isinstance(delta, TextDelta | ReasoningDelta) and delta.text):
                        self._shown = self.seen
                        yield delta
        except ModelFailed as error:
            routed.breakers.ended(passed, error)
            self._close(heard, held, error.reason or error.kind)
            raise
        except BaseException as ending:
            routed.breakers.gave_up(passed)
            name = type(ending).__name__
            self._close(heard, held, getattr(ending, "code", LEFT.get(name, name)))
            raise
        routed.breakers.ended(passed, None)
        reply = self._close(heard, held, None)
        if reply.stop in ("refusal", "filtered") and not self._shown and self._chain:
            self._refused = reply
            return
        yield Done(reply)

    def _close(self, heard: Heard, held: Held, error: str | None) -> Reply:
        """Settle an attempt that is over, and tell those who keep count. The reply, with its cost; one without text where it failed."""
        routed, request, model = self.routed, self.request, heard.model
        reply = heard.reply or heard.broken()
        cost = routed.prices.cost(model, reply.tokens, tier=str(reply.usage.get("service_tier") or ""), said=reply.usage.get("cost"))
        estimated = cost.estimated or reply.estimated
        if error is None or heard.first is not None or (heard.asked and error in UNKNOWN):
            held.settle(cost.micros, estimated=estimated)
            request.cost += cost.micros
            request.estimated |= estimated
        else:  # an error instead of an answer: nobody bills those
            held.release()
            reply, cost = replace(reply, tokens=Tokens()), replace(cost, micros=0)
        metric = self._metric(heard, reply, cost.micros, error)
        request.tried.append(metric)
        routed.performance.record(metric)
        if error is None:
            if not reply.estimated and reply.tokens.input:
                routed.counter.learn(request.prompt, model, reply.tokens.input)
            used = reply.tokens
            routed.router.used(model.id, self.decision.task, used.input, used.output, cost.micros, run=request.errand.run)
            for source, good in judged(request.prompt, reply):
                routed.router.learn(model.id, self.decision.task, good, source, run=request.errand.run)
        return replace(reply, provider=model.provider, cost=cost.micros, estimated=estimated, route=self._route(model))

    def _metric(self, heard: Heard, reply: Reply, cost: Micros, error: str | None) -> ProviderExecutionMetric:
        errand, calls, routed = self.request.errand, reply.message.calls, self.routed
        return ProviderExecutionMetric(
            provider_id=heard.model.provider,
            model=heard.model.name,
            task_type=self.decision.task,
            tokens_in=reply.tokens.input,
            tokens_out=reply.tokens.output,
            cached_in=reply.tokens.cached,
            cache_write=reply.tokens.cache_written,
            reasoning_out=reply.tokens.reasoning,
            cost=cost,
            latency_ms=(routed.clock() - heard.began) * 1000,
            ttft_ms=None if heard.first is None else heard.first * 1000,
            success=error is None,
            tool_calls_count=len(calls),
            error_type=error,
            attempt=sum(self._attempts.values()),
            run_id=errand.run,
            user_id=errand.principal.user,
            timestamp=routed.now(),
            phase=errand.phase,
            tool=calls[0].name if calls else "",
            prompt_version=errand.prompt_version,
        )

    def _route(self, model: Model) -> dict[str, Any]:
        """Why this model, as `Reply.route`."""
        said = self.decision.to_json()
        failures = [f"{model_id} {_why(error)}" for model_id, error in self._failures]
        runners_up = [other for other in said["chain"] if other != model.id]
        tried = [{"model": each.model_id, "error": each.error_type} for each in self.request.tried]
        route = {"mode": said["mode"] if model == self.decision.chain[0] else "fallback", "task": said["task"], "scores": said["scores"]}
        return route | {"reasons": [*failures, *said["reasons"]], "runners_up": runners_up, "attempts": tried, "request": self.request.id}

    def _failure(self) -> ToolgateError:
        """What to raise when the chain has come to its end: what went wrong, or all of it."""
        errors = [error for _, error in self._failures]
        if not errors:
            wait = self.routed.breakers.soonest(model.id for model in self.decision.chain)
            return ModelFailed("every model that may be asked is left alone just now", "transient", reason="unavailable", retry_after=wait)
        models = {model_id for model_id, _ in self._failures}
        failed = [error for error in errors if isinstance(error, ModelFailed)]
        if len(models) == 1 or not failed:
            return errors[-1] if len(models) == 1 else errors[0]
        transient = [error for error in failed if error.kind == "transient"]
        # What passes by itself says more of whether to come back; what a shorter conversation would mend is mended.
        telling = transient[-1] if transient and failed[-1].reason != "context_exceeded" else failed[-1]
        waits = [error.retry_after for error in failed if error.retry_after is not None]
        return ModelFailed(
            f"no model answered. {_told(self._failures)}",
            "transient" if transient else "provider",
            reason=telling.reason,
            status=telling.status,
            retry_after=min(waits, default=None),
        )


@dataclass(slots=True)
class Heard:
    """What has come of an attempt so far."""

    model: Model
    tokens: int
    """Of the input, counted."""
    began: float
    asked: bool = False
    """Whether anything may have left."""
    first: float | None = None
    """Seconds until the first piece of the answer."""
    said: list[str] = field(default_factory=list)
    reply: Reply | None = None

    def take(self, delta: Delta, now: float) -> None:
        if isinstance(delta, TextDelta | ReasoningDelta):
            self.said.append(delta.text)
        elif isinstance(delta, CallDelta):
            self.said.append(delta.name + delta.raw)
        elif isinstance(delta, Done):
            self.reply = delta.reply
        if self.first is None and not isinstance(delta, Chosen):
            self.first = now - self.began

    def broken(self) -> Reply:
        """What is known to have been used by an answer that broke off: the input, and what was said of the output."""
        used = Tokens(self.tokens, count_text("".join(self.said), family(self.model)) if self.said else 0)
        return Reply(Assistant(), "end", used, self.model.provider, self.model.name, estimated=True)


def most(prompt: Prompt, model: Model) -> int:
    """Tokens of a reply at most."""
    return min(prompt.max_tokens, model.max_output)


def _told(failures: Sequence[tuple[str, ToolgateError]]) -> str:
    """What went wrong, the last of each model."""
    return "; ".join(f"{model_id}: {error}" for model_id, error in dict(failures).items())


def _why(error: ToolgateError) -> str:
    if isinstance(error, OverBudget):
        return "may cost more than is left"
    return f"failed ({error.reason})" if isinstance(error, ModelFailed) and error.reason else "failed"
