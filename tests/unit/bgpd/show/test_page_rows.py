"""What the page is made from: the topology, and the route index beside the rows it stands for."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bgpd.api.protocol import ControlError
from bgpd.journal.event_journal import EventJournal
from bgpd.journal.kinds import EventKind
from bgpd.show.commands import handlers
from rib.family import IPV4_UNICAST
from tests.support.world import World

FLAGS = ("is_best", "is_multipath", "is_reachable", "is_stale", "is_filtered")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def a_cluster(world: World, seed: int) -> random.Random:
    """Furnish a node at random: gateways, two reflectors, a mesh, clients; and their routes."""
    chance = random.Random(seed)
    peers = [world.up(f"gateway-{n}", f"192.0.2.{n}", 65000 + n) for n in (1, 2)]
    peers += [world.up(f"reflector-{n}", f"192.0.2.{10 + n}") for n in (1, 2)]
    peers += [
        world.up(f"node-{n}", f"192.0.2.{20 + n}", is_client=bool(n % 2))
        for n in range(chance.randrange(1, 6))
    ]
    for _ in range(chance.randrange(1, 80)):
        peer = chance.choice(peers)
        name = peer.settings.name
        attributes: dict[str, Any] = {
            "as_path": str(peer.settings.remote_as) if "gateway" in name else "",
            "communities": [chance.randrange(3) for _ in range(chance.randrange(3))],
        }
        if "gateway" not in name:
            attributes["local_pref"] = chance.choice((100, 200))
        if "reflector" in name:
            attributes["originator_id"] = (10 << 24) + chance.randrange(1, 5)
            attributes["cluster_list"] = [int(name[-1])]
        prefixes = [f"10.{chance.randrange(40)}.0.0/16" for _ in range(3)]
        world.announce(peer, *dict.fromkeys(prefixes), **attributes)
    return chance


def rows_of(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return the rows that blocks of the route index stand for."""
    sources: list[Any] = []
    attributes: list[Any] = []
    reasons: list[str] = []
    path_sets: list[Any] = []
    for block in blocks:
        sources += block["sources"]
        attributes += block["attribute_sets"]
        reasons += block["reasons"]
        path_sets += block["path_sets"]
        found = zip(block["prefixes"], block["paths"], block["ages"], strict=True)
        for prefix, number, changed in found:
            for source, attribute_set, flags, reason, made in path_sets[number]:
                states = {f: bool(flags >> bit & 1) for bit, f in enumerate(FLAGS)}
                is_exact = states["is_best"] and changed is not None
                yield {
                    "prefix": prefix,
                    "family": block["family"],
                    **sources[source],
                    "attributes": attributes[attribute_set],
                    "reason": reasons[reason],
                    "age": min(made, changed) if is_exact else made,
                    "changed_is_exact": is_exact,
                    **states,
                }


@pytest.mark.parametrize("seed", range(6))
def test_the_route_index_stands_for_the_rows_of_show_routes(
    world: World, seed: int
) -> None:
    a_cluster(world, seed)
    found = list(rows_of(world.ask("show-route-index")))
    assert found
    wanted = world.ask("show-routes")
    assert found == [{key: row.get(key, False) for key in found[0]} for row in wanted]


def test_the_route_index_has_what_is_shared_once_and_a_part_of_it_stands_alone(
    world: World,
) -> None:
    peer = world.up("node-1", "192.0.2.21")
    prefixes = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(1200)]
    world.announce(peer, *prefixes)
    blocks = world.ask("show-route-index")
    assert [len(block["prefixes"]) for block in blocks] == [500, 500, 200]
    for name in ("sources", "attribute_sets", "reasons", "path_sets"):
        assert [len(block[name]) for block in blocks] == [1, 0, 0], name
    inside = world.ask("show-route-index", prefix="10.2.0.0/16")
    assert [row["prefix"] for row in rows_of(inside)] == prefixes[512:768]
    some = world.ask("show-route-index", limit=501)
    assert [row["prefix"] for row in rows_of(some)] == prefixes[:501]


