from typing import Any

import pytest

from bgpd.cli.details import _way, route_page, status_page
from bgpd.cli.fleet import FLEET_STATUS
from bgpd.cli.layout import Column
from bgpd.cli.tables import (
    FIB,
    GROUPS,
    MEASURED,
    PEERS,
    duration,
    field,
    plain,
    print_table,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (86399, "23h59m"),
        (86400, "1d0h"),
        (90000, "1d1h"),
    ],
)
def test_a_duration_is_shown_in_two_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("", ""),
        (0, "0"),
        (True, "yes"),
        (False, "no"),
        ([1, "a", None], "1 a "),
        ({"a": 1, "b": False}, "a=1 b=no"),
    ],
)
def test_any_value_is_a_cell(value, text):
    assert plain(value) == text


def test_widths_come_from_the_first_rows_and_later_ones_stream(capsys):
    taken = 0

    def rows():
        nonlocal taken
        for number in range(MEASURED + 2):
            taken += 1
            yield {"n": "x" * 50 if number > MEASURED else number, "t": "end"}

    print_table((field("N", "n", is_number=True), field("T", "t")), rows())
    lines = capsys.readouterr().out.splitlines()
    assert taken == MEASURED + 2
    assert lines[0] == "  N  T"
    assert lines[1] == "  0  end"
    assert lines[-1] == "x" * 50 + "  end"


def cell(columns: tuple[Column, ...], title: str, row: dict[str, Any]) -> str:
    (column,) = [column for column in columns if column.title == title]
    return column.text(row)


PEER: dict[str, Any] = {
    "is_enabled": True,
    "state": "Established",
    "families": [{"pending": 0}, {"pending": 3}],
    "next_retry": None,
    "last_attempt": None,
    "last_reset": "old story",
    "import_policy": "accept-all",
    "export_policy": "accept-all",
}
DENIES = "ebgp-default-deny"
NO_POLICY = "no policy: nothing is accepted, nothing is advertised (RFC 8212)"


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({}, "3 changes pending"),
        ({"families": []}, ""),
        ({"is_enabled": False}, "disabled"),
        (
            {"state": "Active", "next_retry": 4.2, "last_attempt": "refused"},
            "refused; next try in 4s",
        ),
        ({"state": "Active"}, "last reset: old story"),
        ({"state": "OpenSent", "last_reset": None}, ""),
        ({"state": "Idle", "last_reset": None, "next_retry": 61}, "next try in 1m01s"),
        (
            {"families": [], "import_policy": DENIES},
            "no import policy: nothing is accepted (RFC 8212)",
        ),
        (
            {"families": [], "export_policy": DENIES},
            "no export policy: nothing is advertised (RFC 8212)",
        ),
        (
            {"import_policy": DENIES, "export_policy": DENIES},
            f"3 changes pending; {NO_POLICY}",
        ),
    ],
)
def test_a_peers_remark_says_what_matters_now(changes, remark):
    assert cell(PEERS, "REMARK", PEER | changes) == remark


@pytest.mark.parametrize(("most", "text"), [(None, "off"), (0, "all"), (4, "4")])
def test_add_path_of_a_group_is_shown(most, text):
    assert cell(GROUPS, "ADD-PATH", {"add_path_max": most}) == text


def test_slow_peers_are_shown_with_their_pending_changes():
    row = {"slow_peers": [{"peer": "a", "pending": 1, "pending_walk": 2}]}
    assert cell(GROUPS, "SLOW PEERS", row) == "a (3)"


def test_next_hops_are_shown_in_the_order_of_ip_route():
    hops = [{"gateway": "192.0.2.1", "interface": "eth0"}]
    hops.append({"gateway": "", "interface": "tunl0"})
    row = {"kind": "unicast", "hops": hops}
    assert cell(FIB, "TO", row) == "192.0.2.1 dev eth0, tunl0"


