"""The services for a calico-node image under a real runsvdir, as its probes see them."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgpd.cli import health
from tests.daemon.test_companions import NAMES, children_of
from tests.support.daemons import ROOT
from tests.support.scripts import an_installed_pybgpd
from tests.support.speakers import own_network

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("runsvdir") is None, reason="needs runit"),
]
SERVICES = ("bird", "bird6", "confd")
PORT = 17915


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Path]:
    """A folder of running services, made as calico-node's rc.local does."""
    folder = tmp_path / "enabled"
    shutil.copytree(ROOT / "configs" / "runit", folder)
    variables = {
        "PYBGPD": str(an_installed_pybgpd(tmp_path)),
        "PYBGPD_BGP_AS": "64512",
        "PYBGPD_BGP_ROUTER_ID": "10.0.0.1",
        "PYBGPD_BGP_LISTEN_ADDRESSES": f"{own_network()}.1",
        "PYBGPD_BGP_LISTEN_PORT": str(PORT),
        "PYBGPD_FIB_MODE": "off",
        "PYBGPD_NEXT_HOPS_RESOLVE": "trust",
        "PYBGPD_CONTROL_PATH": str(tmp_path / "control.sock"),
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["runsvdir", "-P", str(folder)],
            stdout=output,
            stderr=output,
            env=os.environ | variables,
        )
    try:
        yield folder
    finally:
        for name in SERVICES:
            sv("force-stop", folder / name)
        process.send_signal(signal.SIGHUP)  # ends its runsvs too
        process.wait(10)
    assert "Traceback" not in log.read_text(encoding="utf-8")


def sv(command: str, service: Path) -> str:
    outcome = subprocess.run(
        ["sv", command, str(service)], capture_output=True, text=True, check=False
    )
    return outcome.stdout


def until_running(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while not all(sv("status", folder / name).startswith("run") for name in SERVICES):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def pid_of(service: Path) -> int:
    """Return the number of a service's process; 0 while it has none."""
    text = (service / "supervise" / "pid").read_text(encoding="ascii")
    return int(text or "0")


def until_named(service: Path) -> int:
    """Wait until the daemon has its processes with BIRD's names; return its number."""
    deadline = time.monotonic() + 30
    while not children_of(pid := pid_of(service)).keys() >= NAMES:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return pid


def test_services_run_and_come_back(services: Path) -> None:
    until_running(services)
    first = until_named(services / "bird")
    sv("kill", services / "bird")
    deadline = time.monotonic() + 30
    while pid_of(services / "bird") in (0, first):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    until_running(services)
    until_named(services / "bird")


def test_calicos_liveness_asks_for_these_services(
    services: Path, tmp_path: Path
) -> None:
    until_running(services)
    around = health.Surroundings((tmp_path,), tmp_path / "nodename", services)
    # The services are there; what is missing here is the socket, and only that is reported.
    with pytest.raises(health.NotHealthyError, match="bird is not live: No such file"):
        health.check_live(health.IPV4, around)
    sv("force-stop", services / "confd")
    with pytest.raises(health.NotHealthyError, match="service confd is not running"):
        health.check_live(health.IPV4, around)
