"""The seccomp filter: which system calls of sandboxed code the kernel answers with an error.

A classic BPF program, as `seccomp(2)` and bubblewrap's `--seccomp` take it: 8 bytes an instruction (code, jump if true, jump
if false, constant), over `struct seccomp_data` {nr, arch, instruction pointer, six arguments of 8 bytes}. Written here since
it is a page of code, and a library for it would be a compiled dependency.

What is refused is what reaches the kernel's rarely used sides (namespaces, mounts, tracing, keys, io_uring, BPF), memory that
no limit counts or that outlives its job (memfd, all of System V's IPC), and sockets of families that no network namespace holds:
AF_VSOCK reaches the host of a virtual machine. Calls newer than this list do not exist (ENOSYS), nor do those of another
architecture.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import EAFNOSUPPORT, ENOSYS, EPERM
from typing import Literal

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000  # linux/seccomp.h
LOAD, EQUAL, GREATER, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06  # BPF_LD|W|ABS, JMP|JEQ|K, JMP|JGT|K, JMP|JSET|K, RET|K
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
NEWEST = 462
"""mseal, Linux 6.10: the newest call that this list knows, the same number everywhere."""

NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
TERMINAL = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: put input into somebody's terminal."""
INSIDE = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6: these a network namespace holds."""

# Numbers on x86-64 and arm64 (asm/unistd_64.h, asm-generic/unistd.h); None: there is no such call.
REFUSED: Mapping[str, tuple[int | None, int | None]] = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "chroot": (161, 51),
    "clock_adjtime": (305, 266), "clock_settime": (227, 112), "delete_module": (176, 106), "fanotify_init": (300, 262),
    "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433),
    "init_module": (175, 105), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_uring_setup": (425, 425),
    "ioperm": (173, None), "iopl": (172, None), "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104),
    "keyctl": (250, 219), "mbind": (237, 235), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "migrate_pages": (256, 238), "modify_ldt": (154, None), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "mq_open": (240, 180), "msgget": (68, 186), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "open_tree": (428, 428), "perf_event_open": (298, 241), "personality": (135, 92),
    "pidfd_getfd": (438, 438), "pivot_root": (155, 41), "process_madvise": (440, 440), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "reboot": (169, 142), "request_key": (249, 218), "semget": (64, 190), "set_mempolicy": (238, 237), "setdomainname": (171, 162),
    "setns": (308, 268), "settimeofday": (164, 170), "sethostname": (170, 161), "shmget": (29, 194), "swapoff": (168, 225),
    "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282), "vhangup": (153, 58),
}  # fmt: skip
CLONE, CLONE3, IOCTL, SOCKET, PRCTL = (56, 220), (435, 435), (16, 29), (41, 198), (157, 167)
# Where the code is among this machine's processes it leaves no group and schedules nobody, and passes no files on, to be held unseen.
ALONE: Mapping[str, tuple[int, int]] = {
    "setsid": (112, 157), "setpgid": (109, 154), "setpriority": (141, 140), "ioprio_set": (251, 30), "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
}  # fmt: skip
ONESELF: Mapping[str, tuple[int, int]] = {
    "prlimit64": (302, 261), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
}  # fmt: skip
"""Where it is, these are for process 0, the caller, only: the same user's others are Toolgate."""
HIDING = (4, 36)
"""PR_SET_DUMPABLE and PR_SET_CHILD_SUBREAPER: would take a process, or its children, out of what is watched."""


@dataclass(frozen=True, slots=True)
class Architecture:
    audit: int
    """AUDIT_ARCH_… of linux/audit.h."""
    column: Literal[0, 1]


ARCHITECTURES: Mapping[str, Architecture] = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}
"""By what `uname -m` says."""


def seccomp(machine: str, *, alone: bool) -> bytes:
    """The program for processes on `machine`, a key of ARCHITECTURES.

    Args:
        alone: there are no namespaces around it: no sockets at all, nobody leaves the process group that is killed in the end or hides
            from who watches, and nothing is done to this machine's other processes.
    """
    here = ARCHITECTURES[machine]
    column = here.column
    lines = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, here.audit), _end(KILL), (LOAD, 0, 0, NUMBER)]
    lines += [(GREATER, 0, 1, NEWEST), _error(ENOSYS)]  # x32 calls too, whose bit is far above
    refused = {**REFUSED, **(ALONE if alone else {})}
    for number in sorted(pair[column] or 0 for pair in refused.values() if pair[column] is not None):
        lines += _when(number, [_error(EPERM)])
    lines += _when(CLONE3[column], [_error(ENOSYS)])  # its flags are behind a pointer; C libraries then use clone
    lines += _when(CLONE[column], [_argument(0), (ANY_BIT, 0, 1, NAMESPACES), _error(EPERM), _end(ALLOW)])
    lines += _when(IOCTL[column], [_argument(1), *(line for one in TERMINAL for line in _when(one, [_error(EPERM)])), _end(ALLOW)])
    for number in (pair[column] for pair in ONESELF.values() if alone):
        lines += _when(number, [_argument(0), *_when(0, [_end(ALLOW)]), _error(EPERM)])
    if alone:
        lines += _when(PRCTL[column], [_argument(0), *(line for one in HIDING for line in _when(one, [_error(EPERM)])), _end(ALLOW)])
    families = () if alone else INSIDE
    lines += _when(SOCKET[column], [_argument(0), *(line for one in families for line in _when(one, [_end(ALLOW)])), _error(EAFNOSUPPORT)])
    return b"".join(struct.pack("<HBBI", *line) for line in [*lines, _end(ALLOW)])


Line = tuple[int, int, int, int]


def _when(value: int, then: Sequence[Line]) -> list[Line]:
    """What follows if the accumulator is `value`; it has to end the program, or change nothing."""
    return [(EQUAL, 0, len(then), value), *then]


def _argument(index: int) -> Line:
    """Load the low half of an argument: of flags, families and requests the kernel looks at no more."""
    return (LOAD, 0, 0, ARGUMENTS + 8 * index)


def _error(number: int) -> Line:
    return _end(ERRNO | number)


def _end(verdict: int) -> Line:
    return (RETURN, 0, 0, verdict)
