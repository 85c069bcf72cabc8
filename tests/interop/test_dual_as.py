"""A router with two AS numbers: other makers' routers know it by the one or the other."""

import json
from typing import Any

import pytest

from tests.support.routers import a_lab, eventually, maker, shown_peers

REAL, LOCAL = 65000, 64900
KNOWN_AS = {"old": LOCAL, "new": REAL}
ADDRESSES = {"old": "10.0.0.2", "new": "10.0.0.3"}


def lab_text(others: str) -> str:
    def peer(address: str, asn: int, **keys: object) -> dict[str, Any]:
        policies = {"import_policy": "accept-all", "export_policy": "accept-all"}
        return {
            "address": address,
            "as": asn,
            "connect_retry_time": 1,
            **policies,
        } | keys

    both = {"local_as": LOCAL, "dual_as": "on"}
    peers = [peer(ADDRESSES[name], 65001, **both) for name in KNOWN_AS]
    nodes = {
        "m": {
            "addresses": ["10.0.0.1/24"],
            "router": {
                "kind": "pybgpd",
                "as": REAL,
                "fib": False,
                "connect_retry": 1,
                "originate": ["10.1.0.0/24"],
                "neighbours": [{"node": name} for name in KNOWN_AS],
                "config": {"peers": peers},
            },
        }
    }
    for name, known_as in KNOWN_AS.items():
        nodes[name] = {
            "addresses": [f"{ADDRESSES[name]}/24"],
            "router": {
                "kind": others,
                "as": 65001,
                "fib": False,
                "connect_retry": 1,
                "neighbours": [{"node": "m", "as": known_as}],
                "config": {"peers": [peer("10.0.0.1", known_as)]},
            },
        }
    return json.dumps({"nodes": nodes})


@pytest.mark.parametrize("others", [maker("frr"), maker("bird"), "pybgpd"])
def test_neighbours_that_know_us_by_either_number(others: str) -> None:
    with a_lab(lab_text(others)) as lab:

        def told() -> dict[str, tuple[int, ...]]:
            found = {name: lab.routers[name].routes() for name in KNOWN_AS}
            return {
                name: routes["10.1.0.0/24"][0].as_path
                for name, routes in found.items()
                if "10.1.0.0/24" in routes
            }

        expected = {name: (known_as,) for name, known_as in KNOWN_AS.items()}
        assert eventually(lambda: told() == expected, 60), told()
        rows = shown_peers(lab.routers["m"])
        shown = {row["address"]: (row["local_as"], row["state"]) for row in rows}
        assert shown == {
            ADDRESSES[name]: (known_as, "Established")
            for name, known_as in KNOWN_AS.items()
        }
