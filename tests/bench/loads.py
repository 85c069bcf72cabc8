"""What is done to a router: run inside its namespace, figures as JSON on standard output.

``python -m tests.bench.loads NAME PARAMETERS``, the parameters as JSON. Started by
``tests.bench.beside``.
"""

import ctypes
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Final

from bgpd.wire.framing import KEEPALIVE
from tests.bench.crowds import change_policy, fan_out, withdraw_table
from tests.bench.feed import (
    LIMIT,
    ROUTER,
    Client,
    a_marker,
    a_table,
    an_update,
    client_address,
    marker_of,
    serve,
    turns,
)
from tests.bench.processes import Figures, processor_time, status_of

_HOP: Final = "10.99.0.1"  # of recursive routes
_GATEWAYS: Final = "172.17.0.2", "172.17.0.3"
_CLONE_NEWNET: Final = 0x40000000
_RTM_GETROUTE: Final = 26
_RTA_DST: Final = 1
_RTA_GATEWAY: Final = 5
_ATTRIBUTE: Final = struct.Struct("=HH")
SETTLE: Final = 1.0  # seconds of silence before the clock starts
_GLANCE: Final = 0.002  # seconds between two looks at the kernel
_COUNT_PAUSE: Final = 0.004  # the same, where counting takes long
_FEW: Final = 1000  # routes, counted at once


def lose_gateway(pid: int, prefixes: int, grouping: int = 0) -> Figures:
    """Two gateways tell the same table; the better one's session ends.

    Args:
        pid: The router's.
        prefixes: Of the table.
        grouping: Of the second one's prefixes (``a_table``); 0 for the first one's runs.
    """
    better, other, told = clients = [Client(client_address(n)) for n in (1, 2, 3)]
    better.unsent = memoryview(a_table(better.address, prefixes))
    told.expect(better.address)
    learn = serve(clients, prefixes)
    again = a_table(other.address, prefixes, grouping=grouping)
    other.unsent = memoryview(again + a_marker(other.address))
    told.expect(other.address)
    before = processor_time(pid)
    # The last of it: all that came before was taken in.
    second = serve(clients, 1, last=marker_of())
    second_cpu = processor_time(pid) - before
    before = processor_time(pid)
    better.sock.close()
    # Paths of other lengths are better than the first ones here and there: told already.
    move = serve([other, told], prefixes + 1)
    cpu = processor_time(pid) - before
    return {
        "learn_s": learn,
        "second_s": second,
        "second_cpu_s": second_cpu,
        "move_s": move,
        "move_cpu_s": cpu,
    }


def tell_paths(pid: int, paths: int, prefixes: int, sets: int = 0) -> Figures:
    """Feeders tell the same prefixes at once, each with attributes of its own."""
    clients = [Client(client_address(number + 1)) for number in range(paths + 1)]
    *feeders, told = clients
    empty = status_of(pid, "VmRSS")
    for number, feeder in enumerate(feeders, 1):
        table = a_table(feeder.address, prefixes, sets)
        feeder.unsent = memoryview(table + a_marker(feeder.address, number))
    told.expect()
    before = processor_time(pid)
    seconds = serve(clients, prefixes + paths)
    return {
        "converge_s": seconds,
        "cpu_s": processor_time(pid) - before,
        "added_kb": status_of(pid, "VmHWM") - empty,
    }


def stay_idle(pid: int, sessions: int, blocks: int, seconds: float) -> Figures:
    """Sessions with hold time 90 s, whose clients send a KEEPALIVE each 30 s."""
    empty = status_of(pid, "VmRSS")
    clients = [Client(client_address(n + 1), hold_time=90) for n in range(sessions)]
    peers = status_of(pid, "VmRSS")
    for number, client in enumerate(clients):
        runs = (
            b"\x1a" + (0x0A000000 + (number * blocks + block << 6)).to_bytes(4, "big")
            for block in range(blocks)
        )
        client.unsent = memoryview(an_update(client.address, b"".join(runs)))
    _keep(clients, 10.0)
    switches = status_of(pid, "voluntary_ctxt_switches")
    before = processor_time(pid)
    _keep(clients, seconds)
    return {
        "cpu_s": processor_time(pid) - before,
        "wakeups_per_s": (status_of(pid, "voluntary_ctxt_switches") - switches)
        / seconds,
        "kb_per_peer": (peers - empty) / sessions,
        "memory_kb": status_of(pid, "VmRSS"),
    }


