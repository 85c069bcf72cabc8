import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bgpd.api.protocol import ControlError
from bgpd.datastore.model import Status
from bgpd.runtime.loop_lag import LagMeter
from bgpd.session.events import DownKind, DownReason
from bgpd.session.settings import (
    AddPathMode,
    FamilySettings,
    PeerSettings,
    RangeSettings,
)
from bgpd.show.commands import DaemonView, ResetKind, handlers
from bgpd.show.state import in_reading_order
from bgpd.wire.errors import CeaseSubcode
from bgpd.wire.framing import Framer
from bgpd.wire.notification import Notification, cease
from fib.memory import MemoryFib, MemoryKernel
from fib.next_hop_state import NextHopState
from fib.routes import Fault, Hop, Target
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.next_hops import Reachability
from rib.nlri import parse_address, parse_prefix, sort_key
from rib.policy import Actions as Edits
from rib.policy import Match, Operator, Outcome, PolicySpec, Term, prefix_match
from tests.support.routes import nlris
from tests.support.simnet import advance
from tests.support.world import LOCAL_AS, ACluster, AKernel, AProcess, World

NO_EXPORT = 0xFFFFFF01


class Told:
    """Takes what commands make the daemon do."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def reset(self, address: str, kind: ResetKind) -> list[str]:
        self.calls.append(("reset", address, kind))
        return [f"reset {address}"]

    async def reload(self, *, allows_resets: bool = False) -> list[str]:
        assert not allows_resets
        self.calls.append(("reload",))
        return ["peer a: added", "peer b: reset"]

    def disable(self, address: str, text: str) -> list[str]:
        self.calls.append(("disable", address, text))
        return []

    def enable(self, address: str) -> list[str]:
        self.calls.append(("enable", address))
        return []

    def shut_down(self, text: str, *, flushes: bool) -> list[str]:
        self.calls.append(("shutdown", text, flushes))
        return []


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def refusal(world: World, command: str, **arguments: Any) -> ControlError:
    with pytest.raises(ControlError) as told:
        world.ask(command, **arguments)
    return told.value


def by(rows: list[dict[str, Any]], name: str) -> dict[Any, dict[str, Any]]:
    found = {row[name]: row for row in rows}
    assert len(found) == len(rows)
    return found


# -- peers ------------------------------------------------------------------------------


def test_peers_tell_role_counts_and_agreement(world):
    world.announce(
        world.up("client", "192.0.2.1", is_client=True), "10.1.0.0/16", "10.2.0.0/16"
    )
    world.up("plain", "192.0.2.10", asn=LOCAL_AS)
    outside = world.up("outside", "198.51.100.1", 65001, import_policy="accept-all")
    world.announce(outside, "10.3.0.0/16", as_path="65001 64512")
    rows = by(world.ask("show-peers"), "name")
    assert [*rows] == ["client", "plain", "outside"]
    assert {n: row["peer_type"] for n, row in rows.items()} == {
        "client": "client",
        "plain": "non-client",
        "outside": "ebgp",
    }
    counts = {n: (r["received"], r["accepted"], r["filtered"]) for n, r in rows.items()}
    assert counts == {"client": (2, 2, 0), "plain": (0, 0, 0), "outside": (1, 0, 1)}
    families = by(rows["client"]["families"], "family")
    assert families["ipv4-unicast"]["accepted"] == 2
    assert families["ipv6-unicast"]["is_negotiated"] is True


def test_a_peer_that_is_down_tells_why_and_when_it_tries_again(world):
    peer = world.peer("down", "192.0.2.1")
    session, now = peer.driver.session, world.loop.time()
    (row,) = world.ask("show-peers")
    assert row["is_enabled"] is False
    assert (row["last_attempt"], row["last_reset"]) == (None, None)
    session.start(now)
    session.connect_failed("connection refused", now)
    (row,) = world.ask("show-peers")
    assert row["is_enabled"] is True
    assert row["state"] == "Active"
    assert row["last_attempt"] == "connection attempt failed; connection refused"
    assert row["last_reset"] is None
    assert 0 < row["next_retry"] <= 10
    assert row["uptime"] is None


def test_uptime_counts_from_the_establishment(world):
    peer = world.up("peer", "192.0.2.1")
    counters = peer.driver.session.counters
    counters.established_since = world.loop.time() - 61.5
    now = world.loop.time()
    counters.note_reset(DownReason(DownKind.HOLD_TIMER_EXPIRED), now)
    (row,) = world.ask("show-peers")
    assert row["uptime"] == 61
    assert row["since"].endswith("Z")
    assert row["last_reset"] == "hold timer expired"
    page = world.ask("show-peer", peer="peer")
    assert page["last_reset_at"].endswith("Z")
    assert page["last_attempt_at"] is None


def test_the_policies_in_force_are_named(world):
    world.up("inside", "192.0.2.1")
    world.up("open", "198.51.100.1", 65001)
    world.up("one-way", "198.51.100.2", 65001, import_policy="accept-all")
    world.peer("any", "198.51.100.3", 0)
    found = {
        row["name"]: (row["import_policy"], row["export_policy"])
        for row in world.ask("show-peers")
    }
    deny = "ebgp-default-deny"
    assert found == {
        "inside": ("accept-all", "accept-all"),
        "open": (deny, deny),
        "one-way": ("accept-all", deny),
        "any": (None, None),
    }


def test_one_peer_in_detail_by_name_or_address(world):
    world.up(
        "rr",
        "192.0.2.1",
        is_client=True,
        password="secret",
        description="rack 4",
        long_lived_stale_time=60,
    )
    row = world.ask("show-peer", peer="rr")
    assert row == world.ask("show-peer", peer="192.0.2.1")
    assert row["router_id"] == "192.0.2.1"
    assert row["hostname"] == "rr"
    assert row["description"] == "rack 4"
    assert row["cluster_id"] == "192.0.2.254"
    assert row["has_password"] is True
    assert "secret" not in json.dumps(row)
    assert row["negotiated"]["families"] == ["ipv4-unicast", "ipv6-unicast"]
    assert row["negotiated"]["four_octet_as"] is True
    assert row["capabilities"]["sent"]["long_lived"] == {
        "ipv4-unicast": 60,
        "ipv6-unicast": 60,
    }
    assert "long_lived" not in row["capabilities"]["received"]
    assert row["messages"]["update"] == {"received": 0, "sent": 0}


def test_a_peer_that_is_down_has_details_too(world):
    world.peer("down", "2001:db8::1", 65001, local_addr="2001:db8::2")
    row = world.ask("show-peer", peer="down")
    assert row["negotiated"] is None
    assert row["local_address"] == "2001:db8::2"


def test_a_peer_tells_its_timers_and_its_last_notifications(world):
    peer = world.peer("a", "192.0.2.1")
    session, now = peer.driver.session, world.loop.time()
    assert world.ask("show-peer", peer="a")["timers"] == {}
    session.start(now)
    session.connect_failed("connection refused", now)
    session.counters.notifications.note_sent(Notification(2, 2), now, "peer has AS 2")
    goodbye = cease(CeaseSubcode.ADMINISTRATIVE_SHUTDOWN, "new fibre")
    session.counters.notifications.note_received(goodbye, now)
    row = world.ask("show-peer", peer="a")
    assert 0 < row["timers"]["connect_retry"] <= 10
    sent, received = row["last_notification_sent"], row["last_notification_received"]
    assert (sent["code"], sent["subcode"], sent["reason"]) == (2, 2, "peer has AS 2")
    assert received["text"] == "new fibre"
    assert received["name"] == '6/2 cease, administrative shutdown: "new fibre"'
    assert (row["local_port"], row["seconds_since_received"]) == (None, None)


def test_a_peer_is_found_by_its_node(world):
    world.up("Mesh_192_0_2_1", "192.0.2.1", node="node-1")
    for addr in ("192.0.2.2", "2001:db8::2"):
        world.up(f"Mesh_{addr}", addr, node="node-2")
    world.peer("node-3", "192.0.2.3", node="node-4")
    assert world.ask("show-peer", peer="node-1")["name"] == "Mesh_192_0_2_1"
    assert world.ask("show-peer", peer="node-3")["address"] == "192.0.2.3"
    error = refusal(world, "show-peer", peer="node-2")
    assert error.code == "bad-argument"
    assert error.expected == ("Mesh_192.0.2.2", "Mesh_2001:db8::2")
    rows = world.ask("show-peers", node="node-2")
    assert {row["remote_node"] for row in rows} == {"node-2"}
    assert len(rows) == 2


def test_a_default_policy_is_marked(world):
    world.up("one-way", "198.51.100.2", 65001, import_policy="accept-all")
    row = world.ask("show-peer", peer="one-way")
    assert not row["is_default_import_policy"]
    assert row["is_default_export_policy"]
    assert row["export_policy"] == "ebgp-default-deny"


def test_an_unknown_peer_is_answered_with_those_there_are(world):
    for number in range(1, 30):
        world.peer(f"p{number:02}", f"192.0.2.{number}")
    error = refusal(world, "show-peer", peer="unknown")
    assert error.code == "no-such-peer"
    assert error.expected[0] == "p01"
    assert error.expected[-1] == "... 9 more"


# -- routes -----------------------------------------------------------------------------


@pytest.fixture
def full(world: World) -> World:
    """Three peers: two offer one prefix, one was refused something."""
    one = world.up("one", "192.0.2.1", is_client=True)
    two = world.up("two", "192.0.2.2", is_client=True)
    outside = world.up("outside", "198.51.100.1", 65001, import_policy="accept-all")
    world.announce(one, "10.2.0.0/16", "10.2.1.0/24", "9.0.0.0/8", local_pref=100)
    world.announce(two, "10.2.0.0/16", local_pref=200, communities=(0xFDE80001,))
    world.announce(outside, "10.9.0.0/16", "11.0.0.0/8", as_path="65001 64512")
    world.announce(outside, "10.10.0.0/16", as_path="65001")
    return world


def shown(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{'*' if row['is_best'] else ''}{row['prefix']} {row['peer']}" for row in rows
    ]


def test_routes_come_in_reading_order_with_the_losers_reason(full):
    rows = full.ask("show-routes")
    assert shown(rows) == [
        "*9.0.0.0/8 one",
        "*10.2.0.0/16 two",
        "10.2.0.0/16 one",
        "*10.2.1.0/24 one",
        "*10.10.0.0/16 outside",
    ]
    assert rows[2]["reason"] == "lower LOCAL_PREF"
    assert rows[1]["attributes"]["communities"] == ["65000:1"]
    assert rows[1]["is_reachable"] is True


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"best": True}, "9.0.0.0/8 10.2.0.0/16 10.2.1.0/24 10.10.0.0/16"),
        ({"peer": "one"}, "9.0.0.0/8 10.2.0.0/16 10.2.1.0/24"),
        ({"peer": "one", "best": True}, "9.0.0.0/8 10.2.1.0/24"),
        ({"prefix": "10.2.0.0/16"}, "10.2.0.0/16 10.2.0.0/16"),
        ({"prefix": "10.2.0.0/16", "best": True}, "10.2.0.0/16"),
        ({"prefix": "10.0.0.0/8"}, ""),
        (
            {"prefix": "10.0.0.0/8", "longer": True, "best": True},
            "10.2.0.0/16 10.2.1.0/24 10.10.0.0/16",
        ),
        ({"prefix": "0.0.0.0/0", "longer": True, "limit": 1}, "9.0.0.0/8"),
        ({"limit": 2}, "9.0.0.0/8 10.2.0.0/16"),
        ({"family": "ipv6"}, ""),
        ({"family": "ipv4-unicast", "limit": 1}, "9.0.0.0/8"),
        ({"received_from": "one"}, "9.0.0.0/8 10.2.0.0/16 10.2.1.0/24"),
        (
            {"received_from": "198.51.100.1"},
            "10.9.0.0/16 10.10.0.0/16 11.0.0.0/8",
        ),
        ({"received_from": "outside", "best": True}, "10.10.0.0/16"),
    ],
)
def test_routes_are_filtered(full, arguments, expected):
    rows = full.ask("show-routes", **arguments)
    assert [row["prefix"] for row in rows] == expected.split()


def test_filtered_routes_name_the_check_that_filtered_them(full):
    rows = by(full.ask("show-routes", received_from="outside"), "prefix")
    assert rows["10.9.0.0/16"]["is_filtered"] is True
    assert rows["10.9.0.0/16"]["reason"] == "our AS is in AS_PATH: AS 64512"
    assert rows["10.10.0.0/16"]["is_filtered"] is False


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"family": "l2vpn"}, "bad-argument"),
        ({"prefix": "10.2.0.0/99"}, "bad-argument"),
        ({"prefix": "10.2.0.0/16", "family": "ipv6"}, "bad-argument"),
        ({"longer": True}, "bad-argument"),
        ({"limit": 0}, "bad-argument"),
        ({"peer": "one", "advertised_to": "two"}, "bad-argument"),
        ({"peer": "three"}, "no-such-peer"),
        ({"nonsense": "x"}, "unknown-argument"),
    ],
)
def test_wrong_questions_about_routes_are_errors(full, arguments, code):
    assert refusal(full, "show-routes", **arguments).code == code


def test_routes_advertised_to_a_peer_are_shown_as_it_sees_them(full):
    rows = by(full.ask("show-routes", advertised_to="one"), "prefix")
    # Its own best routes are not told back.
    assert [*rows] == ["10.2.0.0/16", "10.10.0.0/16"]
    reflected = rows["10.2.0.0/16"]["attributes"]
    assert reflected["originator_id"] == "192.0.2.2"
    assert reflected["cluster_list"] == ["192.0.2.254"]
    assert reflected["next_hop"] == "192.0.2.2"
    assert rows["10.2.0.0/16"]["peer"] == "two"


def test_an_ebgp_peer_without_policy_receives_nothing(full):
    assert full.ask("show-routes", advertised_to="outside") == []


def test_routes_advertised_to_an_old_peer_are_shown_with_whole_as_numbers(world):
    source = world.up("source", "198.51.100.1", 4200000001, import_policy="accept-all")
    world.announce(source, "10.0.0.0/8", as_path="4200000001")
    old = world.up("old", "192.0.2.1")
    tables = world.speaker.tables[IPV4_UNICAST]
    context = tables.group_of(old.sources[IPV4_UNICAST]).export.context
    tables.leave(old.sources[IPV4_UNICAST])
    tables.join(
        old.sources[IPV4_UNICAST],
        replace(context, four_octet_as=False),
        world.speaker.context.policies["accept-all"],
        old.driver.write,
    )
    (row,) = world.ask("show-routes", advertised_to="old")
    assert row["attributes"]["as_path"] == "4200000001"


def test_add_path_tells_several_paths_but_never_the_peers_own(world):
    families = (FamilySettings(IPV4_UNICAST, AddPathMode.BOTH, add_path_max=2),)
    makers = [
        world.up(f"p{n}", f"192.0.2.{n}", is_client=True, families=families)
        for n in (1, 2, 3)
    ]
    for number, peer in enumerate(makers):
        world.announce(peer, "10.0.0.0/8", local_pref=300 - number)
    told = {
        peer.settings.name: [
            row["peer"]
            for row in world.ask("show-routes", advertised_to=peer.settings.name)
        ]
        for peer in makers
    }
    assert told == {"p1": ["p2"], "p2": ["p1"], "p3": ["p1", "p2"]}


def test_long_work_takes_breath(world):
    peer = world.up("peer", "192.0.2.1")
    world.announce(peer, *(f"10.{n >> 8}.{n & 255}.0/24" for n in range(5000)))
    answer: Any = handlers(world.view)["show-routes"]({"prefix": "10.0.3.0/24"})
    rows = list(answer)
    assert rows.count(None) > 15
    assert sum(row is not None for row in rows) == 1


def test_a_table_that_changes_meanwhile_does_not_break_the_rows(full):
    rows: Any = handlers(full.view)["show-routes"]({})
    next(rows)
    world_peer = full.speaker.peers["192.0.2.1"]
    rib = world_peer.ribs_in[IPV4_UNICAST]
    rib.withdraw(nlris("9.0.0.0/8"))
    full.announce(world_peer, "12.0.0.0/8")
    assert [row["prefix"] for row in rows if row] == [
        "10.2.0.0/16",
        "10.2.0.0/16",
        "10.2.1.0/24",
        "10.10.0.0/16",
    ]


def test_reading_order_is_that_of_addresses():
    texts = ["0.0.0.0/0", "9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "10.0.128.0/17"]
    texts += ["10.1.0.0/16", "200.0.0.0/7"]
    keys = nlris(*texts)
    found = [key for key in in_reading_order(keys[::-1]) if key is not None]
    assert found == keys


def test_keys_of_one_network_are_put_in_order_some_at_a_time():
    generator = random.Random(7)
    keys = [
        bytes((64,)) + bytes.fromhex("20010db8") + generator.randbytes(4)
        for _ in range(20_000)
    ]
    keys += [bytes((32,)) + bytes.fromhex("20010db8"), bytes((16, 0x20, 0x01)), b"\0"]
    keys += [bytes((n,)) + bytes(17)[: (n + 7) // 8] for n in range(129)] * 20
    found, run, longest = [], 0, 0
    for key in in_reading_order(keys):
        run = 0 if key is None else run + 1
        longest = max(longest, run)
        if key is not None:
            found.append(key)
    assert found == sorted(keys, key=sort_key)
    assert longest < 4096


# -- one route explained ----------------------------------------------------------------


def test_a_route_says_how_its_next_hops_are_reached(full):
    def next_hop(address: bytes) -> NextHopState:
        host = (1, b"\x20" + address)
        if address[3] == 1:
            return NextHopState(address, loop=host)
        hops = (Hop(parse_address("10.0.0.2"), "eth0"),)
        return NextHopState(address, is_reachable=True, hops=hops, through=(host,))

    view = replace(full.view, kernel=AKernel(states=next_hop))
    answer: Any = handlers(view)["show-route"]({"prefix": "10.2.0.0/16"})
    (row,) = [row for row in answer if row is not None]
    led, looped = (path["next_hop"] for path in row["paths"])
    assert led["resolved_through"] == ["192.0.2.2/32"]
    assert [hop["gateway"] for hop in led["hops"]] == ["10.0.0.2"]
    assert led["resolution_loop"] is None
    assert looped["resolution_loop"] == "192.0.2.1/32"
    assert looped["hops"] == looped["resolved_through"] == []


def test_a_route_is_explained_from_all_sides(full):
    (row,) = full.ask("show-route", prefix="10.2.0.0/16")
    assert row["best"] == "two"
    assert [(p["peer"], p["reason"]) for p in row["paths"]] == [
        ("two", "best"),
        ("one", "lower LOCAL_PREF"),
    ]
    assert row["paths"][0]["next_hop"] == {
        "address": "192.0.2.2",
        "is_reachable": True,
        "metric": 0,
        "hops": [],
        "resolved_through": [],
        "resolution_loop": None,
    }
    (told,) = row["advertised"]
    assert told["peers"] == ["one"]
    assert told["attributes"]["originator_id"] == "192.0.2.2"
    why_not = {row["peers"][0]: row["reason"] for row in row["not_advertised"]}
    assert why_not["two"] == "it came from this peer"
    assert why_not["outside"].startswith("export policy ebgp-default-deny")
    assert (row["uses_kernel"], row["fib"]) == (False, None)


def test_an_address_finds_the_route_it_takes(full):
    (row,) = full.ask("show-route", prefix="10.2.1.7")
    assert (row["prefix"], row["requested"]) == ("10.2.1.0/24", "10.2.1.7")
    (row,) = full.ask("show-route", prefix="10.2.0.0/24", lpm=True)
    assert row["prefix"] == "10.2.0.0/16"


def test_a_filtered_prefix_is_explained_though_no_table_has_it(full):
    (row,) = full.ask("show-route", prefix="10.9.0.0/16")
    assert row["paths"] == []
    assert row["best"] is None
    assert row["filtered"][0]["reason"] == "our AS is in AS_PATH: AS 64512"
    assert row["filtered"][0]["peer"] == "outside"


def test_a_filtered_prefix_is_found_under_add_path_identifiers(world):
    families = (FamilySettings(IPV4_UNICAST, AddPathMode.BOTH),)
    peer = world.up(
        "peer", "198.51.100.1", 65001, families=families, import_policy="accept-all"
    )
    world.announce(peer, "10.0.0.0/8", path_id=9, as_path="65001 64512")
    (row,) = world.ask("show-route", prefix="10.0.0.0/8")
    assert row["filtered"][0]["path_id"] == 9


@pytest.mark.parametrize("mode", [AddPathMode.OFF, AddPathMode.BOTH])
def test_an_address_finds_the_filtered_prefixes_around_it(world, mode):
    families = (FamilySettings(IPV4_UNICAST, mode),)
    peer = world.up(
        "gateway", "198.51.100.1", 65001, families=families, import_policy="accept-all"
    )
    filtered = {"as_path": "65001 64512"}
    path_id = {"path_id": 7} if mode is AddPathMode.BOTH else {}
    world.announce(peer, "192.168.0.0/16", "192.168.7.0/24", **filtered, **path_id)
    (row,) = world.ask("show-route", prefix="192.168.7.1")
    assert (row["prefix"], row["requested"]) == ("192.168.7.0/24", "192.168.7.1")
    assert row["filtered"][0]["reason"] == "our AS is in AS_PATH: AS 64512"
    assert (row["paths"], row["more_specific_filtered"]) == ([], [])
    (row,) = world.ask("show-route", prefix="192.168.8.1")
    assert row["prefix"] == "192.168.0.0/16"
    # A usable route carries the address: it also names what would be preferred.
    world.announce(peer, "0.0.0.0/0", as_path="65001", **path_id)
    (row,) = world.ask("show-route", prefix="192.168.7.1")
    assert row["prefix"] == "0.0.0.0/0"
    assert [(r["prefix"], r["peer"]) for r in row["more_specific_filtered"]] == [
        ("192.168.7.0/24", "gateway"),
        ("192.168.0.0/16", "gateway"),
    ]
    error = refusal(world, "show-route", prefix="192.168.7.0/25")
    assert error.message.endswith(
        "192.168.7.0/24 was filtered, from gateway: our AS is in AS_PATH: AS 64512"
    )
    assert refusal(world, "show-route", prefix="11.0.0.0/8").message.endswith(
        "is another"
    )


def test_an_unknown_prefix_hints_at_what_covers_it(full):
    error = refusal(full, "show-route", prefix="10.2.77.0/24")
    assert error.code == "no-such-route"
    assert error.expected == ("10.2.0.0/16",)
    error = refusal(full, "show-route", prefix="203.0.113.9")
    assert error.expected == ()


def test_an_unreachable_next_hop_is_shown(world):
    peer = world.up("peer", "192.0.2.1")
    world.announce(peer, "10.0.0.0/8", next_hop="203.0.113.1")
    address = parse_address("203.0.113.1")
    world.speaker.next_hops_changed([Reachability(address, False)])
    (row,) = world.ask("show-route", prefix="10.0.0.0/8")
    assert row["best"] is None
    assert row["paths"][0]["reason"] == "next hop unreachable"
    assert row["paths"][0]["next_hop"]["is_reachable"] is False


def test_ecmp_members_are_named(world):
    for n in (1, 2, 3):
        world.announce(
            world.up(f"p{n}", f"192.0.2.{n}"), "10.0.0.0/8", local_pref=100 - (n == 3)
        )
    (row,) = world.ask("show-route", prefix="10.0.0.0/8")
    assert row["multipath"] == ["p1", "p2"]
    assert [path["is_multipath"] for path in row["paths"]] == [True, True, False]


def test_what_import_policy_changed_is_shown_beside_what_came(world):
    world.speaker.policies.replace(
        [
            PolicySpec(
                "prefer", (Term("all", Outcome.ACCEPT, actions=Edits(local_pref=777)),)
            )
        ]
    )
    peer = world.up("peer", "192.0.2.1", import_policy="prefer")
    world.announce(peer, "10.0.0.0/8", local_pref=100)
    (row,) = world.ask("show-route", prefix="10.0.0.0/8")
    (path,) = row["paths"]
    assert path["attributes"]["local_pref"] == 777
    assert path["pre_policy_attributes"]["local_pref"] == 100


@pytest.mark.parametrize(
    ("attributes", "changes", "reason"),
    [
        (
            {},
            {"asn": LOCAL_AS},
            "routes of iBGP peers are not advertised to other iBGP peers",
        ),
        (
            {"communities": (NO_EXPORT,)},
            {"asn": 65009, "export_policy": "accept-all"},
            "a community forbids it",
        ),
        (
            {"local_pref": 5},
            {"asn": 65009, "export_policy": "picky"},
            "export policy picky: no tens",
        ),
    ],
)
def test_a_peer_that_does_not_get_the_route_is_shown_with_the_reason(
    world, attributes, changes, reason
):
    tens = prefix_match(Operator.IN, "10.0.0.0/8")
    no_tens = Term("no tens", Outcome.REJECT, Match(prefixes=tens))
    world.speaker.policies.replace(
        [PolicySpec("picky", (no_tens,), accepts_unmatched=True)]
    )
    world.announce(world.up("from", "192.0.2.1"), "10.0.0.0/8", **attributes)
    world.up("to", "198.51.100.1", **changes)
    (row,) = world.ask("show-route", prefix="10.0.0.0/8")
    withheld = {
        answer["peers"][0]: answer["reason"] for answer in row["not_advertised"]
    }
    assert withheld["to"].startswith(reason)
    assert row["advertised"] == []
    assert world.ask("show-routes", advertised_to="to") == []


def test_a_route_leak_is_named(world):
    source = world.up("from", "192.0.2.1")
    rib = source.ribs_in[IPV4_UNICAST]
    found = make_attributes(next_hop=parse_address("192.0.2.1"), otc=65009)
    rib.announce(rib.outcomes.decide("key", found), nlris("10.0.0.0/8"))
    world.up("to", "198.51.100.1", 65001, export_policy="accept-all", role="customer")
    (row,) = world.ask("show-route", prefix="10.0.0.0/8")
    withheld = {
        answer["peers"][0]: answer["reason"] for answer in row["not_advertised"]
    }
    assert withheld["to"].startswith("OTC would make it a route leak")


def test_an_ipv4_next_hop_cannot_be_advertised_for_ipv6(world):
    world.up("to", "192.0.2.9", is_client=True)
    family, key = IPV6_UNICAST, parse_prefix("fd00::/64")[1]
    world.speaker.local_routes.originate(
        family, [key], make_attributes(next_hop=parse_address("192.0.2.1"))
    )
    (row,) = world.ask("show-route", prefix="fd00::/64")
    assert (
        row["not_advertised"][0]["reason"]
        == "its next hop cannot be advertised in this family"
    )
    assert row["paths"][0]["source"] == "local"


# -- kernel, groups, status -------------------------------------------------------------


@pytest.fixture
def with_fib(world: World) -> World:
    kernel = MemoryKernel()
    fib = MemoryFib(kernel)
    world.loop.run_until_complete(fib.start())
    good = Target(hops=(Hop(parse_address("192.0.2.1"), "eth0"),))
    bad = Target(hops=(Hop(parse_address("192.0.2.2")),))
    kernel.refusals[bad] = Fault(101, "Network is unreachable")
    fib.submit(IPV4_UNICAST, nlris("10.1.0.0/16", "10.2.0.0/16"), good)
    fib.submit(IPV4_UNICAST, nlris("10.3.0.0/16"), bad)
    world.view = DaemonView(world.speaker, 0.0, kernel=AKernel(fib))
    return world


def test_kernel_routes_tell_state_and_error(with_fib):
    rows = by(with_fib.ask("show-fib"), "prefix")
    assert rows.keys() == {"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"}
    assert rows["10.1.0.0/16"]["state"] == "installed"
    assert rows["10.1.0.0/16"]["hops"] == [
        {
            "gateway": "192.0.2.1",
            "interface": "eth0",
            "is_onlink": False,
            "weight": 1,
        }
    ]
    assert rows["10.3.0.0/16"]["state"] == "failed"
    assert rows["10.3.0.0/16"]["error"] == "Network is unreachable"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({"state": "failed"}, 1),
        ({"state": "stale"}, 0),
        ({"prefix": "10.1.0.0/16"}, 1),
        ({"limit": 2}, 2),
        ({"family": "ipv6"}, 0),
    ],
)
def test_kernel_routes_are_filtered(with_fib, arguments, count):
    assert len(with_fib.ask("show-fib", **arguments)) == count


@pytest.mark.parametrize(
    "arguments",
    [{"state": "x"}, {"family": "x"}, {"prefix": "fd00::/8", "family": "ipv4"}],
)
def test_wrong_questions_about_kernel_routes_are_errors(with_fib, arguments):
    assert refusal(with_fib, "show-fib", **arguments).code == "bad-argument"


def test_without_kernel_routes_the_answer_says_so(world):
    assert refusal(world, "show-fib").code == "no-fib"


def test_an_explanation_tells_the_kernels_part(with_fib):
    peer = with_fib.up("peer", "192.0.2.1")
    with_fib.announce(peer, "10.3.0.0/16", "10.4.0.0/16")
    (row,) = with_fib.ask("show-route", prefix="10.3.0.0/16")
    assert row["fib"]["error"] == "Network is unreachable"
    (row,) = with_fib.ask("show-route", prefix="10.4.0.0/16")
    assert row["fib"] is None


def test_groups_show_which_peers_receive_the_same_routes(full):
    rows = full.ask("show-groups", family="ipv4")
    members = {tuple(row["members"]): row for row in rows}
    assert members.keys() == {("one", "two"), ("outside",)}
    clients = members["one", "two"]
    assert clients["peer_type"] == "route-reflector client"
    assert clients["cluster_id"] == "192.0.2.254"
    assert clients["slow_peers"] == []
    assert members["outside",]["policy"] == "ebgp-default-deny"
    assert refusal(full, "show-groups", family="x").code == "bad-argument"


def test_a_member_that_is_behind_is_named_with_what_it_misses(full):
    full.speaker.peers["192.0.2.1"].writing_paused()
    two = full.speaker.peers["192.0.2.2"]
    full.speaker.tables[IPV4_UNICAST].flush_now()
    full.announce(two, "20.0.0.0/8", "21.0.0.0/8")
    full.speaker.tables[IPV4_UNICAST].flush_now()
    rows = full.ask("show-groups", family="ipv4")
    (behind,) = [who for row in rows for who in row["slow_peers"]]
    assert behind["peer"] == "one"
    assert behind["pending"] >= 2
    peers = by(full.ask("show-peers"), "name")
    assert by(peers["one"]["families"], "family")["ipv4-unicast"]["is_slow"] is True


def test_status_tells_the_whole(full):
    template = PeerSettings("", "", 0, LOCAL_AS)
    full.speaker.neighbours.set_range(RangeSettings("pods", "10.0.0.0/8", 50, template))
    row = full.ask("show-status")
    assert (row["router_id"], row["as"]) == ("192.0.2.254", LOCAL_AS)
    assert row["uptime"] in (75, 76)
    assert row["peers"]["total"] == 3
    assert row["ranges"] == [
        {"name": "pods", "prefix": "10.0.0.0/8", "peers": 0, "limit": 50}
    ]
    families = by(row["families"], "family")
    assert families["ipv4-unicast"]["prefixes"] == 4
    assert families["ipv4-unicast"]["paths"] == 5
    assert row["memory"] > 1 << 20
    assert (row["fib"], row["datastore"], row["loop_lag"]) == (None, None, None)
    assert row["warnings"] == []


def test_status_of_a_daemon_with_everything(with_fib):
    class Late(LagMeter):
        def worst(self, window: float = 0.0) -> float:  # noqa: ARG002 - as its parent
            return 0.0123

    status = Status("etcd", "https://e:2379", True, 7, 9, warnings=("bad pool",))
    lag = Late(with_fib.loop)
    with_fib.view = DaemonView(
        with_fib.speaker,
        0.0,
        kernel=with_fib.view.kernel,
        cluster=ACluster(status=status),
        process=AProcess("n1", asn=65000, lines=["clock skew"]),
        lag=lag,
    )
    row = with_fib.ask("show-status")
    lag.close()
    assert (row["as"], row["node"], row["loop_lag"]) == (65000, "n1", 0.0123)
    assert row["fib"]["failed"] == 1
    assert row["fib"]["is_synced"] is True
    assert row["datastore"]["lag_revisions"] == 2
    assert row["datastore"]["warnings"] == ["bad pool"]
    assert row["warnings"] == ["clock skew"]


def test_status_of_an_empty_speaker(world):
    assert world.ask("show-status")["as"] is None


# -- changes ----------------------------------------------------------------------------


def test_changes_reach_the_daemon_with_the_peers_address(world):
    world.peer("p", "192.0.2.1")
    told = Told()
    world.view = DaemonView(world.speaker, 0.0, actions=told)
    assert world.ask("reset", peer="p") == {"lines": ["reset 192.0.2.1"]}
    world.ask("reset", peer="192.0.2.1", kind="soft-in")
    assert world.ask("reload")["lines"] == ["peer a: added", "peer b: reset"]
    world.ask("disable-peer", peer="p", text="maintenance")
    world.ask("enable-peer", peer="p")
    world.ask("shutdown", text="moved", flush=True)
    world.ask("shutdown")
    assert told.calls == [
        ("reset", "192.0.2.1", ResetKind.SESSION),
        ("reset", "192.0.2.1", ResetKind.SOFT_IN),
        ("reload",),
        ("disable", "192.0.2.1", "maintenance"),
        ("enable", "192.0.2.1"),
        ("shutdown", "moved", True),
        ("shutdown", "", False),
    ]


@pytest.mark.parametrize(
    ("command", "arguments", "code"),
    [
        ("reset", {"peer": "q"}, "no-such-peer"),
        ("reset", {"peer": "p", "kind": "softly"}, "bad-argument"),
        ("reset", {}, "missing-argument"),
        ("disable-peer", {"peer": "p", "text": "ä" * 128}, "bad-argument"),
        ("shutdown", {"text": "ä" * 128}, "bad-argument"),
    ],
)
def test_wrong_changes_are_errors_and_nothing_happens(world, command, arguments, code):
    world.peer("p", "192.0.2.1")
    told = Told()
    world.view = DaemonView(world.speaker, 0.0, actions=told)
    assert refusal(world, command, **arguments).code == code
    assert told.calls == []


def test_a_daemon_without_actions_is_read_only(world):
    assert refusal(world, "reload").code == "read-only"


# -- what is shown is what was sent -----------------------------------------------------


class Wire:
    """Takes what is written to a peer; it replaces the connection."""

    def __init__(self) -> None:
        self.octets = bytearray()

    def write(self, buffers: Sequence[bytes]) -> bool:
        for octets in buffers:
            self.octets += octets
        return True

    def updates(self) -> list[bytes]:
        return [body for kind, body in Framer().feed(bytes(self.octets)) if kind == 2]


@pytest.mark.parametrize("families", [None, AddPathMode.BOTH])
def test_what_is_shown_as_told_is_what_the_peer_received(full, families):
    changes: dict[str, Any] = {}
    if families is not None:
        changes["families"] = (FamilySettings(IPV4_UNICAST, families),)
    receiver = full.up("receiver", "192.0.2.77", is_client=True, **changes)
    wire = receiver.driver._established = Wire()
    full.announce(full.speaker.peers["192.0.2.1"], "10.5.0.0/16", local_pref=7, med=3)
    full.loop.run_until_complete(advance(0.05))
    other = World("192.0.2.77")
    try:
        sender = other.up("sender", "192.0.2.254", **changes)
        sender.updates_received(wire.updates())
        received = other.ask("show-routes", received_from="sender")
        told = full.ask("show-routes", advertised_to="receiver")
        assert len(told) == (6 if families is not None else 5)
        order = sorted((r["prefix"], json.dumps(r["attributes"])) for r in told)
        assert order == sorted(
            (r["prefix"], json.dumps(r["attributes"])) for r in received
        )
    finally:
        other.close()


def test_a_long_lived_stale_route_is_not_sent_to_a_peer_that_does_not_know_it(world):
    world.announce(
        world.up("from", "192.0.2.1", is_client=True),
        "10.0.0.0/8",
        communities=(0xFFFF0006,),
    )
    world.up("to", "192.0.2.2", is_client=True)
    (row,) = world.ask("show-route", prefix="10.0.0.0/8")
    withheld = {
        answer["peers"][0]: answer["reason"] for answer in row["not_advertised"]
    }
    assert withheld["to"].startswith("it is long-lived stale")


def test_as_many_routes_are_advertised_as_are_listed(world):
    """Own routes are cut out, and add-path has several of a prefix."""
    one = world.up("one", "192.0.2.1", is_client=True)
    two = world.up("two", "192.0.2.2", is_client=True)
    world.up("three", "192.0.2.3")
    world.up("four", "192.0.2.4")
    world.up("out", "192.0.2.5", 65001)
    prefixes = [f"10.{number}.0.0/16" for number in range(9)]
    world.announce(one, *prefixes[:6], med=5)
    world.announce(two, *prefixes[4:], med=1)
    counted = {row["name"]: row["advertised"] for row in world.ask("show-peers")}
    for name, count in counted.items():
        listed = world.ask("show-routes", advertised_to=name)
        assert count == len(listed), name
        page = world.ask("show-peer", peer=name)
        assert page["advertised"] == page["families"][0]["advertised"] == count
    assert counted["one"] == 5
    assert counted["two"] == 4
    assert counted["three"] == 9
    assert counted["out"] == 0
