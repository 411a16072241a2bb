"""Whether somebody who asked for something a while ago is still who they were: for what lasts longer than a request."""

from __future__ import annotations

from toolgate.calls import Principal
from toolgate.server.identify import local, nobody
from toolgate.server.keys import Keys
from toolgate.settings import Settings
from toolgate.stores import Records


class Standing:
    """`toolgate.internal.again.Standing` over the keys in a store and the callers that the settings name."""

    def __init__(self, records: Records, settings: Settings) -> None:
        self._keys = Keys(records)
        self._settings = settings

    async def stands(self, principal: Principal) -> bool:
        """A key is looked up: what was revoked elsewhere is seen within 5 s. A token was good when it was shown, and nobody tells
        of more; who sits at this machine stays."""
        return principal.via != "key" or await self._keys.live(principal.credential or "") is not None

    async def anew(self, id: str, tenant: str, via: str, credential: str | None) -> Principal | None:
        found = await self._now(via, credential)
        return found if found is not None and (found.id, found.tenant) == (id, tenant) else None

    async def _now(self, via: str, credential: str | None) -> Principal | None:
        match via:
            case "key":
                key = await self._keys.live(credential or "")
                return key.principal() if key else None
            case "stdio":
                return local(self._settings.stdio, "stdio")
            case "terminal":
                return local(self._settings.stdio, "terminal")
            case "loopback":
                return nobody(self._settings.anonymous) if self._settings.anonymous else None
        return None  # a token is not kept, and says nothing of its owner once it has expired
