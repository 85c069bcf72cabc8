"""The rules of RFC 4724 and RFC 8538, with other makers at the other end."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bgpd.lab.lab import Lab
from bgpd.lab.routers.base import Router
from bgpd.lab.routers.bird import Bird
from bgpd.lab.routers.frr import Frr
from bgpd.lab.routers.pybgpd import PyBgpd
from tests.support.routers import a_lab, eventually, has_none_of, has_routes, maker

pytestmark = pytest.mark.slow
LAB = """
nodes:
  ours:
    addresses: [10.0.0.1/24, "fd00::1/64"]
    router:
      {{kind: pybgpd, as: 65001, originate: [10.1.0.0/24, "fd01::/64"],
        restart_time: {ours_time}, hold_time: {hold},
        neighbours: [{{node: theirs}}, {{node: theirs, families: [ipv6]}}{more}]}}
  theirs:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router:
      {{kind: {kind}, as: 65001, originate: [10.2.0.0/24, "fd02::/64"], fib: false,
        preserving: true, graceful_restart: {graceful}, restart_time: {theirs_time},
        hold_time: {hold},
        neighbours: [{{node: ours}}, {{node: ours, families: [ipv6]}}]}}
"""
OTHERS = [maker(kind) for kind in ("bird", "frr")]
THEIRS = ("10.2.0.0/24", "fd02::/64")
OURS = ("10.1.0.0/24", "fd01::/64")


@contextmanager
def a_pair(
    kind: str,
    *,
    ours_time: int = 120,
    theirs_time: int = 120,
    hold: int = 90,
    graceful: str = "true",
    more: str = "",
) -> Iterator[tuple[Lab, PyBgpd, Router]]:
    text = LAB.format(
        kind=kind,
        ours_time=ours_time,
        theirs_time=theirs_time,
        hold=hold,
        graceful=graceful,
        more=more,
    )
    if graceful == "false":
        text = text.replace("preserving: true", "preserving: false")
    with a_lab(text) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        assert isinstance(ours, PyBgpd)
        assert eventually(lambda: has_routes(ours, *THEIRS))
        assert eventually(lambda: has_routes(theirs, *OURS))
        yield lab, ours, theirs


def log_since_start(router: Router) -> str:
    return router.log_path.read_text().rpartition("listening on")[2]


def are_down(router: Router) -> bool:
    return not any(view.is_established for view in router.sessions().values())


def seen_flags(router: Router) -> dict[str, tuple[bool, bool]]:
    """Return the R flag of each of our sessions, and whether its F flag is set."""
    found = {}
    if isinstance(router, Bird):
        text = router.birdc("show protocols all")
        for block in re.split(r"\n(?=n\d)", text):
            name = block.split()[0]
            theirs = block.partition("Neighbor capabilities")[2]
            kept = re.search(r"AF preserved:(.*)", theirs)
            if name in ("n0", "n1"):
                is_kept = kept is not None and "ipv" in kept[1]
                found[name] = ("Restart recovery" in theirs, is_kept)
    assert isinstance(router, Bird | Frr)
    if isinstance(router, Frr):
        (peers,) = router._json("show bgp neighbors")
        for addr, peer in peers.items():
            graceful = peer["gracefulRestartInfo"]
            bits = [graceful[f]["fBit"] for f in graceful if f.endswith("Unicast")]
            found[addr] = (bool(graceful["rBit"]), bits == [True])
    return found


def came_up(router: PyBgpd) -> None:
    router.start()
    router.wait_ready()
    router.wait_established()


@pytest.mark.rfc("4724", "3", "MUST")
@pytest.mark.parametrize("kind", OTHERS)
def test_the_flags_tell_the_truth(kind):
    with a_pair(kind) as (_, ours, theirs):
        assert set(seen_flags(theirs).values()) == {(False, False)}, "a first start"
        ours.kill()
        assert eventually(lambda: are_down(theirs))
        came_up(ours)
        assert eventually(lambda: set(seen_flags(theirs).values()) == {(True, True)})
        assert eventually(lambda: "restart completed" in log_since_start(ours))
        for addr in ("10.0.0.2", "fd00::2"):
            ours.reset(addr)
        # The session is another one, the daemon is not.
        assert eventually(
            lambda: set(seen_flags(theirs).values()) == {(False, True)}, 20
        )


@pytest.mark.rfc("4724", "4", "MUST")
@pytest.mark.parametrize("graceful", ["true", "false"])
@pytest.mark.parametrize("kind", OTHERS)
def test_sigterm_says_a_word_only_to_those_who_keep_nothing(kind, graceful):
    with a_pair(kind, graceful=graceful) as (_, ours, theirs):
        before = len(theirs.log_path.read_text())
        ours.stop()
        assert eventually(lambda: are_down(theirs))
        log = theirs.log_path.read_text()[before:].lower()
        if graceful == "true":
            assert has_routes(theirs, *OURS)
            assert "shutdown" not in log
        else:
            assert eventually(lambda: has_none_of(theirs, *OURS))
            if kind == "bird":
                assert "administrative shutdown" in log


@pytest.mark.parametrize("kind", OTHERS)
def test_shutdown_takes_our_routes_away_everywhere(kind):
    with a_pair(kind) as (lab, ours, theirs):
        node = lab.namespace("ours")
        assert eventually(lambda: "10.2.0.0/24" in node.run(["ip", "route"]))
        (answer,) = ours.ask("shutdown", flush=True, text="moved away")
        assert "2 sessions end" in answer["lines"][0]
        assert eventually(lambda: has_none_of(theirs, *OURS))
        assert eventually(lambda: not ours.is_running())
        ours.kill()  # forgets the process
        for version in ("-4", "-6"):
            assert "proto bird" not in node.run(["ip", version, "route"])
        came_up(ours)
        assert set(seen_flags(theirs).values()) == {(False, False)}


@pytest.mark.rfc("4724", "4.2", "MUST")
@pytest.mark.parametrize("kind", OTHERS)
def test_we_keep_the_routes_of_one_that_is_gone_for_its_restart_time(kind):
    with a_pair(kind, ours_time=60, theirs_time=4) as (_, ours, theirs):
        theirs.kill()
        assert eventually(lambda: are_down(ours))
        assert eventually(lambda: "routes for 4 s" in log_since_start(ours))
        time.sleep(1.5)
        assert has_routes(ours, *THEIRS)
        assert eventually(lambda: has_none_of(ours, *THEIRS))


@pytest.mark.rfc("4724", "4.1", "MUST")
@pytest.mark.parametrize("kind", OTHERS)
def test_they_keep_ours_for_the_restart_time_that_we_give(kind):
    with a_pair(kind, ours_time=4, theirs_time=60) as (_, ours, theirs):
        ours.kill()
        assert eventually(lambda: are_down(theirs))
        time.sleep(1.5)
        assert has_routes(theirs, *OURS)
        assert eventually(lambda: has_none_of(theirs, *OURS), 20)


@pytest.mark.parametrize(
    ("more", "late"),
    [
        (", {{address: 10.0.0.9, as: 65001}}", "ipv4"),
        (', {{address: "fd00::9", as: 65001, families: [ipv6]}}', "ipv6"),
    ],
)
@pytest.mark.parametrize("kind", OTHERS)
def test_one_that_is_unreachable_holds_up_its_family_for_seconds_only(kind, more, late):
    with a_pair(kind, more=more.format()) as (_, ours, theirs):
        ours.kill()
        assert eventually(lambda: are_down(theirs))
        ours.start()
        ours.wait_ready()
        ours.wait_established("10.0.0.2", "fd00::2")
        early = {"ipv4": "ipv6", "ipv6": "ipv4"}[late]
        assert eventually(
            lambda: (
                f"{early}-unicast: selection deferral completed"
                in log_since_start(ours)
            )
        )
        assert f"{late}-unicast: selection deferral completed" not in log_since_start(
            ours
        )
        assert eventually(lambda: "restart completed" in log_since_start(ours), 20)
        assert eventually(lambda: not ours.ask("show-fib", state="stale"))
        text = re.findall(r"restart completed after (\S+) s", log_since_start(ours))
        assert float(text[-1]) < 20, "long before the cap of 60 s"


@pytest.mark.parametrize("kind", OTHERS)
def test_one_without_graceful_restart_does_not_hold_it_up(kind):
    with a_pair(kind, graceful="false") as (_, ours, theirs):
        ours.kill()
        assert eventually(lambda: are_down(theirs))
        came_up(ours)
        assert eventually(lambda: "restart completed" in log_since_start(ours))
        assert has_routes(ours, *THEIRS)
        assert has_routes(theirs, *OURS)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_second_kill_in_the_middle_of_the_restart_costs_nothing(kind):
    with a_pair(kind) as (lab, ours, theirs):
        node = lab.namespace("ours")
        assert eventually(lambda: "10.2.0.0/24" in node.run(["ip", "route"]))
        for _ in range(3):
            ours.kill()
            assert eventually(lambda: are_down(theirs))
            ours.start()
            ours.wait_ready()
            assert has_routes(theirs, *OURS)
            assert "10.2.0.0/24" in node.run(["ip", "route"])
        ours.wait_established()
        assert eventually(lambda: "restart completed" in log_since_start(ours))
        assert has_routes(theirs, *OURS)
        assert eventually(lambda: has_routes(ours, *THEIRS))


@pytest.mark.rfc("4724", "5", "MUST")
@pytest.mark.parametrize("kind", OTHERS)
def test_a_peer_that_did_not_notice_takes_our_new_connection(kind):
    with a_pair(kind) as (lab, ours, theirs):
        time.sleep(
            5
        )  # the loss of so young a session counts as a restart at neither end
        lab.set_link("ours", is_up=False)  # the end of TCP does not get through
        ours.kill()
        time.sleep(0.5)
        assert not are_down(theirs)
        lab.set_link("ours", is_up=True)
        came_up(ours)
        assert eventually(lambda: has_routes(theirs, *OURS))
        assert eventually(lambda: "restart completed" in log_since_start(ours), 20)
        assert eventually(lambda: has_routes(ours, *THEIRS))


@pytest.mark.rfc("8538", "4", "MUST")
@pytest.mark.parametrize("end", ["our reset", "hold timer"])
def test_routes_stay_over_a_notification_where_both_say_so(end):
    with a_pair("frr", hold=6) as (lab, ours, theirs):
        if end == "hold timer":
            lab.set_link("theirs", is_up=False)
            assert eventually(lambda: are_down(ours), 20)
            assert eventually(lambda: are_down(theirs), 20)
        else:
            ours.reset("10.0.0.2")
        assert eventually(
            lambda: "keeping stale ipv4-unicast routes" in log_since_start(ours)
        )
        assert has_routes(ours, *THEIRS)
        assert has_routes(theirs, *OURS)
        lab.set_link("theirs", is_up=True)
        ours.wait_established(timeout=30)
        assert eventually(lambda: has_routes(ours, *THEIRS))
        assert eventually(lambda: has_routes(theirs, *OURS))


@pytest.mark.rfc("8538", "4", "MUST")
@pytest.mark.parametrize("end", ["theirs", "ours"])
def test_a_hard_reset_takes_the_routes_along(end):
    with a_pair("frr") as (_, ours, theirs):
        if end == "theirs":  # FRR's reset is a hard one, and comes back at once
            theirs.reset("10.0.0.1")
            assert eventually(lambda: "hard reset" in log_since_start(ours))
            assert "keeping stale" not in log_since_start(ours)
            return
        ours.ask("disable-peer", peer="10.0.0.2")
        assert eventually(lambda: has_none_of(theirs, "10.1.0.0/24"))
        assert eventually(lambda: has_none_of(ours, "10.2.0.0/24"))
        assert has_routes(theirs, "fd01::/64")
        assert has_routes(ours, "fd02::/64"), "the other session is another one"
