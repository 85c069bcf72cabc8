"""From the start of a daemon to its first OPEN, and of a command to its answer.

``python -m tests.bench.start``; needs root, and etcd for the nodes of a cluster. Their blocks are in
a real etcd; a client waits for the daemon's connection and counts the prefixes it receives. The
clock starts before the process.
"""

import argparse
import asyncio
import json
import os
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from bgpd.datastore.etcd.client import EtcdError, EtcdSettings
from bgpd.datastore.etcd.writer import EtcdWriter
from bgpd.datastore.manifests import item_of
from bgpd.wire.framing import KEEPALIVE, Framer, MessageType
from rib.nlri import split
from tests.bench import reflector_start
from tests.bench.feed import ASN, CHUNK, LIMIT, ROUTER, an_open, client_address

NODE: Final = "node-1"
OWN_PROGRAM: Final = f"{sys.executable} -m bgpd.cli.daemon"
OPEN_TARGET: Final = 0.6  # seconds
ANNOUNCED_TARGET: Final = 3.0
REFLECTOR_OPEN_TARGET: Final = 0.25
COMMAND_TARGET: Final = 0.15
START_LIMIT: Final = 30.0  # seconds to the connection
_ENDPOINT: Final = "http://127.0.0.1:2379"
_PEERS: Final = "http://127.0.0.1:2380"

Case = tuple[str, int, int, float]  # title, nodes, blocks of each, seconds to the OPEN

CASES: Final[tuple[Case, ...]] = (
    ("one node with 10 blocks", 1, 10, OPEN_TARGET),
    # No peer sees only a part of the blocks: the daemon reads them all before it peers.
    ("one node with 50,000 blocks", 1, 50_000, ANNOUNCED_TARGET),
    ("1,000 nodes with 50 blocks each", 1000, 50, ANNOUNCED_TARGET),
)


def missing() -> str:
    """Return why this cannot run here; empty if it can."""
    if os.geteuid() != 0:
        return "a network namespace needs root"
    return "" if shutil.which("etcd") else "etcd is not installed"


def _object(kind: str, name: str, spec: dict[str, Any]) -> tuple[str, bytes]:
    return item_of(
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
    )


def items(nodes: int, blocks: int) -> dict[str, bytes]:
    """Return the keys of a cluster in which the first node has one peer."""
    found = dict(
        (
            _object("BGPConfiguration", "default", {"nodeToNodeMeshEnabled": False}),
            _object("IPPool", "pods", {"cidr": "10.0.0.0/8", "ipipMode": "Never"}),
            _object(
                "BGPPeer", "client", {"peerIP": client_address(1), "asNumber": ASN}
            ),
        )
    )
    for node in range(nodes):
        address = ROUTER if not node else f"172.18.{node >> 8}.{node & 255}"
        spec = {"bgp": {"ipv4Address": f"{address}/32"}}
        key, value = _object("Node", f"node-{node + 1}", spec)
        found[key] = value
        for number in range(node * blocks, (node + 1) * blocks):
            text = socket.inet_ntoa((0x0A000000 + (number << 6)).to_bytes(4, "big"))
            key = f"/calico/ipam/v2/host/node-{node + 1}/ipv4/block/{text}-26"
            found[key] = b'{"state":"confirmed"}'
    return found


