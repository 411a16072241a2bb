"""Open what our own tools stand on, as the settings say, and say of each that cannot be opened why it is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from toolgate.internal.desk import Backends
from toolgate.settings import Settings


@asynccontextmanager
async def open_backends(settings: Settings) -> AsyncIterator[Backends]:
    absent: dict[str, str] = {}
    code = None
    if not settings.code.enabled:
        absent |= dict.fromkeys(("execute_code", "run_tests"), "running code is off; `code: {enabled: true}` in toolgate.yaml turns it on")
    else:
        from toolgate.internal.code import coding
        from toolgate.sandbox.languages import find_interpreters
        from toolgate.sandbox.sandbox import Unavailable, find_sandbox

        found = await find_sandbox(None if settings.code.way == "auto" else settings.code.way, settings.code.uid)
        if isinstance(found, Unavailable):
            absent |= dict.fromkeys(("execute_code", "run_tests"), f"no sandbox works here: {found.why}")
        else:
            code = coding(found, find_interpreters(settings.code), settings.code)
    yield Backends(code=code, absent=absent)
