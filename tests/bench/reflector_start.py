"""A reflector without a datastore: its first OPEN, what it takes at rest, and a command's answer.

Runs inside the namespace that ``tests.bench.start`` makes. Each process is started
for the measurement, as cold as a command that a user types: only bytecode and files are in the
caches.
"""

import os
import pty
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from bgpd.wire.framing import KEEPALIVE, Framer, MessageType
from tests.bench.feed import ASN, CHUNK, LIMIT, ROUTER, an_open, client_address

SHOWN: Final = 10  # peers that the command shows
REST: Final = 1.0  # seconds, after which it is at rest
_POLL: Final = 0.001  # seconds
_LIMIT: Final = 30.0  # seconds to the listening socket


class Figures(NamedTuple):
    """What was measured, medians.

    Attributes:
        opened_s: From the process to its OPEN.
        resident_kb: VmRSS at rest, without clients.
        piped_s: ``pybgpctl show peers`` into a pipe, from the process to its end.
        drawn_s: The same on a terminal.
    """

    opened_s: float
    resident_kb: float
    piped_s: float
    drawn_s: float


def control_of(program: str) -> list[str]:
    """Return what starts the command that belongs to a daemon's program."""
    *words, last = program.split()
    if last == "bgpd.cli.daemon":
        return [*words, "bgpd.cli.control"]
    return [*words, str(Path(last).with_name("pybgpctl"))]


def measure(
    program: str, environment: dict[str, str], runs: int, control: str
) -> Figures:
    """Start a reflector, and the command, several times.

    Args:
        program: What starts the daemon.
        environment: Of both.
        runs: How often.
        control: Where the command reaches the reflector.
    """
    with _reflector(program, environment):
        pass  # compiles
    found = []
    for _ in range(runs):
        with _reflector(program, environment) as (pid, opened_s, _):
            time.sleep(REST)
            found.append((opened_s, _resident_kb(pid)))
    opened, resident = zip(*found, strict=True)
    command = [*control_of(program), "--control", control, "show", "peers"]
    with _reflector(program, environment, "--control", control):
        clients = [_connected(client_address(n)) for n in range(2, SHOWN + 2)]
        _show(command, environment, is_drawn=True)  # compiles
        piped, drawn = (
            [_show(command, environment, is_drawn=each) for _ in range(runs)]
            for each in (False, True)
        )
        for client in clients:
            client.close()
    return Figures(*map(statistics.median, (opened, resident, piped, drawn)))


@contextmanager
def _reflector(
    program: str, environment: dict[str, str], *more: str
) -> Iterator[tuple[int, float, socket.socket]]:
    """Start one; give its process, the seconds to its OPEN, and its first client."""
    arguments = {"--listen": ROUTER, "--as": str(ASN), "--router-id": ROUTER}
    arguments |= {"--clients": "172.16.0.0/14", "--log-level": "error"}
    words = [word for pair in arguments.items() for word in pair]
    started = time.monotonic()
    daemon = subprocess.Popen(
        ["taskset", "-c", "1", *program.split(), "reflector", *words, *more],
        env=environment,
    )
    try:
        with _connected(client_address(1)) as client:
            framer = Framer()
            while not any(
                kind == MessageType.OPEN for kind, _ in framer.feed(client.recv(CHUNK))
            ):
                pass
            yield daemon.pid, time.monotonic() - started, client
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)


def _connected(address: str) -> socket.socket:
    """Return a client's connection, with its OPEN sent; try until the reflector listens."""
    deadline = time.monotonic() + _LIMIT
    while (client := _tried(address)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("no reflector listens")
        time.sleep(_POLL)
    client.sendall(an_open(address, 90) + KEEPALIVE)
    return client


def _tried(address: str) -> socket.socket | None:
    try:
        return socket.create_connection(
            (ROUTER, 179), timeout=LIMIT, source_address=(address, 0)
        )
    except ConnectionRefusedError:
        return None


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(f"process {pid} has no memory")


def _show(command: list[str], environment: dict[str, str], *, is_drawn: bool) -> float:
    """Run the command; return the seconds it took."""
    leader, follower = pty.openpty() if is_drawn else os.pipe()
    started = time.monotonic()
    subprocess.run(
        command, env=environment | {"TERM": "xterm"}, stdout=follower, check=True
    )
    took = time.monotonic() - started
    shown = os.read(leader, CHUNK)
    os.close(follower)
    os.close(leader)
    if client_address(2).encode() not in shown:
        raise ValueError(f"{command} does not show the clients: {shown!r}")
    return took
