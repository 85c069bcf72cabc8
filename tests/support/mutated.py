"""Calico objects as they occur, and mutations of them: what strangers and slips may store.

Everything is drawn from one seeded generator, so that a failure can be reproduced.
"""

import json
import random
from copy import deepcopy
from typing import Any, Final

from bgpd.calico.keys import affinity_key, resource_key

OWN: Final = "own"
NAMES: Final = (OWN, "n1", "n2", "n3", "default", "node.own", "node.n1", "a.b-c")

_ADDRESSES: Final = (
    *(
        "10.0.0.1",
        "10.0.0.1/24",
        "10.0.0.2/16",
        "010.0.0.1",
        "10.0.0.1/0",
        "10.0.0.1/33",
    ),
    *(
        "0.0.0.0",
        "0.0.0.0/0",
        "255.255.255.255",
        "224.0.0.1",
        "127.0.0.1",
        "10.0.0.256",
    ),
    *("::", "::/0", "::1", "fd00::1", "fd00::1/64", "FD00::A/128", "fd00::1/129"),
    *("fe80::1", "fe80::1%eth0", "fe80::1%", "fe80::1%eth0/64", "fe80::%eth0/10"),
    *("2001:db8::1%eth0", "fe80::1%a b", "fe80::1%" + "x" * 40, "fe80::1%\0"),
    *("::ffff:10.0.0.1", "::ffff:10.0.0.1/128", "::1.2.3.4", "ff02::1", "1.2.3.4%eth0"),
    *("10.0.0.1:179", "10.0.0.1:0", "10.0.0.1:99999", "10.0.0.1:", "10.0.0.1:+1"),
    *("[fd00::1]:179", "[fd00::1]", "[fd00::1", "[10.0.0.1]:1", "[fe80::1%eth0]:1"),
    *(
        " 10.0.0.1",
        "10.0.0.1 ",
        "10.0.0.1\n",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/0.0.0.255",
    ),
    *("10.1.0.0/26", "10.1.0.7/26", "10.1.0.0/32", "10.0.0.0/+8", "10.0.0.0/ 8"),
    *("\N{FULLWIDTH DIGIT ONE}0.0.0.1", "10.0.0.0/\N{ARABIC-INDIC DIGIT EIGHT}"),
    *("224.0.0.1/4", "fd00::/122", "fd00::/0", "10.0.0.0/8/8", "None", "none", "null"),
)
_NUMBERS: Final[tuple[Any, ...]] = (
    *(0, 1, -1, 64512, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**64, 1e400),
    *(1.0, 1.5, -0.0, True, False, "64512", "1.10", "1.", ".1", "65536.1", "0x1"),
    *("\N{ARABIC-INDIC DIGIT ONE}", "+1", "1_0", " 1", "9" * 300, "1e3", 10**18),
)
_DURATIONS: Final = (
    *(
        "10s",
        "60s",
        "90s",
        "1m30s",
        "0s",
        "1ms",
        "1h",
        "999999h",
        "-1s",
        "s",
        "1",
        "1e9s",
        "1.5.5s",
    ),
    *("9" * 400 + "h", "9999999999999999999s", ".s", "\N{ARABIC-INDIC DIGIT ONE}s"),
)
_SELECTORS: Final = (
    *(
        "all()",
        "a == 'b'",
        "has(x)",
        "!has(x)",
        "a in {'b'}",
        "a ==",
        "((((",
        "!" * 500,
    ),
    *("(" * 200 + "all()" + ")" * 200, "a == 'b' || " * 300 + "all()", "in in {'in'}"),
    *(
        "a starts with 'b'",
        'a == "',
        "{}",
        "'a'",
        "\0",
        "x" * 600 + " == 'a'",
        "global()",
    ),
)
_WORDS: Final = (
    *("", " ", "Enabled", "Disabled", "Always", "CrossSubnet", "Never", "Self", "Keep"),
    *("Auto", "Manual", "None", "NodeIP", "Accept", "Reject", "In", "NotIn", "Equal"),
    *(
        "RemotePeers",
        "eBGP",
        "iBGP",
        "cali*",
        "*",
        "[",
        "[!a",
        "v3.31.0",
        "v3.99.0",
        "v",
    ),
    *(
        "65000:1",
        "65000:1:2",
        "65536:1",
        "1:2:3:4",
        "no-export",
        ":",
        "1:",
        "a:b",
        "own",
    ),
    *(
        "\ud800",
        "\u202e",
        "a\nb",
        "/",
        "../..",
        "%s%s%n",
        "x" * 5000,
        "f",
        "f2",
        "s",
        "k",
    ),
)
_ANY: Final[tuple[Any, ...]] = (
    *(None, [], {}, [[]], [{}], {"": ""}, {"a": {"b": []}}, [None], "", 0, True),
)
_POOLS: Final = (_ADDRESSES, _NUMBERS, _DURATIONS, _SELECTORS, _WORDS, _ANY)

