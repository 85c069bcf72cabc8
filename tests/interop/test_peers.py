"""What works beside the routers of today: each test is a row of docs/peers.md.

All tests of one router share a lab, and stand in an order: those that end sessions are the
last ones.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytest

from bgpd.lab.routers.base import Router
from bgpd.lab.routers.bird import Bird
from bgpd.lab.routers.frr import Frr
from bgpd.lab.routers.gobgp import GoBgp
from bgpd.lab.routers.openbgpd import OpenBgpd
from bgpd.lab.routers.pybgpd import PyBgpd
from bgpd.lab.speaker import RouteView
from bgpd.lab.topology import FamilyName
from tests.support.keys import change_key
from tests.support.peer_lab import (
    FEATURES,
    HOLD_TIME,
    OTHER_AS,
    OTHERS,
    OURS,
    OURS_AS,
    SESSIONS,
    THEIRS,
    THEIRS_AS,
    is_long_lived,
    peers,
    sessions_of,
    topology_of,
)
from tests.support.routers import a_lab_of, eventually, needs, shown_peer, shown_peers

pytestmark = [needs("bird"), pytest.mark.timeout(240)]
LONG = 40.0  # seconds for anything to come true on a busy machine
LLGR_STALE = {"65535:6", "llgrStale"}
LIMITED = tuple(SESSIONS[name].subnet for name in ("our limit", "their limit"))


class Beside(NamedTuple):
    """A lab that runs.

    Attributes:
        kind: The maker.
        ours: Our router.
        theirs: The maker's.
    """

    kind: str
    ours: PyBgpd
    theirs: Router

    def peer(self, session: str) -> dict[str, Any]:
        """Return what we show of a session."""
        addr = SESSIONS[session].their_addr
        rows = shown_peers(self.ours)
        (row,) = (r for r in rows if r["address"].partition("%")[0] == addr)
        return shown_peer(self.ours, row["address"])

    def is_up(self, *sessions: str) -> bool:
        return all(self.peer(name)["state"] == "Established" for name in sessions)

    def have_told_each_other(
        self, session: str, ours: tuple[str, ...], theirs: tuple[str, ...]
    ) -> bool:
        """Whether these prefixes came over a session, ours to them, theirs to us."""
        there, here = SESSIONS[session].our_addr, SESSIONS[session].their_addr
        return all(
            any(is_from(view, addr) for view in views(router, prefix))
            for router, addr, prefixes in (
                (self.theirs, there, ours),
                (self.ours, here, theirs),
            )
            for prefix in prefixes
        )


def views(router: Router, prefix: str) -> list[RouteView]:
    family: FamilyName = "ipv6" if ":" in prefix else "ipv4"
    return router.routes(family).get(prefix, [])


def is_from(view: RouteView, addr: str) -> bool:
    return (view.from_addr or "").partition("%")[0] == addr


@pytest.fixture(scope="module", params=peers())
def beside(request: pytest.FixtureRequest) -> Iterator[Beside]:
    kind, programs = request.param
    with a_lab_of(topology_of(kind, programs)) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        assert isinstance(ours, PyBgpd)
        made = Beside(kind, ours, theirs)
        sessions = sessions_of(kind).items()
        lasting = [name for name, s in sessions if s.subnet not in LIMITED]
        try:
            assert eventually(lambda: made.is_up(*lasting), LONG)
            yield made
        except BaseException as error:
            error.add_note(theirs.log_tail(40))
            raise


@pytest.fixture(autouse=True)
def _can(request: pytest.FixtureRequest) -> None:
    """Leave out what a maker has not."""
    kind, _ = request.node.callspec.params["beside"]
    name = request.function.__name__.removeprefix("test_")
    rows = [f for f in FEATURES if f.test == name]
    assert rows, f"{name} has no row in FEATURES"
    if all(kind in f.lacks for f in rows):
        pytest.skip(rows[0].lacks[kind])


def test_both_families(beside: Beside) -> None:
    assert eventually(lambda: beside.have_told_each_other("main", OURS, THEIRS), LONG)


def test_over_ipv6(beside: Beside) -> None:
    told = partial(beside.have_told_each_other, "over IPv6", OURS, THEIRS)
    assert eventually(told, LONG)
    negotiated = beside.peer("over IPv6")["negotiated"]
    assert negotiated["extended_next_hop"] == ["ipv4-unicast"]


def test_link_local(beside: Beside) -> None:
    told = partial(beside.have_told_each_other, "link-local", OURS[2:], THEIRS[2:])
    assert eventually(told, LONG)


def test_ttl_security(beside: Beside) -> None:
    told = partial(beside.have_told_each_other, "ttl", OURS[:2], THEIRS[:2])
    assert eventually(told, LONG)
    assert beside.peer("ttl")["ttl_security_hops"] == 1


def test_roles(beside: Beside) -> None:
    assert beside.peer("role")["negotiated"]["peer_role"] == "provider"
    told = partial(beside.have_told_each_other, "role", OURS[:2], THEIRS[:2])
    assert eventually(told, LONG)
    rows = beside.ours.ask("show-routes", family="ipv4-unicast", prefix=THEIRS[0])
    addr = SESSIONS["role"].their_addr
    (row,) = (r for r in rows if r["peer"] == addr and r["prefix"] == THEIRS[0])
    assert row["attributes"]["otc"] == THEIRS_AS


def test_add_path(beside: Beside) -> None:
    def paths(router: Router, addr: str, asn: int) -> int:
        found = (v for v in views(router, OTHERS) if is_from(v, addr))
        return sum(view.as_path == (asn, OTHER_AS) for view in found)

    main = SESSIONS["main"]
    assert eventually(lambda: paths(beside.theirs, main.our_addr, OURS_AS) == 2, LONG)
    assert eventually(lambda: paths(beside.ours, main.their_addr, THEIRS_AS) == 2, LONG)


def test_hold_time(beside: Beside) -> None:
    assert beside.peer("main")["negotiated"]["hold_time"] == HOLD_TIME


def test_they_refresh(beside: Beside) -> None:
    told, asked = counters(beside, "update", "sent", "route-refresh", "received")
    beside.theirs.refresh(SESSIONS["main"].our_addr)

    def is_answered() -> bool:
        now_told, now = counters(beside, "update", "sent", "route-refresh", "received")
        return now > asked and now_told > told

    assert eventually(is_answered, LONG)
    assert eventually(lambda: beside.have_told_each_other("main", OURS, THEIRS), LONG)
    assert beside.peer("main")["flaps"] == 0


def test_we_refresh(beside: Beside) -> None:
    heard, asked = counters(beside, "update", "received", "route-refresh", "sent")
    beside.ours.refresh(SESSIONS["main"].their_addr)

    def is_answered() -> bool:
        now_heard, now = counters(beside, "update", "received", "route-refresh", "sent")
        return now > asked and now_heard > heard

    assert eventually(is_answered, LONG)
    assert eventually(lambda: beside.have_told_each_other("main", OURS, THEIRS), LONG)
    assert beside.peer("main")["flaps"] == 0


def counters(beside: Beside, *names: str) -> list[int]:
    """Return two of our counters of messages: kind and way, twice."""
    messages = beside.peer("main")["messages"]
    return [int(messages[names[at]][names[at + 1]]) for at in (0, 2)]


@pytest.mark.parametrize(
    ("session", "way"), [("our limit", "sent"), ("their limit", "received")]
)
def test_limits(beside: Beside, session: str, way: str) -> None:
    def is_met() -> bool:
        reset = beside.peer(session)["last_reset"] or ""
        has_met = "6/1 cease, max prefixes reached" in reset
        return has_met and reset.startswith(f"notification {way}")

    assert eventually(is_met, LONG)


def shut_down(router: Router, addr: str, text: str) -> None:
    """Take a neighbour down with a text, as an operator does."""
    if isinstance(router, Bird):
        router.birdc(f'disable {router.protocol(addr)} "{text}"')
    elif isinstance(router, Frr):
        router.configure(f"neighbor {addr} shutdown message {text}")
    elif isinstance(router, OpenBgpd):
        router._bgpctl("neighbor", addr, "down", text)
    elif isinstance(router, GoBgp):
        router._gobgp("neighbor", addr, "shutdown", "--reason", text)


def bring_up(router: Router, addr: str) -> None:
    if isinstance(router, Bird):
        router.birdc(f"enable {router.protocol(addr)}")
    elif isinstance(router, Frr):
        router.configure(f"no neighbor {addr} shutdown")
    elif isinstance(router, OpenBgpd):
        router._bgpctl("neighbor", addr, "up")
    elif isinstance(router, GoBgp):
        router._gobgp("neighbor", addr, "enable")


def test_shutdown_texts(beside: Beside) -> None:
    def has_ended() -> bool:
        return "they-mend-theirs" in (beside.peer("ttl")["last_reset"] or "")

    session = SESSIONS["ttl"]
    shut_down(beside.theirs, session.our_addr, "they-mend-theirs")
    assert eventually(has_ended, LONG)
    bring_up(beside.theirs, session.our_addr)
    assert eventually(lambda: beside.is_up("ttl"), LONG)
    beside.ours.ask("disable-peer", peer=session.their_addr, text="we-mend-ours")
    log = beside.theirs.log_path
    assert eventually(lambda: "we-mend-ours" in log.read_text("utf-8", "replace"), LONG)
    # OpenBGPD may take half a minute before it comes again.
    beside.ours.ask("enable-peer", peer=session.their_addr)


def test_key_rotation(beside: Beside) -> None:
    for number, pair in enumerate(
        ((beside.ours, beside.theirs), (beside.theirs, beside.ours)), 1
    ):
        for router in pair:
            change_key(router, f"key-{number}")
            time.sleep(0.5)
        prefix = f"10.1.{number + 1}.0/24"
        beside.ours.originate(prefix)
        told = partial(beside.have_told_each_other, "key", (prefix,), THEIRS[:2])
        assert eventually(told, LONG)


def stays(check: Callable[[], bool], router: Router, addr: str, prefix: str) -> bool:
    """Wait for something while a router has a neighbour's route all the time."""

    def look() -> bool:
        seen = views(router, prefix)
        assert any(is_from(view, addr) for view in seen), f"{prefix} is gone"
        return check()

    return eventually(look, LONG)


