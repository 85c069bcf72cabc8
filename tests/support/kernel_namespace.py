"""A network namespace of a test's own, entered by the test's thread."""

import ctypes
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count

CLONE_NEWNET = 0x40000000
_numbers = count()


def run(*command: str) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=20
    ).stdout


def ip(command: str) -> str:
    return run("ip", *command.split())


def ip_batch(commands: Iterable[str]) -> None:
    subprocess.run(
        ("ip", "-batch", "-"),
        input="\n".join(commands),
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def namespace() -> Iterator[str]:
    """Enter a new namespace with v0 (10.9.0.1/24, fd09::1/64) and v1 (10.9.1.1/24)."""
    name = f"pybgpd-fib-{os.getpid()}-{next(_numbers)}"
    run("ip", "netns", "add", name)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        _setns(there)
        os.close(there)
        ip("link set lo up")
        for n in (0, 1):
            ip(f"link add v{n} type veth peer name p{n}")
            ip(f"address add 10.9.{n}.1/24 dev v{n}")
            ip(f"link set p{n} up")
            ip(f"link set v{n} up")
            ip(f"-6 address add fd09:{n}::1/64 dev v{n} nodad")
        yield name
    finally:
        _setns(home)
        os.close(home)
        run("ip", "netns", "delete", name)
