"""Pairs and handfuls of real routers in namespaces, for tests."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from bgpd.lab.errors import LabError
from bgpd.lab.lab import Lab
from bgpd.lab.routers import DRIVERS
from bgpd.lab.routers.base import Router
from bgpd.lab.routers.pybgpd import PyBgpd
from bgpd.lab.topology import FamilyName, Topology, parse_topology

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="makes network namespaces: needs root"
)


needs_tunnel = pytest.mark.skipif(
    not Path("/dev/net/tun").exists() and not Path("/sys/module/ipip").exists(),
    reason="needs IPIP in the kernel, or /dev/net/tun in its place",
)


def needs(kind: str) -> pytest.MarkDecorator:
    """Skip where that maker's router is not installed."""
    is_missing = not DRIVERS[kind].is_installed()
    return pytest.mark.skipif(is_missing, reason=f"{kind} is not installed")


def maker(kind: str) -> ParameterSet:
    """Return a parameter of ``pytest.mark.parametrize`` that skips without the maker."""
    return pytest.param(kind, marks=needs(kind), id=kind)


def eventually(predicate: Callable[[], object], timeout: float = 10.0) -> bool:
    """Wait until ``predicate`` is true; a ``LabError`` from it means "not yet".

    Returns:
        Whether it came true within ``timeout`` seconds, for ``assert``.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            if predicate():
                return True
        except LabError:
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)


@contextmanager
def a_lab(text: str) -> Iterator[Lab]:
    """Bring up a topology and start its routers; a failure shows their logs."""
    with a_lab_of(parse_topology(text)) as lab:
        yield lab


@contextmanager
def a_lab_of(topology: Topology) -> Iterator[Lab]:
    """As ``a_lab``, with the topology as it was read."""
    with Lab(topology) as lab:
        try:
            lab.start()
            yield lab
        except BaseException as error:
            for name, router in lab.routers.items():
                error.add_note(f"{router.kind} on {name}:\n{router.log_tail(25)}")
            raise


MAKERS = [maker(kind) for kind in ("bird", "frr", "gobgp", "openbgpd", "exabgp")]
"""All other makers, as parameters."""

REFLECTING_MAKERS = [
    maker(kind) for kind in ("bird", "bird3", "frr", "gobgp", "openbgpd")
]
"""Those that can be a route reflector."""


def has_routes(router: Router, *prefixes: str) -> bool:
    """Whether a router learned at least these prefixes, of both families."""
    seen: set[str] = set()
    families: tuple[FamilyName, ...] = ("ipv4", "ipv6")
    for family in families:
        if any((":" in prefix) is (family == "ipv6") for prefix in prefixes):
            seen |= router.routes(family).keys()
    return seen >= set(prefixes)


def our_daemon(lab: Lab, name: str) -> PyBgpd:
    """Return a router of a lab that is one of our daemons."""
    router = lab.routers[name]
    assert isinstance(router, PyBgpd)
    return router


def shown_peers(router: Router) -> list[dict[str, Any]]:
    """Return the rows of ``show peers`` of one of our daemons."""
    assert isinstance(router, PyBgpd)
    return router.ask("show-peers")


def shown_peer(router: Router, peer: str) -> dict[str, Any]:
    """Return all about one peer of one of our daemons, by its name or address."""
    assert isinstance(router, PyBgpd)
    (row,) = router.ask("show-peer", peer=peer)
    return row


def has_none_of(router: Router, *prefixes: str) -> bool:
    """Whether a router learned none of these prefixes."""
    return not any(has_routes(router, prefix) for prefix in prefixes)
