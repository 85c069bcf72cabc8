"""Loads of many peers, each of which receives very much: see ``tests.bench.beside``."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.bench.beacon import Beacon
from tests.bench.counting import CountingClient, check, count, serve_all
from tests.bench.feed import ASN, a_table, client_address, own_routes, withdrawals
from tests.bench.processes import Figures, processor_time

FIRST_ASN: Final = 64600  # of external peers; each has its own
# A community without its attribute's flags: new BIRDs set the Partial bit where they add one.
OLD_MARK: Final = b"\x08\x04" + ASN.to_bytes(2, "big") + b"\0\1"
NEW_MARK: Final = b"\x08\x04" + ASN.to_bytes(2, "big") + b"\0\2"
SETTLE: Final = 1.0  # seconds


def peer_asn(number: int) -> int:
    """Return the AS number of an external peer; they count from 1."""
    return FIRST_ASN + number


def _own_range(number: int, prefixes: int) -> tuple[bytes, bytes]:
    """Return where a peer's own prefixes of ``own_routes`` begin, and those of the next."""
    first = 0x64000000 + (number - 1) * prefixes
    return first.to_bytes(4, "big"), (first + prefixes).to_bytes(4, "big")


class _Times:
    """Wall and processor time of a step, the router's and the load's own."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._cpu = processor_time(pid)
        self._own = time.process_time()

    def figures(self, name: str, seconds: float) -> Figures:
        return {
            f"{name}_s": seconds,
            f"{name}_cpu_s": processor_time(self._pid) - self._cpu,
            f"{name}_load_cpu_s": time.process_time() - self._own,
        }


def fan_out(pid: int, peers: int, prefixes: int) -> Figures:
    """External peers of distinct ASes, each with own prefixes; each receives all others'.

    That is the load of the bgperf2 suite, where one monitor has to receive them.
    """
    clients = []
    for number in range(1, peers + 1):
        address, asn = client_address(number), peer_asn(number)
        own = _own_range(number, prefixes)
        client = CountingClient(address, asn, own=own)
        path = b"\x02\x01" + asn.to_bytes(4, "big")
        routes = own_routes(address, (number - 1) * prefixes, prefixes, path)
        client.unsent = memoryview(routes)
        clients.append(client)
    time.sleep(SETTLE)
    return _all_told("converge", pid, clients, prefixes)


def _all_told(
    name: str,
    pid: int,
    clients: Sequence[CountingClient],
    prefixes: int,
    mark: bytes = b"",
) -> Figures:
    """Serve until each client has the prefixes of all others; return the times."""
    count(clients, lambda _: (len(clients) - 1) * prefixes, mark)
    times = _Times(pid)
    found = times.figures(name, serve_all(clients))
    check(clients)
    return found


def withdraw_table(pid: int, clients: int, prefixes: int, sets: int) -> Figures:
    """One client announces a full table, and withdraws it once all others have it."""
    feeder, *others = [
        CountingClient(client_address(number), piece=4)
        for number in range(1, clients + 2)
    ]
    feeder.unsent = memoryview(a_table(feeder.address, prefixes, sets))
    found: Figures = {}
    for name in "converge", "withdraw":
        count(others, lambda _: prefixes)
        feeder.count(0)
        feeder.done_at = time.monotonic()
        times = _Times(pid)
        seconds = serve_all([feeder, *others])
        found |= times.figures(name, seconds)
        check(others)
        feeder.unsent = memoryview(withdrawals(prefixes))
        time.sleep(SETTLE)
    return found


def change_policy(
    pid: int, clients: int, prefixes: int, files: Mapping[str, str], command: list[str]
) -> Figures:
    """A policy is replaced that all routes of many clients go through.

    Before it adds one community, then another one. Two further clients, whose policies stay, are a
    beacon and its watcher.

    Args:
        pid: The router's.
        clients: Whose policy changes.
        prefixes: Of each.
        files: New configuration -> the one that it takes the place of.
        command: Makes the router read it; empty for SIGHUP.
    """
    many = []
    for number in range(1, clients + 1):
        address = client_address(number)
        client = CountingClient(address, own=_own_range(number, prefixes))
        client.unsent = memoryview(
            own_routes(address, (number - 1) * prefixes, prefixes)
        )
        many.append(client)
    found = _all_told("converge", pid, many, prefixes, OLD_MARK)
    beacon = Beacon(client_address(clients + 1), client_address(clients + 2))

    time.sleep(SETTLE)
    since = time.monotonic()
    for new, place in files.items():
        Path(new).replace(place)
    if command:  # not waited for: its answer may come late, and the clients must read
        asked = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        found |= _all_told("change", pid, many, prefixes, NEW_MARK)
        if asked.wait(60):
            raise subprocess.CalledProcessError(asked.returncode, command)
    else:
        os.kill(pid, signal.SIGHUP)
        found |= _all_told("change", pid, many, prefixes, NEW_MARK)
    return found | beacon.stop(since)
