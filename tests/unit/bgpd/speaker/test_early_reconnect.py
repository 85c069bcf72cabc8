import asyncio

import pytest

from bgpd.calico.desired import NodeDesired
from bgpd.config.settings import CalicoSettings
from bgpd.datastore.memory import MemoryDatastore
from bgpd.node.datastore_follower import DatastoreFollower
from bgpd.session.fsm import State
from bgpd.session.settings import PeerSettings
from bgpd.speaker import early_reconnect
from bgpd.speaker.early_reconnect import TRIED_AT_ONCE, EarlyReconnect
from fib.errors import FibError
from fib.next_hop_events import Opened
from rib.nlri import parse_address
from tests.support.simnet import advance, on_virtual_time
from tests.support.speakers import Node, Rack, until

ANY = Opened(True, frozenset(), frozenset(), frozenset())
NOTHING = ANY._replace(is_any=False)
COUNT = 50


async def waiting_node(rack: Rack, count: int, **changes: object) -> Node:
    """Return a node whose peers refused it once, and are not tried for ten minutes."""
    node = await rack.node(1)
    for number in range(count):
        address = f"{rack.network}.{10 + number}"
        node.peers_with(address, connect_retry_time=600, **changes)
    await until(lambda: all(p.state is State.ACTIVE for p in peers_of(node)))
    await advance(0.6)  # an attempt that has just begun is not begun again
    return node


def peers_of(node: Node):
    return list(node.speaker.peers.values())


def attempts(node: Node) -> list[int]:
    counters = [peer.driver.session.counters for peer in peers_of(node)]
    return [each.connect_attempts for each in counters]


@on_virtual_time
async def test_all_who_wait_are_tried_a_few_at_a_time() -> None:
    async with Rack() as rack:
        node = await waiting_node(rack, COUNT)
        made = EarlyReconnect(node.speaker, 12)
        made.opened(ANY)
        assert sum(attempts(node)) == COUNT + TRIED_AT_ONCE
        made.opened(ANY)  # the same news again makes no second queue
        assert sum(attempts(node)) == COUNT + TRIED_AT_ONCE
        await until(lambda: attempts(node) == [2] * COUNT)
        await until(lambda: attempts(node) == [3] * COUNT)  # and once more
        made.close()


@on_virtual_time
async def test_only_those_are_tried_whose_way_may_be_back() -> None:
    async with Rack() as rack:
        node = await waiting_node(rack, 3)
        made = EarlyReconnect(node.speaker, 12)
        address = parse_address(f"{rack.network}.11")
        made.opened(NOTHING._replace(prefixes=frozenset({(1, b"\x20" + address)})))
        assert attempts(node) == [1, 2, 1]
        made.opened(NOTHING._replace(addresses=frozenset({parse_address(node.addr)})))
        assert attempts(node) == [2, 2, 2]  # their source; the second was just tried
        made.close()


@on_virtual_time
async def test_a_peer_is_tried_when_our_route_begins_to_lead_to_it() -> None:
    async with Rack() as rack:
        node = await waiting_node(rack, 3)
        made = EarlyReconnect(node.speaker, 12)
        led_to = {parse_address(f"{rack.network}.11")}
        made.follow(lambda address: address in led_to)
        assert attempts(node) == [1, 2, 1]
        led_to.add(parse_address(f"{rack.network}.12"))
        await until(lambda: attempts(node)[2] >= 2)
        await until(lambda: attempts(node) == [1, 3, 3])  # and once more
        made.close()


@on_virtual_time
async def test_a_closed_one_tries_no_peer() -> None:
    async with Rack() as rack:
        node = await waiting_node(rack, TRIED_AT_ONCE + 1)
        made = EarlyReconnect(node.speaker, 12)
        made.opened(ANY)
        made.close()
        tried = attempts(node)
        await advance(3 * early_reconnect.PACE)
        assert attempts(node) == tried


@on_virtual_time
async def test_a_kernel_that_rejects_us_is_logged_and_no_more(
    monkeypatch, caplog
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FibError("no netlink here")

    monkeypatch.setattr("fib.gathered_events.EventSocket", refuse)
    async with Rack() as rack:
        node = await rack.node(1)
        made = EarlyReconnect(node.speaker, 12)
        made.start()
        assert "no netlink here" in caplog.text
        made.close()


@pytest.mark.parametrize("address", ["198.51.100.7", "fe80::7", "2001:db8::7"])
def test_a_default_route_leads_to_all_of_its_family(address) -> None:
    octets = parse_address(address)
    afi = 1 if len(octets) == 4 else 2
    assert NOTHING._replace(prefixes=frozenset({(afi, b"\0")})).leads_to(octets)
    assert not NOTHING._replace(prefixes=frozenset({(3 - afi, b"\0")})).leads_to(octets)


@pytest.mark.parametrize(
    ("configured", "longest"), [({}, 5), ({"max_connect_retry_time": 40}, 40)]
)
def test_a_clusters_peers_are_tried_as_often_as_calico_does(
    configured, longest
) -> None:
    manifests = [
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "Node",
            "metadata": {"name": f"n{number}"},
            "spec": {"bgp": {"ipv4Address": f"10.0.0.{number}/24"}},
        }
        for number in (1, 2)
    ]
    found: list[int] = []

    async def deliver(desired: NodeDesired) -> None:
        found.extend(peer.max_connect_retry_time for peer in desired.peers)

    async def scene() -> None:
        store = MemoryDatastore()
        await store.apply(manifests)
        template = PeerSettings("", "", 0, 64512, **configured)
        follower = DatastoreFollower(
            store,
            "n1",
            template,
            deliver,
            calico=CalicoSettings(),
        )
        task = asyncio.ensure_future(follower.follow())
        await until(lambda: found)
        task.cancel()

    asyncio.run(scene())
    assert found == [longest]
