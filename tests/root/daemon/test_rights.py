"""The rights that manifests and units leave the daemon are enough for what it does."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import Daemon, write_yaml

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv"),
]
NODE = ("net_admin", "net_bind_service")
REFLECTOR = ("net_bind_service",)
PORT = 179


def confined(capabilities: Sequence[str]) -> tuple[str, ...]:
    """Return what starts a program as a container's root, in a network of its own."""
    kept = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return (
        *("unshare", "--net", "sh", "-ec", 'ip link set lo up; exec "$@"', "sh"),
        *("setpriv", "--no-new-privs", f"--bounding-set={kept}"),
        f"--inh-caps={kept}",
    )


def configuration(folder: Path, **more: Any) -> Path:
    content = {
        "node": {"name": "node-1"},
        "calico": {"process_names": ["bird", "bird6"]},
        "bgp": {"as": 64512, "router_id": "10.0.0.1", "listen": {"port": PORT}},
        "control": {"path": str(folder / "control.sock")},
        "metrics": {"listen": "127.0.0.1:9179"},
        "peers": [{"address": "127.0.0.2", "as": 64512, "password": "secret"}],
    }
    return write_yaml(folder / "pybgpd.yaml", content | more)


def inside(daemon: Daemon, *command: str) -> str:
    network = ("nsenter", "--net", "--target", str(daemon.process.pid))
    outcome = subprocess.run(
        [*network, *command], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def rights_of(daemon: Daemon) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    (effective,) = [
        line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")
    ]
    return int(effective, 16)


def test_a_node_needs_two_rights(tmp_path: Path) -> None:
    prefix = "10.244.1.0/26"
    file = configuration(
        tmp_path,
        routes={
            "originate": [{"prefix": prefix, "blackhole": True}],
            "learn": {"enabled": True},
        },
    )
    start = ("run", "--config", str(file))
    with Daemon(tmp_path, *start, prefix=confined(NODE)) as daemon:
        daemon.until_logged("started")
        assert rights_of(daemon) == 1 << 12 | 1 << 10
        daemon.until(lambda: prefix in inside(daemon, "ip", "route", "show"))
        assert "proto bird" in inside(daemon, "ip", "route", "show")
        assert f":{PORT}" in inside(daemon, "ss", "-Hltn")
        inside(
            daemon,
            *["ip", "link", "add", "cali1", "type", "veth", "peer", "name", "eth9"],
        )
        inside(daemon, "ip", "link", "set", "cali1", "up")
        inside(daemon, "ip", "route", "add", "10.244.9.1/32", "dev", "cali1")
        daemon.until(lambda: "10.244.9.1/32" in daemon.prefixes())
        log = daemon.log()
        assert "ermission" not in log
        assert "not permitted" not in log
        assert " ERROR " not in log


def test_a_reflector_needs_one_right(tmp_path: Path) -> None:
    file = configuration(tmp_path, fib={"mode": "off"}, next_hops={"resolve": "trust"})
    start = ("run", "--config", str(file))
    with Daemon(tmp_path, *start, prefix=confined(REFLECTOR)) as daemon:
        daemon.until_logged("started")
        assert rights_of(daemon) == 1 << 10
        assert f":{PORT}" in inside(daemon, "ss", "-Hltn")
        assert "not permitted" not in daemon.log()
        assert " ERROR " not in daemon.log()
