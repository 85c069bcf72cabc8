"""Other makers' routers next door, at the same link-local address on two links."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bgpd.lab.routers.bird import Bird
from bgpd.lab.routers.frr import Frr
from bgpd.lab.routers.gobgp import GoBgp
from bgpd.lab.routers.openbgpd import OpenBgpd
from tests.support.links import OURS, Links
from tests.support.routers import eventually, maker, needs_root

pytestmark = [pytest.mark.root, pytest.mark.interop, pytest.mark.slow, needs_root]

BGP = {
    "as": 65000,
    "router_id": "10.0.0.1",
    "defaults": {
        "families": ["ipv6-unicast"],
        "import_policy": "accept-all",
        "export_policy": "accept-all",
        "connect_retry_time": 1,
        "max_connect_retry_time": 2,
    },
}


def bird(folder: Path, name: str, number: int, prefix: str) -> list[list[str]]:
    conf = folder / f"{name}.conf"
    conf.write_text(
        f"""router id 10.0.0.{number};
protocol device {{}}
protocol kernel {{ ipv6 {{ export all; }}; }}
protocol static {{ ipv6; route {prefix} blackhole; }}
protocol bgp ours {{
  local fe80::a as 65001; neighbor fe80::d % 'e0' as 65000; connect retry time 1;
  error wait time 1, 2;
  ipv6 {{ import all; export where source = RTS_STATIC; }};
}}
""",
        encoding="utf-8",
    )
    ctl = str(folder / f"{name}.ctl")
    return [
        [Bird.program("bird"), "-f", "-c", str(conf), "-s", ctl, "-P", f"{ctl}.pid"]
    ]


def frr(folder: Path, name: str, number: int, prefix: str) -> list[list[str]]:
    there = folder / f"{name}.frr"
    there.mkdir()
    (there / "zebra.conf").write_text("log stdout\n", encoding="utf-8")
    (there / "bgpd.conf").write_text(
        f"""router bgp 65001
 bgp router-id 10.0.0.{number}
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor fe80::d remote-as 65000
 neighbor fe80::d interface e0
 neighbor fe80::d timers connect 1
 address-family ipv6 unicast
  neighbor fe80::d activate
  network {prefix}
""",
        encoding="utf-8",
    )
    for above in (folder, *folder.parents[:-2]):  # it runs as a user of its own
        above.chmod(0o755)
    subprocess.run(["chown", "-R", "frr:frr", str(there)], check=True)
    common = ["-z", str(there / "zserv.api"), "--vty_socket", str(there), "-P", "0"]
    return [
        [
            Frr.program(program),
            *("-f", str(there / f"{program}.conf")),
            *("-i", str(there / f"{program}.pid")),
            *("--log", "stdout"),
            *common,
        ]
        for program in ("zebra", "bgpd")
    ]


def gobgp(folder: Path, name: str, number: int, _prefix: str) -> list[list[str]]:
    conf = folder / f"{name}.toml"
    conf.write_text(
        f"""[global.config]
as = 65001
router-id = "10.0.0.{number}"
[[neighbors]]
[neighbors.config]
neighbor-address = "fe80::d%e0"
peer-as = 65000
[neighbors.timers.config]
connect-retry = 1
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv6-unicast"
""",
        encoding="utf-8",
    )
    api = f"127.0.0.1:{50051}"
    return [
        [
            GoBgp.program("gobgpd"),
            "-f",
            str(conf),
            "--pprof-disable",
            "--api-hosts",
            api,
        ]
    ]


def openbgpd(folder: Path, name: str, number: int, prefix: str) -> list[list[str]]:
    conf = folder / f"{name}.conf"
    conf.write_text(
        f"""AS 65001
router-id 10.0.0.{number}
socket "{folder}/{name}.sock"
network {prefix}
neighbor fe80::d%e0 {{
  remote-as 65000
  announce IPv6 unicast
}}
allow from any
allow to any
""",
        encoding="utf-8",
    )
    conf.chmod(0o600)
    return [[OpenBgpd.program("bgpd"), "-d", "-f", str(conf)]]


Program = Callable[[Path, str, int, str], list[list[str]]]
MAKERS: dict[str, Program] = {
    "bird": bird,
    "frr": frr,
    "gobgp": gobgp,
    "openbgpd": openbgpd,
}
PREFIXES = {"a": "2001:db8:a::/48", "b": "2001:db8:b::/48"}


@contextmanager
def running(links: Links, folder: Path, kind: str) -> Iterator[Path]:
    log_file = folder / "programs.log"
    children = []
    with log_file.open("ab") as log:
        try:
            for number, (name, prefix) in enumerate(PREFIXES.items(), 2):
                for argv in MAKERS[kind](folder, name, number, prefix):
                    if argv[0].endswith("/frr/bgpd"):  # zebra is asked once in 10 s
                        api = folder / f"{name}.frr" / "zserv.api"
                        assert eventually(api.exists)
                    children.append(links.at(name).popen(argv, log))
            if kind == "gobgp":
                for name, prefix in PREFIXES.items():
                    announce = f"{GoBgp.program('gobgp')} global rib add -a ipv6 {prefix}".split()
                    assert eventually(lambda: links.at(name).run(announce) == "")  # noqa: B023
            yield log_file
        finally:
            for child in reversed(children):
                child.terminate()
            for child in children:
                child.wait(10)


@pytest.mark.parametrize("kind", [maker(kind) for kind in MAKERS])
def test_routes_of_each_go_by_their_own_link_and_ours_arrive(
    tmp_path: Path, kind: str
) -> None:
    """One calls us, as it cannot be called; the other does so, too, or is called."""
    how: dict[str, Any] = {"as": 65001}
    wanted = {
        "bgp": BGP,
        "peers": [
            # FRR up to 8.4 does not call such a neighbour: it has no zone of the address
            # before it is connected, and waits for a next hop that it never asks zebra for.
            # FRR 10 calls.
            {"address": "fe80::a%eth0", "passive": kind != "frr", **how},
            {"address": "fe80::a%eth1", **how},
        ],
        "routes": {"originate": [{"prefix": "2001:db8:d::/48"}]},
    }
    with Links() as links:
        links.machine(OURS, *PREFIXES)
        links.join("a", "eth0")
        links.join("b", "eth1")
        with ExitStack() as stack:
            d = stack.enter_context(links.daemon(tmp_path, wanted))
            # Those who are refused once may wait for two minutes.
            d.until_logged("started:")
            log = stack.enter_context(running(links, tmp_path, kind))
            try:
                d.until(lambda: d.are_up("fe80::a%eth0", "fe80::a%eth1"), seconds=40)
                d.until(lambda: set(PREFIXES.values()) <= d.prefixes())
            except AssertionError as error:
                error.add_note(
                    log.read_text(encoding="utf-8", errors="replace")[-3000:]
                )
                raise

            def routes() -> dict[str, str]:
                lines = links.kernel_routes("-6")
                return {line.split()[0]: line for line in lines}

            assert eventually(lambda: routes().keys() == set(PREFIXES.values()))
            for prefix, device in zip(PREFIXES.values(), ("eth0", "eth1"), strict=True):
                assert f"via fe80::a dev {device} " in f"{routes()[prefix]} "
            if kind in {"bird", "frr"}:  # they have a kernel's table here
                for name in PREFIXES:
                    show = ["ip", "-6", "route", "show", "2001:db8:d::/48"]
                    at = links.at(name)
                    assert eventually(lambda: "via fe80::d dev e0" in at.run(show))  # noqa: B023
