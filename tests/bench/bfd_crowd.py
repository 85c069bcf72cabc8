"""A thousand BFD sessions, and a flood: ``python -m tests.bench.bfd_crowd [SESSIONS [TTL SOURCE]]``, as root.

Two BFD processes in two namespaces have sessions at 300 ms with a multiplier of 3. Then strangers, or who takes a
peer's address, send as many packets as they can.
"""

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bgpd.bfd.messages import Target
from bgpd.bfd.packet import Packet, State, encode_packet
from bgpd.bfd.process import BfdProcess
from bgpd.bfd.session import Parameters
from bgpd.bfd.session_table import Report
from tests.support.pairs import two_networks

PARAMETERS: Final = Parameters(300_000, 300_000, 3)
SECONDS: Final = 15.0  # measured
UP_TIME: Final = 60.0  # seconds until all must be up
TICKS: Final = 100  # of processor time in a second
FLOOD_TIME: Final = 8.0  # seconds
ROUND: Final = 200  # packets between looks at the clock


def address(side: int, number: int) -> str:
    """Return an address of one side."""
    return f"10.{side}.{number // 250}.{number % 250 + 1}"


class Listener:
    """Counts what the process reports."""

    def __init__(self) -> None:
        self.up: set[int] = set()
        self.failures = 0

    def reported(self, number: int, report: Report) -> None:
        """See ``BfdListener``."""
        if report.state is State.UP:
            self.up.add(number)
        elif number in self.up:
            self.up.discard(number)
            # The side that is measured first says AdminDown when it ends.
            self.failures += report.peer.state is not State.ADMIN_DOWN

    def fault_changed(self, number: int, text: str) -> None:
        """See ``BfdListener``."""
        print(f"session {number}: {text}")  # noqa: T201  # a report

    def process_lost(self) -> None:
        """See ``BfdListener``."""
        print("the process ended")  # noqa: T201  # a report


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def run_side(side: int, count: int) -> None:
    """Run one side and print its figures."""
    listener = Listener()
    process = BfdProcess(asyncio.get_running_loop(), listener)
    start = time.monotonic()
    for number in range(count):
        far, near = address(3 - side, number), address(side, number)
        process.set(number + 1, Target(far, "", near, False, PARAMETERS))
    while len(listener.up) < count and time.monotonic() - start < UP_TIME:  # noqa: ASYNC110  # a benchmark
        await asyncio.sleep(0.1)
    up_time = time.monotonic() - start
    used, listener.failures = _processor_time(process.pid), 0
    await asyncio.sleep(SECONDS)
    counts = await process.counts()
    share = (_processor_time(process.pid) - used) / SECONDS
    print(  # noqa: T201  # a report
        f"side {side}: {len(listener.up)} of {count} up after {up_time:.1f} s, {listener.failures} "
        f"failures, {share:.1%} of a processor, discarded {dict(counts.discarded)}",
        flush=True,
    )
    process.close()
    await asyncio.sleep(0.5)


def flood(ttl: int, source: str) -> None:
    """Send packets to the first session of side 1."""
    octets = encode_packet(Packet(State.DOWN, 0, 0, 3, 99, 0, 1_000_000, 1_000_000))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.bind((source, 0))
        sock.connect((address(1, 0), 3784))
        sent, end = 0, time.monotonic() + FLOOD_TIME
        while time.monotonic() < end:
            for _ in range(ROUND):
                sock.send(octets)
            sent += ROUND
    print(f"flood: {sent / FLOOD_TIME:.0f} packets/s")  # noqa: T201  # a report


def main(count: int, *attack: str) -> None:
    """Run both sides in namespaces."""
    module = [sys.executable, "-m", "tests.bench.bfd_crowd"]
    with two_networks("bfd-crowd", "192.168.0.1/24", "192.168.0.2/24") as enters:
        sides = []
        for side, enter in enumerate(enters, 1):
            addresses = [address(side, number) for number in range(count)]
            addresses += ["10.9.9.9"] if side == 2 else []  # a stranger
            lines = [f"address add {each}/32 dev lo" for each in addresses]
            lines += [f"route add 10.{3 - side}.0.0/16 via 192.168.0.{3 - side}"]
            batch = [*enter, "ip", "-batch", "-"]
            subprocess.run(batch, input="\n".join(lines), text=True, check=True)
            command = [*enter, *module, "side", str(side), str(count)]
            sides.append(subprocess.Popen(command))
        if attack:
            time.sleep(6)
            subprocess.run([*enters[1], *module, "flood", *attack], check=True)
        for process in sides:
            process.wait()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["side", number, sessions]:
            asyncio.run(run_side(int(number), int(sessions)))
        case ["flood", ttl, source]:
            flood(int(ttl), source)
        case [sessions, *attack]:
            main(int(sessions), *attack)
        case _:
            main(1000)
