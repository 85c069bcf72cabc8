"""Values that the import checks of several sessions share, changed while they run."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final

import pytest

from bgpd.config.settings import DaemonSettings, SpeakerSettings
from bgpd.daemon.running import Running
from bgpd.kernel.access import KernelAccess
from bgpd.kernel.former_places import FormerPlaces
from bgpd.node.reconciler import Reconciler
from bgpd.pipeline.local_sources import calico_sources
from bgpd.runtime.fault_border import FaultBorder
from bgpd.session.settings import (
    ChangeCost,
    FamilySettings,
    PeerSettings,
    RangeSettings,
)
from bgpd.speaker.import_context import is_on_this_machine
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from bgpd.wire.framing import MessageType
from bgpd.wire.pack import pack_announce
from rib.attributes import make_attributes
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST
from rib.import_checks import FilterReason
from rib.next_hops import Reachability
from rib.nlri import Nlri, parse_address, parse_prefix
from rib.path_set import members_of
from tests.support.calico_cases import a_case, a_node
from tests.support.calico_cases import settings as cluster
from tests.support.next_hops import ScriptedResolver
from tests.support.scripted_peer import ScriptedPeer, an_open
from tests.support.simnet import advance, run_virtually
from tests.support.speakers import ASN, PORT, Node, Rack, run_on, until

IDS: Final = ("10.0.0.1", "244.0.0.1", "244.0.0.2", "244.0.0.3")
HOPS: Final = ("10.9.9.9", "10.9.9.8", "10.9.9.7")
PEERS: Final = 4
UNCONNECTED: Final = "192.0.2.9"


def number(addr: str) -> int:
    return int.from_bytes(parse_address(addr), "big")


class World:
    """A speaker, scripted clients of it, and what each of them told."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.speaker = node.speaker
        self.peers: list[Peer] = []
        self.scripted: list[ScriptedPeer] = []
        self.told: list[dict[Nlri, tuple[frozenset[int], str]]] = []

    def tell(self, at: int, random: Random) -> None:
        """Let a peer announce a prefix for each of several cluster lists and next hops."""
        told = self.told[at]
        for n in range(8):
            nlri = parse_prefix(f"10.{at + 1}.{n}.0/24")[1]
            clusters = random.sample(IDS, random.randint(0, 2))
            hop = random.choice(HOPS)
            attributes = make_attributes(
                next_hop=parse_address(hop),
                local_pref=100,
                originator_id=number("10.7.7.7"),
                cluster_list=map(number, clusters),
            )
            told[nlri] = frozenset(map(number, clusters)), hop
            octets, field = attributes.octets, attributes.next_hop
            self.scripted[at].send(
                pack_announce(IPV4_UNICAST, octets, field, [nlri], 4096)
            )

    def own_ids(self) -> frozenset[int]:
        """Return the cluster ids that are ours, by what is configured."""
        speaker = self.speaker
        settings = [peer.settings for peer in speaker.peers.values()]
        settings += [entry.template for entry in speaker.neighbours.ranges.values()]
        return frozenset(
            number(each.cluster_id)
            if each.cluster_id
            else speaker.context.numbers.cluster_id
            for each in settings
            if each.is_client
        )

    def judged(self) -> list[dict[Nlri, FilterReason | None]]:
        """Return what became of each peer's routes."""
        found = []
        table = self.speaker.tables[IPV4_UNICAST].loc_rib.table
        for peer in self.peers:
            rib = peer.ribs_in[IPV4_UNICAST]
            mine: dict[Nlri, FilterReason | None] = {
                nlri: why.refusal for (nlri, _), why in rib.filtered.items()
            }
            for nlri in rib.own_nlris():
                paths = [p for p in members_of(table[nlri]) if p.source is rib.source]
                assert nlri not in mine
                assert len(paths) == 1
                mine[nlri] = None
            found.append(mine)
        return found

    def expected(self) -> list[dict[Nlri, FilterReason | None]]:
        own, hops = self.own_ids(), self.speaker.context.own_addresses
        result = []
        for told in self.told:
            mine: dict[Nlri, FilterReason | None] = {}
            for nlri, (clusters, hop) in told.items():
                mine[nlri] = None
                if clusters & own:
                    mine[nlri] = FilterReason.OWN_CLUSTER
                if parse_address(hop) in hops:
                    mine[nlri] = FilterReason.OWN_NEXT_HOP
            result.append(mine)
        return result

    async def settle(self) -> None:
        await until(lambda: not len(self.speaker.work_queue))

    # -- what can change ----------------------------------------------------------------

    def change_cluster(self, random: Random) -> None:
        peer = random.choice(self.peers)
        cluster_id = random.choice(("", *IDS))
        settings = replace(peer.settings, cluster_id=cluster_id)
        self.speaker.neighbours.change(settings, ChangeCost.REFRESH)

    def change_client(self, random: Random) -> None:
        peer = random.choice(self.peers)
        settings = replace(peer.settings, is_client=not peer.settings.is_client)
        self.speaker.neighbours.change(settings, ChangeCost.REFRESH)

    def change_identity(self, random: Random) -> None:
        self.speaker.set_identity("10.0.0.1", random.choice(("", *IDS)))

    def change_addresses(self, random: Random) -> None:
        some = random.sample(HOPS, random.randint(0, 2))
        self.speaker.shared.set_own_addresses([self.node.addr, *some])

    def change_neighbours(self, random: Random) -> None:
        if UNCONNECTED in self.speaker.peers:
            self.speaker.neighbours.remove(UNCONNECTED)
        else:
            self.node.peers_with(
                UNCONNECTED,
                is_passive=True,
                is_client=True,
                cluster_id=random.choice(IDS),
            )

    def change_ranges(self, random: Random) -> None:
        if "some" in self.speaker.neighbours.ranges:
            self.speaker.neighbours.remove_range("some")
        else:
            template = self.node.settings(
                "", name="", is_client=True, cluster_id=random.choice(IDS)
            )
            self.speaker.neighbours.set_range(
                RangeSettings("some", "192.0.2.0/24", 9, template)
            )


