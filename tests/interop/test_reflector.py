"""Ours reflects (RFC 4456) between a client of each maker, a second client, and eBGP."""

import pytest

from tests.support.routers import (
    MAKERS,
    a_lab,
    eventually,
    has_none_of,
    has_routes,
    needs,
)

LAB = """
nodes:
  rr:
    addresses: [10.0.0.1/24, "fd00::1/64"]
    router:
      {{kind: pybgpd, as: 65001, cluster_id: 9.9.9.9, fib: false, hold_time: 3,
        neighbours: [
          {{node: one, families: [ipv4, ipv6], client: true}},
          {{node: two, families: [ipv4, ipv6], client: true}},
          {{node: gw}}]}}
  one:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router:
      {{kind: {kind}, as: 65001, hold_time: 3, fib: false, graceful_restart: false,
        originate: [10.2.0.0/24, "fd02::/64"],
        neighbours: [{{node: rr, families: [ipv4, ipv6]}}]}}
  two:
    addresses: [10.0.0.3/24, "fd00::3/64"]
    router:
      {{kind: bird, as: 65001, fib: false, originate: [10.3.0.0/24, "fd03::/64"],
        neighbours: [{{node: rr, families: [ipv4, ipv6]}}]}}
gateways:
  gw:
    addresses: [10.0.0.4/24]
    router:
      {{kind: bird, as: 65004, fib: false, originate: [10.4.0.0/24],
        neighbours: [{{node: rr}}]}}
"""

pytestmark = needs("bird")


@pytest.mark.parametrize("kind", MAKERS)
def test_clients_of_every_maker_exchange_routes_through_us(kind):
    with a_lab(LAB.format(kind=kind)) as lab:
        rr, one, two = (lab.routers[name] for name in ("rr", "one", "two"))
        assert eventually(lambda: has_routes(one, "10.3.0.0/24", "fd03::/64"))
        assert eventually(lambda: has_routes(two, "10.2.0.0/24", "fd02::/64"))
        assert eventually(lambda: has_routes(one, "10.4.0.0/24"))
        assert has_routes(rr, "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24", "fd02::/64")

        (there,) = one.routes()["10.3.0.0/24"]
        assert (there.next_hop, there.from_addr) == ("10.0.0.3", "10.0.0.1")
        assert (there.originator_id, there.cluster_list) == ("10.0.0.3", ("9.9.9.9",))
        (back,) = two.routes("ipv6")["fd02::/64"]
        assert back.next_hop == "fd00::2"
        assert (back.originator_id, back.cluster_list) == ("10.0.0.2", ("9.9.9.9",))
        (outside,) = one.routes()["10.4.0.0/24"]
        assert (outside.as_path, outside.next_hop) == ((65004,), "10.0.0.4")
        assert has_none_of(one, "10.2.0.0/24"), "a client is not sent its own routes"


@pytest.mark.parametrize("kind", MAKERS)
def test_changes_refreshes_and_losses_pass_through_us(kind):
    with a_lab(LAB.format(kind=kind)) as lab:
        rr, one, two = (lab.routers[name] for name in ("rr", "one", "two"))
        assert eventually(lambda: has_routes(one, "10.3.0.0/24", "fd03::/64"))
        assert eventually(lambda: has_routes(two, "10.2.0.0/24", "fd02::/64"))

        one.originate("10.9.0.0/24")
        two.originate("fd09::/64")
        assert eventually(lambda: has_routes(two, "10.9.0.0/24"))
        assert eventually(lambda: has_routes(one, "fd09::/64"))
        one.withdraw("10.9.0.0/24")
        two.withdraw("fd09::/64")
        assert eventually(lambda: has_none_of(two, "10.9.0.0/24"))
        assert eventually(lambda: has_none_of(one, "fd09::/64"))

        one.refresh("10.0.0.1")
        if kind != "exabgp":  # whose 4.2.21 drops the session when it is asked
            rr.refresh("10.0.0.2")
        one.originate("10.10.0.0/24")  # what is behind a refresh proves it was survived
        assert eventually(lambda: has_routes(two, "10.10.0.0/24", "10.2.0.0/24"))
        assert rr.sessions()["10.0.0.2"].is_established

        lab.set_link("one", is_up=False)  # silence: the hold timer of 3 s must find out
        assert eventually(lambda: has_none_of(two, "10.2.0.0/24", "fd02::/64"))
        assert not rr.sessions()["10.0.0.2"].is_established
        assert has_routes(rr, "10.3.0.0/24"), "nothing else is lost"
        lab.set_link("one", is_up=True)
        # OpenBGPD alone waits half a minute after an error before it speaks again.
        assert eventually(lambda: has_routes(two, "10.2.0.0/24", "fd02::/64"), 60)
        assert eventually(lambda: has_routes(one, "10.3.0.0/24", "fd03::/64"))