@contextmanager
def _etcd(folder: Path) -> Iterator[None]:
    urls = {
        "--listen-client-urls": _ENDPOINT,
        "--advertise-client-urls": _ENDPOINT,
        "--listen-peer-urls": _PEERS,
        "--initial-advertise-peer-urls": _PEERS,
        "--initial-cluster": f"default={_PEERS}",
        "--data-dir": str(folder / "etcd"),
    }
    words = [word for pair in urls.items() for word in pair]
    process = subprocess.Popen(
        ["etcd", "--unsafe-no-fsync", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


async def _fill(found: dict[str, bytes]) -> None:
    writer = EtcdWriter(EtcdSettings(endpoints=(_ENDPOINT,)))
    for _ in range(100):
        try:
            await writer.put({"/calico/v1/Ready": b"true"})
            break
        except EtcdError:
            await asyncio.sleep(0.1)
    await writer.put(found)


def _config(folder: Path) -> Path:
    path = folder / "pybgpd.yaml"
    content = {
        "node": {"name": NODE},
        "datastore": {"type": "etcd", "endpoints": [_ENDPOINT]},
        "control": {"path": str(folder / "control.sock")},
        "bird": {"ipv4": str(folder / "bird.ctl"), "ipv6": str(folder / "bird6.ctl")},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _environment(folder: Path) -> dict[str, str]:
    """Return what keeps Python's bytecode, as an installed package has it."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def _start_once(
    folder: Path, listening: socket.socket, prefixes: int, program: str
) -> tuple[float, float]:
    """Start the daemon; return the seconds to its OPEN, and to the last prefix."""
    started = time.monotonic()
    command = [*program.split(), "run", "--config"]
    daemon = subprocess.Popen(
        ["taskset", "-c", "1", *command, str(_config(folder))],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("ab"),
        env=_environment(folder),
    )
    try:
        sock, _ = listening.accept()
        with sock:
            sock.settimeout(LIMIT)
            return _be_told(sock, started, prefixes)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)


def _be_told(sock: socket.socket, started: float, prefixes: int) -> tuple[float, float]:
    framer, told, opened_at = Framer(), set[bytes](), 0.0
    while len(told) < prefixes:
        octets = sock.recv(CHUNK)
        if not octets:
            raise ConnectionError("the daemon closed the session")
        for kind, body in framer.feed(octets):
            if kind == MessageType.OPEN:
                opened_at = time.monotonic() - started
                sock.sendall(an_open(client_address(1), 90) + KEEPALIVE)
            elif kind == MessageType.UPDATE and body[:2] == b"\0\0":
                told.update(split(body[4 + int.from_bytes(body[2:4], "big") :]))
    return opened_at, time.monotonic() - started


def measure(case: Case, runs: int, program: str = OWN_PROGRAM) -> tuple[float, float]:
    """Fill etcd and start the daemon; medians. Runs inside the namespace."""
    _, nodes, blocks, _ = case
    with tempfile.TemporaryDirectory(prefix="pybgpd-start-") as name, _etcd(Path(name)):
        asyncio.run(_fill(items(nodes, blocks)))
        with socket.create_server((client_address(1), 179)) as listening:
            listening.settimeout(START_LIMIT)
            times = (Path(name), listening, blocks, program)
            _start_once(*times)  # compiles
            found = [_start_once(*times) for _ in range(runs)]
    opened, announced = zip(*found, strict=True)
    return statistics.median(opened), statistics.median(announced)


def measure_reflector(runs: int, program: str) -> reflector_start.Figures:
    """Start a reflector and its command; medians. Runs inside the namespace."""
    with tempfile.TemporaryDirectory(prefix="pybgpd-start-") as name:
        folder = Path(name)
        return reflector_start.measure(
            program, _environment(folder), runs, str(folder / "control.sock")
        )


def _rows(runs: int, program: str) -> Iterator[str]:
    found = measure_reflector(runs, program)
    for title, seconds, target in (
        ("a reflector's first OPEN", found.opened_s, REFLECTOR_OPEN_TARGET),
        ("pybgpctl show peers, into a pipe", found.piped_s, COMMAND_TARGET),
        ("the same, on a terminal", found.drawn_s, COMMAND_TARGET),
    ):
        word = "met" if seconds < target else "MISSED"
        yield f"{title:40}{seconds:>14.3f}  {word}"
    yield f"{'a reflector at rest, MB':40}{found.resident_kb / 1024:>14.1f}"
    if reason := missing():
        yield f"clusters are left out: {reason}"
        return
    yield f"{'start':40}{'first OPEN s':>14}{'announced s':>14}"
    for case in CASES:
        opened, announced = measure(case, runs, program)
        is_met = opened <= case[3] and announced <= ANNOUNCED_TARGET
        word = "met" if is_met else "MISSED"
        yield f"{case[0]:40}{opened:>14.2f}{announced:>14.2f}  {word}"


def inside_namespace(words: Sequence[str]) -> list[str]:
    """Return the command that runs this module, with arguments, where nothing else listens."""
    # A namespace without a name: it goes with the last process in it.
    command = shlex.join(
        [sys.executable, "-m", "tests.bench.start", "--inside", *words]
    )
    script = (
        "ip link set lo up && ip route add local 172.16.0.0/14 dev lo &&"
        f" exec {command}"
    )
    return ["unshare", "--net", "sh", "-c", script]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--reflector", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--program",
        default=OWN_PROGRAM,
        help="what starts the daemon, such as the pybgpd of a compiled build",
    )
    arguments = parser.parse_args()
    if arguments.reflector:
        reflector = measure_reflector(arguments.runs, arguments.program)
        sys.stdout.write(json.dumps(reflector._asdict()) + "\n")
        return
    if arguments.case is not None:
        case = CASES[arguments.case]
        opened, announced = measure(case, arguments.runs, arguments.program)
        figures = {"opened_s": opened, "announced_s": announced}
        sys.stdout.write(json.dumps(figures) + "\n")
        return
    if arguments.inside:
        for line in _rows(arguments.runs, arguments.program):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        return
    if os.geteuid() != 0:
        sys.stdout.write(f"left out: {missing()}\n")
        return
    words = ["--runs", str(arguments.runs), "--program", arguments.program]
    command = inside_namespace(words)
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