CHANGES: Final[tuple[Callable[[World, Random], None], ...]] = (
    World.change_cluster,
    World.change_client,
    World.change_identity,
    World.change_addresses,
    World.change_neighbours,
    World.change_ranges,
)


@contextlib.asynccontextmanager
async def a_world(random: Random) -> AsyncIterator[World]:
    async with Rack() as rack, contextlib.AsyncExitStack() as stack:
        node = await rack.node(1)
        world = World(node)
        for at in range(PEERS):
            addr = f"{rack.network}.{at + 2}"
            world.peers.append(
                node.peers_with(
                    addr,
                    is_passive=True,
                    is_client=bool(at),
                    families=(FamilySettings(IPV4_UNICAST),),
                )
            )
            peer = await stack.enter_async_context(ScriptedPeer(addr, node.addr, PORT))
            await peer.establish(
                an_open(ASN, f"10.0.0.{at + 2}", families=(IPV4_UNICAST,))
            )
            world.scripted.append(peer)
            world.told.append({})
            world.tell(at, random)
        await until(lambda: all(peer.negotiated for peer in world.peers))
        told = [len(each) for each in world.told]
        await until(lambda: [len(each) for each in world.judged()] == told)
        yield world
        assert [peer.driver.session.counters.flaps for peer in world.peers] == [
            0
        ] * PEERS


@pytest.mark.parametrize("seed", range(6))
def test_routes_that_a_former_value_filtered_or_accepted_are_judged_again(
    seed: int,
) -> None:
    async def scenario() -> None:
        random = Random(seed)
        async with a_world(random) as world:
            for _ in range(25):
                for change in random.choices(CHANGES, k=random.randint(1, 4)):
                    change(world, random)
                if random.random() < 0.3:
                    at = random.randrange(PEERS)
                    world.tell(at, random)  # while it is judged again
                    await advance(0.01)
                await world.settle()
                await until(lambda: world.judged() == world.expected())

    run_virtually(scenario())


def test_no_route_refresh_is_sent_and_a_plan_is_one_review() -> None:
    async def scenario() -> None:
        random = Random(1)
        async with a_world(random) as world:
            await world.settle()
            asked = []
            for peer in world.peers:
                peer.imports.reimport = lambda **_: asked.append(1)  # type: ignore[method-assign]
            for _ in range(10):
                world.change_addresses(random)
            world.speaker.shared.set_own_addresses([world.node.addr, "10.1.1.1"])
            await world.settle()
            assert len(asked) == PEERS
            world.speaker.shared.set_own_addresses(["10.1.1.1", world.node.addr])
            await world.settle()
            assert len(asked) == PEERS  # the same as before, in another order

    run_virtually(scenario())


def test_settings_of_decoding_are_followed_by_asking_for_the_routes() -> None:
    async def scenario() -> None:
        async with Rack() as rack:
            node = await rack.node(1)
            addr = f"{rack.network}.2"
            peer = node.peers_with(
                addr,
                remote_as=65000,
                is_passive=True,
                import_policy="accept-all",
                families=(FamilySettings(IPV4_UNICAST),),
            )
            async with ScriptedPeer(addr, node.addr, PORT) as scripted:
                opening = an_open(
                    65000, families=(IPV4_UNICAST,), has_route_refresh=True
                )
                await scripted.establish(opening)
                await until(lambda: peer.negotiated is not None)
                settings = replace(peer.settings, enforces_first_as=False)
                node.speaker.neighbours.change(settings, ChangeCost.REFRESH)
                await scripted.expect(MessageType.ROUTE_REFRESH)
                attributes = make_attributes(
                    next_hop=parse_address("10.9.9.9"),
                    as_path=b"\2\1" + (65001).to_bytes(4, "big"),
                )
                nlri = parse_prefix("10.1.0.0/24")[1]
                octets, field = attributes.octets, attributes.next_hop
                scripted.send(pack_announce(IPV4_UNICAST, octets, field, [nlri], 4096))
                await until(lambda: nlri in node.table(IPV4_UNICAST))
                settings = replace(peer.settings, enforces_first_as=True)
                node.speaker.neighbours.change(settings, ChangeCost.REFRESH)
                await scripted.expect(MessageType.ROUTE_REFRESH)
                scripted.send(pack_announce(IPV4_UNICAST, octets, field, [nlri], 4096))
                await until(lambda: nlri not in node.table(IPV4_UNICAST))
                assert peer.driver.session.counters.flaps == 0

    run_virtually(scenario())


