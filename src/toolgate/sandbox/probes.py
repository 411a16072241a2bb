"""What hostile code would try first. Runs alone, inside a sandbox, as `python3 -I -c TEXT JSON`; says in JSON what it achieved.

The argument: {"probes": names of functions here, "folder": a folder of the host with secret.txt and host.sock, "port": of a listener,
"abstract": a socket's name, "pid": of a process with SECRET in its environment}. A probe that achieves something returns it; one that
is stopped raises.
"""

import ctypes
import json
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

host = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
MB = 1000 * 1000


def call(number: int, *arguments: object) -> None:
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def connect(family: int, address: object, kind: int = socket.SOCK_STREAM) -> str:
    with socket.socket(family, kind) as one:
        one.settimeout(1)
        one.connect(address)  # type: ignore[arg-type]
    return "connected"


def reads_a_file_of_the_host() -> object:
    with open(host["folder"] + "/secret.txt") as file:
        return file.read(8)


def reads_etc_passwd() -> object:
    with open("/etc/passwd") as file:
        return file.read(8)


def reads_etc_shadow() -> object:
    with open("/etc/shadow") as file:
        return file.read(8)


def sees_a_secret_in_its_environment() -> object:
    return next((name for name, value in os.environ.items() if "SECRET" in name + value), None)


def writes_to_the_host() -> object:
    with open(host["folder"] + "/written", "w") as file:
        file.write("x")
    return "written"


def connects_to_loopback() -> object:
    return connect(socket.AF_INET, ("127.0.0.1", host["port"]))


def has_a_route_outside() -> object:
    return connect(socket.AF_INET, ("192.0.2.1", 9), socket.SOCK_DGRAM)


def connects_to_a_socket_by_path() -> object:
    return connect(socket.AF_UNIX, host["folder"] + "/host.sock")


def connects_to_an_abstract_socket() -> object:
    return connect(socket.AF_UNIX, "\0" + host["abstract"])


def sees_processes_of_the_host() -> object:
    seen = [name for name in os.listdir("/proc") if name.isdigit()]
    return "%d processes" % len(seen) if len(seen) > 12 else None


def reads_the_environment_of_a_process() -> object:
    with open("/proc/%d/environ" % host["pid"], "rb") as file:
        return "read" if b"SECRET" in file.read() else None


def signals_a_process_of_the_host() -> object:
    os.kill(host["pid"], 0)
    with open("/proc/%d/comm" % host["pid"]) as file:  # the number may be one of our own namespace
        return file.read()


def forks_300_times() -> object:
    children: list[int] = []
    try:
        for _ in range(300):
            child = os.fork()
            if child == 0:
                time.sleep(5)
                os._exit(0)
            children.append(child)
        return "300 processes"
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def takes_a_gigabyte_of_memory() -> object:
    taken = bytearray(1 << 30)
    for place in range(0, 1 << 30, 4096):
        taken[place] = 1
    return "a gigabyte"


def writes_a_file_of_300_megabytes() -> object:
    with open(os.environ["TMPDIR"] + "/large", "wb") as file:
        try:
            for _ in range(300):
                file.write(b"x" * MB)
        finally:
            os.unlink(file.name)
    return "300 MB"


def makes_a_user_namespace() -> object:
    if libc.unshare(0x10000000) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    return "made"


def uses_io_uring() -> object:
    call(425, 1, ctypes.create_string_buffer(120))
    return "set up"


def reaches_the_host_of_the_machine() -> object:
    if not hasattr(socket, "AF_VSOCK"):
        return None
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
        return "has a socket"


def keeps_memory_that_no_limit_counts() -> object:
    descriptor = os.memfd_create("x")
    os.ftruncate(descriptor, MB)
    return "a memfd"


def fills_what_is_mounted_by_default() -> object:
    for folder in ("/", "/dev", "/etc", "/proc"):
        try:
            with open(os.path.join(folder, "fill"), "wb"):
                return folder
        except OSError:
            pass
    return None


def lowers_the_limits_of_a_process_of_the_host() -> object:
    import resource

    resource.prlimit(host["pid"], resource.RLIMIT_NOFILE, (0, 0))
    return "lowered"


def slows_a_process_of_the_host() -> object:
    os.sched_setscheduler(host["pid"], os.SCHED_IDLE, os.sched_param(0))
    return "slowed"


def finds_a_file_that_somebody_left_open() -> object:
    for descriptor in range(3, 256):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        return "%d" % descriptor
    return None


def keep(name: str, hold: Callable[[object], object]) -> str:
    """Write 400 MB, of which only what `hold` returns is left."""
    held = []
    for number in range(40):
        with open(os.environ["TMPDIR"] + "/%s%d" % (name, number), "w+b") as file:
            os.unlink(file.name)
            for _ in range(10):
                file.write(b"x" * MB)
            file.flush()
            held.append(hold(file))
        time.sleep(0.05)
    time.sleep(0.5)
    return "400 MB"


def writes_400_megabytes_in_files_without_a_name() -> object:
    return keep("open", lambda file: os.dup(file.fileno()))  # type: ignore[attr-defined]


def writes_400_megabytes_in_files_of_its_memory() -> object:
    return keep("mapped", lambda file: mmap.mmap(file.fileno(), 4096))  # type: ignore[attr-defined]


def writes_400_megabytes_deep_down() -> object:
    os.chdir(os.environ["TMPDIR"])
    for _ in range(1500):
        os.mkdir("d" * 20)
        os.chdir("d" * 20)
    for number in range(40):
        with open(str(number), "wb") as file:
            for _ in range(10):
                file.write(b"x" * MB)
        time.sleep(0.05)
    return "400 MB"


def takes_a_gigabyte_in_orphans() -> object:
    for _ in range(12):
        if os.fork() == 0:
            if os.fork() == 0:
                taken = bytearray(90 << 20)
                for place in range(0, 90 << 20, 4096):
                    taken[place] = 1
                time.sleep(20)
            os._exit(0)
        os.wait()
    time.sleep(3)
    return "a gigabyte"


def writes_400_megabytes_in_20_files() -> object:
    names: list[str] = []
    try:
        for number in range(20):
            names.append(os.environ["TMPDIR"] + "/%d" % number)
            with open(names[-1], "wb") as file:
                for _ in range(20):
                    file.write(b"x" * MB)
            time.sleep(0.05)  # what is watched, and not bounded by the kernel, is seen ten times a second
    except OSError:
        for name in names:
            os.unlink(name)
        raise
    return "400 MB"


def makes_a_million_files() -> object:
    for number in range(1000 * 1000):
        os.close(os.open(os.environ["TMPDIR"] + "/empty%d" % number, os.O_CREAT))
    return "a million files"


def takes_a_gigabyte_that_is_shared() -> object:
    taken = [mmap.mmap(-1, 64 << 20) for _ in range(16)]
    for one in taken:
        for place in range(0, 64 << 20, 4096):
            one[place] = 1
        time.sleep(0.02)
    return "a gigabyte"


def tell(probe: str, achieved: object, stopped: object) -> None:
    print(json.dumps({"probe": probe, "achieved": achieved, "stopped": stopped}), flush=True)


def main() -> None:
    for name in host["probes"]:
        try:
            result = globals()[name]()
        except BaseException as error:
            tell(name, None, "%s: %s" % (type(error).__name__, error))
        else:
            tell(name, result, None)


main()
