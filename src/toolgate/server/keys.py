"""API keys: made once, shown once, kept only as a hash.

    tg_k3v7x2qa_<43 letters and digits>_<6 letters and digits>
       id        secret, 256 random bits  CRC-32 of what stands before it

The id finds the record and names the key in the audit; it is no secret. The secret has as many random bits as the hash
that is kept of it, so a fast hash is enough: there is nothing to guess, and no list of likely keys to try. The checksum
lets a scanner tell a key from something that looks like one, and us refuse a mistyped one without asking the store.

A key is looked up by its id and then held against the SHA-256 of the whole text. Whoever reads the store can therefore
not call: the hash of a hash is another one.
"""

from __future__ import annotations

import binascii
import hmac
import re
import secrets
import string
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from toolgate.calls import AGENT, Principal
from toolgate.errors import Misconfigured, NotIdentified
from toolgate.server.identify import digest
from toolgate.settings import Caller
from toolgate.stores import Record, Records, every
from toolgate.stores.recent import Recent

KIND = "key"
"""Of the records."""
PATTERN = re.compile(r"tg_([a-z2-7]{8})_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}")
OWNER = re.compile(r"[^\s\x00-\x20\x7f](?:[^\x00-\x1f\x7f]{0,126}[^\s\x00-\x20\x7f])?")
ID_LETTERS = string.ascii_lowercase + "234567"
LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEPT = 4096  # keys, of those that were shown
OVERLAP = 24 * 3600.0
"""Seconds that a key which is being replaced goes on working."""
NOT_VALID = "this API key is not known here, or was revoked; ask the operator of this server for another"