Object = dict[str, Any]


def real_objects() -> dict[str, Object]:
    """Return an object of each kind with every field that is read, by key."""
    rule = {
        "action": "Accept",
        "cidr": "10.0.0.0/8",
        "matchOperator": "In",
        "prefixLength": {"min": 24, "max": 28},
        "source": "RemotePeers",
        "interface": "eth*",
        "peerType": "eBGP",
        "communities": {"values": ["65000:1"]},
        "asPathPrefix": [64512, 65000],
        "priority": 512,
        "operations": [
            {"addCommunity": {"value": "65000:2:3"}},
            {"prependASPath": {"prefix": [65000, 65000]}},
            {"setPriority": {"value": 1024}},
        ],
    }
    rule6 = {**rule, "cidr": "fd00::/8", "prefixLength": {"min": 64}}
    filters = {"exportV4": [rule], "importV4": [rule], "exportV6": [rule6]}
    secret = {"secretKeyRef": {"name": "s", "key": "k"}}
    peer = {
        "asNumber": 65001,
        "localASNumber": 65002,
        "keepOriginalNextHop": True,
        "nextHopMode": "Auto",
        "password": secret,
        "sourceAddress": "UseNodeIP",
        "maxRestartTime": "60s",
        "keepaliveTime": "10s",
        "numAllowedLocalASNumbers": 1,
        "ttlSecurity": 1,
        "filters": ["f"],
        "reversePeering": "Auto",
    }
    configuration = {
        "logSeverityScreen": "Info",
        "nodeToNodeMeshEnabled": True,
        "asNumber": 64512,
        "listenPort": 1790,
        "nodeMeshMaxRestartTime": "90s",
        "nodeMeshPassword": secret,
        "bindMode": "NodeIP",
        "ignoredInterfaces": ["eth1", "lo*"],
        "communities": [{"name": "c", "value": "65000:7"}],
        "prefixAdvertisements": [
            {"cidr": "10.1.0.0/16", "communities": ["c", "65000:8:9"]}
        ],
        "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}],
        "serviceExternalIPs": [{"cidr": "10.97.0.1/32"}, {"cidr": "fd00:97::/64"}],
        "serviceLoadBalancerIPs": [{"cidr": "10.98.0.0/24"}],
        "serviceLoadBalancerAggregation": "Disabled",
        "programClusterRoutes": "Enabled",
        "ipv4NormalRoutePriority": 1024,
        "ipv6NormalRoutePriority": 1024,
    }
    found = {
        ("ClusterInformation", "default"): {"calicoVersion": "v3.32.0"},
        ("BGPConfiguration", "default"): configuration,
        ("BGPConfiguration", "node.own"): {
            "listenPort": 1791,
            "logSeverityScreen": "Info",
        },
        ("BGPPeer", "address"): {**peer, "peerIP": "192.0.2.1:1790", "node": "own"},
        ("BGPPeer", "address6"): {
            **peer,
            "peerIP": "fd00::99",
            "nodeSelector": "all()",
        },
        ("BGPPeer", "gateway"): {
            **peer,
            "peerIP": "192.0.2.9",
            "reachableBy": "10.0.0.9",
        },
        ("BGPPeer", "gateway6"): {
            "peerIP": "fd00::98",
            "asNumber": 64513,
            "reachableBy": "fd00::9",
        },
        ("BGPPeer", "selector"): {
            "peerSelector": "rack == 'a'",
            "nodeSelector": "all()",
            "filters": ["f"],
        },
        ("BGPPeer", "workload"): {"asNumber": 65003, "localWorkloadSelector": "all()"},
        ("BGPFilter", "f"): filters,
        ("IPPool", "p4"): {"cidr": "10.1.0.0/16", "ipipMode": "CrossSubnet"},
        ("IPPool", "p6"): {"cidr": "fd00:1::/48", "vxlanMode": "Always"},
        ("IPPool", "p"): {"cidr": "10.2.0.0/16", "disableBGPExport": True},
        ("IPReservation", "r"): {"reservedCIDRs": ["10.1.0.0/28"]},
    }
    objects = {
        resource_key(kind, name): {"metadata": {"name": name}, "spec": spec}
        for (kind, name), spec in found.items()
    }
    for number, name in enumerate((OWN, "n1", "n2", "n3"), 1):
        objects[resource_key("Node", name)] = {
            "metadata": {"name": name, "labels": {"rack": "ab"[number % 2]}},
            "spec": {
                "bgp": {
                    "asNumber": 64512,
                    "ipv4Address": f"10.0.0.{number}/24",
                    "ipv6Address": f"fd00::{number}/64",
                    "ipv4IPIPTunnelAddr": f"10.1.{number}.0",
                    "routeReflectorClusterID": "244.0.0.1" if number == 4 else "",
                },
                "wireguard": {"interfaceIPv4Address": f"10.5.0.{number}"},
            },
            "status": {"podCIDRs": [f"10.3.{number}.0/24"]},
        }
        objects[affinity_key(name, f"10.1.{number}.0/26")] = {"state": "confirmed"}
    return objects


