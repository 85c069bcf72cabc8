"""A real daemon with real sessions around it, for the page to show.

The peers are scripted: a thread has their sockets, so that a test can drive a browser meanwhile.
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bgpd.wire.pack import pack_announce
from rib.attributes import make_attributes, parse_as_path
from rib.family import IPV4_UNICAST
from rib.nlri import Nlri, parse_address, parse_prefix
from tests.support.daemons import Daemon, write_yaml
from tests.support.scripted_peer import ScriptedPeer, a_withdrawal, an_open
from tests.support.speakers import own_network, some_nlris

ASN: Final = 64512
PORT: Final = 17914
TABLE: Final = 1000  # prefixes of a block with attributes of its own, in `a_table`


@dataclass(frozen=True, slots=True)
class Around:
    """A peer of the scene.

    Attributes:
        name: Of the configuration.
        number: Last octet of its address.
        asn: Its AS.
        settings: More keys of the configuration.
    """

    name: str
    number: int
    asn: int = ASN
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def router_id(self) -> str:
        """Its BGP identifier."""
        return f"10.0.0.{self.number}"


def a_node(mesh: int = 4) -> list[Around]:
    """Return what surrounds a node: two gateways, two reflectors, and a mesh."""
    accepts = (("import_policy", "accept-all"), ("export_policy", "accept-all"))
    return [
        Around("tor-1", 201, 65001, (("import_policy", "from-tor"), accepts[1])),
        Around("tor-2", 202, 65002, accepts),
        Around("reflector-1", 211),
        Around("reflector-2", 212),
        *(Around(f"node-{n}", 10 + n) for n in range(1, mesh + 1)),
    ]


def free_port() -> int:
    """Return a TCP port of the loopback that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def nlris_of(*prefixes: str) -> list[Nlri]:
    """Return the keys of prefixes."""
    return [parse_prefix(prefix)[1] for prefix in prefixes]


def routes(
    nlris: Sequence[Nlri],
    next_hop: str,
    as_path: str = "",
    *,
    is_internal: bool = True,
    **attributes: Any,
) -> bytes:
    """Return UPDATEs that advertise IPv4 prefixes."""
    if is_internal:
        attributes.setdefault("local_pref", 100)
    made = make_attributes(
        next_hop=parse_address(next_hop), as_path=parse_as_path(as_path), **attributes
    )
    return pack_announce(IPV4_UNICAST, made.octets, made.next_hop, list(nlris), 4096)


def a_table(size: int, next_hop: str, asn: int) -> bytes:
    """Return UPDATEs with a table of ``size`` prefixes, attributes as varied as real ones."""
    nlris = some_nlris(size, base=20 << 24)
    pieces = []
    for number, start in enumerate(range(0, size, TABLE)):
        pieces.append(
            routes(
                nlris[start : start + TABLE],
                next_hop,
                f"{'' if asn == ASN else asn} {65100 + number} {65200 + number % 7}",
                is_internal=asn == ASN,
                communities=[(asn << 16) + number, (65000 << 16) + number % 5],
            )
        )
    return b"".join(pieces)