def leave_out_limits(beside: Beside) -> None:
    """Remove the sessions that never come to an End-of-RIB: restarts would wait for them."""
    for router in (beside.ours, beside.theirs):
        rest = (n for n in router.speaker.neighbours if not n.addr.startswith(LIMITED))
        router.speaker = replace(router.speaker, neighbours=tuple(rest))
    beside.ours._reload()


def test_they_restart(beside: Beside) -> None:
    def family() -> dict[str, Any]:
        return dict(beside.peer("main")["families"][0])

    addr = SESSIONS["main"].their_addr
    assert eventually(lambda: beside.have_told_each_other("main", OURS, THEIRS), LONG)
    beside.theirs.kill()
    leave_out_limits(beside)
    assert stays(
        lambda: family()["stale_phase"] == "graceful", beside.ours, addr, THEIRS[0]
    )
    assert stays(
        lambda: family()["stale_phase"] == "long-lived", beside.ours, addr, THEIRS[0]
    )
    beside.theirs.start()
    beside.theirs.wait_ready()
    assert stays(lambda: beside.is_up("main"), beside.ours, addr, THEIRS[0])
    assert stays(lambda: family()["stale"] == 0, beside.ours, addr, THEIRS[0])
    assert stays(lambda: family()["stale_phase"] is None, beside.ours, addr, THEIRS[0])
    assert eventually(lambda: beside.have_told_each_other("main", OURS, THEIRS), LONG)


def test_we_restart(beside: Beside) -> None:
    def is_stale() -> bool:
        ours = (v for v in views(beside.theirs, OURS[0]) if is_from(v, addr))
        return any(LLGR_STALE & set(view.communities) for view in ours)

    addr = SESSIONS["main"].our_addr
    theirs = beside.theirs
    assert eventually(lambda: beside.have_told_each_other("main", OURS, THEIRS), LONG)
    beside.ours.kill()
    assert stays(
        lambda: not theirs.sessions()[addr].is_established, theirs, addr, OURS[0]
    )
    if is_long_lived(beside.kind):
        assert stays(is_stale, theirs, addr, OURS[0])
    beside.ours.start()
    beside.ours.wait_ready()
    assert stays(lambda: beside.is_up("main"), theirs, addr, OURS[0])
    assert stays(lambda: not is_stale(), theirs, addr, OURS[0])
    assert eventually(lambda: beside.have_told_each_other("main", OURS, THEIRS), LONG)
