"""Limits of what a neighbour is advertised: ours beside BIRD and FRR with theirs."""

from typing import Any

import pytest

from bgpd.lab.routers.frr import Frr
from tests.support.routers import a_lab, eventually, maker, needs, shown_peers

LAB = """
nodes:
  m:
    addresses: [10.0.0.1/24]
    router:
      kind: {kind}
      as: 65000
      fib: false
      connect_retry: 1
      originate: [10.1.0.0/24, 10.1.1.0/24, 10.1.2.0/24]
      neighbours: [{{node: limited}}, {{node: free}}]
      config:
        peers:
          - address: 10.0.0.2
            as: 65002
            connect_retry_time: 1
            export_policy: accept-all
            families: [{{name: ipv4-unicast, max_advertised: 2, {options}}}]
          - {{address: 10.0.0.3, as: 65003, export_policy: accept-all}}
  limited:
    addresses: [10.0.0.2/24]
    router: {{kind: {other}, as: 65002, fib: false, neighbours: [{{node: m}}]}}
  free:
    addresses: [10.0.0.3/24]
    router: {{kind: pybgpd, as: 65003, fib: false, neighbours: [{{node: m}}]}}
"""
PREFIXES = ("10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24")


def heard(router: Any) -> set[str]:
    return {prefix for prefix in PREFIXES if prefix in router.routes()}


def limited(router: Any) -> dict[str, Any]:
    return next(row for row in shown_peers(router) if row["address"] == "10.0.0.2")


@needs("frr")
@pytest.mark.parametrize("kind", [maker("frr"), "pybgpd"])
def test_no_more_is_advertised_until_there_is_room(kind: str) -> None:
    with a_lab(LAB.format(kind=kind, other="pybgpd", options="")) as lab:
        m, to, free = (lab.routers[name] for name in ("m", "limited", "free"))
        if isinstance(m, Frr):
            words = "neighbor 10.0.0.2 maximum-prefix-out 2"
            m.configure("address-family ipv4 unicast", words)
            m.reset("10.0.0.2")
        assert eventually(lambda: heard(free) == set(PREFIXES), 30)
        assert eventually(lambda: len(heard(to)) == 2, 30)
        if isinstance(m, Frr):
            return  # what FRR kept back comes with the next session alone
        (kept,) = set(PREFIXES) - heard(to)
        (family,) = limited(m)["families"]
        assert (family["advertised"], family["excess"]) == (2, 1)
        gone = next(iter(heard(to)))
        m.withdraw(gone)
        assert eventually(lambda: heard(to) == set(PREFIXES) - {gone}, 30)
        m.originate(gone)
        assert eventually(lambda: heard(free) == set(PREFIXES), 30)
        assert kept in heard(to)
        speaker: Any = m.speaker
        speaker.config["peers"][0]["families"][0]["max_advertised"] = 3
        reload: Any = m
        reload._reload()
        assert eventually(lambda: heard(to) == set(PREFIXES), 30)
        speaker.config["peers"][0]["families"][0]["max_advertised"] = 1
        reload._reload()
        assert eventually(lambda: len(heard(to)) == 1, 30)
        assert limited(m)["flaps"] == 0


@pytest.mark.parametrize("other", [maker("bird"), maker("frr")])
def test_a_limit_that_disables_ends_the_session(other: str) -> None:
    options = "max_advertised_action: disable"
    with a_lab(LAB.format(kind="pybgpd", other=other, options=options)) as lab:
        m: Any = lab.routers["m"]
        assert eventually(lambda: limited(m)["disabled_by"] == "max_advertised", 60)
        assert "6/4" in limited(m)["last_reset"]
        m.speaker.config["peers"][0]["families"][0]["max_advertised"] = 3
        m._reload()
        assert eventually(lambda: len(heard(lab.routers["limited"])) == 3, 60)
