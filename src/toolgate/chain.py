"""Steps around a handler, the first outermost."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from toolgate.calls import Call, Outcome

Coming = Coroutine[Any, Any, Outcome]
"""An outcome, once it is awaited."""
Handler = Callable[[Call], Coming]
Middleware = Callable[[Call, Handler], Coming]
"""Answers itself, raises a ToolgateError, or awaits `call_next`; one that has nothing to do may return what that returns."""


def chain(steps: Sequence[Middleware], handler: Handler) -> Handler:
    """Fold `steps` around `handler`, so that `steps[0]` sees the call first and its outcome last."""
    for step in reversed(steps):
        handler = _around(step, handler)
    return handler


def _around(step: Middleware, call_next: Handler) -> Handler:
    # Not a coroutine around each, and methods rather than the objects that have them: a call passes a dozen.
    take = step if hasattr(step, "__code__") else step.__call__  # type: ignore[operator]  # mypy has no methods of callables
    return lambda call: take(call, call_next)
