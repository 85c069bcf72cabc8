"""Prefixes that are not unicast destinations, from peers, the file and a cluster's objects."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bgpd.config.advice import advice
from bgpd.config.settings import (
    DaemonSettings,
    OriginatedRoute,
    RouteSettings,
    SpeakerSettings,
)
from bgpd.node.reconciler import Reconciler
from bgpd.pipeline.local_sources import plain_sources
from bgpd.session.fsm import State
from bgpd.session.settings import PeerSettings
from bgpd.show.peer_figures import peer_figures
from bgpd.speaker.peer import Peer
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import format_prefix, parse_prefix
from rib.path import NextHop
from tests.support.attributes import BASE, attribute
from tests.support.intakes import update
from tests.support.routes import some_attributes
from tests.support.turns import turn
from tests.support.world import World
from tests.unit.bgpd.node.test_reconciler import a_block, desired

BLOCK = BASE + attribute(5, (100).to_bytes(4, "big"))
HOP6 = bytes.fromhex("20010db8" + "00" * 11 + "01")
GOOD4, GOOD6 = ("10.1.0.0/16", "0.0.0.0/0", "0.0.0.0/1"), ("2001:db8::/32", "::/0")
BAD4 = (
    "224.0.0.0/4",
    "127.0.0.1/32",
    "0.1.0.0/16",
    "255.255.255.255/32",
    "240.0.0.0/8",
)
BAD6 = ("ff02::/16", "fe80::/64", "::1/128", "::ffff:10.0.0.0/104", "::/128")
SETTINGS = DaemonSettings(
    "node",
    SpeakerSettings(
        64512,
        "10.0.0.1",
        "",
        (),
        179,
        DecisionOptions(),
        PeerSettings("", "", 64512, 64512),
    ),
)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def run_of(*prefixes: str) -> bytes:
    return b"".join(parse_prefix(each)[1] for each in prefixes)


def reach(*prefixes: str) -> bytes:
    value = b"\0\2\1\x10" + HOP6 + b"\0" + run_of(*prefixes)
    return BASE.replace(attribute(3, bytes((192, 0, 2, 1))), b"") + attribute(14, value)


def held(world: World, family: Family) -> set[str]:
    table = world.speaker.tables[family].loc_rib.table
    return {format_prefix(nlri, family.afi) for nlri in table}


def send(peer: Peer, *bodies: bytes) -> None:
    assert peer.updates_received(list(bodies)) is None


@pytest.mark.rfc("4271", "6.3", "SHOULD")
@pytest.mark.parametrize("is_one_by_one", [True, False])
def test_from_a_peer_it_is_ignored_counted_and_the_rest_stays(
    world: World, *, is_one_by_one: bool, caplog: pytest.LogCaptureFixture
) -> None:
    peer = world.up("p", "192.0.2.7")
    four, six = (*GOOD4, *BAD4), (*BAD6, *GOOD6)
    if is_one_by_one:
        send(peer, *(update(BLOCK, run_of(each)) for each in four))
        send(peer, *(update(reach(each)) for each in six))
    else:
        send(peer, update(BLOCK, run_of(*four)), update(reach(*six)))
    assert held(world, IPV4_UNICAST) == set(GOOD4)
    assert held(world, IPV6_UNICAST) == set(GOOD6)
    assert peer.imports.errors.count == 0
    lines = [r.getMessage() for r in caplog.records if "not unicast" in r.getMessage()]
    assert len(lines) == len(BAD4) + len(BAD6)
    assert "p (192.0.2.7): ignored 1 prefix (RFC 4271 6.3)" in lines[0]
    assert lines[0].endswith("multicast; first 224.0.0.0/4")
    (row,) = world.ask("show-peers")
    four_row, six_row = row["families"]
    assert sum(four_row["ignored"].values()) == four_row["filtered"] == len(BAD4)
    assert six_row["ignored"]["multicast"] == 1
    assert [each.ignored for each in peer_figures(world.speaker, {})(peer).tables] == [
        len(BAD4),
        len(BAD6),
    ]
    shown = world.ask("show-routes", received_from="p", prefix="224.0.0.0/4")
    assert shown[0]["reason"] == "the prefix is not a unicast destination: multicast"
    assert shown[0]["is_filtered"]


def test_it_is_logged_at_the_first_and_at_ten_times_as_many(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    peer = world.up("p", "192.0.2.7")
    for number in range(250):
        send(peer, update(BLOCK, run_of(f"239.1.{number}.0/24")))
    said = [r.getMessage() for r in caplog.records if "ignored" in r.getMessage()]
    assert [line.split("ignored ")[1].split()[0] for line in said] == ["1", "10", "100"]
    caplog.clear()
    send(peer, update(withdrawn=run_of("239.1.0.0/24")))
    send(peer, update(BLOCK, run_of("239.1.0.0/24")))
    assert "ignored" not in caplog.text


def test_what_is_withdrawn_is_gone(world: World) -> None:
    peer = world.up("p", "192.0.2.7")
    send(peer, update(BLOCK, run_of("10.1.0.0/16", "224.0.0.0/4")))
    send(peer, update(withdrawn=run_of("224.0.0.0/4", "10.1.0.0/16")))
    assert held(world, IPV4_UNICAST) == set()
    assert not peer.ribs_in[IPV4_UNICAST].filtered


def settings(*prefixes: str, allows_reserved: bool = False) -> DaemonSettings:
    routes = []
    for each in prefixes:
        afi, nlri = parse_prefix(each)
        routes.append(OriginatedRoute(Family(afi, 1), nlri))
    return replace(
        SETTINGS,
        speaker=replace(SETTINGS.speaker, allows_reserved=allows_reserved),
        routes=RouteSettings(tuple(routes)),
    )


def test_of_the_file_it_is_kept_out_and_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    speaker = world.speaker
    reconciler = Reconciler(speaker, plain_sources())
    reconciler.apply_settings(settings(*GOOD4, *GOOD6, *BAD4, *BAD6))
    assert held(world, IPV4_UNICAST) == set(GOOD4)
    assert held(world, IPV6_UNICAST) == set(GOOD6)
    warnings = speaker.local_routes.warnings()
    assert len(warnings) == len(BAD4) + len(BAD6)
    assert warnings[0].startswith(
        "not originated (networks): 224.0.0.0/4 is not unicast"
    )
    assert warnings[0] in caplog.text
    reconciler.apply_settings(settings(*GOOD4))
    assert not speaker.local_routes.warnings()
    assert held(world, IPV6_UNICAST) == set()


def test_check_says_it_beforehand() -> None:
    lines = advice(settings(*GOOD4, "224.1.0.0/16", "240.0.0.0/8"))
    assert lines[0] == (
        "routes.originate: 224.1.0.0/16 is not advertised: it is not a unicast destination: "
        "multicast"
    )
    assert lines[1].endswith("bgp.allow_reserved_ranges allows it")
    (only,) = advice(settings("224.1.0.0/16", "240.0.0.0/8", allows_reserved=True))
    assert "224.1.0.0/16" in only


def test_of_a_cluster_it_is_kept_out_and_told(world: World) -> None:
    reconciler = Reconciler(world.speaker, plain_sources())
    blocks = [a_block(f"239.0.{number}.0/26") for number in range(5)]
    reconciler.apply_node(desired(blocks=(a_block("10.2.0.0/26"), *blocks)))
    assert held(world, IPV4_UNICAST) == {"10.2.0.0/26"}
    (line,) = world.speaker.local_routes.warnings()
    assert "and 2 more are not unicast: multicast" in line


def test_the_reserved_range_follows_its_switch_live(world: World) -> None:
    """Routes of peers and of our own, both ways, and nothing is asked of a peer."""
    speaker = world.speaker
    reconciler = Reconciler(speaker, plain_sources())
    reconciler.apply_settings(settings("240.0.0.0/8", "224.0.0.0/8", "10.0.0.0/8"))
    peer = world.up("p", "192.0.2.7")
    send(peer, update(BLOCK, run_of("250.1.0.0/16", "224.1.0.0/16")))
    kernel = plain_sources().kernel
    nlri = [parse_prefix("241.0.0.0/8")[1]]
    way = NextHop(b"", interface="eth0")
    speaker.local_routes.originate(
        IPV4_UNICAST, nlri, some_attributes(), kernel, way, weight=77
    )
    assert held(world, IPV4_UNICAST) == {"10.0.0.0/8"}
    reserved = {"240.0.0.0/8", "241.0.0.0/8", "250.1.0.0/16"}
    for is_allowed in (True, False, True):
        speaker.local_routes.allow_reserved(is_allowed=is_allowed)
        while len(speaker.work_queue):
            world.loop.run_until_complete(turn())
        expected = {"10.0.0.0/8"} | (reserved if is_allowed else set())
        assert held(world, IPV4_UNICAST) == expected
        lines = " ".join(speaker.local_routes.warnings())
        assert ("240.0.0.0/8" in lines) is not is_allowed
        assert "224.0.0.0/8" in lines
    path = speaker.tables[IPV4_UNICAST].loc_rib.table[nlri[0]]
    assert (path.source, path.next_hop, path.weight) == (kernel, way, 77)  # type: ignore[union-attr]
    assert peer.driver.session.counters.sent[5] == 0
    assert peer.state is State.IDLE  # it never had a socket


def test_the_switch_of_the_file_is_followed(world: World) -> None:
    reconciler = Reconciler(world.speaker, plain_sources())
    for allows_reserved in (False, True, False):
        wanted = settings("240.0.0.0/8", allows_reserved=allows_reserved)
        reconciler.apply_settings(wanted)
        assert bool(held(world, IPV4_UNICAST)) is allows_reserved
