"""Which IP addresses are public, so that a request may go there without the operator having said so.

`ipaddress.is_global` is not the question's answer: Python 3.11 calls 192.88.99.1, 224.0.0.1, fec0::1 and
64:ff9b::7f00:1 (127.0.0.1 behind a NAT64) global. So the table is written out here.

An IPv6 address may carry an IPv4 address that somebody on the way, or this very kernel, will unwrap. Every such
reading has to be allowed as well, not only the address as written.

Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its successors), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NOT_PUBLIC_4 = {
    IPv4Network("0.0.0.0/8"): "an unspecified address",
    IPv4Network("10.0.0.0/8"): "a private address",
    IPv4Network("100.64.0.0/10"): "a carrier-grade NAT address",
    IPv4Network("127.0.0.0/8"): "a loopback address",
    IPv4Network("168.63.129.16/32"): "a cloud platform's own address",  # Azure's; it lies in public space
    IPv4Network("169.254.0.0/16"): "a link-local or metadata address",
    IPv4Network("172.16.0.0/12"): "a private address",
    IPv4Network("192.0.0.0/24"): "an address of IETF protocols",
    IPv4Network("192.0.2.0/24"): "a documentation address",
    IPv4Network("192.88.99.0/24"): "a 6to4 relay address",
    IPv4Network("192.168.0.0/16"): "a private address",
    IPv4Network("198.18.0.0/15"): "a benchmarking address",
    IPv4Network("198.51.100.0/24"): "a documentation address",
    IPv4Network("203.0.113.0/24"): "a documentation address",
    IPv4Network("224.0.0.0/4"): "a multicast address",
    IPv4Network("240.0.0.0/4"): "a reserved address",
}
NOT_PUBLIC_6 = {
    IPv6Network("::/128"): "an unspecified address",
    IPv6Network("::1/128"): "a loopback address",
    IPv6Network("64:ff9b:1::/48"): "a local NAT64 address",
    IPv6Network("100::/64"): "a discard address",
    IPv6Network("100:0:0:1::/64"): "a dummy address",
    IPv6Network("2001::/32"): "a Teredo address",
    IPv6Network("2001::/23"): "an address of IETF protocols",  # ORCHID and benchmarking among them
    IPv6Network("2001:db8::/32"): "a documentation address",
    IPv6Network("2002::/16"): "a 6to4 address",
    IPv6Network("3fff::/20"): "a documentation address",
    IPv6Network("5f00::/16"): "a segment routing address",
    IPv6Network("fc00::/7"): "a private address",  # fd00:ec2::254, Amazon's metadata, among them
    IPv6Network("fe80::/10"): "a link-local address",
    IPv6Network("fec0::/10"): "a site-local address",
    IPv6Network("ff00::/8"): "a multicast address",
}
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""The only IPv6 space that IANA gives out; the rest is special or not assigned to anybody."""

NAT64 = IPv6Network("64:ff9b::/96")
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
COMPATIBLE = IPv6Network("::/96")
SIX_TO_FOUR = IPv6Network("2002::/16")
ISATAP_MARKS = (0x00005EFE, 0x02005EFE)
"""The upper half of an interface identifier whose lower half is an IPv4 address (RFC 5214, 6.1)."""


def why_blocked(address: Address, networks: Iterable[Network] = ()) -> str | None:
    """What `address` is that it may not be reached, in words for a message; None when it may.

    Args:
        networks: allowed by the operator besides public addresses.
    """
    allowed = tuple(networks)
    for reading in readings(address):
        if not any(reading in network for network in allowed if network.version == reading.version) and (kind := _kind(reading)):
            return kind
    return None


def readings(address: Address) -> Iterator[Address]:
    """The addresses that a connection to `address` may end at: itself, and what it carries inside.

    A mapped address (::ffff:a.b.c.d) is nothing but its IPv4 address: the kernel connects to that.
    """
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    number = int(address)
    if address in NAT64 or address in LOCAL_NAT64 or (address in COMPATIBLE and number > 1):
        yield IPv4Address(number & 0xFFFFFFFF)
    if address in SIX_TO_FOUR:
        yield IPv4Address(number >> 80 & 0xFFFFFFFF)
    if address.teredo is not None:
        yield from address.teredo
    if number >> 32 & 0xFFFFFFFF in ISATAP_MARKS:
        yield IPv4Address(number & 0xFFFFFFFF)


def parse(text: str) -> Address | None:
    """The address that `text` is, if it is one in its canonical notation (a scope id aside)."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def _kind(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in NOT_PUBLIC_4.items() if address in network), None)
    if kind := next((kind for network, kind in NOT_PUBLIC_6.items() if address in network), None):
        return kind
    return None if address in GLOBAL_UNICAST or address in NAT64 else "an address outside of the public space"
