"""A daemon in a mesh of a cluster, beside speakers of the test's own process."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.daemons import Daemon, write_yaml
from tests.support.manifests import affinity, node, resource
from tests.support.speakers import PORT, Node, Rack, until

OWN = 99  # the last octet of the daemon's address
BLOCKS = ("10.244.99.0/26", "10.244.99.64/26")


class Mesh:
    """The daemon ``n0``, and nodes ``n1`` and on that it has sessions with.

    Args:
        folder: For the daemon's files.
        rack: Has the other nodes.
        datastore: The daemon's section of that name.
    """

    def __init__(self, folder: Path, rack: Rack, datastore: dict[str, Any]) -> None:
        self.rack = rack
        self.nodes: list[Node] = []
        content = {
            "node": {"name": "n0"},
            "bgp": {
                "listen": {"addresses": [self.addr(OWN)]},
                "defaults": {"connect_retry_time": 1},
            },
            "datastore": datastore,
            "fib": {"mode": "off"},
            "next_hops": {"resolve": "trust"},
            "kubernetes": {"mode": "off"},
            "control": {"path": str(folder / "control.sock")},
        }
        file = write_yaml(folder / "pybgpd.yaml", content)
        self.daemon = Daemon(folder, "run", "--config", str(file))

    def addr(self, number: int) -> str:
        return f"{self.rack.network}.{number}"

    def objects(self, count: int) -> list[dict[str, Any]]:
        """Return the objects of a cluster of the daemon and ``count`` others."""
        return [
            resource("BGPConfiguration", "default", listenPort=PORT, asNumber=64512),
            resource("IPPool", "pool", cidr="10.244.0.0/16"),
            node("n0", f"{self.addr(OWN)}/24"),
            *(node(f"n{i}", f"{self.addr(i)}/24") for i in range(1, count + 1)),
            *(affinity("n0", block) for block in BLOCKS),
        ]

    async def start(self, count: int) -> None:
        """Let the others come up and wait for all sessions."""
        for number in range(1, count + 1):
            other = await self.rack.node(number)
            other.peers_with(self.addr(OWN))
            self.nodes.append(other)
        await until(self.is_whole, 30, "the mesh did not come up")

    def is_whole(self) -> bool:
        """Whether all sessions stand and all have the daemon's blocks."""
        return all(
            other.is_up(self.addr(OWN)) and other.prefixes() >= {*BLOCKS}
            for other in self.nodes
        )

    @property
    def resets(self) -> int:
        """Sessions that ended so far."""
        return sum(other.flaps(self.addr(OWN)) for other in self.nodes)

    async def ask(self, command: str, **arguments: Any) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self.daemon.ask, command, **arguments)

    async def status(self) -> dict[str, Any]:
        rows = await self.ask("show-status")
        return rows[0] if rows else {"removal_holds": []}

    async def until_status(
        self, predicate: Callable[[dict[str, Any]], object], what: str
    ) -> dict[str, Any]:
        """Wait until the daemon's status is as it should be; return it."""
        deadline = time.monotonic() + 20
        while True:
            status = await self.status()
            if predicate(status):
                return status
            assert time.monotonic() < deadline, what
            await asyncio.sleep(0.05)

    async def held(self) -> dict[str, Any]:
        """Wait until something is held; return the kinds."""
        status = await self.until_status(
            lambda s: s["removal_holds"], "nothing is held"
        )
        return {
            kind: count["missing"]
            for hold in status["removal_holds"]
            for kind, count in hold["kinds"].items()
        }

    async def released(self) -> None:
        """Wait until nothing is held any more."""
        await self.until_status(lambda s: not s["removal_holds"], "something is held")
