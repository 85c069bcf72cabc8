"""MD5 keys are changed on both sides, in either order, beside routers of other makers.

Some end the session when their key changes, under the former one; others keep it. Whatever
they do, routes are back soon after the later change, with the time between attempts to
connect that the makers deliver.
"""

import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from bgpd.lab.routers.base import Router
from tests.support.daemons import Daemon, write_yaml
from tests.support.keys import change_key
from tests.support.pairs import a_bird, two_networks
from tests.support.routers import a_lab, eventually, has_routes, needs

pytestmark = pytest.mark.slow
BACK_TIME = 15.0  # seconds that a rotation may cost; twice as many on a busy machine
GAP = 0.5  # seconds between the changes of both sides

PEER = """
nodes:
  ours:
    addresses: [{ours}]
    router: {{kind: pybgpd, as: 65001, router_id: 10.0.0.1, fib: false,
              originate: [10.1.0.0/24],
              neighbours: [{{node: theirs, password: one}}]}}
  theirs:
    addresses: [{theirs}]
    router: {{kind: {kind}, as: 65001, router_id: 10.0.0.2, fib: false,
              connect_retry: 120, originate: [10.2.0.0/24],
              neighbours: [{{node: ours, password: one}}]}}
"""
RANGE = """
nodes:
  ours:
    addresses: [{ours}]
    router: {{kind: pybgpd, as: 65001, router_id: 10.0.0.1, fib: false,
              originate: [10.1.0.0/24], config: {{ranges: [
                {{name: all, prefix: 10.0.0.0/24, as: 65001, password: one}}]}}}}
  theirs:
    addresses: [{theirs}]
    router: {{kind: {kind}, as: 65001, router_id: 10.0.0.2, fib: false,
              connect_retry: 5, originate: [10.2.0.0/24],
              neighbours: [{{node: ours, password: one}}]}}
"""
LINK_LOCAL_BIRD = """
router id 10.0.0.2;
protocol device {{}}
protocol static {{ ipv6; route fd02::/48 blackhole; }}
protocol bgp n0 {{
  local {theirs} as 65002; neighbor {ours}%eth0 as 65001; password "{key}";
  connect delay time 1; connect retry time 120; error wait time 1, 2;
  ipv6 {{ import all; export all; }};
}}
"""
CASES = [
    *(
        pytest.param(kind, PEER, marks=needs(kind), id=kind)
        for kind in ("bird", "bird3", "frr", "gobgp", "openbgpd", "pybgpd")
    ),
    *(
        pytest.param(kind, RANGE, marks=needs(kind), id=f"{kind} in a range")
        for kind in ("bird", "frr")
    ),
]
ADDRESSES = {"ours": "10.0.0.1/24", "theirs": "10.0.0.2/24"}


def have_each_others_routes(ours: Router, theirs: Router, numbers: range) -> bool:
    return has_routes(ours, *(f"10.2.{n}.0/24" for n in numbers)) and has_routes(
        theirs, *(f"10.1.{n}.0/24" for n in numbers)
    )


def rotate(key: str, number: int, first: Router, second: Router) -> None:
    """Change the key of both, and let both tell something new."""
    change_key(first, key)
    time.sleep(GAP)
    change_key(second, key)
    for router in (first, second):
        router.originate(
            f"{router.originated[0].removesuffix('.0.0/24')}.{number}.0/24"
        )


@pytest.mark.parametrize(("kind", "text"), CASES)
def test_routes_are_back_soon_after_both_keys_changed(kind: str, text: str) -> None:
    with a_lab(text.format(kind=kind, **ADDRESSES)) as lab:
        ours, theirs = lab.routers["ours"], lab.routers["theirs"]
        assert eventually(lambda: have_each_others_routes(ours, theirs, range(1)), 40)
        for number, pair in enumerate(((ours, theirs), (theirs, ours)), 1):
            rotate(f"key-{number}", number, *pair)
            is_back = partial(have_each_others_routes, ours, theirs, range(number + 1))
            assert eventually(is_back, 2 * BACK_TIME)


def link_local_of(enter: tuple[str, ...]) -> str:
    """Return the address that a device gave itself, once it may be used."""
    command = [*enter, "ip", "-6", "-o", "address", "show", "dev", "eth0"]
    found: list[str] = []

    def has_one() -> bool:
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        lines = [x for x in shown.stdout.splitlines() if "tentative" not in x]
        found[:] = [w for x in lines for w in x.split() if w.startswith("fe80:")]
        return bool(found)

    assert eventually(has_one)
    return found[0].partition("/")[0]


@needs("bird")
def test_between_link_local_addresses_too(tmp_path: Path) -> None:
    with two_networks("md5", "10.0.0.1/24", "10.0.0.2/24") as (here, there):
        ours, theirs = link_local_of(here), link_local_of(there)
        bird = tmp_path / "bird.conf"

        def change_ours(key: str) -> None:
            peer = {"address": f"{theirs}%eth0", "as": 65002, "password": key}
            policies = {"import_policy": "accept-all", "export_policy": "accept-all"}
            content = {
                "bgp": {"as": 65001, "router_id": "10.0.0.1"},
                "peers": [{**peer, **policies, "families": ["ipv6-unicast"]}],
                "routes": {"originate": [{"prefix": "fd01::/48"}]},
                "fib": {"mode": "off"},
                "control": {"path": str(tmp_path / "control.sock")},
            }
            write_yaml(tmp_path / "pybgpd.yaml", content)

        def change_theirs(key: str) -> None:
            bird.write_text(LINK_LOCAL_BIRD.format(ours=ours, theirs=theirs, key=key))
            ask_bird("configure")

        def ask_bird(command: str) -> str:
            argv = [*there, "birdc", "-s", str(tmp_path / "bird.ctl")]
            return subprocess.run(
                [*argv, *command.split()], capture_output=True, text=True, check=False
            ).stdout

        change_ours("one")
        config = LINK_LOCAL_BIRD.format(ours=ours, theirs=theirs, key="one")
        arguments = ("run", "--config", str(tmp_path / "pybgpd.yaml"))
        with (
            a_bird(tmp_path, config, *there),
            Daemon(tmp_path, *arguments, prefix=here) as daemon,
        ):

            def sessions() -> int:
                rows = daemon.ask("show-peer", peer=f"{theirs}%eth0")
                return rows[0]["established_transitions"] if rows else 0

            def is_up(times: int) -> bool:
                has_theirs = "fd02::/48" in daemon.prefixes()
                return (
                    sessions() >= times
                    and has_theirs
                    and ("fd01::/48" in ask_bird("show route"))
                )

            assert eventually(lambda: is_up(1), 40)
            change_ours("two")
            time.sleep(GAP)
            change_theirs("two")
            assert eventually(lambda: is_up(2), 2 * BACK_TIME)
            change_theirs("three")
            time.sleep(GAP)
            change_ours("three")
            assert eventually(lambda: is_up(3), 2 * BACK_TIME)