def _keep(clients: list[Client], seconds: float) -> None:
    """Read, and send KEEPALIVEs evenly spread over 30 s, for so long."""
    started = time.monotonic()
    sent = 0
    for _ in turns(clients, longest=30 / len(clients)):
        now = time.monotonic() - started
        while sent < now * len(clients) / 30:
            clients[sent % len(clients)].sock.send(KEEPALIVE)
            sent += 1
        if now > seconds:
            return


def move_next_hop(pid: int, prefixes: int) -> Figures:
    """Kernel routes through a recursive next hop, whose own way changes."""
    feeder = Client(client_address(4))
    enter_namespace(pid)
    _route("replace", "10.99.0.0/24", "via", _GATEWAYS[0])
    fill = _fill_kernel(pid, feeder, _HOP, prefixes)
    started = time.monotonic()
    _route("replace", "10.99.0.0/24", "via", _GATEWAYS[1])
    return {"fill_s": fill, "move_s": _wait_until_moved(started, prefixes)}


def lose_kernel_gateway(pid: int, prefixes: int) -> Figures:
    """Kernel routes by two gateways, one of whose sessions ends."""
    better, other, reader = clients = [Client(client_address(n)) for n in (4, 5, 6)]
    enter_namespace(pid)
    fill = _fill_kernel(pid, better, _GATEWAYS[0], prefixes)
    other.unsent = memoryview(blocks(_GATEWAYS[1], prefixes) + a_marker(_GATEWAYS[1]))
    reader.expect(_GATEWAYS[1])
    serve(clients, 1)
    time.sleep(SETTLE)
    started = time.monotonic()
    better.sock.close()
    return {"fill_s": fill, "move_s": _wait_until_moved(started, prefixes)}


def fill_kernel(pid: int, prefixes: int, *, feeds: bool) -> Figures:
    """Kernel routes by one gateway, whose session ends once all are there.

    Args:
        pid: Of the daemon.
        prefixes: How many.
        feeds: Speak BGP; otherwise the daemon knows the routes and waits for a connection.
    """
    gateway = client_address(4)
    if feeds:
        sock = Client(gateway).sock
        octets = blocks(gateway, prefixes)
    else:
        sock, octets = socket.create_connection((ROUTER, 179), timeout=LIMIT), b""
    time.sleep(SETTLE)
    few = kernel_routes(pid)  # of the link
    before, started = _thread_times(pid), time.monotonic()
    Thread(target=sock.sendall, args=(octets or b"\0",)).start()
    first = _wait_for_routes(pid, lambda count: count > few)
    last = _wait_for_routes(pid, lambda count: count >= few + prefixes)
    filled = _thread_times(pid)
    time.sleep(SETTLE)
    kept, lost = _thread_times(pid), time.monotonic()
    sock.close()
    flush = _wait_for_routes(pid, lambda count: count <= few) - lost
    return {
        "first_to_last_s": last - first,
        "all_s": last - started,
        "cpu_s": sum(filled) - sum(before),
        "loop_cpu_s": filled[0] - before[0],
        "flush_s": flush,
        "flush_cpu_s": sum(_thread_times(pid)) - sum(kept),
    }


def _thread_times(pid: int) -> tuple[float, float]:
    """Return the processor time of a process's first thread, and of its others."""
    times = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        nanoseconds = (folder / "schedstat").read_text(encoding="utf-8").split()[0]
        times[int(folder.name)] = int(nanoseconds) / 1e9
    first = times.pop(pid)
    return first, sum(times.values())


def _wait_for_routes(pid: int, is_enough: Callable[[int], bool]) -> float:
    """Return when the kernel's routes were so many: monotonic seconds.

    Counting 100,000 takes 2 ms, on the load's processor.
    """
    started = time.monotonic()
    while not is_enough(found := kernel_routes(pid)):
        if time.monotonic() > started + LIMIT:
            raise TimeoutError(f"{found} routes in the kernel")
        time.sleep(_GLANCE if found < _FEW else _COUNT_PAUSE)
    return time.monotonic()


