"""Speakers of one process that meet over loopback TCP, on asyncio and on uvloop."""

import asyncio
import functools
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from types import TracebackType
from typing import Any, Self

import pytest
import uvloop

from bgpd.session.fsm import State
from bgpd.session.settings import FamilySettings, PeerSettings, RangeSettings
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from rib.attributes import PathAttributes, make_attributes
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import Nlri, format_prefix, parse_address, parse_prefix
from rib.path import Path, Source
from rib.path_set import best_of
from tests.support.simnet.loop import VirtualLoop

ASN = 64512
PORT = 17900
BOTH = (FamilySettings(IPV4_UNICAST), FamilySettings(IPV6_UNICAST))
PLAIN = make_attributes(next_hop=b"")

_loops = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]
_networks = count()


def on_both_loops(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run a coroutine test on either loop; errors that only the loop sees fail it."""

    @functools.wraps(test)
    def run(*args: object, loop_factory: Callable[[], Any], **kwargs: object) -> None:
        run_on(loop_factory, test(*args, **kwargs))

    signature = inspect.signature(test)
    extra = inspect.Parameter("loop_factory", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*signature.parameters.values(), extra]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    on_each: Callable[..., None] = pytest.mark.parametrize("loop_factory", _loops)(run)
    return on_each


def run_on(loop_factory: Callable[[], Any], work: Coroutine[Any, Any, None]) -> None:
    """Run ``work``; what the loop would only log is an error of the test."""
    faults: list[dict[str, Any]] = []

    async def watched() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        await work

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(watched())
    assert not faults


async def until(
    predicate: Callable[[], object], seconds: float = 10.0, what: str = ""
) -> None:
    """Wait until ``predicate`` holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not predicate():
        assert loop.time() < deadline, what or "did not come true in time"
        await asyncio.sleep(0.005)


async def within(seconds: float, work: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(work, seconds)


@functools.cache
def _claim() -> tuple[int, socket.socket]:
    """Return an octet that no other process has; it is held by the socket's name."""
    for octet in range(128, 255):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0pybgpd-tests-127.{octet}")
        except OSError:
            claim.close()
        else:
            return octet, claim
    raise AssertionError("127 test processes are running")


def own_network() -> str:
    """Return the first octets of 256 loopback addresses that are ours alone."""
    return f"127.{_claim()[0]}.{next(_networks) & 0xFF}"


def some_nlris(
    number: int, base: int = 10 << 24, family: Family = IPV4_UNICAST
) -> list[Nlri]:
    """Return ``number`` /24s from ``base`` on, or as many /48s."""
    if family == IPV4_UNICAST:
        return [
            b"\x18" + (base + (n << 8)).to_bytes(4, "big")[:3] for n in range(number)
        ]
    high = 0x2001_0DB8_0000
    return [
        b"\x30" + (high + (base >> 16) + n).to_bytes(6, "big") for n in range(number)
    ]


class Node:
    """A speaker with an address, and the peers it was given."""

    def __init__(self, speaker: Speaker, number: int, addr: str, asn: int) -> None:
        self.speaker = speaker
        self.number = number
        self.addr = addr
        self.asn = asn

    def settings(self, other: "Node | str", **changes: Any) -> PeerSettings:
        """Return how this node would be configured to peer with another."""
        addr = other if isinstance(other, str) else other.addr
        fields: dict[str, Any] = {
            "name": f"peer {addr}",
            "remote_addr": addr,
            "remote_as": self.asn if isinstance(other, str) else other.asn,
            "local_as": self.asn,
            "local_addr": self.addr,
            "port": PORT,
            "families": BOTH,
            "connect_retry_time": 1,
        }
        return PeerSettings(**(fields | changes))

    def peers_with(self, other: "Node | str", **changes: Any) -> Peer:
        return self.speaker.neighbours.add(self.settings(other, **changes))

    def accepts(self, prefix: str, limit: int = 100, **changes: Any) -> None:
        template = self.settings("", **{"name": "", "local_addr": ""} | changes)
        self.speaker.neighbours.set_range(
            RangeSettings("range", prefix, limit, template)
        )

    def peer(self, other: "Node | str") -> Peer:
        addr = other if isinstance(other, str) else other.addr
        return self.speaker.peers[addr]

    def is_up(self, other: "Node | str") -> bool:
        addr = other if isinstance(other, str) else other.addr
        peer = self.speaker.peers.get(addr)
        return peer is not None and peer.state is State.ESTABLISHED

    def flaps(self, other: "Node | str") -> int:
        return self.peer(other).driver.session.counters.flaps

    def announce(
        self,
        *prefixes: str,
        attributes: PathAttributes = PLAIN,
        source: Source | None = None,
    ) -> None:
        for family, nlris in _by_family(prefixes).items():
            told = attributes
            if family == IPV6_UNICAST and attributes is PLAIN:
                # Loopback has no IPv6 address that a peer could use as next hop.
                told = make_attributes(next_hop=parse_address(f"fd00:9::{self.number}"))
            self.speaker.local_routes.originate(family, nlris, told, source)

    def withdraw(self, *prefixes: str) -> None:
        for family, nlris in _by_family(prefixes).items():
            self.speaker.local_routes.withdraw(family, nlris)

    def table(self, family: Family) -> dict[Nlri, Any]:
        return self.speaker.tables[family].loc_rib.table

    def prefixes(self) -> set[str]:
        """Return all prefixes in the tables, as text."""
        return {
            format_prefix(nlri, family.afi)
            for family in (IPV4_UNICAST, IPV6_UNICAST)
            for nlri in self.table(family)
        }

    def best(self, prefix: str) -> Path | None:
        (family, nlris), *_ = _by_family((prefix,)).items()
        return best_of(self.table(family).get(nlris[0]))


class Rack(AbstractAsyncContextManager["Rack"]):
    """Nodes 1, 2, ... on loopback addresses of their own."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._sim = loop.net if isinstance(loop, VirtualLoop) else None
        self.network = own_network() if self._sim is None else "127.0.0"
        self._nodes: list[Node] = []

    async def node(
        self, number: int, *, asn: int = ASN, listens: bool = True, **options: Any
    ) -> Node:
        addr = f"{self.network}.{number}"
        options.setdefault("router_id", f"10.0.0.{number}")
        if self._sim is not None:
            options.setdefault("network", self._sim.host(addr))
        speaker = Speaker(asyncio.get_running_loop(), seed=number, **options)
        speaker.shared.set_own_addresses([addr])
        node = Node(speaker, number, addr, asn)
        self._nodes.append(node)
        if listens:
            speaker.listener.listen(addr, PORT)
        return node

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for node in self._nodes:
            await node.speaker.close()
        await asyncio.sleep(0.01)


def unpaced(node: Node) -> None:
    """Hold back no prefix: members keep what they last received of one that waits."""
    for tables in node.speaker.tables.values():
        tables.pacing.interval = 0


@asynccontextmanager
async def a_lone_node(**changes: Any) -> AsyncIterator[tuple[Node, str]]:
    """Yield a node that takes in who connects, and an address to connect from.

    Args:
        changes: Of the settings of any peer that connects.
    """
    async with Rack() as rack:
        node = await rack.node(1)
        node.accepts(f"{rack.network}.0/24", **changes)
        yield node, f"{rack.network}.9"


async def a_pair(rack: Rack, **changes: Any) -> tuple[Node, Node]:
    """Return two nodes with a session between them."""
    a, b = await rack.node(1), await rack.node(2)
    a.peers_with(b, **changes)
    b.peers_with(a, **changes)
    await until(lambda: a.is_up(b) and b.is_up(a))
    return a, b


def _by_family(prefixes: Iterable[str]) -> dict[Family, list[Nlri]]:
    found: dict[Family, list[Nlri]] = {}
    for prefix in prefixes:
        afi, nlri = parse_prefix(prefix)
        family = IPV6_UNICAST if afi == IPV6_UNICAST.afi else IPV4_UNICAST
        found.setdefault(family, []).append(nlri)
    return found