@pytest.mark.parametrize("seed", range(6))
def test_the_topology_has_each_speaker_once_and_originators_behind_their_reflectors(
    world: World, seed: int
) -> None:
    a_cluster(world, seed)
    own, *others = world.ask("show-topology")
    routes = world.ask("show-routes")
    assert own["node_type"] == "speaker"
    assert own["accepted"] == len({row["prefix"] for row in routes})
    peers = {row["name"]: row for row in others if row["node_type"] == "peer"}
    assert len(peers) == len(world.speaker.peers)
    behind: dict[str, set[str]] = {}
    for row in routes:
        if originator := row["attributes"].get("originator_id"):
            behind.setdefault(originator, set()).add(row["peer"])
    drawn = {
        row["router_id"]: set(row["reflectors"])
        for row in others
        if row["node_type"] == "originator"
    }
    assert drawn == behind
    senders = set(itertools.chain(*behind.values()))
    assert {name for name, row in peers.items() if row["is_reflector"]} == senders
    for name, row in peers.items():
        ribs = world.speaker.peers[row["address"]].ribs_in
        assert row["accepted"] == ribs[IPV4_UNICAST].accepted_count, name


def test_a_client_that_is_an_originator_too_is_one_speaker(world: World) -> None:
    client = world.up("node-1", "10.0.0.1", is_client=True)
    other = world.up("reflector-1", "192.0.2.11")
    world.announce(client, "10.1.0.0/16")
    originator_id = (10 << 24) + 1  # its router ID
    world.announce(other, "10.2.0.0/16", originator_id=originator_id, cluster_list=[1])
    rows = {row["name"]: row for row in world.ask("show-topology")}
    assert set(rows) == {"192.0.2.254", "node-1", "reflector-1"}
    assert rows["node-1"]["reflectors"] == ["reflector-1"]
    assert rows["192.0.2.254"]["is_reflector"] is True


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("show-peers", {}),
        ("show-peers", {"sort": "name"}),
        ("show-topology", {}),
        ("show-route-index", {}),
        ("show-route-index", {"filtered": True}),
    ],
)
def test_what_the_page_asks_for_takes_breath_with_many_peers_and_routes(
    world: World, command: str, arguments: dict[str, Any]
) -> None:
    for number in range(300):
        world.peer(f"node-{number}", f"10.9.{number >> 8}.{number & 255}")
    full = world.up("full", "192.0.2.7")
    world.announce(full, *(f"30.0.{number}.0/24" for number in range(256)))
    made = handlers(world.view)[command](arguments)
    assert isinstance(made, Iterator)
    steps = list(made)
    assert steps.count(None) > 1 or len(steps) > 300  # a row is a yield point, too


def test_event_counts_have_what_is_not_kept_in_steps_of_the_last_hour(
    world: World,
) -> None:
    now = 1_795_000_007.0
    journal = EventJournal(10, 10, lambda: now)
    world.view = replace(world.view, journal=journal)
    for second in range(25):
        now += 1
        journal.add(EventKind.SESSION, {"event": "session-up", "second": second})
    assert len(world.ask("show-events")) == 10
    rows = world.ask("show-event-counts", seconds=10, limit=4)
    assert [row["counts"] for row in rows] == [
        {"session": number} for number in (2, 10, 10, 3)
    ]
    assert [row["time"][14:19] for row in rows] == ["06:40", "06:50", "07:00", "07:10"]
    assert len(world.ask("show-event-counts")) == 60


def test_event_counts_refuse_more_than_an_hour_and_a_journal_that_is_off(
    world: World,
) -> None:
    with pytest.raises(ControlError, match="no events are kept"):
        world.ask("show-event-counts")
    world.view = replace(world.view, journal=EventJournal(10, 10))
    with pytest.raises(ControlError, match="longer than the hour"):
        world.ask("show-event-counts", seconds=60, limit=61)


def test_brief_rows_of_peers_are_the_others_without_their_families(
    world: World,
) -> None:
    a_cluster(world, 1)
    world.peer("absent", "192.0.2.99")
    whole = world.ask("show-peers")
    for row in whole:
        assert row["is_stale"] is any(family["stale"] for family in row["families"])
        del row["families"], row["advertised"]
    assert world.ask("show-peers", brief=True) == whole
