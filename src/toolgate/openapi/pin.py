"""Descriptions that live at a URL: fetched once, pinned by digest in `integration.lock`, kept in the state folder.

What is served is always the copy whose digest the operator has in the lock. A description that changes at its source
changes nothing here until `toolgate specs lock` fetches and pins it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import orjson

from toolgate.egress.origin import origin_of
from toolgate.egress.wire import Caps, Reach, Request, Sender
from toolgate.errors import Misconfigured, UpstreamFailed
from toolgate.openapi.folder import write

LOCK = "integration.lock"
CAPS = Caps(received=32 * 1024 * 1024, decoded=64 * 1024 * 1024)
SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Pin:
    url: str
    sha256: str
    """Hexadecimal, of the bytes as they were fetched."""


def is_url(spec: str) -> bool:
    return spec.startswith(("https://", "http://"))


def read_pin(folder: Path) -> Pin | None:
    """What `integration.lock` says; None without one.

    Raises:
        Misconfigured: it is no such lock.
    """
    file = folder / LOCK
    if not file.is_file():
        return None
    try:
        content = orjson.loads(file.read_bytes())
        return Pin(content["url"], content["sha256"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Misconfigured(f"{file} is no lock of a description; `toolgate specs lock` writes a new one") from error


def write_pin(folder: Path, pin: Pin) -> None:
    text = orjson.dumps({"url": pin.url, "sha256": pin.sha256}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    write(folder / LOCK, text)


def pinned_copy(folder: Path, url: str, state: Path) -> bytes:
    """The description at `url` as it was pinned.

    Raises:
        Misconfigured: it is not pinned, the pin is for another URL, or the copy is not here or not what was pinned.
    """
    pin = read_pin(folder)
    if pin is None or pin.url != url:
        raise Misconfigured(f"{url} is not pinned in {folder}/{LOCK}; run `toolgate specs lock {folder.name}`")
    copy = _copy(state, pin)
    if not copy.is_file() or sha256(data := copy.read_bytes()).hexdigest() != pin.sha256:
        raise Misconfigured(f"the pinned copy of {url} is not here; run `toolgate specs fetch {folder.name}`")
    return data


def missing_copy(folder: Path, url: str, state: Path) -> Pin | None:
    """The pin of `url` when its copy has yet to be fetched."""
    pin = read_pin(folder)
    return pin if pin is not None and pin.url == url and not _copy(state, pin).is_file() else None


def keep_copy(data: bytes, url: str, state: Path) -> Pin:
    """Keep `data` in the state folder, and the pin that names it."""
    pin = Pin(url, sha256(data).hexdigest())
    copy = _copy(state, pin)
    copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write(copy, data)
    return pin


async def fetch(url: str, sender: Sender, *, networks: tuple[IPv4Network | IPv6Network, ...] = ()) -> bytes:
    """The description at `url`, through the guarded way out.

    Raises:
        Misconfigured: plain http, where no `networks` are allowed: those are the operator's own.
        UpstreamFailed: the answer is not 200.
        Failed, EgressBlocked: as `Sender.send`.
    """
    if url.startswith("http://") and not networks:
        raise Misconfigured(f"a description is fetched by https; {url} is not")
    response = await sender.send(Request("GET", url), reach=Reach(frozenset({origin_of(url)}), networks), seconds=SECONDS, caps=CAPS)
    if response.status != 200:
        raise UpstreamFailed(f"{url} answered {response.status} where a description was expected", status=response.status)
    return response.body


def _copy(state: Path, pin: Pin) -> Path:
    return state / "specs" / pin.sha256
