"""``pybgpd doctor`` on a machine that has what it warns about."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import ROOT, write_yaml
from tests.support.routers import needs

pytestmark = [pytest.mark.root, pytest.mark.slow, needs("bird")]

BIRD = """
router id 10.0.0.1;
protocol device { }
protocol bgp { local 127.0.0.1 as 64512; neighbor 127.0.0.2 as 64512; multihop;
    passive; ipv4 { import all; export none; }; }
"""
# Arguments: BIRD's file, its socket, and the command to run beside it.
SCENE = """
ip link set lo up
sysctl -qw net.ipv4.ip_forward=0
ip route add blackhole 192.0.2.0/24 proto 12
bird -f -c "$1" -s "$2" & bird=$!
shift 2
for _ in $(seq 200); do
    grep -q ':00B3 .* 0A ' /proc/net/tcp && break
    sleep 0.05
done
"$@" || true
kill $bird
wait
"""


def findings(tmp_path: Path, *prefix: str) -> dict[str, list[dict[str, Any]]]:
    file = write_yaml(
        tmp_path / "pybgpd.yaml",
        {"bgp": {"as": 64512, "router_id": "127.0.0.1"}, "control": {"path": ""}},
    )
    (tmp_path / "bird.conf").write_text(BIRD, encoding="utf-8")
    command = [sys.executable, "-m", "bgpd.cli.daemon", "doctor", "--config", str(file)]
    scene = ["unshare", "--net", "sh", "-ec", SCENE, "sh"]
    done = subprocess.run(
        [
            *scene,
            str(tmp_path / "bird.conf"),
            str(tmp_path / "bird.ctl"),
            *prefix,
            *command,
            "-o",
            "json",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(done.stdout)["findings"]:
        found.setdefault(each["check"], []).append(each)
    return found


def test_what_stands_in_the_way_is_found_with_what_to_do(tmp_path: Path) -> None:
    found = findings(tmp_path)
    (port,) = found["port"]
    assert port["verdict"] == "fault"
    assert port["text"].startswith("TCP 179 is in use by bird, process ")
    (other,) = found["other daemons"]
    assert other["text"].startswith("BIRD runs: bird, process ")
    (routes,) = found["kernel routes"]
    assert routes["text"] == (
        "1 in table 254, protocol 12, of BIRD or of an earlier run"
    )
    assert "ip route show table 254 proto 12" in routes["advice"]
    assert any(
        each["advice"] == "sysctl -w net.ipv4.ip_forward=1" for each in found["sysctl"]
    )
    assert [each["verdict"] for each in found["capabilities"]] == ["ok"]
    assert all(each["verdict"] == "ok" for each in found["kernel"])


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_without_privileges_it_says_what_it_cannot_see(tmp_path: Path) -> None:
    nothing = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
    found = findings(tmp_path, *nothing)
    (port,) = found["port"]
    assert (port["verdict"], port["text"]) == (
        "unknown",
        "could not see: TCP 179 is in use, and by which program",
    )
    (rights,) = found["capabilities"]
    assert rights["text"] == "this user lacks CAP_NET_ADMIN, CAP_NET_BIND_SERVICE"
    (routes,) = found["kernel routes"]
    assert routes["text"].startswith("1 in table 254")
