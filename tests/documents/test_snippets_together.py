"""The snippets of a page form the network that the page describes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.console import fences
from tests.support.generated import ROOT
from tests.support.routers import needs
from tests.support.sandbox import Shell

pytestmark = [pytest.mark.root, pytest.mark.interop]

JOIN = """
ip link set lo up; ip link add bridge type bridge; ip link set bridge up
join() {
    ip netns add $1; ip link add eth0 netns $1 type veth peer name $1; ip link set $1 master bridge up
    ip -n $1 link set lo up; ip -n $1 link set eth0 up; ip -n $1 address add $2 dev eth0
}
frr() {
    install -d -o frr -g frr /etc/frr/$1 /run/frr/$1; touch /etc/frr/$1/zebra.conf /etc/frr/$1/vtysh.conf
    cp $2 /etc/frr/$1/bgpd.conf
    ip netns exec $1 /usr/lib/frr/zebra -d -N $1; ip netns exec $1 /usr/lib/frr/bgpd -d -N $1
}
"""


def snippet(page: str, language: str, number: int = 0) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [content for _, name, content in fences(text) if name == language]
    return found[number]


@contextmanager
def network(folder: Path) -> Iterator[Shell]:
    with Shell(folder) as shell:
        shell.run(JOIN)
        yield shell


def do(shell: Shell, command: str) -> str:
    code, printed = shell.run(command)
    assert code == 0, f"{command}: {printed}"
    return printed


def until(shell: Shell, command: str, *wanted: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while True:
        printed = shell.run(command)[1]
        if all(text in printed for text in wanted):
            return
        assert time.monotonic() < deadline, f"{command}: {printed}"
        time.sleep(0.2)


def established(shell: Shell, control: str, count: int) -> None:
    until(
        shell,
        f"pybgpctl --control {control} show peers | grep -c Established",
        str(count),
    )


@needs("bird")
@needs("frr")
def test_a_node_and_two_gateways(tmp_path: Path) -> None:
    page = "docs/gateways.md"
    (tmp_path / "node.yaml").write_text(snippet(page, "yaml"))
    (tmp_path / "a.conf").write_text(snippet(page, "frr"))
    other = snippet(page, "bird").replace("router id 10.0.1.1;", "router id 10.0.1.2;")
    (tmp_path / "b.conf").write_text(other)
    with network(tmp_path) as shell:
        do(
            shell,
            "join node 10.0.1.11/24; join gw-a 10.0.1.1/24; join gw-b 10.0.1.2/24",
        )
        do(
            shell,
            "ip netns exec gw-b bird -c b.conf -s b.ctl -P b.pid; frr gw-a a.conf",
        )
        do(
            shell,
            "ip netns exec node pybgpd run --config node.yaml --control c 2>log &",
        )
        established(shell, "c", 2)
        fib = "ip -n node route show proto bird default"
        until(shell, fib, "via 10.0.1.1", "via 10.0.1.2")
        until(shell, "vtysh -N gw-a -c 'show bgp ipv4 unicast'", "10.244.44.192/26")
        until(
            shell,
            "birdc -s b.ctl show route all 10.244.44.192/26",
            "BGP.as_path: 64512",
        )


@needs("bird")
@needs("frr")
@needs("gobgp")
@needs("openbgpd")
def test_a_reflector_and_clients_of_all_makers(tmp_path: Path) -> None:
    page = "docs/reflectors.md"
    for name, language, number in (
        ("rr.yaml", "yaml", 0),
        ("pybgpd.yaml", "yaml", -1),
        ("bird.conf", "bird", 0),
        ("frr.conf", "frr", 0),
        ("gobgp.conf", "gobgp", 0),
        ("openbgpd.conf", "openbgpd", 0),
    ):
        (tmp_path / name).write_text(snippet(page, language, number))
        (tmp_path / name).chmod(0o600)
    with network(tmp_path) as shell:
        do(
            shell,
            "join rr 10.0.0.2/16; ip netns exec rr pybgpd run --config rr.yaml --control rr.sock 2>log &",
        )
        until(shell, "cat log", "started: ")  # OpenBGPD tries once in two minutes
        for number, name in enumerate(
            ("bird", "frr", "gobgp", "openbgpd", "pybgpd"), 5
        ):
            do(shell, f"join {name} 10.0.16.{number}/16")
            do(shell, f"ip -n {name} address add 10.{number}.0.1/24 dev eth0")
        do(shell, "ip netns exec bird bird -c bird.conf -s bird.ctl -P bird.pid")
        do(shell, "cp frr.conf frr2.conf; chmod a+r frr2.conf; frr frr frr2.conf")
        do(
            shell,
            "ip netns exec gobgp gobgpd --config-file gobgp.conf >gobgp.log 2>&1 &",
        )
        do(
            shell,
            "mkdir -p /run/openbgpd; ip netns exec openbgpd /usr/sbin/bgpd -d -f openbgpd.conf >openbgpd.log 2>&1 &",
        )
        do(
            shell,
            "ip netns exec pybgpd pybgpd run --config pybgpd.yaml --control p.sock 2>p.log &",
        )
        established(shell, "rr.sock", 5)
        routes = "pybgpctl --control p.sock show routes --best"
        until(
            shell,
            routes,
            *(f"10.{number}.0.0/24" for number in (5, 6)),
            "10.244.8.0/26",
        )
        until(shell, "birdc -s bird.ctl show route", "10.244.8.0/26", "10.9.0.0/24")
        until(
            shell, "ip netns exec gobgp gobgp global rib", "10.5.0.0/24", "10.9.0.0/24"
        )
