"""The SDKs of providers, each imported when it is first asked: without retries, over an httpx2 client that takes the guarded way out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2

from toolgate.egress.client import Guarded
from toolgate.egress.transport import Transport
from toolgate.egress.wire import Caps
from toolgate.llm.classify import answered, cut_off, interrupted, malformed, unanswered
from toolgate.llm.declared import Declared
from toolgate.llm.remote import Events

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

T = TypeVar("T")

LONGEST = 3600.0
"""Seconds that an answer may take in all, whatever a prompt asks for."""
CAPS = Caps(received=64 * 1024 * 1024, decoded=64 * 1024 * 1024, ratio=1000)
"""Of an answer. Events repeat themselves, and pack well."""
SENT = frozenset("accept content-type authorization x-api-key anthropic-version anthropic-beta".split())
"""Headers that go out. SDKs add some from the environment, meant for their own service, and what machine and Python this is."""
HEARD = frozenset("content-type content-encoding content-length transfer-encoding date retry-after retry-after-ms x-should-retry".split())
"""Headers of answers that come in. SDKs write all of them into their logs, and a provider may repeat what it was shown."""
OURS = frozenset({"openai", "anthropic", "httpx2"})
"""Packages whose errors tell of an answer, or that there is none."""


class Plain(httpx2.AsyncBaseTransport):
    """Sends what we mean and nothing else."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, *, keyless: bool) -> None:
        self._inner = inner
        self._kept = SENT - {"authorization", "x-api-key"} if keyless else SENT

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for name in {name.lower() for name in request.headers} - self._kept - {"host", "content-length"}:
            del request.headers[name]
        response = await self._inner.handle_async_request(request)
        for name in {name.lower() for name in response.headers} - HEARD:
            del response.headers[name]
        return response


def openai(provider: Declared, transport: Transport) -> AsyncOpenAI:
    """For OpenAI itself, and whoever is compatible with it."""
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key=_key(provider), base_url=provider.base_url, max_retries=0, http_client=_http(provider, transport))


def anthropic(provider: Declared, transport: Transport) -> AsyncAnthropic:
    from anthropic import AsyncAnthropic

    client = _http(provider, transport)
    logging.getLogger("anthropic").setLevel(logging.INFO)  # below it are whole requests
    return AsyncAnthropic(api_key=_key(provider), base_url=provider.base_url, max_retries=0, http_client=client, open_telemetry=False)


def _http(provider: Declared, transport: Transport) -> httpx2.AsyncClient:
    """A client for one provider: it reaches that provider and nothing else, whatever the environment says of proxies."""
    guarded = Guarded(transport, reach=provider.reach, seconds=LONGEST, caps=CAPS)
    return httpx2.AsyncClient(transport=Plain(guarded, keyless=provider.api_key is None), trust_env=False, follow_redirects=False)


def _key(provider: Declared) -> str:
    """The key; a word where none is needed, which is not sent."""
    return provider.api_key.get_secret_value() if provider.api_key else "none"


def events(provider: Declared, make: Callable[[], T], create: Callable[[T], Callable[..., Awaitable[Any]]]) -> Events:
    """
    Args:
        make: the SDK's client, on first use and in a thread: to import an SDK takes a second or two, in which the program goes on.
        create: what of it sends a request.
    """
    client: T | None = None
    making = asyncio.Lock()

    async def ask(body: dict[str, Any], total: float) -> Any:
        nonlocal client
        async with making:
            if client is None:
                client = await asyncio.to_thread(make)
        return await create(client)(**body, stream=True, timeout=httpx2.Timeout(total, connect=min(provider.connect, total)))

    return lambda body, total: heard(provider.name, lambda: ask(body, total))


async def heard(name: str, ask: Callable[[], Awaitable[AsyncIterator[Any]]]) -> AsyncGenerator[Mapping[str, Any], None]:
    """The events of the answer to one request, as JSON.

    Raises:
        ModelFailed: there was none, or it did not come to an end.
    """
    stream: Any = None
    try:
        stream = await ask()
        async for event in stream:
            yield event.to_dict()
    except Exception as error:
        raise failed(name, error, begun=stream is not None) from error
    finally:
        if stream is not None:
            await stream.close()


def failed(name: str, error: Exception, *, begun: bool) -> Exception:
    """What an SDK's error means; both have the same ones. What is none of those is a bug, and stays what it is."""
    response, status = getattr(error, "response", None), getattr(error, "status_code", None)
    if response is not None and isinstance(status, int) and status >= 300:
        headers = {key.lower(): value for key, value in response.headers.items()}
        return answered(name, status, headers, getattr(error, "body", None))
    if isinstance(error, ValueError | KeyError | TypeError | AttributeError | RecursionError):
        return malformed(name) if begun else error
    if type(error).__module__.partition(".")[0] not in OURS:
        return error
    if (body := getattr(error, "body", None)) is not None:
        return interrupted(name, body)
    found = unanswered(name, error)
    return cut_off(name) if begun and found.reason == "connection" else found
