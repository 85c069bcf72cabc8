"""What is negotiated beyond the plain session, against makers that speak it too."""

import json
import re

import pytest

from tests.support.routers import (
    a_lab,
    eventually,
    has_none_of,
    has_routes,
    maker,
    needs,
    shown_peer,
)

ADD_PATH = """
nodes:
  rr:
    addresses: [10.0.0.1/24]
    router:
      {{kind: {reflector}, as: 65001, fib: false, cluster_id: 1.1.1.1,
        neighbours: [{{node: a, client: true}}, {{node: b, client: true}},
                     {{node: c, client: true, add_path: true}}]}}
  a:
    addresses: [10.0.0.2/24]
    router:
      {{kind: bird, as: 65001, fib: false, originate: [10.9.0.0/24, 10.2.0.0/24],
        neighbours: [{{node: rr}}]}}
  b:
    addresses: [10.0.0.3/24]
    router:
      {{kind: bird, as: 65001, fib: false, originate: [10.9.0.0/24],
        neighbours: [{{node: rr}}]}}
  c:
    addresses: [10.0.0.4/24]
    router:
      {{kind: {client}, as: 65001, fib: false, originate: [10.4.0.0/24],
        neighbours: [{{node: rr, add_path: true}}]}}
"""
ADD_PATH_PAIRS = [
    pytest.param(*pair, marks=[needs(pair[0]), needs(pair[1])], id="-".join(pair))
    for pair in (
        ("pybgpd", "bird"),
        ("pybgpd", "gobgp"),
        ("pybgpd", "frr"),
        ("bird", "pybgpd"),
        ("gobgp", "pybgpd"),
        ("frr", "pybgpd"),
    )
]


@needs("bird")
@pytest.mark.parametrize(("reflector", "client"), ADD_PATH_PAIRS)
def test_add_path_advertises_all_paths(reflector, client):
    with a_lab(ADD_PATH.format(reflector=reflector, client=client)) as lab:
        a, b, c = (lab.routers[name] for name in "abc")

        def hops():
            return {view.next_hop for view in c.routes().get("10.9.0.0/24", ())}

        assert eventually(lambda: hops() == {"10.0.0.2", "10.0.0.3"})
        assert eventually(lambda: has_routes(a, "10.4.0.0/24"))
        a.withdraw("10.9.0.0/24")
        assert eventually(lambda: hops() == {"10.0.0.3"})
        b.withdraw("10.9.0.0/24")
        assert eventually(lambda: has_none_of(c, "10.9.0.0/24"))
        assert has_routes(c, "10.2.0.0/24"), "nothing else went"
        c.withdraw("10.4.0.0/24")
        assert eventually(lambda: has_none_of(a, "10.4.0.0/24"))


PREFIX_COUNT = 1280  # IPv6 /128: 21,760 octets, six messages of 4,096 at least
SHORT_COUNT = 6
MANY = """
nodes:
  ours:
    addresses: [10.0.0.1/24, "fd00::1/64"]
    router: {{kind: pybgpd, as: 65001, fib: false, originate: [{ours}], neighbours: [
              {{node: theirs, families: [ipv6], extended_message: {extended}}}]}}
  theirs:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router: {{kind: {kind}, as: 65001, fib: false, originate: [{theirs}], neighbours: [
              {{node: ours, families: [ipv6], extended_message: {extended}}}]}}
"""


def many(*, kind: str, extended: str) -> str:
    ours, theirs = (
        ", ".join(f'"fd0{side}::{n:x}/128"' for n in range(1, PREFIX_COUNT + 1))
        for side in (1, 2)
    )
    return MANY.format(kind=kind, ours=ours, theirs=theirs, extended=extended)


def show_peer(lab):
    return shown_peer(lab.routers["ours"], "fd00::2")


def learned(lab, kind):
    """Return how many prefixes their side has from ours, and in how many UPDATEs."""
    theirs = lab.routers["theirs"]
    folder = str(theirs.folder)
    if kind == "frr":
        argv = ["vtysh", "--vty_socket", folder, "-d", "bgpd"]
        text = theirs.namespace.run([*argv, "-c", "show bgp neighbors json"])
        peer = json.loads(text)["fd00::1"]
        family = peer.get("addressFamilyInfo", {}).get("ipv6Unicast", {})
        count = family.get("acceptedPrefixCounter", 0)
        return count, peer["messageStats"]["updatesRecv"]
    argv = ["birdc", "-s", f"{folder}/bird.ctl", "show", "route", "protocol", "n0"]
    text = theirs.namespace.run([*argv, "count"])
    found = re.search(r"(\d+) of \d+ routes .*table master6", text)
    assert found, text
    return int(found[1]), None