State = Literal["live", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class Key:
    """What is remembered of a key. Times are seconds since 1970."""

    id: str
    owner: str
    """The id of the principal that whoever shows it is taken for."""
    caller: Caller
    """Its roles, tier and tenant."""
    created: float
    scopes: tuple[str, ...] | None = None
    """What bounds its calls besides; None: nothing."""
    expires: float | None = None
    revoked: float | None = None
    successor: str | None = None
    """The id of the key that replaces it."""

    def state(self, now: float) -> State:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "live"

    def principal(self) -> Principal:
        return Principal(
            id=self.owner,
            roles=self.caller.roles,
            tier=self.caller.tier,
            tenant=self.caller.tenant,
            via="key",
            scopes=None if self.scopes is None else frozenset(self.scopes),
            credential=self.id,
        )


class Keys:
    """The keys in a store. What another process changes is seen within 5 s."""

    def __init__(self, records: Records, clock: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            clock: seconds since 1970, by which keys expire.
            ticks: seconds that nobody sets back, by which what was read grows old.
        """
        self._records = records
        self._clock = clock
        self._recent = Recent(self._read, clock=ticks)
        self._shown: dict[str, tuple[Key, Principal]] = {}
        """By the hash of a key's text: what was found when it was shown last, and who it is."""

    async def principal(self, text: str, mark: str | None = None) -> Principal:
        """Who shows the key `text`.

        Args:
            mark: its digest, from who knows it.

        Raises:
            NotIdentified: it is no key of ours, not a live one, or not whole.
        """
        mark = mark or digest(text)
        shown = self._shown.get(mark)
        if shown is not None:
            # Who shows a text with this hash has shown the key itself: what is left to ask is whether it is as it was.
            found = self._recent.kept(shown[0].id) or await self._recent.get(shown[0].id)
            if found is not None and found[0] is shown[0] and found[0].state(self._clock()) == "live":
                return shown[1]
        return await self._principal(text, mark)

    async def _principal(self, text: str, mark: str) -> Principal:
        named = id_of(text)
        if named is None:
            raise NotIdentified("this is not a whole API key; it reads tg_, an id, a secret and a checksum", shown=True)
        found = await self._recent.get(named)
        if found is None or not hmac.compare_digest(found[1], mark):
            raise NotIdentified(NOT_VALID, shown=True)
        key = found[0]
        match key.state(self._clock()):
            case "revoked":
                raise NotIdentified(NOT_VALID, shown=True)
            case "expired":  # whoever has the secret may know
                raise NotIdentified(f"the API key tg_{named} has expired; ask the operator of this server for another", shown=True)
            case "live":
                before = self._shown.get(mark)
                if before is None and len(self._shown) >= KEPT:
                    self._shown.clear()
                # The very same where it was read again or by two at once: others keep what they know by it, and find it by identity.
                principal = before[1] if before is not None and before[0] == key else key.principal()
                self._shown[mark] = key, principal
                return principal

    async def live(self, id: str) -> Key | None:
        """The key of that id, without `tg_`; None: it lets nobody in (any more)."""
        found = await self._recent.get(id)
        return found[0] if found is not None and found[0].state(self._clock()) == "live" else None

    async def create(
        self, owner: str, caller: Caller, *, seconds: float | None = None, scopes: Sequence[str] | None = None
    ) -> tuple[Key, str]:
        """A new key and its text, which nobody can tell again.

        Args:
            seconds: until it expires; None: never.

        Raises:
            Misconfigured: `owner` cannot be the id of a principal.
        """
        if not OWNER.fullmatch(owner) or owner == "anonymous" or owner.startswith(AGENT):
            raise Misconfigured("the owner of a key is 1 to 128 visible characters, and neither anonymous nor an agent of somebody's")
        now = self._clock()
        key = Key("", owner, caller, now, None if scopes is None else tuple(scopes), None if seconds is None else now + seconds)
        return await self._write(key)

    async def rotate(self, id: str, *, overlap: float = OVERLAP) -> tuple[Key, str]:
        """A key like `id`, which goes on working for `overlap` seconds. Its life is as long as that of the first was to be.

        Raises:
            Misconfigured: `id` is not a live key, or is being replaced already: of each key two are live at most.
        """
        record, old = await self._find(id)
        now = self._clock()
        if (state := old.state(now)) != "live":
            raise Misconfigured(f"the key tg_{id} is {state}; `toolgate keys create` makes a new one")
        if old.successor is not None:
            raise Misconfigured(f"the key tg_{id} is being replaced by tg_{old.successor} already; rotate that one")
        life = None if old.expires is None else old.expires - old.created
        new, text = await self._write(replace(old, created=now, expires=None if life is None else now + life))
        ends = now + overlap if old.expires is None else min(old.expires, now + overlap)
        if not await self._change(record, replace(old, expires=ends, successor=new.id)):
            await self._records.delete(KIND, new.id)
            raise Misconfigured(f"the key tg_{id} was changed meanwhile; look with `toolgate keys list` and try again")
        return new, text

    async def revoke(self, id: str) -> Key:
        """Let nobody in with it any more: here at once, elsewhere within 5 s.

        Raises:
            Misconfigured: there is no such key.
        """
        while True:
            record, key = await self._find(id)
            if key.revoked is not None:
                return key
            revoked = replace(key, revoked=self._clock())
            if await self._change(record, revoked):
                return revoked

    async def list(self) -> Sequence[Key]:
        """Every key there ever was, by id."""
        return [_key(record) async for record in every(self._records, KIND)]

    async def _read(self, id: str) -> tuple[Key, str] | None:
        """The key `id` and the hash of its text."""
        record = await self._records.get(KIND, id)
        return None if record is None else (_key(record), record.body["sha256"])

    async def _find(self, id: str) -> tuple[Record, Key]:
        record = await self._records.get(KIND, id.removeprefix("tg_"))
        if record is None:
            raise Misconfigured(f"there is no key {id[:32]!r}; `toolgate keys list` shows all")
        return record, _key(record)

    async def _write(self, key: Key) -> tuple[Key, str]:
        while True:
            named = replace(key, id=_random(ID_LETTERS, 8), revoked=None, successor=None)
            head = f"tg_{named.id}_{_random(LETTERS, 43)}"
            text = f"{head}_{checksum(head)}"
            if await self._records.put(KIND, named.id, {"sha256": digest(text), **_body(named)}):  # ids are not used twice
                self._recent.forget(named.id)
                return named, text

    async def _change(self, record: Record, key: Key) -> bool:
        changed = await self._records.put(
            KIND, record.id, {"sha256": record.body["sha256"], **_body(key)}, replaces=record.version, expires=record.expires
        )
        self._recent.forget(record.id)
        return changed


def id_of(text: str) -> str | None:
    """The id of the key `text`; None when it cannot be a key of ours."""
    match = PATTERN.fullmatch(text)
    if match is None:
        return None
    head, _, end = text.rpartition("_")
    return match[1] if end == checksum(head) else None


def checksum(head: str) -> str:
    """CRC-32 in six letters and digits, as GitHub's tokens have it."""
    number, letters = binascii.crc32(head.encode()), ""
    for _ in range(6):
        number, place = divmod(number, len(LETTERS))
        letters = LETTERS[place] + letters
    return letters


def _random(letters: str, count: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(count))


def _body(key: Key) -> Mapping[str, Any]:
    return {
        "owner": key.owner,
        "caller": key.caller.model_dump(mode="json"),
        "created": key.created,
        "scopes": None if key.scopes is None else list(key.scopes),
        "expires": key.expires,
        "revoked": key.revoked,
        "successor": key.successor,
    }


def _key(record: Record) -> Key:
    body = record.body
    return Key(
        id=record.id,
        owner=body["owner"],
        caller=Caller(**body["caller"]),
        created=body["created"],
        scopes=None if body["scopes"] is None else tuple(body["scopes"]),
        expires=body["expires"],
        revoked=body["revoked"],
        successor=body["successor"],
    )