def test_a_route_used_with_others_says_so():
    path: dict[str, Any] = {
        "peer": "a",
        "is_best": True,
        "changed": "2026-11-30T12:00:00.000Z",
        "changed_is_exact": True,
        "age": 61,
        "is_multipath": True,
        "is_stale": False,
        "reason": "best",
        "weight": 0,
        "path_id": 0,
        "next_hop": {"address": None, "is_reachable": True, "metric": 0},
        "attributes": {"origin": "IGP"},
        "pre_policy_attributes": None,
    }
    far = {"address": "192.0.2.7", "is_reachable": False, "metric": 20}
    other = {"peer": "b", "is_best": False, "reason": "higher peer address"}
    stale = {"is_stale": True, "next_hop": far, "path_id": 3}
    row = {
        "prefix": "10.0.0.0/8",
        "requested": "10.0.0.0/8",
        "family": "ipv4-unicast",
        "best": "a",
        "multipath": ["a", "b"],
        "paths": [path, path | other | stale],
        "filtered": [],
        "advertised": [
            {
                "peers": [f"p{n}" for n in range(10)],
                "peer_type": "eBGP peer",
                "from": "a",
                "attributes": {"as_path": "1 2"},
            }
        ],
        "not_advertised": [],
        "uses_kernel": False,
        "fib": None,
    }
    page = "\n".join(route_page(row))
    assert "selected: a; used together: a, b" in page
    assert "path 1 of 2, from a: selected\n  next hop: this node" in page
    assert "higher peer address, but used with it (ECMP), stale" in page
    assert "192.0.2.7 UNREACHABLE, metric 20" in page
    assert "advertised to p0, p1, p2, p3, p4, p5, p6, p7 and 2 more (eBGP peer)" in page
    assert page.endswith("kernel: not used")


def test_a_next_hop_shows_the_routes_that_lead_there_or_back():
    hop = {"gateway": "10.0.0.2", "interface": "eth0"}
    link = {"gateway": None, "interface": "eth1"}
    here = {"address": "192.0.2.7", "is_reachable": True, "metric": 0}
    assert (
        _way(here | {"resolved_through": [], "hops": [hop], "resolution_loop": None})
        == ""
    )
    through = ["192.0.2.7/32", "198.51.100.0/24"]
    assert _way(
        here
        | {"resolved_through": through, "hops": [hop, link], "resolution_loop": None}
    ) == (", by 192.0.2.7/32, 198.51.100.0/24: via 10.0.0.2 dev eth0; dev eth1")
    assert _way(
        here | {"resolved_through": [], "hops": [], "resolution_loop": "192.0.2.7/32"}
    ) == (": 192.0.2.7/32 leads back to it, and nothing else leads there")


def test_status_tells_of_a_datastore_in_trouble():
    row = {
        "version": "1",
        "python": "3",
        "event_loop": "uvloop",
        "build": "pure Python",
        "node": None,
        "router_id": "192.0.2.1",
        "cluster_id": "192.0.2.1",
        "as": 1,
        "started_at": "then",
        "uptime": 5,
        "listening": [{"address": "::", "port": 179}],
        "rejected_connections": 0,
        "peers": {"total": 0, "established": 0},
        "ranges": [{"prefix": "10.0.0.0/8", "peers": 1, "limit": 9}],
        "families": [],
        "background_jobs": 0,
        "fib": None,
        "datastore": {
            "kind": "etcd",
            "source": "https://e:2379",
            "is_connected": False,
            "since": "noon",
            "applied_revision": 7,
            "lag_revisions": 2,
            "saved_at": "yesterday",
            "last_error": "connection refused",
            "warnings": ["node b: no address"],
        },
        "loop_lag": 0.0015,
        "memory": None,
        "warnings": [],
    }
    page = "\n".join(status_page(row))
    assert (
        "etcd https://e:2379 NOT CONNECTED since noon, revision 7 (2 not applied yet)"
        in page
    )
    assert "in force: the state saved at yesterday" in page
    assert "last error: connection refused" in page
    assert "node b: no address" in page
    assert "1.5 ms" in page
    assert ":: port 179" in page
    assert "1 of 9 peers" in page


def test_a_node_of_a_fleet_that_is_starting_says_what_it_waits_for() -> None:
    row = {"is_started": False, "awaited": "etcd: nothing listens there"}
    assert cell(FLEET_STATUS, "REMARK", row) == "starting: etcd: nothing listens there"
    assert cell(FLEET_STATUS, "REMARK", {"is_started": True}) == ""
