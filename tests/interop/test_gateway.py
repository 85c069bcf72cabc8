"""Each maker is our eBGP gateway: one session per IP version, as in Calico."""

import pytest

from tests.support.routers import MAKERS, a_lab, eventually, has_none_of, has_routes

LAB = """
nodes:
  one:
    addresses: [10.0.0.1/24, "fd00::1/64"]
    router:
      {{kind: pybgpd, as: 65001, originate: [10.1.0.0/24, "fd01::/64"], hold_time: 3,
        neighbours: [{{node: gw, password: {key}}},
                     {{node: gw, families: [ipv6], password: {key}}}]}}
gateways:
  gw:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router:
      {{kind: {kind}, as: 4200000002, originate: [10.2.0.0/24, "fd02::/64"],
        hold_time: 3, fib: false, graceful_restart: false,
        neighbours: [{{node: one, password: {other_key}}},
                     {{node: one, families: [ipv6], password: {other_key}}}]}}
"""


@pytest.mark.parametrize("kind", MAKERS)
def test_a_gateway_of_every_maker(kind):
    with a_lab(LAB.format(kind=kind, key="''", other_key="''")) as lab:
        one, gw = lab.routers["one"], lab.routers["gw"]
        assert eventually(lambda: has_routes(one, "10.2.0.0/24", "fd02::/64"))
        assert eventually(lambda: has_routes(gw, "10.1.0.0/24", "fd01::/64"))
        (route,) = one.routes()["10.2.0.0/24"]
        assert route.as_path == (4200000002,)
        assert route.next_hop == "10.0.0.2"
        (route,) = gw.routes("ipv6")["fd01::/64"]
        assert route.as_path == (65001,)
        assert route.next_hop == "fd00::1"
        assert route.originator_id is None

        gw.originate("10.9.0.0/24")
        assert eventually(lambda: has_routes(one, "10.9.0.0/24"))
        gw.withdraw("10.9.0.0/24")
        one.withdraw("fd01::/64")
        assert eventually(lambda: has_none_of(one, "10.9.0.0/24"))
        assert eventually(lambda: has_none_of(gw, "fd01::/64"))
        gw.refresh("10.0.0.1")
        if kind != "exabgp":  # whose 4.2.21 drops the session when it is asked
            one.refresh("10.0.0.2")

        lab.set_link("gw", is_up=False)
        assert eventually(lambda: has_none_of(one, "10.2.0.0/24", "fd02::/64"))
        kernel = lab.namespace("one").run(["ip", "route"])
        assert "10.2.0.0/24" not in kernel


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_md5_key_lets_a_session_up_and_another_does_not(kind):
    with a_lab(LAB.format(kind=kind, key="sesame", other_key="sesame")) as lab:
        one, gw = lab.routers["one"], lab.routers["gw"]
        assert eventually(lambda: has_routes(one, "10.2.0.0/24", "fd02::/64"))
        assert eventually(lambda: has_routes(gw, "10.1.0.0/24", "fd01::/64"))
    with a_lab(LAB.format(kind=kind, key="sesame", other_key="poppy")) as lab:
        one = lab.routers["one"]
        assert not eventually(
            lambda: any(view.is_established for view in one.sessions().values()), 3
        )
