"""How long plans take, and their longest step: 100,000 routes from two of 200 peers.

``python -m tests.bench.plan --peers 200 --routes 100000``. A step is what the loop waits for, in
seconds of processor time.
"""

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

from bgpd.config.settings import DaemonSettings
from bgpd.daemon.running import Running
from bgpd.kernel.access import KernelAccess
from bgpd.kernel.former_places import FormerPlaces
from bgpd.runtime.event_loop import keep_young, tune_collector
from bgpd.runtime.fault_border import FaultBorder
from bgpd.wire.framing import KEEPALIVE, MessageType
from rib.family import IPV4_UNICAST
from tests.simulation.test_plan import settings_of
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.speakers import ASN, PORT, Node, Rack, some_nlris, until

BATCH = 500  # prefixes in an UPDATE

CASES: dict[str, dict[str, Any]] = {
    "another import policy of all peers": {"import_policy": "prefers"},
    "another export policy of all peers": {"export_policy": "rejects"},
    "an export policy for each peer": {"is_each": True},
    "another decision": {"compares_med": True},
    "nothing": {},
}


class Crowd:
    """A speaker with many clients.

    Args:
        rack: Has it.
        peers: How many clients.
    """

    def __init__(self, rack: Rack, peers: int) -> None:
        self.peers = peers
        self.network = rack.network
        self.running: Running
        self.node: Node

    def settings(
        self,
        *,
        import_policy: str = "accept-all",
        export_policy: str = "accept-all",
        is_each: bool = False,
        compares_med: bool = False,
    ) -> DaemonSettings:
        """Return a configuration of all clients."""
        here = f"{self.network}.1"
        policies: dict[str, Any] = {
            "prefers": {
                "terms": [
                    {
                        "match": {"prefixes": [{"prefix": "10.0.0.0/9", "le": 32}]},
                        "set": {"local_pref": 200},
                        "action": "accept",
                    }
                ],
                "default": "accept",
            },
            "rejects": _all_but("10.0.0.0/10"),
        }
        if is_each:
            for number in range(self.peers):
                policies[f"e{number}"] = _all_but(f"10.{number}.0.0/16")
        peers = [
            {
                "address": f"{self.network}.{number + 10}",
                "as": ASN,
                "client": True,
                "passive": True,
                "local_address": here,
                "import_policy": import_policy,
                "export_policy": f"e{number}" if is_each else export_policy,
            }
            for number in range(self.peers)
        ]
        return settings_of(
            {
                "bgp": {
                    "as": ASN,
                    "router_id": "10.0.0.1",
                    "listen": {"addresses": [here], "port": PORT},
                    "decision": {"always_compare_med": compares_med},
                },
                "fib": {"mode": "off"},
                "policies": policies,
                "peers": peers,
            }
        )

    async def start(self, rack: Rack) -> None:
        """Make the speaker."""
        settings = self.settings()
        self.node = await rack.node(1)
        self.running = Running(
            self.node.speaker,
            KernelAccess(FormerPlaces("", settings.fib)),
            settings,
            identity=settings.speaker,
            desired=None,
            border=FaultBorder(),
        )
        self.running.deferral.peers_are_known()
        await self.running.change(settings, None)

    async def fill(self, stack: AsyncExitStack, routes: int) -> None:
        """Bring all clients up, and let two of them announce the routes."""
        nlris = some_nlris(routes)
        for number in range(self.peers):
            address = f"{self.network}.{number + 10}"
            peer = await stack.enter_async_context(
                ScriptedPeer(address, self.node.addr, PORT)
            )
            peer.send(an_open(ASN, f"10.0.1.{number + 1}"))
            await peer.expect(MessageType.OPEN)
            await peer.expect(MessageType.KEEPALIVE)
            peer.send(KEEPALIVE)
            reading = asyncio.create_task(_drained(peer))
            stack.callback(reading.cancel)
            for start in range(0, routes if number < 2 else 0, BATCH):
                peer.send(an_update(nlris[start : start + BATCH], address))
                await asyncio.sleep(0)
        table = self.node.table(IPV4_UNICAST)
        await until(lambda: len(table) == routes, 300)

    async def plan(self, title: str, settings: DaemonSettings) -> None:
        """Make a plan and print how long it took."""
        preview = await self.running.preview(settings, None, None, 10)
        begun, longest, steps = time.perf_counter(), 0.0, 0
        before = time.thread_time()
        for _ in preview.run():
            keep_young()
            now = time.thread_time()
            longest, before, steps = max(longest, now - before), now, steps + 1
        took = time.perf_counter() - begun
        sys.stdout.write(
            f"{title:40}{took:8.2f} s  {steps:7} steps, the longest {longest * 1000:.1f} ms\n"
        )

    async def close(self) -> None:
        """End it."""
        self.running.close_inputs()
        await self.running.close(is_restart=False, flushes=False, text="")


def _all_but(prefix: str) -> dict[str, Any]:
    match = {"prefixes": [{"prefix": prefix, "le": 32}]}
    return {"terms": [{"match": match, "action": "reject"}], "default": "accept"}


async def _drained(peer: ScriptedPeer) -> None:
    while await peer.message(1000) is not None:
        pass


async def run(peers: int, routes: int) -> None:
    """Make each plan once."""
    tune_collector()
    async with Rack() as rack:
        crowd = Crowd(rack, peers)
        await crowd.start(rack)
        try:
            async with AsyncExitStack() as stack:
                await crowd.fill(stack, routes)
                for title, case in CASES.items():
                    await crowd.plan(title, crowd.settings(**case))
        finally:
            await crowd.close()


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=200)
    parser.add_argument("--routes", type=int, default=100_000)
    options = parser.parse_args()
    asyncio.run(run(options.peers, options.routes))


if __name__ == "__main__":
    main()
