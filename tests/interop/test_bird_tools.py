"""Our probe judges a real BIRD, and both halves of each pair of configurations tell the same."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from bgpd.cli.daemon import main
from tests.support.daemons import ROOT, Daemon, write_yaml
from tests.support.pairs import a_bird, two_networks
from tests.support.routers import eventually, needs
from tests.support.scripts import an_installed_pybgpd
from tests.support.speakers import own_network

pytestmark = needs("bird")
PORT = 17916


def probe(folder: Path, *flags: str) -> Result:
    where = ("--socket-dir", folder, "--nodename-file", folder / "nodename")
    return CliRunner().invoke(main, ["health", *flags, *map(str, where)])


def test_a_real_bird_becomes_ready_with_its_session(tmp_path: Path) -> None:
    network = own_network()
    one, two = f"{network}.1", f"{network}.2"
    name = f"Mesh_{two.replace('.', '_')}"
    (tmp_path / "nodename").write_text("node-1", encoding="utf-8")
    bird = f"""
        router id 10.0.0.1; log stderr all;
        protocol device {{ }}
        protocol bgp {name} {{
          local {one} port {PORT} as 64512; neighbor {two} port {PORT} as 64512;
          multihop; connect delay time 1; connect retry time 1; ipv4 {{ import all; }};
        }}
    """
    content = {
        "bgp": {
            "as": 64512,
            "router_id": "10.0.0.2",
            "listen": {"addresses": [two], "port": PORT},
            "defaults": {"local_address": two, "port": PORT, "connect_retry_time": 1},
        },
        "peers": [{"address": one, "as": 64512}],
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(tmp_path / "control.sock")},
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", content)
    assert probe(tmp_path, "--bird-live").exit_code == 1
    with a_bird(tmp_path, bird):
        assert eventually(lambda: probe(tmp_path, "--bird-live").exit_code == 0)
        found = probe(tmp_path, "--bird-ready")
        assert found.exit_code == 1
        assert f"BIRD is not ready: BGP not established with {two}\n" in found.output
        with Daemon(tmp_path, "run", "--config", str(file)):
            assert eventually(
                lambda: probe(tmp_path, "--bird-ready").exit_code == 0, timeout=30
            )
        assert eventually(lambda: probe(tmp_path, "--bird-ready").exit_code == 1)
    assert probe(tmp_path, "--bird-live").exit_code == 1


def test_a_pod_waits_until_bird_has_ended(tmp_path: Path) -> None:
    manifest = ROOT / "configs" / "kubernetes" / "base/node/daemonset.yaml"
    (workload,) = yaml.safe_load_all(manifest.read_text(encoding="utf-8"))
    (wait,) = workload["spec"]["template"]["spec"]["initContainers"]
    *shell, script = wait["command"]
    script = script.replace("/var/lib/calico", str(tmp_path))
    program = f"{an_installed_pybgpd(tmp_path)} health --socket-dir {tmp_path}"
    script = script.replace("pybgpd health", program)
    log = tmp_path / "wait.log"

    def says(text: str) -> bool:
        return text in log.read_text(encoding="utf-8")

    bird = "router id 10.0.0.1; log stderr all; protocol device { }"
    with log.open("wb") as output, a_bird(tmp_path, bird, end=signal.SIGKILL):
        waiting = subprocess.Popen([*shell, script], stdout=output, stderr=output)
        try:
            assert eventually(lambda: says("waiting for calico-node to write"))
            (tmp_path / "nodename").write_text("node-1", encoding="utf-8")
            assert eventually(lambda: says("waiting for BIRD to end"))
            assert waiting.poll() is None
        except BaseException:
            waiting.kill()
            raise
    # Its socket is still there, without a listener.
    assert (tmp_path / "bird.ctl").exists()
    assert waiting.wait(20) == 0


# -- both halves of each pair --------------------------------------------------------------

PAIRS = ROOT / "configs" / "bird-equivalents"


def neighbour(folder: Path, address: str, other: str, **more: Any) -> Path:
    """Write the configuration of the peer that listens to a half."""
    peer = {"address": other, "local_address": address, "connect_retry_time": 1}
    content: dict[str, Any] = {
        "bgp": {
            "as": more.pop("asn", 64512),
            "router_id": address,
            "listen": {"addresses": [address]},
        },
        "peers": [peer | more.pop("peer", {})],
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(folder / "control.sock")},
    }
    return write_yaml(folder / "pybgpd.yaml", content | more)


POLICIES = {
    "policies": {"all": {"default": "accept"}},
}
DEFAULT_ROUTE = {"prefix": "0.0.0.0/0"}
CASES: dict[str, dict[str, Any]] = {
    "mesh-node": {
        "addresses": ("10.0.1.11", "10.0.1.12"),
        "peer": {"as": 64512},
        "routes": {"originate": [{"prefix": "10.244.12.0/26"}]},
        "told": {"10.244.11.0/26"},
    },
    "gateway-ebgp": {
        "addresses": ("10.0.1.11", "10.0.1.1"),
        "asn": 65001,
        "peer": {
            "as": 64512,
            "password": "a secret of the rack",
            "ttl_security_hops": 1,
            "import_policy": "all",
            "export_policy": "all",
        },
        "routes": {"originate": [DEFAULT_ROUTE, {"prefix": "10.9.0.0/16"}]},
        "told": {"10.244.11.0/26"},
        **POLICIES,
    },
}


def advertised_by(case: str, half: str, folder: Path) -> list[dict[str, Any]]:
    """Run one half, and return what its neighbour receives."""
    about = dict(CASES[case])
    expected, addresses = about.pop("told"), about.pop("addresses")
    folder.mkdir()
    own, other = folder / "own", folder / "other"
    own.mkdir()
    other.mkdir()
    with two_networks(half, *(f"{each}/24" for each in addresses)) as enters:
        file = neighbour(other, addresses[1], addresses[0], **about)
        listener = Daemon(other, "run", "--config", str(file), prefix=enters[1])
        if half == "bird":
            text = (PAIRS / f"{case}.conf").read_text(encoding="utf-8")
            half_runs: Any = a_bird(own, text, *enters[0])
        else:
            config = PAIRS / f"{case}.yaml"
            control = ("--control", str(own / "control.sock"))
            half_runs = Daemon(
                own, "run", "--config", str(config), *control, prefix=enters[0]
            )
        with half_runs, listener:
            listener.until(lambda: listener.are_up(addresses[0]), 60)

            def received() -> list[dict[str, Any]]:
                return listener.ask("show-routes", peer=addresses[0])

            listener.until(lambda: {row["prefix"] for row in received()} >= expected)
            time.sleep(1)  # what it should not tell would be here by now
            rows = received()
            assert {row["prefix"] for row in rows} == expected
            return [row["attributes"] | {"prefix": row["prefix"]} for row in rows]


@pytest.mark.parametrize("case", CASES)
def test_both_halves_tell_a_neighbour_the_same(case: str, tmp_path: Path) -> None:
    birds = advertised_by(case, "bird", tmp_path / "bird")
    ours = advertised_by(case, "ours", tmp_path / "ours")
    assert birds
    assert ours == birds
