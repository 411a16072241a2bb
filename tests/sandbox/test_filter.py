"""The filter is run by a small BPF machine here, and by the kernel in test_contained.py. Numbers are Linux's own headers'."""

from __future__ import annotations

import re
import struct
from errno import EAFNOSUPPORT, ENOSYS, EPERM
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.sandbox.filter import ALLOW, ARCHITECTURES, ERRNO, HIDING, KILL, ONESELF, REFUSED, seccomp
from toolgate.sandbox.filter import ALONE as REFUSED_ALONE

HEADERS = {"x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), "aarch64": Path("/usr/include/asm-generic/unistd.h")}
CLONE, CLONE3, IOCTL, SOCKET, PRCTL = 56, 435, 16, 41, 157  # x86-64
AUDIT = ARCHITECTURES["x86_64"].audit


def verdict(program: bytes, number: int, *arguments: int, audit: int = AUDIT) -> int:
    """What the program returns; only the instructions that seccomp(2) allows and we use."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, audit, 0, *padded)
    lines = list(struct.iter_unpack("<HBBI", program))
    accumulator, place = 0, 0
    while True:
        code, true, false, value = lines[place]
        place += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return int(value)
        else:
            held = {0x15: accumulator == value, 0x25: accumulator > value, 0x45: bool(accumulator & value)}[code]
            place += true if held else false


PROGRAM, ALONE = seccomp("x86_64", alone=False), seccomp("x86_64", alone=True)


@pytest.mark.parametrize("name", REFUSED)
def test_every_call_on_the_list_is_refused(name: str) -> None:
    for machine, column in (("x86_64", 0), ("aarch64", 1)):
        number = REFUSED[name][column]
        if number is not None:
            program = seccomp(machine, alone=False)
            assert verdict(program, number, audit=ARCHITECTURES[machine].audit) == ERRNO | EPERM


@pytest.mark.parametrize("name", ["shmget", "msgget", "semget"])
def test_nothing_of_a_job_stays_in_the_kernel_when_it_has_ended(name: str) -> None:
    number, _ = REFUSED[name]

    assert number is not None
    assert verdict(ALONE, number) == verdict(PROGRAM, number) == ERRNO | EPERM


@given(st.integers(0, 462), st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_a_call_that_no_rule_is_about_is_allowed_whatever_its_arguments(number: int, arguments: list[int]) -> None:
    ruled = {pair[0] for pair in REFUSED.values()} | {CLONE, CLONE3, IOCTL, SOCKET}

    if number not in ruled:
        assert verdict(PROGRAM, number, *arguments) == ALLOW


@given(st.integers(0, 2**64 - 1))
def test_a_process_may_be_made_but_no_namespace(flags: int) -> None:
    names = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)  # linux/sched.h, CLONE_NEW…

    refused = any(flags & name for name in names)

    assert verdict(PROGRAM, CLONE, flags) == (ERRNO | EPERM if refused else ALLOW)
    assert verdict(PROGRAM, CLONE3, flags) == ERRNO | ENOSYS


@pytest.mark.parametrize(("request_", "allowed"), [(0x5412, False), (0x541C, False), (0x5401, True), (0x1_0000_5412, False)])
def test_nothing_is_typed_into_a_terminal(request_: int, allowed: bool) -> None:
    assert verdict(PROGRAM, IOCTL, 1, request_) == (ALLOW if allowed else ERRNO | EPERM)


@pytest.mark.parametrize("family", range(46))
def test_sockets_are_of_families_that_a_network_namespace_holds_and_alone_there_are_none(family: int) -> None:
    assert verdict(PROGRAM, SOCKET, family) == (ALLOW if family in (1, 2, 10) else ERRNO | EAFNOSUPPORT)
    assert verdict(ALONE, SOCKET, family) == ERRNO | EAFNOSUPPORT


def test_alone_nobody_leaves_the_group_that_is_killed_or_gets_at_others() -> None:
    for number, _ in REFUSED_ALONE.values():
        assert (verdict(PROGRAM, number), verdict(ALONE, number)) == (ALLOW, ERRNO | EPERM)
    for number, _ in ONESELF.values():
        assert (verdict(PROGRAM, number, 7), verdict(ALONE, number, 7), verdict(ALONE, number, 0)) == (ALLOW, ERRNO | EPERM, ALLOW)
    for option in (1, *HIDING):
        assert verdict(ALONE, PRCTL, option) == (ERRNO | EPERM if option in HIDING else ALLOW)


@given(st.integers(463, 2**32 - 1))
def test_newer_calls_and_those_of_32_bits_do_not_exist(number: int) -> None:
    assert verdict(PROGRAM, number) == ERRNO | ENOSYS


@given(st.integers(0, 462), st.integers(0, 2**32 - 1))
def test_another_architecture_ends_the_process(number: int, audit: int) -> None:
    if audit != AUDIT:
        assert verdict(PROGRAM, number, audit=audit) == KILL


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_those_of_the_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("Linux's headers are not installed here")
    said = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text()))

    for name, pair in {**REFUSED, **REFUSED_ALONE, **ONESELF}.items():
        if name in said:
            assert pair[ARCHITECTURES[machine].column] == int(said[name]), name
