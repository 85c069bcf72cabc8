"""Hosts, and the links between them."""

import asyncio
import math
import random

from tests.support.simnet.readiness import DescriptorTable, SimReadiness
from tests.support.simnet.sockets import SimSocket
from tests.support.simnet.stream import BUFFER, SEGMENT

LATENCY = 0.0005  # seconds one way
_FIRST_PORT = 32768


class Host:
    """A machine with addresses; a ``bgpd.net.network.Network``.

    Attributes:
        addresses: Its own.
        listeners: Sockets that listen, by address and port.
        connections: Sockets of connections.
        is_alive: Whether it answers at all.
    """

    def __init__(self, net: "SimNet", *addresses: str) -> None:
        self.net = net
        self.addresses = addresses
        self.listeners: dict[tuple[str, int], SimSocket] = {}
        self.connections: dict[SimSocket, None] = {}
        self.is_alive = True
        self._next_port = _FIRST_PORT

    def socket(self, family: int) -> SimSocket:
        return SimSocket(self, family)

    def readiness(self) -> SimReadiness:
        return SimReadiness(self.net.table)

    def has_events(self, descriptor: int, events: int) -> bool:
        return bool(self.net.table.find(descriptor).events() & events)

    def has(self, address: str) -> bool:
        """Whether a socket can be bound to an address."""
        return address in self.addresses or address in {"0.0.0.0", "::"}

    def listener(self, addr: str, port: int) -> SimSocket | None:
        """Return who listens there."""
        everywhere = "::" if ":" in addr else "0.0.0.0"
        return self.listeners.get((addr, port)) or self.listeners.get(
            (everywhere, port)
        )

    def source_for(self, far: str) -> str:
        """Return the address it calls another from."""
        return next(each for each in self.addresses if (":" in each) == (":" in far))

    def new_port(self) -> int:
        """Return a port that no socket has had."""
        self._next_port += 1
        return self._next_port - 1

    # -- faults ---------------------------------------------------------------------------

    def reset_connections(self, other: "Host | None" = None) -> None:
        """Break connections, all or those with one host, by a RST towards both ends."""
        for each in tuple(self.connections):
            if other is None or (each._far is not None and each._far.host is other):
                far = each._far
                each.fail(104)
                if far is not None:
                    each.answer_reset(far)

    def vanish(self) -> None:
        """Lose all sockets and be silent, as a machine without power."""
        self.is_alive = False
        for each in (*self.connections, *self.listeners.values()):
            each.vanish()

    def come_back(self) -> None:
        """Answer again, by resets to who still has a connection."""
        self.is_alive = True


class SimNet:
    """All hosts; any two have a link.

    Args:
        loop: Time.
        table: Descriptors.
        rng: Cuts segments.

    Attributes:
        buffer: Octets that a direction of a connection holds.
        most_octets: Of a segment; below ``SEGMENT`` each is cut at random.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        table: DescriptorTable,
        rng: random.Random,
    ) -> None:
        self.loop = loop
        self.table = table
        self.rng = rng
        self.buffer = BUFFER
        self.most_octets = SEGMENT
        self._hosts: dict[str, Host] = {}
        self._latency: dict[frozenset[Host], float] = {}
        self._hops: dict[frozenset[Host], int] = {}
        self._cut: set[frozenset[Host]] = set()

    def host(self, *addresses: str) -> Host:
        """Return the host that has an address; make it if it is new."""
        found = self._hosts.get(addresses[0])
        if found is None:
            found = Host(self, *addresses)
            self._hosts.update(dict.fromkeys(addresses, found))
        return found

    def owner(self, address: str) -> Host | None:
        """Return the host that has an address; all of 127.0.0.0/8 is there, as on loopback."""
        if address.startswith("127."):
            return self.host(address)
        return self._hosts.get(address)

    def segment_len(self) -> int:
        """Return how long the next segment is at most, in octets."""
        most = self.most_octets
        return most if most == SEGMENT else self.rng.randint(1, most)

    # -- links ----------------------------------------------------------------------------

    def cut(self, *addresses: str) -> None:
        """Lose what is sent between two hosts, without any notice."""
        self._cut.add(self._link(*addresses))

    def mend(self, *addresses: str) -> None:
        """Let a link pass again; what was lost is sent again by and by."""
        self._cut.discard(self._link(*addresses))

    def set_latency(self, seconds: float, *addresses: str) -> None:
        """Say how long a segment takes, one way."""
        self._latency[self._link(*addresses)] = seconds

    def set_hops(self, number: int, *addresses: str) -> None:
        """Say how many routers are between two hosts; 0 by default."""
        self._hops[self._link(*addresses)] = number

    def _link(self, *addresses: str) -> frozenset[Host]:
        return frozenset(self.host(each) for each in addresses)

    def latency(self, here: Host, there: Host | None) -> float:
        """Return the seconds one way."""
        if there is None or here is there:
            return LATENCY
        return self._latency.get(frozenset((here, there)), LATENCY)

    def hops(self, here: Host, there: Host) -> int:
        """Return the number of routers between two hosts."""
        return self._hops.get(frozenset((here, there)), 0)

    def passes(self, here: Host, there: Host, ttl: float = math.inf) -> bool:
        """Whether a segment gets from one host to another."""
        return (
            here.is_alive
            and there.is_alive
            and frozenset((here, there)) not in self._cut
            and ttl > self.hops(here, there)
        )
