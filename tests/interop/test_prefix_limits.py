"""Limits of what other makers' routers announce: the session ends, and comes back."""

from typing import Any

import pytest

from bgpd.lab.routers.base import Router
from tests.support.routers import (
    a_lab,
    eventually,
    has_routes,
    maker,
    shown_peers,
)

LAB = """
nodes:
  ours:
    addresses: [10.0.0.1/24]
    router:
      kind: pybgpd
      as: 65001
      neighbours: [{{node: theirs}}]
      config:
        peers:
          - address: 10.0.0.2
            as: 65001
            connect_retry_time: 1
            families: [{{name: ipv4-unicast, max_prefixes: 2, {options}}}]
  theirs:
    addresses: [10.0.0.2/24]
    router:
      {{kind: {kind}, as: 65001, fib: false, connect_retry: 1,
        originate: [10.2.0.0/24, 10.2.1.0/24, 10.2.2.0/24], neighbours: [{{node: ours}}]}}
"""
OTHERS = [maker(kind) for kind in ("bird", "frr")]
PREFIXES = ("10.2.0.0/24", "10.2.1.0/24", "10.2.2.0/24")


def change(router: Any, **options: object) -> None:
    """Change the family's options in the file, and have it read."""
    router.speaker.config["peers"][0]["families"][0].update(options)
    router._reload()


def peer(router: Router) -> dict[str, Any]:
    [row] = shown_peers(router)
    return row


@pytest.mark.parametrize("kind", OTHERS)
def test_a_raised_limit_ends_the_rest(kind) -> None:
    options = "max_prefixes_restart_time: 3600"
    with a_lab(LAB.format(kind=kind, options=options)) as lab:
        ours: Any = lab.routers["ours"]
        assert eventually(lambda: peer(ours)["flaps"] == 1, 30)
        row = peer(ours)
        assert "6/1 cease, max prefixes reached; 3 prefixes" in row["last_reset"]
        assert row["next_retry"] > 3500
        change(ours, max_prefixes=3)
        assert eventually(lambda: has_routes(ours, *PREFIXES), 60)
        assert peer(ours)["flaps"] == 1


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_blocked_is_let_in_when_there_is_room(kind) -> None:
    options = "max_prefixes_action: block"
    with a_lab(LAB.format(kind=kind, options=options)) as lab:
        ours: Any = lab.routers["ours"]
        theirs = lab.routers["theirs"]
        assert eventually(lambda: peer(ours)["families"][0]["blocked"] == 1, 30)
        [blocked] = set(PREFIXES) - ours.routes().keys()
        gone = next(prefix for prefix in PREFIXES if prefix != blocked)
        theirs.withdraw(gone)
        assert eventually(lambda: has_routes(ours, blocked), 30)
        theirs.originate(gone)
        assert eventually(lambda: peer(ours)["families"][0]["blocked"] == 1, 30)
        change(ours, max_prefixes=10)
        assert eventually(lambda: has_routes(ours, *PREFIXES), 30)
        assert peer(ours)["flaps"] == 0


def test_disable_waits_for_an_operator() -> None:
    options = "max_prefixes_action: disable"
    with a_lab(LAB.format(kind="bird", options=options)) as lab:
        ours: Any = lab.routers["ours"]
        assert eventually(lambda: peer(ours)["disabled_by"] == "max_prefixes", 30)
        assert not peer(ours)["is_enabled"]
        lab.routers["theirs"].withdraw(PREFIXES[0])
        ours.ask("enable-peer", peer="10.0.0.2")
        assert eventually(lambda: has_routes(ours, *PREFIXES[1:]), 60)