class Mutator:
    """Draws mutated objects.

    Args:
        seed: Of everything.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._real = real_objects()
        self._keys = list(self._real)

    def draw(self) -> tuple[str, bytes | None]:
        """Return a key with its new value; ``None`` where the object goes."""
        rng = self._rng
        key = rng.choice(self._keys)
        content = json.loads(json.dumps(self._real[key]))
        if rng.random() < 0.1:
            key = self._other_key(key)
        chance = rng.random()
        if chance < 0.02:
            return key, None
        if chance < 0.12:
            return key, json.dumps(content).encode()  # as it was
        if chance < 0.16:
            return key, self._broken(json.dumps(content).encode())
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
            self._mutate(content)
        return key, json.dumps(content).encode()

    def _other_key(self, key: str) -> str:
        rng = self._rng
        head, _, _ = key.rpartition("/")
        if "/block/" in key:
            text = rng.choice(_ADDRESSES).replace("/", "-")
            return f"{head}/{text}"
        name: str = rng.choice((*NAMES, rng.choice(_WORDS)))
        return f"{head}/{name.encode('utf-8', 'replace').decode()}"

    def _broken(self, value: bytes) -> bytes:
        """Return octets that are hardly JSON."""
        rng = self._rng
        at = rng.randrange(len(value))
        return rng.choice(
            (
                value[:at],
                value[:at] + bytes([rng.randrange(256)]) + value[at + 1 :],
                b"[" * rng.randrange(300),
                value + value,
                b"",
                b"null",
                b"\xff" + value,
            )
        )

    def _mutate(self, content: Object) -> None:
        """Change one place of an object, at any depth."""
        rng = self._rng
        holder: Any = content
        while True:
            places: list[Any] = list(holder) if isinstance(holder, dict) else []
            if isinstance(holder, list):
                places = list(range(len(holder)))
            if not places:
                break
            place = rng.choice(places)
            inner = holder[place]
            if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
                holder = inner
                continue
            self._change(holder, place)
            return

    def _pool(self, was: object) -> tuple[Any, ...]:
        """Return values to choose from, mostly of the kind that was there."""
        rng = self._rng
        if rng.random() < 0.4:
            return rng.choice(_POOLS)
        if isinstance(was, int | float):
            return _NUMBERS
        if not isinstance(was, str):
            return _ANY
        for pool in (_DURATIONS, _SELECTORS):
            if was in pool:
                return pool
        has_digit = any(letter.isdigit() for letter in was)
        return _ADDRESSES if has_digit and ("." in was or ":" in was) else _WORDS

    def _change(self, holder: Any, place: Any) -> None:  # any JSON
        rng, was = self._rng, holder[place]
        chance = rng.random()
        if chance < 0.08:
            del holder[place]
        elif chance < 0.14:
            holder[place] = [was] * rng.choice((0, 1, 2, 300))
        elif chance < 0.18 and isinstance(was, str) and was:
            at = rng.randrange(len(was))
            holder[place] = was[:at] + chr(rng.randrange(1, 0x2FF)) + was[at:]
        elif chance < 0.22 and isinstance(holder, list):
            holder.extend(holder[:20])
        else:
            holder[place] = deepcopy(rng.choice(self._pool(was)))