def block_keys(prefixes: int) -> list[bytes]:
    """Return the NLRI of so many blocks, in order."""
    return [
        b"\x1a" + (0x0B000000 + (n << 6)).to_bytes(4, "big") for n in range(prefixes)
    ]


def blocks(hop: str, prefixes: int) -> bytes:
    """Return UPDATEs of /26 blocks, 64 to one."""
    keys = block_keys(prefixes)
    return b"".join(
        an_update(hop, b"".join(keys[at : at + 64])) for at in range(0, prefixes, 64)
    )


def _fill_kernel(pid: int, feeder: Client, hop: str, prefixes: int) -> float:
    """Announce blocks until the kernel has them; return the seconds that took."""
    feeder.unsent = memoryview(blocks(hop, prefixes))
    started = time.monotonic()
    while kernel_routes(pid) < prefixes:
        if feeder.unsent:
            feeder.send()
        if time.monotonic() > started + LIMIT:
            raise TimeoutError(f"{kernel_routes(pid)} of {prefixes} in the kernel")
        time.sleep(_GLANCE)
    seconds = time.monotonic() - started
    time.sleep(SETTLE)
    return seconds


def kernel_routes(pid: int) -> int:
    """Return the prefixes in the main IPv4 table of a process's network namespace."""
    text = Path(f"/proc/{pid}/net/fib_triestat").read_text(encoding="utf-8")
    main = text.partition("Main:")[2] or text
    return int(main.partition("Prefixes:")[2].split()[0])


def _wait_until_moved(started: float, prefixes: int) -> float:
    """Wait until no route leads to the first gateway; seconds since ``started``."""
    # So many that not all of them lead to the other one of two that share the load.
    numbers = (*range(0, prefixes, prefixes // 64), prefixes - 1)
    probes = {f"11.{n >> 10}.{n >> 2 & 255}.{(n & 3) << 6 | 1}" for n in numbers}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        while True:
            left = probes
            while left := {a for a in left if gateway_of(kernel, a) != _GATEWAYS[1]}:
                if time.monotonic() > started + LIMIT:
                    raise TimeoutError(f"not moved: {sorted(left)}")
                time.sleep(_GLANCE)
            seconds = time.monotonic() - started
            # Probes may have been lucky: look at all.
            if f"via {_GATEWAYS[0]} " not in _route("show"):
                return seconds


def enter_namespace(pid: int) -> None:
    """Go into the network namespace of a process; open sockets stay where they are."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def gateway_of(kernel: socket.socket, to: str) -> str:
    """Ask the kernel by which gateway it would send; empty for none."""
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, 0)
    body += _ATTRIBUTE.pack(8, _RTA_DST) + socket.inet_aton(to)
    kernel.send(struct.pack("=IHHII", 16 + len(body), _RTM_GETROUTE, 1, 1, 0) + body)
    answer = kernel.recv(65536)
    at = 16 + 12
    while at < len(answer):
        size, name = _ATTRIBUTE.unpack_from(answer, at)
        if name == _RTA_GATEWAY:
            return socket.inet_ntoa(answer[at + 4 : at + 8])
        at += (size + 3 & ~3) or len(answer)
    return ""


def _route(*words: str) -> str:
    done = subprocess.run(
        ["ip", "route", *words], check=True, capture_output=True, text=True
    )
    return done.stdout


LOADS: Final[dict[str, Callable[..., Figures]]] = {
    "lose_gateway": lose_gateway,
    "tell_paths": tell_paths,
    "stay_idle": stay_idle,
    "move_next_hop": move_next_hop,
    "lose_kernel_gateway": lose_kernel_gateway,
    "fill_kernel": fill_kernel,
    "fan_out": fan_out,
    "withdraw_table": withdraw_table,
    "change_policy": change_policy,
}


def main() -> None:
    name, parameters = sys.argv[1:]
    sys.stdout.write(json.dumps(LOADS[name](**json.loads(parameters))))


if __name__ == "__main__":
    main()
