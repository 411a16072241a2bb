"""Expected values: the IANA IPv4 and IPv6 Special-Purpose Address Registries, and the RFCs that put one address into another."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.egress.address import NOT_PUBLIC_4, parse, readings, why_blocked

REGISTRY_4 = [
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
]
"""First and last address of what is not globally reachable, plus multicast and the old 6to4 relays."""

REGISTRY_6 = [
    ("::", "::1"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("100::", "100::ffff:ffff:ffff:ffff"),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
]


@pytest.mark.parametrize(("first", "last"), REGISTRY_4)
def test_special_ipv4_space_is_not_public_from_its_first_to_its_last_address(first: str, last: str) -> None:
    assert why_blocked(IPv4Address(first))
    assert why_blocked(IPv4Address(last))


def test_the_ipv4_space_between_the_special_blocks_is_public() -> None:
    edges = [(int(IPv4Address(first)), int(IPv4Address(last))) for first, last in REGISTRY_4]
    outside = [edge for first, last in edges for edge in (first - 1, last + 1)]
    inside = [number for number in outside if not any(first <= number <= last for first, last in edges) and 0 < number < 2**32]

    assert {why_blocked(IPv4Address(number)) for number in inside} == {None}
    assert len(inside) > 20


@pytest.mark.parametrize(("first", "last"), REGISTRY_6)
def test_special_ipv6_space_is_not_public_from_its_first_to_its_last_address(first: str, last: str) -> None:
    assert why_blocked(IPv6Address(first))
    assert why_blocked(IPv6Address(last))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "140.82.121.6", "192.0.1.1", "100.63.255.255", "2606:4700:4700::1111", "2a01:4f8::1", "2400:cb00::1", "3ffe::1"],
)
def test_ordinary_addresses_are_public(address: str) -> None:
    assert why_blocked(ip_address(address)) is None


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"])
def test_the_metadata_services_of_the_clouds_are_not_public(address: str) -> None:
    assert why_blocked(ip_address(address))


@pytest.mark.parametrize("address", ["4000::1", "8000::1", "1::1", "200::1"])
def test_space_that_nobody_was_given_is_not_public(address: str) -> None:
    assert why_blocked(ip_address(address)) == "an address outside of the public space"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::ffff:7f00:1", ["127.0.0.1"]),  # mapped: the kernel connects to IPv4 (RFC 4291, 2.5.5.2)
        ("::127.0.0.1", ["::7f00:1", "127.0.0.1"]),  # compatible (RFC 4291, 2.5.5.1)
        ("64:ff9b::7f00:1", ["64:ff9b::7f00:1", "127.0.0.1"]),  # NAT64 (RFC 6052, 2.1)
        ("64:ff9b:1::a9fe:a9fe", ["64:ff9b:1::a9fe:a9fe", "169.254.169.254"]),  # local NAT64 (RFC 8215)
        ("2002:7f00:1::", ["2002:7f00:1::", "127.0.0.1"]),  # 6to4 (RFC 3056, 2)
        # Teredo: the server as it is, the client inverted (RFC 4380, 4); the example of RFC 4380's registry entry
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "65.54.227.120", "192.0.2.45"]),
        ("2606:4700::5efe:a00:1", ["2606:4700::5efe:a00:1", "10.0.0.1"]),  # ISATAP (RFC 5214, 6.1)
        ("2606:4700::200:5efe:a00:1", ["2606:4700::200:5efe:a00:1", "10.0.0.1"]),  # ISATAP with the universal bit
        ("2606:4700::1", ["2606:4700::1"]),
        ("8.8.8.8", ["8.8.8.8"]),
    ],
)
def test_an_address_is_read_in_every_way_somebody_may_read_it(address: str, expected: list[str]) -> None:
    assert list(readings(ip_address(address))) == [ip_address(text) for text in expected]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::8.8.8.8", True),
        ("2606:4700::5efe:808:808", True),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("2606:4700::5efe:a00:1", False),
        ("::8.8.8.8", False),  # withdrawn by RFC 4291
        ("2002:808:808::", False),  # withdrawn by RFC 7526
    ],
)
def test_an_address_inside_of_an_address_has_to_be_public_too(address: str, public: bool) -> None:
    assert (why_blocked(ip_address(address)) is None) is public


@pytest.mark.parametrize(
    ("address", "networks", "reachable"),
    [
        ("127.0.0.1", ["127.0.0.0/8"], True),
        ("::ffff:127.0.0.1", ["127.0.0.0/8"], True),
        ("10.1.2.3", ["127.0.0.0/8"], False),
        ("10.1.2.3", ["192.168.0.0/16", "10.1.0.0/16"], True),
        ("::1", ["::1/128"], True),
        ("::1", ["127.0.0.0/8"], False),
        ("127.0.0.1", ["::/0"], False),
        ("64:ff9b::a00:1", ["10.0.0.0/8"], True),
        ("64:ff9b:1::a00:1", ["10.0.0.0/8"], False),
        ("64:ff9b:1::a00:1", ["10.0.0.0/8", "64:ff9b:1::/48"], True),
        ("64:ff9b:1::7f00:1", ["64:ff9b:1::/48"], False),
        ("8.8.8.8", ["10.0.0.0/8"], True),
    ],
)
def test_the_operators_networks_are_allowed_besides(address: str, networks: list[str], reachable: bool) -> None:
    assert (why_blocked(ip_address(address), [ip_network(network) for network in networks]) is None) is reachable


@given(st.integers(0, 2**32 - 1))
def test_whatever_carries_a_blocked_ipv4_address_is_blocked(number: int) -> None:
    inner = IPv4Address(number)
    carriers = [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address(int(IPv6Address("2606:4700::5efe:0:0")) | number),
    ]

    blocked = why_blocked(inner) is not None

    assert [why_blocked(carrier) is not None for carrier in carriers] == [blocked] * 3


@given(st.sampled_from(sorted(NOT_PUBLIC_4, key=str)), st.data())
def test_a_network_that_is_allowed_whole_is_reachable_whole(network: IPv4Network, data: st.DataObject) -> None:
    address = IPv4Address(data.draw(st.integers(int(network[0]), int(network[-1]))))

    assert why_blocked(address) is not None
    assert why_blocked(address, [network]) is None


@pytest.mark.parametrize(
    "text", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.01", "127。0。0。1", "1.2.3.4.", "", "example.com"]
)
def test_only_the_usual_spelling_is_an_address(text: str) -> None:
    assert parse(text) is None
