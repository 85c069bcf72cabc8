"""Ours is the client of a reflector of each maker that can reflect, and has a kernel table.

ExaBGP, which reflects nothing, is a plain iBGP neighbour in the last test.
"""

import pytest

from tests.support.routers import (
    REFLECTING_MAKERS,
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
      {{kind: {kind}, as: 65001, cluster_id: 9.9.9.9, fib: false, neighbours: [
        {{node: one, client: true}}, {{node: one, families: [ipv6], client: true}},
        {{node: two, client: true}}, {{node: two, families: [ipv6], client: true}}]}}
  one:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router:
      {{kind: pybgpd, as: 65001, originate: [10.2.0.0/24, "fd02::/64"],
        neighbours: [{{node: rr}}, {{node: rr, families: [ipv6]}}]}}
  two:
    addresses: [10.0.0.3/24, "fd00::3/64"]
    router:
      {{kind: bird, as: 65001, fib: false, originate: [10.3.0.0/24, "fd03::/64"],
        neighbours: [{{node: rr}}, {{node: rr, families: [ipv6]}}]}}
"""
EXABGP = """
nodes:
  one:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router:
      {kind: pybgpd, as: 65001, originate: [10.2.0.0/24, "fd02::/64"],
        neighbours: [{node: two}, {node: two, families: [ipv6]}]}
  two:
    addresses: [10.0.0.3/24, "fd00::3/64"]
    router:
      {kind: exabgp, as: 65001, originate: [10.3.0.0/24, "fd03::/64"],
        neighbours: [{node: one}, {node: one, families: [ipv6]}]}
"""

pytestmark = needs("bird")


def kernel_routes(lab, name):
    namespace = lab.namespace(name)
    return namespace.run(["ip", "route"]) + namespace.run(["ip", "-6", "route"])


def _announce_anew_if_taken_in_early(one, two, prefix):
    """Announce a prefix again that OpenBGPD took in before it had its configuration.

    Its sessions may be up before its route decision engine knows who is a client, and
    it never adds ORIGINATOR_ID to what came in until then.
    """
    (route,) = one.routes()[prefix]
    if route.originator_id is None:
        two.withdraw(prefix)
        assert eventually(lambda: has_none_of(one, prefix))
        two.originate(prefix)
        assert eventually(lambda: has_routes(one, prefix))


@pytest.mark.parametrize("kind", REFLECTING_MAKERS)
def test_we_are_the_client_of_a_reflector_of_every_maker(kind):
    with a_lab(LAB.format(kind=kind)) as lab:
        one, two = lab.routers["one"], lab.routers["two"]
        assert eventually(lambda: has_routes(one, "10.3.0.0/24", "fd03::/64"))
        assert eventually(lambda: has_routes(two, "10.2.0.0/24", "fd02::/64"))
        _announce_anew_if_taken_in_early(one, two, "10.3.0.0/24")
        (route,) = one.routes()["10.3.0.0/24"]
        assert route.originator_id == "10.0.0.3"
        assert (route.next_hop, route.from_addr) == ("10.0.0.3", "10.0.0.1")
        assert route.cluster_list == ("9.9.9.9",)
        assert eventually(
            lambda: "10.3.0.0/24 via 10.0.0.3" in _plain(kernel_routes(lab, "one"))
        )
        assert eventually(
            lambda: "fd03::/64 via fd00::3" in _plain(kernel_routes(lab, "one"))
        )

        two.withdraw("10.3.0.0/24")
        assert eventually(lambda: has_none_of(one, "10.3.0.0/24"))
        assert eventually(lambda: "10.3.0.0/24" not in kernel_routes(lab, "one"))
        one.originate("10.9.0.0/24")
        assert eventually(lambda: has_routes(two, "10.9.0.0/24"))
        one.withdraw("10.9.0.0/24")
        assert eventually(lambda: has_none_of(two, "10.9.0.0/24"))

        lab.routers["rr"].refresh("10.0.0.2")
        one.refresh("10.0.0.1")
        two.originate("10.8.0.0/24")
        assert eventually(lambda: has_routes(one, "10.8.0.0/24", "fd03::/64"))


@needs("exabgp")
def test_exabgp_is_an_ibgp_neighbour():
    with a_lab(EXABGP) as lab:
        one, two = lab.routers["one"], lab.routers["two"]
        assert eventually(lambda: has_routes(one, "10.3.0.0/24", "fd03::/64"))
        assert eventually(lambda: has_routes(two, "10.2.0.0/24", "fd02::/64"))
        assert two.routes()["10.2.0.0/24"][0].next_hop == "10.0.0.2"
        two.withdraw("fd03::/64")
        assert eventually(lambda: has_none_of(one, "fd03::/64"))


def _plain(text: str) -> str:
    """Return routes without the number of their next-hop object."""
    words = text.split()
    return " ".join(
        word
        for index, word in enumerate(words)
        if word != "nhid" and (not index or words[index - 1] != "nhid")
    )
