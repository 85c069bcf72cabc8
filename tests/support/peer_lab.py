"""Labs of one other maker's router beside ours, with a session for each feature.

What is tried, and what a maker has not, stands in ``FEATURES``; ``docs/peers.md`` is made
of it.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pytest

from bgpd.lab.routers import DRIVERS
from bgpd.lab.topology import Topology

OURS_AS: Final = 65001
THEIRS_AS: Final = 65002
OTHER_AS: Final = 65003
HOLD_TIME: Final = 12  # seconds, theirs; we offer more
RESTART_TIME: Final = (
    4  # seconds of the first phase of a restart, then a long-lived one
)
OURS: Final = ("10.1.0.0/24", "10.1.1.0/24", "fd01::/64")
THEIRS: Final = ("10.2.0.0/24", "10.2.1.0/24", "fd02::/64")
OTHERS: Final = "10.3.0.0/24"
BOTH: Final = ("ipv4", "ipv6")

NO_LONG_LIVED: Final = {"openbgpd": "has no RFC 9494"}


class Feature(NamedTuple):
    """What is tried beside every maker.

    Attributes:
        title: In a few words.
        rfc: Where it is defined.
        test: The function in ``tests/interop/test_peers.py``.
        lacks: Why a maker cannot, by its kind.
        session: The session of the lab that is for it alone; empty for none.
    """

    title: str
    rfc: str
    test: str
    lacks: Mapping[str, str] = MappingProxyType({})
    session: str = ""


FEATURES: Final = (
    Feature("both families over one session", "4760", "both_families"),
    Feature(
        "IPv4 with IPv6 next hops, over IPv6", "8950", "over_ipv6", session="over IPv6"
    ),
    Feature("link-local neighbours", "2545", "link_local", session="link-local"),
    Feature("TTL security", "5082", "ttl_security", session="ttl"),
    Feature("roles", "9234", "roles", {"gobgp": "has no RFC 9234"}, "role"),
    Feature("all paths, both ways", "7911", "add_path"),
    Feature("the smaller hold time", "4271", "hold_time"),
    Feature("they ask for a refresh", "2918", "they_refresh", {"gobgp": "never asks"}),
    Feature("we ask for a refresh", "2918", "we_refresh"),
    Feature("limits of prefixes, both ways", "4486", "limits"),
    Feature("shutdown with a text, both ways", "9003", "shutdown_texts"),
    Feature("MD5 keys changed in either order", "2385", "key_rotation", session="key"),
    Feature(
        "they restart, gracefully",
        "4724",
        "they_restart",
        {"openbgpd": "offers no graceful restart of its own"},
    ),
    Feature("they restart, late (long-lived)", "9494", "they_restart", NO_LONG_LIVED),
    Feature("we restart, gracefully", "4724", "we_restart"),
    Feature("we restart, late (long-lived)", "9494", "we_restart", NO_LONG_LIVED),
)

INSTALLED: Final = "bookworm"
"""The suite whose routers are the installed ones. Its OpenBGPD cannot take part: it reads no
``announce extended nexthop``."""

VERSIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "bird": {"bookworm": "2.0.12", "trixie": "2.17.6", "sid": "2.20.0"},
        "bird3": {"trixie": "3.1.8", "sid": "3.4.0"},
        "frr": {"bookworm": "8.4.4", "trixie": "10.3", "sid": "10.7.1"},
        "gobgp": {"bookworm": "3.10.0", "trixie": "3.36.0", "sid": "4.8.0"},
        "openbgpd": {"trixie": "8.8", "sid": "9.3"},
    }
)
"""What was tried last: maker, Debian suite, version."""


class Session(NamedTuple):
    """One of the sessions between the two.

    Attributes:
        subnet: Where its addresses are, ours with 1 and theirs with 2 at the end.
        families: What it carries.
        ours: Our options, in the words of a topology.
        theirs: Theirs.
    """

    subnet: str
    families: tuple[str, ...] = ("ipv4",)
    ours: Mapping[str, Any] = MappingProxyType({})
    theirs: Mapping[str, Any] = MappingProxyType({})

    @property
    def our_addr(self) -> str:
        """Our address, as they call us."""
        return f"{self.subnet}1"

    @property
    def their_addr(self) -> str:
        """Their address, as we call them."""
        return f"{self.subnet}2"


def _both(**options: Any) -> dict[str, Any]:
    return {"ours": options, "theirs": options}


SESSIONS: Final = {
    "main": Session("10.0.0.", BOTH, **_both(add_path=True)),
    "over IPv6": Session("fd00::", BOTH),
    "link-local": Session("fe80::", ("ipv6",), **_both(device="eth0")),
    "ttl": Session("10.0.1.", **_both(ttl_security=True)),
    "role": Session("10.0.2.", ours={"role": "customer"}, theirs={"role": "provider"}),
    "key": Session("10.0.3.", **_both(password="key-0")),
    "our limit": Session("10.0.4.", ours={"max_prefixes": 1}),
    "their limit": Session("10.0.5.", theirs={"max_prefixes": 1}),
}
_OTHERS_SUBNETS: Final = ("10.0.0.", "10.0.9.")  # two sessions, so two paths


def is_long_lived(kind: str) -> bool:
    """Whether a maker has RFC 9494."""
    return kind not in NO_LONG_LIVED


def sessions_of(kind: str) -> dict[str, Session]:
    """Return the sessions that a maker can have."""
    missing = {f.session for f in FEATURES if kind in f.lacks}
    return {name: s for name, s in SESSIONS.items() if name not in missing}


def topology_of(kind: str, programs: str) -> Topology:
    """Return the lab of one maker.

    Args:
        kind: The maker.
        programs: Folder of its programs; empty for the installed ones.
    """
    other = [
        {"address": f"{subnet}{number}", "as": asn}
        for subnet in _OTHERS_SUBNETS
        for number, asn in ((1, OURS_AS), (2, THEIRS_AS))
    ]
    return Topology.model_validate(
        {
            "nodes": {
                "ours": _machine(kind, 1, {"kind": "pybgpd", "originate": OURS}),
                "theirs": _machine(
                    kind,
                    2,
                    {
                        "kind": kind,
                        "programs": programs,
                        "originate": THEIRS,
                        "hold_time": HOLD_TIME,
                    },
                ),
                "other": {
                    "addresses": [f"{subnet}3/24" for subnet in _OTHERS_SUBNETS],
                    "router": {
                        "kind": "bird",
                        "as": OTHER_AS,
                        "fib": False,
                        "originate": [OTHERS],
                        "neighbours": other,
                    },
                },
            }
        }
    )


def _machine(kind: str, number: int, router: dict[str, Any]) -> dict[str, Any]:
    sessions = sessions_of(kind).values()
    asn, far_asn = (OURS_AS, THEIRS_AS) if number == 1 else (THEIRS_AS, OURS_AS)
    neighbours: list[dict[str, Any]] = [
        {
            "address": s.their_addr if number == 1 else s.our_addr,
            "as": far_asn,
            "families": s.families,
            **(s.ours if number == 1 else s.theirs),
        }
        for s in sessions
    ]
    neighbours += [{"address": f"{s}3", "as": OTHER_AS} for s in _OTHERS_SUBNETS]
    subnets = dict.fromkeys([*(s.subnet for s in sessions), *_OTHERS_SUBNETS])
    return {
        "addresses": [f"{s}{number}/{24 if '.' in s else 64}" for s in subnets],
        "router": {
            "as": asn,
            "neighbours": neighbours,
            "fib": False,
            "preserving": True,
            "restart_time": RESTART_TIME if is_long_lived(kind) else 60,
            "long_lived_stale_time": 600,
            **router,
        },
    }


def programs_of(kind: str, suite: str) -> str:
    """Return the folder where ``.ci/peers SUITE`` puts a maker's programs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return str(cache / "pybgpd-tests/peers" / suite / kind)


def peers() -> Sequence[object]:
    """Return a parameter for every maker of every suite that ``PEERS_SUITES`` names.

    Those of one router run in one process, since they share its lab.
    """
    found = []
    for suite in os.environ.get("PEERS_SUITES", "trixie").split():
        for kind in (kind for kind, known in VERSIONS.items() if suite in known):
            folder = "" if suite == INSTALLED else programs_of(kind, suite)
            is_there = DRIVERS[kind].is_installed(folder)
            reason = f"no {kind} of Debian {suite}: .ci/peers {suite} unpacks it"
            marks = [
                pytest.mark.skipif(not is_there, reason=reason),
                pytest.mark.xdist_group(f"{kind} {suite}"),
            ]
            found.append(
                pytest.param((kind, folder), marks=marks, id=f"{kind}-{suite}")
            )
    return found