def test_neighbours_of_a_range_follow_its_cluster_id_without_a_reset() -> None:
    async def scenario() -> None:
        async with Rack() as rack:
            node = await rack.node(1)
            addr = f"{rack.network}.2"
            reconciler = Reconciler(node.speaker, calico_sources())
            mine = SpeakerSettings(
                ASN,
                "10.0.0.1",
                "",
                (),
                0,
                DecisionOptions(),
                PeerSettings("", "", 0, 0),
            )
            template = node.settings(
                "", name="", local_addr="", families=(FamilySettings(IPV4_UNICAST),)
            )

            def follow(cluster_id: str, *, limit: int = 9, asn: int = ASN) -> None:
                changed = replace(
                    template, is_client=True, cluster_id=cluster_id, remote_as=asn
                )
                entry = RangeSettings("some", f"{rack.network}.0/24", limit, changed)
                reconciler.apply_settings(DaemonSettings("n1", mine, ranges=(entry,)))

            follow("244.0.0.1")
            async with ScriptedPeer(addr, node.addr, PORT) as scripted:
                await scripted.establish(an_open(ASN, families=(IPV4_UNICAST,)))
                await until(lambda: node.is_up(addr))
                peer = node.peer(addr)
                attributes = make_attributes(
                    next_hop=parse_address("10.9.9.9"),
                    local_pref=100,
                    originator_id=number("10.7.7.7"),
                    cluster_list=(number("244.0.0.1"),),
                )
                nlri = parse_prefix("10.1.0.0/24")[1]
                octets, field = attributes.octets, attributes.next_hop
                scripted.send(pack_announce(IPV4_UNICAST, octets, field, [nlri], 4096))
                await until(lambda: peer.ribs_in[IPV4_UNICAST].filtered)
                follow("244.0.0.2", limit=8)
                await until(lambda: nlri in node.table(IPV4_UNICAST))
                follow("244.0.0.1")
                await until(lambda: nlri not in node.table(IPV4_UNICAST))
                assert node.peer(addr) is peer
                assert peer.settings.remote_addr == addr
                assert peer.settings.is_passive
                assert peer.driver.session.counters.flaps == 0
                follow("244.0.0.1", asn=65000)  # that must be negotiated again
                assert await scripted.ending() is not None

    run_virtually(scenario())


def test_another_as_or_address_of_the_node_reaches_configured_peers_too() -> None:
    async def scenario() -> None:
        template = PeerSettings("", "", 0, 0)
        mine = SpeakerSettings(0, "", "", (), 0, DecisionOptions(), template)
        far = PeerSettings("far", UNCONNECTED, 65000, 0, is_passive=True)
        settings = DaemonSettings("n1", mine, peers=(far,))
        speaker = Speaker(asyncio.get_running_loop(), "10.0.0.1", seed=1)
        node = a_node("n1", "10.0.0.1", ipv6Address="fd00::1/64")
        running = Running(
            speaker,
            KernelAccess(FormerPlaces("", settings.fib)),
            settings,
            identity=replace(mine, router_id="10.0.0.1"),
            desired=None,
            border=FaultBorder(),
        )
        for objects, asn, own in (
            ((node,), 64512, {"10.0.0.1", "fd00::1"}),
            ((node, cluster(asNumber=64999)), 64999, {"10.0.0.1", "fd00::1"}),
            ((a_node("n1", "10.0.0.1"),), 64512, {"10.0.0.1"}),
        ):
            running.apply_identity(settings, a_case(*objects).desired)
            assert speaker.context.own_addresses == set(map(parse_address, own))
            (peer,) = speaker.peers.values()
            assert peer.settings.local_as == asn
        await running.close(is_restart=False, flushes=False, text="")

    run_on(asyncio.new_event_loop, scenario())


def test_which_peers_are_on_this_machine_the_kernel_says() -> None:
    async def scenario() -> None:
        local = set(map(parse_address, ("127.0.0.2", "172.17.0.1", "fe80::1")))
        kernel = ScriptedResolver(
            lambda key: Reachability(key, key not in local, is_local=key in local)
        )
        speaker = Speaker(
            asyncio.get_running_loop(), "10.0.0.1", seed=1, resolver=kernel
        )
        speaker.shared.set_own_addresses(["10.0.0.1", "fd00::1"])
        here = ("127.0.0.2", "172.17.0.1", "10.0.0.1", "fd00::1")
        elsewhere = ("10.0.0.2", "fd00::2", "fe80::1%eth0")
        is_here = partial(is_on_this_machine, speaker.context)
        assert all(map(is_here, here))
        assert not any(map(is_here, elsewhere))
        await speaker.close()

    run_on(asyncio.new_event_loop, scenario())
