"""Bound this process by Landlock, seccomp and rlimits, then become another program: where namespaces are denied.

Runs alone, as `python3 -I -c TEXT DESCRIPTOR`, before the sandboxed program and by the same user; it imports nothing of ours. From the
file descriptor it reads JSON:

    {"argv": [...], "environment": {...}, "readable": [...], "writable": [...], "filter": base64, "limits": {"RLIMIT_CPU": 5, ...}}

Landlock leaves open what it has no rule for, and what the kernel's version of it does not know: sockets are refused by the
filter, signals and abstract sockets need its sixth version (Linux 6.12), and without that nothing is started.
"""

import base64
import ctypes
import json
import os
import resource
import struct
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
NO_NEW_PRIVS, SET_SECCOMP, FILTER, SUBREAPER = 38, 22, 2, 36  # prctl
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
FILES = (1 << 16) - 1
"""All rights on files up to the fifth version, ioctl on devices the last."""
TCP, SCOPES = 3, 3
"""Bind and connect; abstract sockets and signals of those outside."""
OLDEST = 6

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        sys.exit("sandbox: %s: %s" % (what, os.strerror(number)))
    return result


def landlock(readable: list[str], writable: list[str]) -> None:
    version = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < OLDEST:
        sys.exit("sandbox: this kernel's Landlock is too old (version %d, wanted %d)" % (version, OLDEST))
    rules = struct.pack("<QQQ", FILES, TCP, SCOPES)
    ruleset = check(libc.syscall(CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0), "Landlock")
    for path in readable:
        allow(ruleset, path, EXECUTE | READ_FILE | READ_DIR)
    for path in writable:
        allow(ruleset, path, FILES)
    check(libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    check(libc.syscall(RESTRICT_SELF, ruleset, 0), "Landlock")


def allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there cannot be read
    if not os.path.isdir(path):
        rights &= EXECUTE | WRITE_FILE | READ_FILE
    rule = struct.pack("<Qi", rights, descriptor)
    check(libc.syscall(ADD_RULE, ruleset, 1, rule, 0), "Landlock of " + path)
    os.close(descriptor)


def seccomp(program: bytes) -> None:
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.c_void_p)]

    lines = ctypes.create_string_buffer(program, len(program))
    whole = Program(len(program) // 8, ctypes.cast(lines, ctypes.c_void_p))
    check(libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(whole), 0, 0), "seccomp")


def main() -> None:
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        wanted = json.loads(file.read())
    for name, value in wanted["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    landlock(wanted["readable"], wanted["writable"])
    check(libc.prctl(SUBREAPER, 1, 0, 0, 0), "subreaper")  # who loses its parent stays in the tree that is watched
    seccomp(base64.b64decode(wanted["filter"]))
    os.chdir(wanted["environment"]["HOME"])
    os.execve(wanted["argv"][0], wanted["argv"], wanted["environment"])  # noqa: S606 - that is what it is for


main()
