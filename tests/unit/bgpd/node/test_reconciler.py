"""Desired state is applied by differences only, whatever its source."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bgpd.calico.blocks import Block
from bgpd.calico.desired import NodeDesired
from bgpd.config.settings import (
    DaemonSettings,
    OriginatedRoute,
    RouteSettings,
    SpeakerSettings,
)
from bgpd.node.reconciler import Reconciler
from bgpd.pipeline.local_sources import plain_sources
from bgpd.session.settings import PeerSettings, RangeSettings
from bgpd.speaker.speaker import Speaker
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST
from rib.nlri import parse_prefix
from rib.path import LOCAL_WEIGHT
from rib.path_set import best_of
from rib.policy import PrefixMatch, prefix_entry
from tests.support.speakers import run_on

DEFAULTS = PeerSettings("", "", 64512, 64512, is_passive=True)
EMPTY = DaemonSettings(
    "node",
    SpeakerSettings(64512, "10.0.0.1", "", (), 179, DecisionOptions(), DEFAULTS),
)


def a_peer(number: int, **changes: Any) -> PeerSettings:
    addr = f"192.0.2.{number}"
    return replace(DEFAULTS, name=f"peer-{number}", remote_addr=addr, **changes)


def a_route(prefix: str, **changes: Any) -> OriginatedRoute:
    return OriginatedRoute(IPV4_UNICAST, parse_prefix(prefix)[1], **changes)


def a_block(prefix: str, **changes: Any) -> Block:
    return Block(IPV4_UNICAST, parse_prefix(prefix)[1], **changes)


def desired(*peers: PeerSettings, **more: Any) -> NodeDesired:
    return NodeDesired(
        name="node",
        revision=1,
        is_known=True,
        ipv4_addr="192.0.2.100",
        ipv6_addr="",
        router_id="10.0.0.1",
        asn=64512,
        cluster_id="",
        listen_port=0,
        listens_on_node_addr=False,
        peers=peers,
        originated=frozenset(more.pop("blocks", ())),
        cluster_blocks={},
        pools={},
        warnings=(),
        **more,
    )


def with_speaker(work: Callable[[Speaker, Reconciler], None]) -> None:
    async def scenario() -> None:
        speaker = Speaker(asyncio.get_running_loop(), "10.0.0.1", seed=1)
        try:
            work(speaker, Reconciler(speaker, plain_sources()))
        finally:
            await speaker.close()

    run_on(asyncio.new_event_loop, scenario())


def routes(speaker: Speaker) -> dict[bytes, str]:
    """Return the prefixes of Loc-RIB and the name of each best path's source."""
    table = speaker.tables[IPV4_UNICAST].loc_rib.table
    found = {}
    for nlri, entry in table.items():
        best = best_of(entry)
        assert best is not None
        found[nlri] = best.source.name
    return found


def test_the_same_again_is_nothing_to_do() -> None:
    def work(speaker: Speaker, reconciler: Reconciler) -> None:
        settings = replace(EMPTY, peers=(a_peer(1), a_peer(2)))
        assert len(reconciler.apply_settings(settings)) == 2
        before = dict(speaker.peers)
        assert reconciler.apply_settings(settings) == []
        assert speaker.peers == before

    with_speaker(work)


def test_only_what_changed_is_touched() -> None:
    def work(speaker: Speaker, reconciler: Reconciler) -> None:
        reconciler.apply_settings(replace(EMPTY, peers=(a_peer(1), a_peer(2))))
        kept = speaker.peers["192.0.2.1"]
        changed = a_peer(1, description="new")
        steps = reconciler.apply_settings(replace(EMPTY, peers=(changed, a_peer(3))))
        assert [(step.change.value, step.name) for step in steps] == [
            ("remove", "192.0.2.2"),
            ("change", "192.0.2.1"),
            ("add", "192.0.2.3"),
        ]
        assert speaker.peers["192.0.2.1"] is kept
        assert kept.settings.description == "new"
        assert set(speaker.peers) == {"192.0.2.1", "192.0.2.3"}

    with_speaker(work)


def test_a_configured_peer_goes_before_the_datastore_s() -> None:
    def work(speaker: Speaker, reconciler: Reconciler) -> None:
        reconciler.apply_node(desired(a_peer(1), a_peer(2)))
        mine = a_peer(1, description="mine")
        reconciler.apply_settings(replace(EMPTY, peers=(mine,)))
        assert speaker.peers["192.0.2.1"].settings.description == "mine"
        assert "192.0.2.2" in speaker.peers
        reconciler.apply_settings(EMPTY)
        assert speaker.peers["192.0.2.1"].settings.description == ""
        reconciler.apply_node(desired())
        assert not speaker.peers

    with_speaker(work)


