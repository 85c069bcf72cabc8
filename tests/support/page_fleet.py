"""A real reflector with a fleet of real sessions, for the page to show.

The clients are plain sockets: each says its OPEN and its route, and a thread takes what the
reflector sends. So thousands of them fit into one process beside a browser.
"""

import selectors
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bgpd.wire.framing import KEEPALIVE
from bgpd.wire.update import end_of_rib
from rib.family import IPV4_UNICAST
from tests.support.page_scene import ASN, PORT, Around, Scene, nlris_of, routes
from tests.support.scripted_peer import an_open
from tests.support.speakers import own_network

_A_NETWORK: Final = 250  # addresses taken of each /24
_CHUNK: Final = 1 << 18  # octets
_PATIENCE: Final = 60.0  # seconds


class Fleet(Scene):
    """A reflector and its clients, from ``with`` to its end.

    Args:
        folder: For its files.
        size: Clients that have an address; ``connect_clients`` brings sessions up.
        peers: Those that are configured beside the range.
        settings: More sections of the configuration.

    Attributes:
        clients: Addresses.
    """

    def __init__(
        self,
        folder: Path,
        size: int,
        peers: Iterable[Around] = (),
        settings: dict[str, Any] | None = None,
    ) -> None:
        networks = [own_network() for _ in range(0, size, _A_NETWORK)]
        self.clients = [
            f"{networks[n // _A_NETWORK]}.{1 + n % _A_NETWORK}" for n in range(size)
        ]
        group = {"as": ASN, "client": True, "families": ["ipv4-unicast"]}
        ranges = [
            {"name": "fleet", "prefix": f"{network}.0/24", "group": "clients"}
            for network in networks
        ]
        document = {"peer_groups": {"clients": group}, "ranges": ranges}
        for number, each in enumerate(ranges):
            each["name"] = f"rack-{number + 1}"
        super().__init__(folder, peers, document | (settings or {}))
        self._sockets: dict[str, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._is_over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        super().__enter__()
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._reader.join(10)
        for each in self._sockets.values():
            each.close()
        self._selector.close()
        super().__exit__(kind, error, trace)

    def connect_clients(self, *addresses: str) -> None:
        """Bring sessions up, all clients' without addresses; wait until they are."""
        for address in addresses or self.clients:
            client = socket.create_connection(
                (f"{self.network}.1", PORT), _PATIENCE, source_address=(address, 0)
            )
            number = self.clients.index(address) if addresses else len(self._sockets)
            router_id = f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
            client.sendall(
                an_open(ASN, router_id, hold_time=0, families=[IPV4_UNICAST])
                + KEEPALIVE
                + end_of_rib(IPV4_UNICAST)
            )
            client.setblocking(False)
            self._sockets[address] = client
            self._selector.register(client, selectors.EVENT_READ)
        self.daemon.until(
            lambda: any(
                row["peers"]["established"] >= len(self._sockets)
                for row in self.daemon.ask("show-status")
            ),
            _PATIENCE,
        )

    def announce_blocks(self, number: int) -> None:
        """Have the first clients advertise a block each, and wait until they are there.

        Not all of thousands: each would be sent the routes of all others.
        """
        for at, address in enumerate(self.clients[:number]):
            block = f"10.{128 + (at >> 10)}.{at >> 2 & 255}.{at % 4 * 64}/26"
            self._sockets[address].sendall(routes(nlris_of(block), address))
        self.until_prefixes(number)

    def disconnect_client(self, address: str) -> None:
        """Break a session."""
        client = self._sockets.pop(address)
        self._selector.unregister(client)
        client.close()

    def _read(self) -> None:
        """Take what the reflector sends."""
        while not self._is_over.wait(0.01):
            for key, _ in self._selector.select(0.1):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                try:
                    octets = client.recv(_CHUNK)
                except OSError:
                    octets = b""
                if not octets:
                    self._selector.unregister(client)
