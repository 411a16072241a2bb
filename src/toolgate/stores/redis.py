"""Counts that processes share, in Redis.

One script looks at every key and counts all or none, on the server's clock: a process whose clock is wrong, or that asks
at the same moment as another, cannot let more through. It remembers what `counters.Window` remembers: groups of calls, as
a packed list of first, last, number, first, last, number …
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from toolgate.errors import Misconfigured
from toolgate.stores import Allowance, UsedUp
from toolgate.stores.counters import GROUPS, Away

SECONDS = 0.25
"""Until an answer must be here; redis-py's own is 5 s, which a stopped server would add to every call."""
CONNECTIONS = 32  # a guess; one carries some thousand calls a second
PREFIX = "{toolgate}:calls:"
"""The braces keep all keys on one node of a cluster, where one script can see them."""

TAKE = f"""
local time = redis.call('TIME')
local clock = tonumber(time[1]) + tonumber(time[2]) / 1000000
local windows, longest, wait = {{}}, 0, 0
for i, key in ipairs(KEYS) do
  local calls, seconds, owed = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local packed = redis.call('GET', key)
  local groups, total = packed and cmsgpack.unpack(packed) or {{}}, 0
  -- A clock that was set back stands still until it has caught up: it must not open a window again.
  local now = math.max(clock, groups[#groups - 1] or 0)
  local kept = {{}}
  for g = 1, #groups, 3 do
    if now - groups[g + 1] < seconds then
      kept[#kept + 1], kept[#kept + 2], kept[#kept + 3] = groups[g], groups[g + 1], groups[g + 2]
      total = total + groups[g + 2]
    end
  end
  if owed > 0 then
    kept[#kept + 1], kept[#kept + 2], kept[#kept + 3] = now, now, owed
    total = total + owed
  end
  local excess = total - calls
  for g = 1, #kept, 3 do
    if excess < 0 then break end
    excess = excess - kept[g + 2]
    local left = math.max(kept[g + 1] + seconds - now, 0.000001)
    if excess < 0 and left > wait then longest, wait = i, left end
  end
  windows[i] = {{kept, now, seconds, owed}}
end
for i, key in ipairs(KEYS) do
  local kept, now, seconds, owed = unpack(windows[i])
  if longest == 0 then
    if #kept > 0 and now - kept[#kept - 2] < seconds / {GROUPS} then
      kept[#kept - 1], kept[#kept] = now, kept[#kept] + 1
    else
      kept[#kept + 1], kept[#kept + 2], kept[#kept + 3] = now, now, 1
    end
  end
  if longest == 0 or owed > 0 then
    redis.call('SET', key, cmsgpack.pack(kept), 'PX', math.ceil((now - clock + seconds) * 1000))
  end
end
return {{longest, tostring(wait)}}
"""


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[RedisCounters]:
    """Counts in the Redis at `url`; no connection is made before the first call.

    Raises:
        Misconfigured: the URL cannot be meant. It is not repeated, since it may hold a password.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=SECONDS,
            socket_timeout=SECONDS,
            socket_connect_timeout=SECONDS,
            retry=Retry(NoBackoff(), 1),  # once: the connection may be one that the server has closed long ago
        )
    except ValueError:
        raise Misconfigured("shared must be a URL that starts with redis://, rediss:// or unix://") from None
    async with Redis.from_pool(pool) as client:
        yield RedisCounters(client)


class RedisCounters:
    """A `Remote`."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._mark = sha1(TAKE.encode()).hexdigest()  # noqa: S324  # Redis calls scripts by it

    async def take(self, allowances: Sequence[Allowance], owed: Sequence[int]) -> UsedUp | None:
        if not allowances:
            return None
        keys = [PREFIX + one.key for one in allowances]
        values = [value for one, number in zip(allowances, owed, strict=True) for value in (one.calls, one.seconds, number)]
        try:
            async with asyncio.timeout(SECONDS):  # over waiting for a connection, connecting and asking together
                try:
                    longest, wait = await self._client.evalsha(self._mark, len(keys), *keys, *values)
                except NoScriptError:  # with `SCRIPT LOAD` it would take a command that many a proxy and access list refuses
                    longest, wait = await self._client.eval(TAKE, len(keys), *keys, *values)
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(
                error, ReadOnlyError
            ):  # by now another is the primary at that address; this connection would stay with the old one
                await self._client.connection_pool.disconnect()
            raise Away(type(error).__name__) from None
        return UsedUp(allowances[longest - 1], float(wait)) if longest else None
