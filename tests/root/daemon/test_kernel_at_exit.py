"""What a daemon that ends leaves in the kernel: a restart is none for packets."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rib.nlri import parse_prefix
from tests.support.daemons import ROOT, Daemon
from tests.support.forwarding_world import kernel
from tests.support.kernel_namespace import ip, namespace
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update

pytestmark = [pytest.mark.root, pytest.mark.slow]

COUNT = 300
LONG = 60.0  # seconds, on a machine that has much else to do
PREFIXES = {f"10.70.{n % 256}.0/24" for n in range(256)} | {
    f"10.71.{n}.0/24" for n in range(COUNT - 256)
}


def configuration(folder: Path, **sections: Any) -> Path:
    """Write a file with one iBGP peer at 10.8.0.2, and a blackhole."""
    file = folder / "pybgpd.yaml"
    content = {
        "bgp": {"as": 65000, "router_id": "10.9.0.1"},
        "peers": [{"address": "10.8.0.2", "as": 65000, "passive": True}],
        "routes": {"originate": [{"prefix": "10.72.0.0/26", "blackhole": True}]},
        "control": {"path": str(folder / "control.sock")},
        "bird": {"ipv4": "", "ipv6": ""},
        **sections,
    }
    file.write_text(yaml.safe_dump(content))
    return file


def ours() -> set[str]:
    return {p for p, route in kernel().items() if "proto bird" in route}


ENDINGS = {
    "SIGTERM": ({}, signal.SIGTERM, True),
    "SIGKILL": ({}, signal.SIGKILL, True),
    "without graceful restart": (
        {"graceful_restart": {"enabled": False}},
        signal.SIGTERM,
        True,
    ),
    "not persistent": ({"fib": {"persist": False}}, signal.SIGTERM, False),
    "shut down with flush": ({}, "flush", False),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_peer_that_keeps_nothing_costs_no_kernel_route(name, tmp_path) -> None:
    sections, how, stays = ENDINGS[name]
    file = configuration(tmp_path, **sections)
    wanted = {*PREFIXES, "10.72.0.0/26"}

    async def story(daemon: Daemon) -> None:
        daemon.until_logged("started: router id", LONG)
        async with ScriptedPeer("10.8.0.2", "10.9.0.1", 179) as peer:
            await peer.establish(an_open(65000))
            nlris = [parse_prefix(p)[1] for p in PREFIXES]
            peer.send(an_update(nlris, next_hop="10.9.0.2"))
            await asyncio.to_thread(daemon.until, lambda: ours() == wanted, LONG)
            if isinstance(how, signal.Signals):
                daemon.signal(how)
            else:
                daemon.ask("shutdown", flush=True)
            await asyncio.to_thread(daemon.ended, LONG)

    with namespace():
        ip("address add 10.8.0.2/32 dev lo")
        with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
            asyncio.run(story(daemon))
        assert ours() == (wanted if stays else set())


OLD = "kernel routes in table 254, protocol 12"
CHANGES = {
    "table": (
        {"table": 100},
        f"after the next start, {OLD} stay until table 100 has",
    ),
    "protocol": ({"protocol": 43}, f"the next start changes {OLD} to protocol 43"),
    "mode": ({"mode": "off"}, f"the next start removes the {OLD}"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_section_decides_the_fate_of_the_routes(name, tmp_path) -> None:
    """In the plan of the reload, by the check, and in the log of the next start."""
    fib, planned = CHANGES[name]
    block = "10.72.0.0/26"
    with namespace():
        file = configuration(tmp_path)
        with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
            daemon.until(lambda: block in kernel(), LONG)
            configuration(tmp_path, fib=fib, graceful_restart={"sweep_time": 1})
            daemon.ask("reload")
            daemon.until_logged(f"reload: {planned}", LONG)
            daemon.signal(signal.SIGTERM)
            daemon.ended(LONG)
        assert block in kernel()
        command = [sys.executable, "-m", "bgpd.cli.daemon", "check", str(file)]
        shown = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout
        assert planned in shown
        with Daemon(tmp_path, "run", "--config", str(file)) as daemon:
            daemon.until_logged("started: router id", LONG)
            daemon.until(lambda: (block in kernel()) is (name == "protocol"), LONG)
            assert (block in kernel(100)) is (name == "table")
            daemon.until_logged(
                "kernel routes of an earlier configuration in table 254, protocol 12",
                LONG,
            )
