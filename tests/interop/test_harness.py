"""Other makers with each other: what the lab says of them is true.

Each maker is the client of a reflecting BIRD, with a second client and an eBGP gateway
beside it, so that our tests against one of them can trust its driver.
"""

import pytest

from tests.support.routers import a_lab, eventually, maker, needs

LAB = """
nodes:
  rr:
    addresses: [10.0.0.1/24, "fd00::1/64"]
    router:
      {{kind: bird, as: 65001, cluster_id: 1.1.1.1, neighbours: [
        {{node: one, families: [ipv4, ipv6], client: true, password: {key}}},
        {{node: two, families: [ipv4, ipv6], client: true}}, {{node: gw}}]}}
  one:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router:
      {{kind: {kind}, as: 65001, originate: [10.2.0.0/24, "fd02::/64"],
        neighbours: [{{node: rr, families: [ipv4, ipv6], password: {key}}}]}}
  two:
    addresses: [10.0.0.3/24, "fd00::3/64"]
    router:
      {{kind: bird, as: 65001, originate: [10.3.0.0/24, "fd03::/64"],
        neighbours: [{{node: rr, families: [ipv4, ipv6]}}]}}
gateways:
  gw:
    addresses: [10.0.0.4/24]
    router: {{kind: bird, as: 65004, originate: [10.4.0.0/24], neighbours: [{{node: rr}}]}}
"""
OTHERS = [maker(kind) for kind in ("bird3", "frr", "gobgp", "openbgpd", "exabgp")]

pytestmark = needs("bird")


@pytest.mark.parametrize("kind", OTHERS)
def test_a_driver_shows_what_its_router_learned(kind):
    with a_lab(LAB.format(kind=kind, key="''")) as lab:
        one, two = lab.routers["one"], lab.routers["two"]
        wanted = {"10.3.0.0/24", "10.4.0.0/24"}
        assert eventually(lambda: set(one.routes()) == wanted)
        assert eventually(lambda: set(one.routes("ipv6")) == {"fd03::/64"})

        (reflected,) = one.routes()["10.3.0.0/24"]
        assert reflected.next_hop == "10.0.0.3"
        assert reflected.from_addr == "10.0.0.1"
        assert reflected.originator_id == "10.0.0.3"
        assert reflected.cluster_list == ("1.1.1.1",)
        assert reflected.local_pref == 100
        assert reflected.is_best
        (external,) = one.routes()["10.4.0.0/24"]
        assert external.as_path == (65004,)
        assert one.routes("ipv6")["fd03::/64"][0].next_hop == "fd00::3"

        assert eventually(lambda: "fd02::/64" in two.routes("ipv6"))
        assert two.routes("ipv6")["fd02::/64"][0].next_hop == "fd00::2"
        assert eventually(lambda: "10.2.0.0/24" in two.routes())

        one.originate("10.9.0.0/24")
        assert eventually(lambda: "10.9.0.0/24" in two.routes())
        one.withdraw("10.9.0.0/24")
        assert eventually(lambda: "10.9.0.0/24" not in two.routes())
        two.withdraw("10.3.0.0/24")
        assert eventually(lambda: "10.3.0.0/24" not in one.routes())
        one.refresh("10.0.0.1")

        one.stop()
        reflector = lab.routers["rr"]
        assert eventually(lambda: not reflector.sessions()["10.0.0.2"].is_established)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_driver_sets_md5_keys(kind):
    with a_lab(LAB.format(kind=kind, key="secret")) as lab:
        lab.routers["one"].wait_established()
        assert eventually(lambda: "10.2.0.0/24" in lab.routers["two"].routes())