def test_blocks_and_networks_are_announced_and_withdrawn_by_difference() -> None:
    def work(speaker: Speaker, reconciler: Reconciler) -> None:
        block, network = a_block("10.1.0.0/26"), a_route("10.2.0.0/16")
        settings = replace(EMPTY, routes=RouteSettings(originated=(network,)))
        reconciler.apply_settings(settings)
        reconciler.apply_node(desired(blocks=[block]))
        table = speaker.tables[IPV4_UNICAST].loc_rib.table
        assert routes(speaker) == {block.nlri: "blocks", network.nlri: "networks"}
        entries = dict(table)
        reconciler.apply_settings(settings)
        reconciler.apply_node(desired(blocks=[block]))
        assert table == entries
        assert all(table[nlri] is entries[nlri] for nlri in entries)
        other = a_block("10.3.0.0/26")
        reconciler.apply_node(desired(blocks=[other]))
        assert routes(speaker) == {other.nlri: "blocks", network.nlri: "networks"}
        reconciler.apply_settings(EMPTY)
        assert routes(speaker) == {other.nlri: "blocks"}

    with_speaker(work)


def test_a_route_has_all_that_its_entry_says_and_follows_it() -> None:
    def work(speaker: Speaker, reconciler: Reconciler) -> None:
        route = a_route(
            "10.2.0.0/16",
            origin=2,
            prepend=(65001, 65002),
            ext_communities=(0x0002FDE800000001,),
            weight=7,
        )
        for wanted in (route, replace(route, weight=8), replace(route, weight=None)):
            settings = RouteSettings(originated=(wanted,))
            reconciler.apply_settings(replace(EMPTY, routes=settings))
            best = best_of(speaker.tables[IPV4_UNICAST].loc_rib.table[route.nlri])
            assert best is not None
            assert best.weight == (LOCAL_WEIGHT if not wanted.weight else wanted.weight)
            attributes = best.attributes
            assert attributes.origin == 2
            assert attributes.as_path.asns == (65001, 65002)
            assert attributes.ext_communities == (0x0002FDE800000001,)

    with_speaker(work)


def test_a_conditional_route_has_its_weight() -> None:
    def work(speaker: Speaker, reconciler: Reconciler) -> None:
        ground = a_route("10.2.1.0/24")
        when = PrefixMatch((prefix_entry("10.2.1.0/24"),))
        route = a_route("10.2.0.0/16", when=when, weight=9)
        settings = RouteSettings(originated=(route, ground))
        reconciler.apply_settings(replace(EMPTY, routes=settings))
        best = best_of(speaker.tables[IPV4_UNICAST].loc_rib.table[route.nlri])
        assert best is not None
        assert best.weight == 9

    with_speaker(work)


def test_a_route_that_becomes_a_blackhole_changes_its_source() -> None:
    def work(speaker: Speaker, reconciler: Reconciler) -> None:
        for is_blackhole, name in ((False, "networks"), (True, "blocks")):
            route = a_route("10.2.0.0/16", is_blackhole=is_blackhole)
            wanted = RouteSettings(originated=(route,))
            reconciler.apply_settings(replace(EMPTY, routes=wanted))
            assert routes(speaker) == {route.nlri: name}

    with_speaker(work)


def test_a_range_keeps_its_place_unless_its_template_changes() -> None:
    def work(speaker: Speaker, reconciler: Reconciler) -> None:
        one = RangeSettings("clients", "192.0.2.0/24", 10, DEFAULTS)
        reconciler.apply_settings(replace(EMPTY, ranges=(one,)))
        more = replace(one, limit=20)
        reconciler.apply_settings(replace(EMPTY, ranges=(more,)))
        assert speaker.neighbours.ranges == {"clients": more}
        reconciler.apply_settings(EMPTY)
        assert not speaker.neighbours.ranges

    with_speaker(work)


def test_a_peer_that_cannot_be_made_leaves_the_others_alone() -> None:
    def work(speaker: Speaker, reconciler: Reconciler) -> None:
        impossible = replace(a_peer(1), remote_addr="nonsense", password="x")
        reconciler.apply_settings(replace(EMPTY, peers=(a_peer(2), impossible)))
        assert "192.0.2.2" in speaker.peers

    with_speaker(work)
