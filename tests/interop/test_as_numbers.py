"""AS_PATH towards other ASes: ours beside FRR, with the words of either for the same thing."""

import json
from typing import Any, NamedTuple

import pytest

from bgpd.lab.routers.frr import Frr
from tests.support.routers import a_lab, eventually, maker, needs

PATH = (65001, 64512, 3356)


class Neighbour(NamedTuple):
    """One neighbour of the router in the middle, whose AS is 65000.

    Attributes:
        keys: Our words for it.
        line: FRR's words, or empty.
        ours: The AS that it knows the middle by.
        prefix: What it originates; empty for one that receives routes.
        told: AS_PATH of 10.2.0.0/24 as received, behind PATH's own AS.
    """

    keys: dict[str, Any]
    line: str
    ours: int = 65000
    prefix: str = ""
    told: tuple[int, ...] = ()


FROM = "address-family ipv4 unicast"
NEIGHBOURS = {
    "plain": Neighbour({}, "", prefix="10.2.0.0/24"),
    "in-prepend": Neighbour(
        {"local_as": 64900, "local_as_mode": "prepend"},
        "local-as 64900",
        ours=64900,
        prefix="10.4.0.0/24",
    ),
    "in-no-prepend": Neighbour(
        {"local_as": 64901, "local_as_mode": "no-prepend"},
        "local-as 64901 no-prepend",
        ours=64901,
        prefix="10.5.0.0/24",
    ),
    "out-prepend": Neighbour(
        {"local_as": 64902, "local_as_mode": "prepend"},
        "local-as 64902",
        ours=64902,
        told=(64902, 65000, *PATH),
    ),
    "out-replace": Neighbour(
        {"local_as": 64903},
        "local-as 64903 no-prepend replace-as",
        ours=64903,
        told=(64903, *PATH),
    ),
    "hides-all": Neighbour(
        {"remove_private_as": "all"}, "remove-private-AS all", told=(65000, 3356)
    ),
    "replaces-all": Neighbour(
        {"remove_private_as": "all", "replace_private_as": True},
        "remove-private-AS all replace-AS",
        told=(65000, 65000, 65000, 3356),
    ),
    "hides-whole": Neighbour(
        {"remove_private_as": "if-all-private"},
        "remove-private-AS",
        told=(65000, *PATH),
    ),
    "overrides": Neighbour({"as_override": True}, "as-override", told=(65000, *PATH)),
}
ADDRESSES = {name: f"10.0.0.{n}" for n, name in enumerate(NEIGHBOURS, 2)}
# Each has an AS of its own: the last of them that of 10.3.0.0/24's path, too.
ASNS = {name: 65001 if each.prefix else 65003 for name, each in NEIGHBOURS.items()}


def node(name: str) -> dict[str, Any]:
    """Return one of our speakers, which announces a long path or listens."""
    each = NEIGHBOURS[name]
    peer = {
        "address": "10.0.0.1",
        "as": each.ours,
        "connect_retry_time": 1,
        "import_policy": "reject-all" if each.prefix else "accept-all",
        "export_policy": "longer",
    }
    others = {"match": {"prefixes": ["10.3.0.0/24"]}, "set": {"prepend": [65003]}}
    terms = [
        {**others, "action": "accept"},
        {"set": {"prepend": [64512, 3356]}, "action": "accept"},
    ]
    router = {
        "kind": "pybgpd",
        "as": ASNS[name],
        "fib": False,
        "originate": [each.prefix] if each.prefix else [],
        "neighbours": [{"node": "m", "as": each.ours}],
        "config": {"peers": [peer], "policies": {"longer": {"terms": terms}}},
    }
    if name == "plain":
        router["originate"] = [each.prefix, "10.3.0.0/24"]
    return {"addresses": [f"{ADDRESSES[name]}/24"], "router": router}


def lab_text(kind: str) -> str:
    peers = [
        {
            "address": ADDRESSES[name],
            "as": ASNS[name],
            "import_policy": "accept-all",
            "export_policy": "accept-all",
            "connect_retry_time": 1,
            **each.keys,
        }
        for name, each in NEIGHBOURS.items()
    ]
    middle = {
        "kind": kind,
        "as": 65000,
        "fib": False,
        "neighbours": [{"node": name} for name in NEIGHBOURS],
        "config": {"peers": peers},
    }
    nodes = {name: node(name) for name in NEIGHBOURS}
    nodes["m"] = {"addresses": ["10.0.0.1/24"], "router": middle}
    return json.dumps({"nodes": nodes})


@needs("frr")
@pytest.mark.parametrize("kind", [maker("frr"), "pybgpd"])
def test_what_the_next_as_receives(kind: str) -> None:
    with a_lab(lab_text(kind)) as lab:
        if isinstance(middle := lab.routers["m"], Frr):
            for name, each in NEIGHBOURS.items():
                family = [] if each.line.startswith("local-as") else [FROM]
                words = f"neighbor {ADDRESSES[name]} {each.line}"
                if each.line:
                    middle.configure(*family, words)

        def path(name: str, prefix: str) -> tuple[int, ...]:
            routes = lab.routers[name].routes().get(prefix)
            return routes[0].as_path if routes else ()

        def paths() -> dict[str, tuple[int, ...]]:
            told = {
                name: path(name, "10.2.0.0/24")
                for name, each in NEIGHBOURS.items()
                if each.told
            }
            return told | {
                "in-prepend": path("hides-whole", "10.4.0.0/24"),
                "in-no-prepend": path("hides-whole", "10.5.0.0/24"),
                "own AS in the path": path("overrides", "10.3.0.0/24"),
            }

        expected = {name: each.told for name, each in NEIGHBOURS.items() if each.told}
        expected |= {
            "in-prepend": (65000, 64900, *PATH),
            "in-no-prepend": (65000, *PATH),
            "own AS in the path": (65000, 65001, 65000),
        }
        assert eventually(lambda: paths() == expected, 30), paths()
