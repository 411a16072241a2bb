"""Where a URL leads: its scheme, host and port, in one spelling. Everything else about a URL is left as it was written.

No URL library takes part, because each of them mends what it reads (dot segments, case, escapes), and what is mended
here and not there is how a check is got around. A URL that would need mending is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from toolgate.egress.address import Address, parse
from toolgate.egress.wire import Reach
from toolgate.errors import EgressBlocked

DEFAULT_PORTS = {"http": 80, "https": 443}
AUTHORITY = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@\\]+)(?::(?P<port>[0-9]{1,5}))?")
HEAD = re.compile(r".*?://[^/?#]*", re.DOTALL)
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST = re.compile(rf"(?=.{{1,253}}$){LABEL}(?:\.{LABEL})*")
ENDS_IN_A_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$")
"""What resolvers take for an IPv4 address in one of its old spellings: 127.1, 2130706433, 0x7f000001 (WHATWG URL, 3.5)."""
SENDABLE = re.compile(r"[\x21\x22\x24-\x5b\x5d-\x7e]*")
"""Visible ASCII but for the number sign and the backslash."""


@dataclass(frozen=True)
class Place:
    """A scheme, host and port."""

    scheme: str
    host: str
    """Lower case, ASCII (IDNA), no trailing dot; an IPv6 address without brackets."""
    port: int
    address: Address | None
    """The host, when it is an address and not a name."""

    @cached_property
    def origin(self) -> str:
        """`scheme://host:port`, as in `Reach.origins`."""
        return f"{self.scheme}://{self._bracketed}:{self.port}"

    @cached_property
    def authority(self) -> str:
        """The Host header: without the port where it is the scheme's own."""
        return self._bracketed if self.port == DEFAULT_PORTS[self.scheme] else f"{self._bracketed}:{self.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def origin_of(url: str) -> str:
    """The origin that `url` belongs to: `https://api.github.com/repos` is of `https://api.github.com:443`.

    The host may be an international name.

    Raises:
        EgressBlocked: not an http(s) URL with a host, or one that different readers understand differently.
    """
    return place(_head(url)).origin


def spelled(url: str) -> str:
    """`url` with its scheme and host in their one ASCII spelling, the rest as it was. Raises EgressBlocked as `origin_of`."""
    head = _head(url)
    found = place(head)
    return f"{found.scheme}://{found.authority}{url[len(head) :]}"


def locate(url: str) -> tuple[Place, str]:
    """Where to send a request for `url`, and its request target, byte for byte as it stands in `url`.

    Raises:
        EgressBlocked: as `origin_of`, and for characters that cannot be sent as they are.
    """
    if not SENDABLE.fullmatch(url):
        raise EgressBlocked("the URL holds a space, backslash, fragment, control or non-ASCII character that is not percent-encoded")
    head = _head(url)
    target = url[len(head) :]
    return place(head), target if target.startswith("/") else "/" + target


def check_origin(origin: str, reach: Reach) -> None:
    """Raises EgressBlocked when `reach` does not have `origin`."""
    if origin not in reach.origins:
        raise EgressBlocked(f"{origin} is not among the origins that may be reached: {', '.join(sorted(reach.origins)) or 'none'}")


def _head(url: str) -> str:
    """`url` up to its path, query or fragment."""
    found = HEAD.match(url)
    return found[0] if found else url


@lru_cache(maxsize=1024)
def place(head: str) -> Place:
    """`scheme://host[:port]` in its one spelling. Raises EgressBlocked as `origin_of`."""
    match = AUTHORITY.fullmatch(head)
    if match is None:
        raise EgressBlocked("only http(s)://host[:port]/… can be reached, without user name or password")
    scheme = match["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise EgressBlocked(f"{scheme}: cannot be reached, only http: and https:")
    port = int(match["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        raise EgressBlocked(f"{port} is not a port")
    host = _spelled(match["host"])
    address = parse(host)
    if address is None and (not HOST.fullmatch(host) or ENDS_IN_A_NUMBER.search(host)):
        raise EgressBlocked("the URL's host is neither a name nor an address in its usual spelling")
    return Place(scheme, str(address) if address else host, port, address)


def _spelled(host: str) -> str:
    """`host` in lower case, ASCII, without brackets and trailing dot."""
    if not host.isascii():
        host = _international(host)
    return host.lower().removeprefix("[").removesuffix("]").removesuffix(".")


def _international(host: str) -> str:
    import idna  # rarely needed, and its tables are large

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise EgressBlocked("the URL's host is not a valid international name") from None
