"""Steps around a handler, the first outermost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from toolgate.calls import Call, Outcome

Handler = Callable[[Call], Awaitable[Outcome]]
Middleware = Callable[[Call, Handler], Awaitable[Outcome]]
"""Answers itself, raises a ToolgateError, or awaits `call_next`."""


def chain(steps: Sequence[Middleware], handler: Handler) -> Handler:
    """Fold `steps` around `handler`, so that `steps[0]` sees the call first and its outcome last."""
    for step in reversed(steps):
        handler = _around(step, handler)
    return handler


def _around(step: Middleware, call_next: Handler) -> Handler:
    return lambda call: step(call, call_next)  # not a coroutine around each: a call passes a dozen of them
