"""RFC 4724 with other makers: a speaker is killed and comes back; its routes stay in use."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from bgpd.lab.lab import Lab
from bgpd.lab.routers.base import Router
from bgpd.lab.topology import FamilyName
from tests.support.routers import a_lab, eventually, has_routes, maker

LAB = """
nodes:
  ours:
    addresses: [10.0.0.1/24, "fd00::1/64"]
    router:
      {{kind: pybgpd, as: 65001, originate: [10.1.0.0/24, "fd01::/64"],
        neighbours: [{{node: theirs}}, {{node: theirs, families: [ipv6]}}]}}
  theirs:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router:
      {{kind: {kind}, as: 65001, originate: [10.2.0.0/24, "fd02::/64"], fib: false,
        preserving: {preserving},
        neighbours: [{{node: ours}}, {{node: ours, families: [ipv6]}}]}}
"""
OTHERS = [maker(kind) for kind in ("bird", "frr")]
THEIRS = {"ipv4": "10.2.0.0/24", "ipv6": "fd02::/64"}
OURS = {"ipv4": "10.1.0.0/24", "ipv6": "fd01::/64"}


def kernel_routes(lab: Lab, version: str) -> str:
    return lab.namespace("ours").run(["ip", f"-{version}", "route"])


@contextmanager
def watching(lab: Lab, is_there: dict[str, str]) -> Iterator[list[str]]:
    """Look at the kernel's tables all the time; yields what was ever missing."""
    missing: list[str] = []
    is_over = Event()

    def watch() -> None:
        while not is_over.wait(0.02):
            for version, prefix in is_there.items():
                if prefix not in kernel_routes(lab, version):
                    missing.append(prefix)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield missing
    finally:
        is_over.set()
        thread.join()


def knows(router: Router, family: FamilyName, prefix: str) -> bool:
    return prefix in router.routes(family)


@pytest.mark.parametrize("kind", OTHERS)
def test_we_keep_the_routes_of_one_that_is_killed_and_comes_back(kind):
    with a_lab(LAB.format(kind=kind, preserving="true")) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        assert eventually(lambda: has_routes(ours, *THEIRS.values()))
        assert eventually(lambda: has_routes(theirs, *OURS.values()))
        assert eventually(lambda: "10.2.0.0/24" in kernel_routes(lab, "4"))
        assert eventually(lambda: "fd02::/64" in kernel_routes(lab, "6"))
        with watching(lab, {"4": "10.2.0.0/24", "6": "fd02::/64"}) as missing:
            theirs.kill()
            sessions = ours.sessions
            assert eventually(
                lambda: not any(view.is_established for view in sessions().values())
            )
            assert has_routes(ours, *THEIRS.values()), "stale, and in use"
            theirs.originated.remove("10.2.0.0/24")
            theirs.originated.append("10.2.1.0/24")
            theirs.start()
            theirs.wait_ready()
            ours.wait_established()
            assert eventually(lambda: has_routes(ours, "10.2.1.0/24", "fd02::/64"), 20)
            assert eventually(lambda: has_routes(theirs, *OURS.values()))
            # The first End-of-RIB says what did not come back (RFC 4724 4.2).
            gone = eventually(lambda: not has_routes(ours, "10.2.0.0/24"), 20)
        assert gone
        assert "fd02::/64" not in missing


@pytest.mark.parametrize("kind", OTHERS)
def test_they_keep_our_routes_while_we_are_killed_and_come_back(kind):
    with a_lab(LAB.format(kind=kind, preserving="false")) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        assert eventually(lambda: has_routes(theirs, *OURS.values()))
        assert eventually(lambda: "10.2.0.0/24" in kernel_routes(lab, "4"))
        assert eventually(lambda: "fd02::/64" in kernel_routes(lab, "6"))
        with watching(lab, {"4": "10.2.0.0/24", "6": "fd02::/64"}) as missing:
            ours.kill()
            assert eventually(
                lambda: not any(v.is_established for v in theirs.sessions().values())
            )
            assert has_routes(theirs, *OURS.values())
            ours.start()
            ours.wait_ready()
            ours.wait_established()
            assert eventually(lambda: has_routes(ours, *THEIRS.values()))
            assert has_routes(theirs, *OURS.values())
        assert missing == []
        ours.withdraw("10.1.0.0/24")
        assert eventually(lambda: not has_routes(theirs, "10.1.0.0/24"))
