"""A node whose daemon is killed or stopped, and started again, loses no packet.

A pod behind our node pings what is behind its neighbour, 100 times a second in either IP
version: the way there is our kernel's, the way back the neighbour's.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bgpd.lab.lab import Lab
from bgpd.lab.probe import Probe
from bgpd.lab.routers.base import Router
from bgpd.lab.routers.pybgpd import PyBgpd
from tests.support.routers import a_lab, eventually, has_routes, maker

pytestmark = pytest.mark.slow
LAB = """
nodes:
  ours:
    addresses: [10.0.0.1/24, "fd00::1/64"]
    router:
      {{kind: pybgpd, as: 65001, originate: [10.1.0.0/24, "fd01::/64"],
        neighbours: [{{node: theirs}}, {{node: theirs, families: [ipv6]}}{more}],
        config: {config}}}
    pods:
      - {{name: pod4, address: 10.1.0.5, block: 10.1.0.0/24}}
      - {{name: pod6, address: "fd01::5", block: "fd01::/64"}}
  theirs:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    loopback: [10.2.0.1/32, "fd02::1/128"]
    router:
      {{kind: {kind}, as: 65001, originate: [10.2.0.0/24, "fd02::/64"],
        preserving: true,
        neighbours: [{{node: ours}}, {{node: ours, families: [ipv6]}}]}}
"""
KINDS = [maker(kind) for kind in ("bird", "frr", "pybgpd")]
THEIRS = ("10.2.0.0/24", "fd02::/64")
OURS = ("10.1.0.0/24", "fd01::/64")
ENDS: dict[str, Callable[[Router], None]] = {
    "killed": Router.kill,
    "ended": Router.stop,
}


def installed(lab: Lab, name: str) -> set[str]:
    """Return the prefixes that a machine's kernel has a route of BGP for."""
    namespace = lab.namespace(name)
    lines = [
        line
        for version in ("-4", "-6")
        for line in namespace.run(["ip", version, "route"]).splitlines()
    ]
    return {line.split()[0] for line in lines if " proto " in line}


@contextmanager
def pinging(lab: Lab) -> Iterator[dict[str, int]]:
    """Ping all the time; yields the number that was sent and lost, afterwards."""
    found: dict[str, int] = {}
    with (
        Probe(lab.namespace("pod4"), ["10.2.0.1"], interval=0.01) as four,
        Probe(lab.namespace("pod6"), ["fd02::1"], interval=0.01) as six,
    ):
        yield found
        reports = {**four.finish(), **six.finish()}
    for report in reports.values():
        found["sent"] = found.get("sent", 0) + report.sent
        found["lost"] = found.get("lost", 0) + report.lost_count


@contextmanager
def a_pair(kind: str, more: str = "", config: str = "{}") -> Iterator[Lab]:
    with a_lab(LAB.format(kind=kind, more=more, config=config)) as lab:
        assert eventually(lambda: has_routes(lab.routers["ours"], *THEIRS))
        assert eventually(lambda: has_routes(lab.routers["theirs"], *OURS))
        assert eventually(lambda: installed(lab, "ours") >= set(THEIRS))
        assert eventually(lambda: installed(lab, "theirs") >= set(OURS))
        yield lab


def is_recovered(router: Router) -> bool:
    return "restart completed" in router.log_path.read_text().rpartition("started:")[2]


def is_down(router: Router) -> bool:
    return not any(view.is_established for view in router.sessions().values())


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_our_daemon(kind, end):
    with a_pair(kind) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        assert isinstance(ours, PyBgpd)
        with pinging(lab) as pings:
            ENDS[end](ours)
            assert eventually(lambda: is_down(theirs))
            time.sleep(1)
            assert has_routes(theirs, *OURS)
            ours.start()
            ours.wait_ready()
            ours.wait_established()
            assert eventually(lambda: is_recovered(ours))
            assert eventually(lambda: has_routes(theirs, *OURS))
            assert eventually(lambda: has_routes(ours, *THEIRS))
            assert eventually(lambda: not ours.ask("show-fib", state="stale"))
            time.sleep(1)
        assert pings["lost"] == 0
        assert pings["sent"] > 400


@pytest.mark.parametrize("kind", KINDS)
def test_the_neighbour_s_daemon(kind):
    with a_pair(kind) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        with pinging(lab) as pings:
            theirs.kill()
            assert eventually(lambda: is_down(ours))
            time.sleep(1)
            assert has_routes(ours, *THEIRS)
            theirs.start()
            theirs.wait_ready()
            ours.wait_established()
            assert eventually(lambda: has_routes(theirs, *OURS), 20)
            assert eventually(lambda: has_routes(ours, *THEIRS), 20)
            time.sleep(1)
        assert pings["lost"] == 0
        assert pings["sent"] > 400
