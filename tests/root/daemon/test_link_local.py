"""Link-local neighbours and next hops: an address without its zone is not a key (RFC 4007).

Two links or three, the same address at the far end of each.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rib.family import IPV4_UNICAST
from rib.nlri import parse_address
from tests.support.daemons import Daemon, write_yaml
from tests.support.links import (
    FAMILIES,
    LINK_LOCAL,
    OURS,
    Links,
    WirePeer,
    an_announcement,
)
from tests.support.routers import eventually, needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]

BGP = {
    "as": 65000,
    "router_id": "10.0.0.1",
    "defaults": {
        "families": ["ipv6-unicast"],
        "import_policy": "accept-all",
        "export_policy": "accept-all",
        "connect_retry_time": 1,
        "max_connect_retry_time": 1,
    },
}
ON_ETH0 = {"address": "fe80::a%eth0", "as": 65001}
ON_ETH1 = {"address": "fe80::a", "interface": "eth1", "as": 65001}


@pytest.fixture
def links() -> Iterator[Links]:
    with Links() as made:
        made.machine(OURS, "a", "b")
        made.join("a", "eth0")
        made.join("b", "eth1")
        yield made


def settings(*peers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"bgp": BGP, "peers": list(peers), **more}


def goes_by(links: Links, prefix: str, device: str) -> bool:
    """Whether the kernel has the route, by that device and no other."""
    found = [line for line in links.kernel_routes("-6") if line.startswith(prefix)]
    return len(found) == 1 and f"via fe80::a dev {device} " in f"{found[0]} "


def connected(links: Links, name: str, **how: Any) -> WirePeer:
    return WirePeer.to_us(links, name, "fe80::a", "fe80::d", **how)


@pytest.mark.parametrize("is_stock_loop", [False, True], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("is_active", [False, True], ids=["called", "calling"])
def test_equal_addresses_on_two_links_are_two_neighbours(
    links: Links, tmp_path: Path, *, is_active: bool, is_stock_loop: bool
) -> None:
    how: dict[str, Any] = {"passive": not is_active}
    if is_active:
        how["local_address"] = "fe80::d"
    wanted = settings(ON_ETH0 | how, ON_ETH1 | how | {"name": "second"})
    listeners = {name: links.listener(name) for name in "ab"} if is_active else {}
    with links.daemon(tmp_path, wanted, is_stock_loop=is_stock_loop) as daemon:
        daemon.until(daemon.peers)
        peers = {}
        for name in "ab":
            if is_active:
                peers[name] = WirePeer.from_us(links, listeners[name])
                assert peers[name].sock.getpeername()[0] == "fe80::d"
            else:
                peers[name] = connected(links, name)
        a, b = peers["a"], peers["b"]
        for peer in (a, b):
            peer.establish(65001)
        daemon.until(lambda: daemon.are_up("fe80::a%eth0", "fe80::a%eth1"))
        a.send(an_announcement(LINK_LOCAL, "2001:db8:a::/48"))
        b.send(an_announcement(LINK_LOCAL, "2001:db8:b::/48"))
        assert eventually(lambda: goes_by(links, "2001:db8:a::/48", "eth0"))
        assert eventually(lambda: goes_by(links, "2001:db8:b::/48", "eth1"))
        check_views(daemon)
        (row,) = daemon.ask("reset", peer="fe80::a%eth1", kind="session")
        assert "second" in str(row)
        b.until(lambda kind, _: kind == 3)
        assert daemon.are_up("fe80::a%eth0")
        assert eventually(lambda: not goes_by(links, "2001:db8:b::/48", "eth1"))
        assert goes_by(links, "2001:db8:a::/48", "eth0")


def check_views(daemon: Daemon) -> None:
    """What is shown of an address has its zone."""
    (row,) = daemon.ask("show-peer", peer="fe80::a%eth1")
    assert (row["name"], row["local_address"]) == ("second", "fe80::d%eth1")
    for number, device in ((0xA, "eth0"), (0xB, "eth1")):
        prefix = f"2001:db8:{number:x}::/48"
        (path,) = daemon.ask("show-routes", prefix=prefix)
        assert path["attributes"]["next_hop"] == f"fe80::a%{device}"
        (page,) = daemon.ask("show-route", prefix=prefix)
        assert page["paths"][0]["next_hop"]["address"] == f"fe80::a%{device}"
    assert "fe80::a%eth0): established" in daemon.log()


def test_ranges_of_links_take_their_own_neighbours(
    links: Links, tmp_path: Path
) -> None:
    ranges = [
        {"prefix": "fe80::/64", "interface": "eth0", "name": "front", "as": 65001},
    ]
    with links.daemon(tmp_path, settings(ranges=ranges)) as daemon:
        daemon.until_logged("started:")
        a = connected(links, "a")
        a.establish(65001)
        daemon.until(lambda: daemon.are_up("fe80::a%eth0"))
        with connected(links, "b"):
            daemon.until_logged("connection from fe80::a%eth1 rejected")
        ranges.append({"prefix": "fe80::%eth1/64", "as": 65001})
        write_yaml(
            tmp_path / "pybgpd.yaml",
            {**settings(ranges=ranges), "control": {"path": daemon.control}},
        )
        daemon.ask("reload")
        b = connected(links, "b")
        b.establish(65001)
        daemon.until(lambda: daemon.are_up("fe80::a%eth0", "fe80::a%eth1"))
        rows = daemon.peers()
        assert rows["fe80::a%eth0"]["range"] == "front"
        assert rows["fe80::a%eth1"]["range"] == "fe80::%eth1/64"
        assert rows["fe80::a%eth0"]["flaps"] == 0


def is_turned_away(links: Links, name: str, password: str) -> bool:
    """Whether a connection is not made, or ended without a word."""
    try:
        peer = connected(links, name, password=password, seconds=0, patience=0.5)
        return not peer.sock.recv(1)
    except (TimeoutError, ConnectionError):
        return True


def comes_up_again(links: Links, name: str, **how: Any) -> WirePeer:
    """Return a new session; ours wait a moment after they have lost one."""
    deadline = time.monotonic() + 15
    while True:
        peer = connected(links, name, **how)
        try:
            peer.establish(65001)
        except (AssertionError, ConnectionError):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return peer


KEYS = [("one", "two"), ("one", "one"), ("", "two")]


@pytest.mark.parametrize(("first", "second"), KEYS)
def test_each_link_has_its_own_md5_key(
    links: Links, tmp_path: Path, first: str, second: str
) -> None:
    keys = {"a": first, "b": second}
    rows = []
    for peer, key in ((ON_ETH0, first), (ON_ETH1, second)):
        rows.append(peer | {"passive": True} | ({"password": key} if key else {}))
    with links.daemon(tmp_path, settings(*rows)) as daemon:
        daemon.until_logged("started:")
        for name in "ab":  # each with the other's key first, and none at all
            for wrong in {first, second} - {keys[name]}:
                assert is_turned_away(links, name, wrong)
        for name, key in keys.items():
            connected(links, name, password=key).establish(65001)
        daemon.until(lambda: daemon.are_up("fe80::a%eth0", "fe80::a%eth1"))


def test_a_recreated_device_is_the_same_link(links: Links, tmp_path: Path) -> None:
    """By its name: its number has changed. The key and the next hops follow."""
    rows = [ON_ETH0 | {"passive": True, "password": "one"}, ON_ETH1 | {"passive": True}]
    with links.daemon(tmp_path, settings(*rows)) as daemon:
        daemon.until_logged("started:")
        peer = connected(links, "a", password="one")
        peer.establish(65001)
        peer.send(an_announcement(LINK_LOCAL, "2001:db8:a::/48"))
        assert eventually(lambda: goes_by(links, "2001:db8:a::/48", "eth0"))
        links.ip(OURS, "link del eth0")
        assert eventually(lambda: not links.kernel_routes("-6"))
        links.join("a", "eth0")
        assert is_turned_away(links, "a", "")
        comes_up_again(links, "a", password="one").send(
            an_announcement(LINK_LOCAL, "2001:db8:a::/48")
        )
        assert eventually(lambda: goes_by(links, "2001:db8:a::/48", "eth0"))


def test_a_neighbour_is_called_again_over_a_recreated_device(
    links: Links, tmp_path: Path
) -> None:
    with links.daemon(tmp_path, settings(ON_ETH0)) as daemon:
        for _ in range(2):
            listener = links.listener("a")
            peer = WirePeer.from_us(links, listener)
            peer.establish(65001)
            daemon.until(lambda: daemon.are_up("fe80::a%eth0"))
            listener.close()
            peer.sock.close()
            daemon.until(lambda: not daemon.are_up("fe80::a%eth0"))
            links.ip(OURS, "link del eth0")
            links.join("a", "eth0")


# What stands in the next hop field (RFC 2545 3, and what makers send without a global one).
ENCODINGS = {
    "alone": LINK_LOCAL,
    "behind-zeros": bytes(16) + LINK_LOCAL,
    "twice": LINK_LOCAL + LINK_LOCAL,
    "beside-one-of-no-route": parse_address("2001:db8:ffff::1") + LINK_LOCAL,
}
# Our and the peer's address on eth0, and whether that tells the link.
SESSIONS = {
    "link-local": ("fe80::d/64", "fe80::a/64", True),
    "global": ("2001:db8::1/64", "2001:db8::2/64", True),
    "ipv4": ("10.0.0.1/24", "10.0.0.2/24", True),
    "multihop": ("2001:db8::1/128", "2001:db8::2/128", False),
}


@pytest.mark.parametrize("kind", SESSIONS)
def test_a_link_local_next_hop_is_on_the_link_of_its_session(
    tmp_path: Path, kind: str
) -> None:
    """And on no other, though each has an fe80::/64, and another device comes first."""
    ours, theirs, is_known = SESSIONS[kind]
    local, remote = (text.partition("/")[0] for text in (theirs, ours))
    row = {
        "address": f"{local}%eth0" if kind == "link-local" else local,
        "as": 65001,
        "passive": True,
        "multihop_ttl": 9 if kind == "multihop" else 0,
        "families": ["ipv4-unicast", "ipv6-unicast"],
        "extended_next_hop": True,
    }
    with Links() as links:
        links.machine(OURS, "x", "a")
        links.join("x", "cali1")
        links.join(
            "a", "eth0", ours={"fe80::d/64", ours}, theirs={"fe80::a/64", theirs}
        )
        if kind == "multihop":
            for name, device, other in ((OURS, "eth0", local), ("a", "e0", remote)):
                hop = "fe80::a" if name == OURS else "fe80::d"
                links.ip(name, f"route add {other} via {hop} dev {device}")
        with links.daemon(tmp_path, settings(row)) as daemon:
            daemon.until_logged("started:")
            peer = WirePeer.to_us(links, "a", local, remote)
            hops = ((IPV4_UNICAST, 2),)
            peer.establish(65001, FAMILIES, extended_next_hop=hops)
            wanted = []
            for number, field in enumerate(ENCODINGS.values()):
                for prefix in (
                    f"2001:db8:{number + 1}::/48",
                    f"10.{number + 1}.0.0/16",
                ):
                    peer.send(an_announcement(field, prefix))
                    wanted.append(prefix)
            plain = "2001:db8:99::/48"
            peer.send(an_announcement(parse_address("2001:db8:ffff::1"), plain))
            daemon.until(lambda: len(daemon.prefixes()) == len(wanted) + 1)

            def found() -> dict[str, str]:
                lines = links.kernel_routes("-6") + links.kernel_routes()
                return {line.split()[0]: line for line in lines}

            if is_known:
                assert eventually(lambda: found().keys() == set(wanted)), found()
                for line in found().values():
                    assert "fe80::a dev eth0" in line, line
            rows = {row["prefix"]: row for row in daemon.ask("show-routes")}
            for prefix in wanted:
                assert rows[prefix]["is_reachable"] is is_known, prefix
            assert not rows[plain]["is_reachable"]
            if not is_known:
                assert not found()
            else:
                links.ip(OURS, "link set cali1 down")
                links.ip(OURS, "link set cali1 up")
                links.ip(OURS, "link del cali1")
                assert found().keys() == set(wanted)
                links.ip("a", "link set e0 down")  # the carrier goes
                assert eventually(lambda: not found())
            peer.sock.close()