class Scene:
    """A daemon and its peers, from ``with`` to its end.

    Args:
        folder: For its files.
        peers: Those that are configured; none is connected yet.
        settings: More sections of the configuration.

    Attributes:
        url: Of the page.
        port: Likewise.
    """

    def __init__(
        self,
        folder: Path,
        peers: Iterable[Around],
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.network = own_network()
        self.around = {peer.name: peer for peer in peers}
        port = self.port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        self._scripted: dict[str, ScriptedPeer] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.file = write_yaml(
            folder / "pybgpd.yaml", self._document(port, settings or {})
        )
        arguments = ["run", "--config", str(self.file)]
        arguments += ["--control", str(folder / "control.sock")]
        self.daemon = Daemon(folder, *arguments)

    def address(self, name: str) -> str:
        """Return the address of a peer."""
        return f"{self.network}.{self.around[name].number}"

    def _document(self, port: int, settings: dict[str, Any]) -> dict[str, Any]:
        return {
            "bgp": {
                "as": ASN,
                "router_id": "10.0.0.1",
                "listen": {"addresses": [f"{self.network}.1"], "port": PORT},
            },
            "fib": {"mode": "off"},
            "api": {"listen": f"127.0.0.1:{port}", **settings.pop("api", {})},
            "policies": {
                "from-tor": {
                    "default": "accept",
                    "terms": [
                        {
                            "name": "no private blocks",
                            "match": {
                                "prefixes": [{"prefix": "192.168.0.0/16", "le": 32}]
                            },
                            "action": "reject",
                        },
                        {
                            "name": "prefer services",
                            "match": {
                                "prefixes": [{"prefix": "203.0.113.0/24", "le": 32}]
                            },
                            "set": {"local_pref": 200},
                            "action": "accept",
                        },
                    ],
                }
            },
            "peers": [
                {
                    "name": peer.name,
                    "address": f"{self.network}.{peer.number}",
                    "local_address": f"{self.network}.1",
                    "port": PORT,
                    "as": peer.asn,
                    "passive": True,
                    "families": ["ipv4-unicast", "ipv6-unicast"],
                    "graceful_restart": False,
                    **dict(peer.settings),
                }
                for peer in self.around.values()
            ],
            **settings,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        self.daemon.__enter__()
        self.daemon.until_logged("started: router id", 30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in list(self._scripted):
            self.disconnect(name)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.daemon.__exit__(kind, error, trace)

    def connect(self, *names: str) -> None:
        """Bring sessions up; all peers' without names."""
        for name in names or self.around:
            self._wait(self._connect(self.around[name]))

    async def _connect(self, peer: Around) -> None:
        """Bring a session up; after a reset the daemon accepts none for a while."""
        async with asyncio.timeout(25):
            while True:
                scripted = ScriptedPeer(
                    f"{self.network}.{peer.number}", f"{self.network}.1", PORT
                )
                await scripted.__aenter__()
                try:
                    await scripted.establish(
                        an_open(peer.asn, peer.router_id, hold_time=0)
                    )
                except (AssertionError, ConnectionError):
                    await scripted.__aexit__()
                    await asyncio.sleep(0.1)
                else:
                    self._scripted[peer.name] = scripted
                    return

    def disconnect(self, name: str) -> None:
        """Break a session."""
        scripted = self._scripted.pop(name)
        self._wait(scripted.__aexit__(None, None, None))

    def say(self, name: str, octets: bytes) -> None:
        """Have a peer send messages."""

        async def send() -> None:
            scripted = self._scripted[name]
            scripted.send(octets)
            await scripted.writer.drain()

        self._wait(send())

    def withdraw(self, name: str, *prefixes: str) -> None:
        """Have a peer withdraw prefixes."""
        self.say(name, a_withdrawal(b"".join(nlris_of(*prefixes))))

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def until_prefixes(self, number: int) -> None:
        """Wait until the tables have so many prefixes."""
        self.daemon.until(
            lambda: any(
                sum(family["prefixes"] for family in row["families"]) >= number
                for row in self.daemon.ask("show-status")
            ),
            60,
        )

    def until_best(self, prefix: str, name: str) -> None:
        """Wait until a peer's path is the best one: what comes next is another change."""
        self.daemon.until(
            lambda: any(
                row["is_best"] and row["peer"] == name
                for row in self.daemon.ask("show-routes", prefix=prefix)
            )
        )

    def furnish(self, *absent: str) -> None:
        """Have the peers of ``a_node`` advertise routes with something to explain."""
        hop = {name: each.router_id for name, each in self.around.items()}
        for name, each in self.around.items():
            if name.startswith("node-") and name not in absent:
                block = nlris_of(f"10.244.{each.number}.0/26")
                self.say(name, routes(block, hop[name]))
        anycast = nlris_of("203.0.113.0/24", "203.0.113.80/32")
        self.say(
            "tor-1",
            routes(
                [*anycast, *nlris_of("0.0.0.0/0", "192.168.7.0/24")],
                hop["tor-1"],
                "65001 64900 64999",
                is_internal=False,
                communities=[(65001 << 16) + 100, (65001 << 16) + 200],
                large_communities=[(65001, 1, 2)],
            ),
        )
        self.say(
            "tor-2",
            routes(
                [*anycast, *nlris_of("0.0.0.0/0")],
                hop["tor-2"],
                "65002 64999",
                is_internal=False,
                med=50,
                communities=[(65002 << 16) + 100],
            ),
        )
        for name, cluster in (("reflector-1", 1), ("reflector-2", 2)):
            for number in range(1, 9):
                self.say(
                    name,
                    routes(
                        nlris_of(f"10.245.{number}.0/26", f"10.245.{number}.64/26"),
                        f"10.1.0.{number}",
                        originator_id=(10 << 24) + (1 << 16) + number,
                        cluster_list=[(10 << 24) + cluster],
                    ),
                )
