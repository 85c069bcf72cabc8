"""A daemon whose memory runs out ends; it does not stay without sessions."""

import asyncio
import resource
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from bgpd.runtime.out_of_memory import EXIT_EXHAUSTED
from bgpd.wire.pack import pack_announce
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST
from rib.nlri import Nlri
from tests.daemon.test_reflector import ASN, PORT, a_reflector
from tests.support.daemons import Daemon
from tests.support.scripted_peer import ScriptedPeer, an_open
from tests.support.speakers import own_network, run_on

pytestmark = pytest.mark.slow
ROOM: Final = 64 << 20


def address_space(daemon: Daemon) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="utf-8")
    (line,) = [row for row in status.splitlines() if row.startswith("VmSize")]
    return int(line.split()[1]) << 10


def a_route(number: int) -> bytes:
    """Return an UPDATE of a prefix and attributes that no other one has."""
    nlri: Nlri = b"\x20" + (10 << 24 | number).to_bytes(4, "big")
    block = make_attributes(next_hop=b"\x0a\0\0\x01", local_pref=100, med=number)
    return pack_announce(IPV4_UNICAST, block.octets, b"", [nlri], 4096)


def test_a_daemon_without_memory_ends_and_says_so(tmp_path: Path) -> None:
    network = own_network()

    async def scenario() -> None:
        flood = ScriptedPeer(f"{network}.11", f"{network}.1", PORT)
        other = ScriptedPeer(f"{network}.12", f"{network}.1", PORT)
        async with flood, other:
            await flood.establish(an_open(ASN, "10.0.0.11"))
            await other.establish(an_open(ASN, "10.0.0.12"))
            numbers = count()
            while daemon.process.poll() is None:
                flood.send(b"".join(a_route(next(numbers)) for _ in range(1000)))
                try:
                    await asyncio.wait_for(flood.writer.drain(), 0.5)
                except (TimeoutError, ConnectionError):
                    continue

    with a_reflector(tmp_path, network) as daemon:
        daemon.until_logged("started")
        limit = address_space(daemon) + ROOM
        resource.prlimit(daemon.process.pid, resource.RLIMIT_AS, (limit, limit))
        run_on(asyncio.new_event_loop, scenario())
        assert daemon.ended(60) == EXIT_EXHAUSTED
        assert "out of memory" in daemon.log()
        assert "closing a connection" not in daemon.log()
