"""Traffic leaves a gateway before its sessions end, and comes back with the same routes (RFC 8326)."""

from dataclasses import replace

import pytest

from tests.support.routers import a_lab, eventually, maker, our_daemon

OURS = "10.1.0.0/24"
ONE, TWO = "10.0.0.1", "10.0.0.2"
TEXT = "new fans"
LAB = """
nodes:
  one:
    addresses: [10.0.0.1/24]
    router:
      {{kind: pybgpd, as: 65001, originate: [10.1.0.0/24], hold_time: 9, fib: false,
        neighbours: [{{node: out}}, {{node: two, next_hop_self: true}}]}}
  two:
    addresses: [10.0.0.2/24]
    router:
      {{kind: pybgpd, as: 65001, originate: [10.1.0.0/24], hold_time: 9, fib: false,
        neighbours: [{{node: out}}, {{node: one, next_hop_self: true}}]}}
gateways:
  out:
    addresses: [10.0.0.3/24]
    router:
      {{kind: {kind}, as: {asn}, originate: [10.2.0.0/24], hold_time: 9,
        neighbours: [{{node: one}}, {{node: two}}]}}
"""
INTERNAL, EXTERNAL = 65001, 65002


def ways(out):
    """Return all routes to our prefix, by who told it."""
    found = out.routes().get(OURS, ())
    return {view.from_addr: replace(view, is_best=False) for view in found}


def hops(lab):
    """Return where the kernel of the router outside sends packets for our prefix."""
    shown = lab.namespace("out").run(["ip", "route", "show", OURS])
    return {addr for addr in (ONE, TWO) if f"via {addr} " in f"{shown} "}


def drained(one):
    (row,) = one.ask("show-drain")
    return row


@pytest.mark.parametrize(
    ("kind", "asn"),
    [
        pytest.param("frr", EXTERNAL, marks=maker("frr").marks, id="frr-ebgp"),
        pytest.param("bird", INTERNAL, marks=maker("bird").marks, id="bird-ibgp"),
        pytest.param("gobgp", INTERNAL, marks=maker("gobgp").marks, id="gobgp-ibgp"),
    ],
)
def test_gateways_move_to_the_other_path_before_a_drained_session_ends(kind, asn):
    with a_lab(LAB.format(kind=kind, asn=asn)) as lab:
        one, out = our_daemon(lab, "one"), lab.routers["out"]
        assert eventually(lambda: ways(out).keys() == {ONE, TWO})
        assert eventually(lambda: "10.2.0.0/24" in one.routes())
        before = ways(out)
        has_kernel = kind != "gobgp"
        if has_kernel:  # FRR uses both at once (ECMP) on eBGP
            assert eventually(lambda: ONE in hops(lab))
        wait = 30 if kind == "frr" else 3  # else time ends it, which is quicker
        one.ask("drain", peer=["10.0.0.3"], text=TEXT, wait=wait, shutdown=True)
        assert eventually(lambda: next(iter(out.routes()[OURS])).from_addr == TWO)
        if has_kernel:
            assert eventually(lambda: hops(lab) == {TWO})
        # The other way is in use, and the session is up yet.
        assert out.sessions()[ONE].is_established
        assert drained(one)["state"] == "draining"
        if asn == EXTERNAL:
            assert eventually(lambda: one.routes()["10.2.0.0/24"][0].from_addr == TWO)
        assert eventually(lambda: drained(one)["state"] == "shut down", 20)
        assert eventually(lambda: not out.sessions()[ONE].is_established)
        assert hops(lab) == {TWO} or not has_kernel

        if kind == "frr":
            one.ask("undrain", peer=["10.0.0.3"])
            assert eventually(lambda: ways(out) == before, 20)


@pytest.mark.parametrize("kind", [maker("bird")])
def test_a_drain_outlives_a_restart(kind):
    with a_lab(LAB.format(kind=kind, asn=EXTERNAL)) as lab:
        one, out = our_daemon(lab, "one"), lab.routers["out"]
        assert eventually(lambda: ways(out).keys() == {ONE, TWO})
        before = ways(out)
        one.ask("drain", all=True)

        def is_marked():
            view = ways(out).get(ONE)
            return view is not None and len(view.communities) == 1

        assert eventually(is_marked)
        assert not ways(out)[TWO].communities
        one.stop()
        assert eventually(lambda: not out.sessions()[ONE].is_established)
        one.start()
        one.wait_ready()
        assert eventually(lambda: out.sessions()[ONE].is_established)
        assert eventually(is_marked)
        (status,) = one.ask("show-status")
        assert status["drain"]["all"]
        one.ask("undrain", all=True)
        assert eventually(lambda: ways(out) == before)