def updates_from(kind, *, extended):
    """Let many prefixes pass both ways; return how many UPDATEs each side got."""
    with a_lab(many(kind=kind, extended=extended)) as lab:
        lab.routers["ours"].wait_established()
        assert eventually(lambda: show_peer(lab)["received"] == PREFIX_COUNT)
        assert eventually(lambda: learned(lab, kind)[0] == PREFIX_COUNT)
        row = show_peer(lab)
        wanted = {"true": 65535, "false": 4096}[extended]
        assert row["negotiated"]["max_message_len"] == wanted
        return row["messages"]["update"]["received"], learned(lab, kind)[1]


@needs("frr")
def test_long_messages_go_out():
    _, theirs = updates_from("frr", extended="true")
    assert theirs < SHORT_COUNT


@needs("bird")
def test_long_messages_are_taken_and_short_ones_sent_where_they_must_be():
    # BIRD packs 256 prefixes at a time: just more than a short message holds.
    long, _ = updates_from("bird", extended="true")
    short, _ = updates_from("bird", extended="false")
    assert long < 0.7 * short


OVER_IPV6 = """
nodes:
  ours:
    addresses: ["fd00::1/64"]
    router:
      {{kind: pybgpd, as: 65001, router_id: 1.1.1.1, originate: [10.1.0.0/24, "fd01::/64"],
        neighbours: [{{address: "fd00::2", as: {other_as}, families: [ipv4, ipv6]}}]}}
  theirs:
    addresses: ["fd00::2/64"]
    router:
      {{kind: {kind}, as: {other_as}, router_id: 2.2.2.2, fib: false,
        originate: [10.2.0.0/24, "fd02::/64"],
        neighbours: [{{address: "fd00::1", as: 65001, families: [ipv4, ipv6]}}]}}
"""


@pytest.mark.parametrize("other_as", [65001, 65002], ids=["ibgp", "ebgp"])
@pytest.mark.parametrize("kind", [maker("bird"), maker("frr")])
def test_ipv4_routes_have_ipv6_next_hops(kind, other_as):
    with a_lab(OVER_IPV6.format(kind=kind, other_as=other_as)) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        assert eventually(lambda: has_routes(ours, "10.2.0.0/24", "fd02::/64"))
        assert eventually(lambda: has_routes(theirs, "10.1.0.0/24", "fd01::/64"))
        (there,) = theirs.routes()["10.1.0.0/24"]
        assert there.next_hop == "fd00::1"
        (here,) = ours.routes()["10.2.0.0/24"]
        assert here.next_hop == "fd00::2"
        namespace = lab.namespace("ours")
        assert eventually(
            lambda: "via inet6 fd00::2" in namespace.run(["ip", "-4", "route"])
        )
        theirs.withdraw("10.2.0.0/24")
        assert eventually(lambda: has_none_of(ours, "10.2.0.0/24"))
        assert eventually(
            lambda: "10.2.0.0" not in namespace.run(["ip", "-4", "route"])
        )


AS_TRANS = """
gateways:
  source:
    addresses: [10.0.0.1/24]
    router: {kind: pybgpd, as: 4200000001, fib: false, originate: [10.1.0.0/24],
             neighbours: [{node: ours}]}
  ours:
    addresses: [10.0.0.2/24]
    router: {kind: pybgpd, as: 65002, fib: false,
             neighbours: [{node: source}, {node: old}]}
  old:
    addresses: [10.0.0.3/24]
    router:
      {kind: bird, as: 65003, fib: false, originate: [10.3.0.0/24],
       neighbours: [{node: ours, four_octet_as: false}, {node: far, four_octet_as: false}]}
  far:
    addresses: [10.0.0.4/24]
    router: {kind: pybgpd, as: 65004, fib: false, neighbours: [{node: old}]}
"""


@needs("bird")
def test_long_as_numbers_survive_a_speaker_of_short_ones():
    with a_lab(AS_TRANS) as lab:
        ours, old, far = (lab.routers[name] for name in ("ours", "old", "far"))
        assert eventually(lambda: has_routes(far, "10.1.0.0/24", "10.3.0.0/24"))
        row = shown_peer(ours, "10.0.0.3")
        assert not row["negotiated"]["four_octet_as"]
        assert old.routes()["10.1.0.0/24"][0].as_path == (65002, 4200000001)
        (there,) = far.routes()["10.1.0.0/24"]
        assert there.as_path == (65003, 65002, 4200000001)
        assert far.routes()["10.3.0.0/24"][0].as_path == (65003,)
