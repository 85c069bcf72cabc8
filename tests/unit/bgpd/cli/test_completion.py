import os
import subprocess
import sys
from pathlib import Path

import pytest

from bgpd.cli.completion import _cover
from tests.support.cases import cases
from tests.support.daemons import Daemon, write_yaml
from tests.support.terminals import ROOT


@cases(
    ("typed", "cover"),
    [
        ("", ""),
        ("10", ""),
        ("10.", "10.0.0.0/8"),
        ("10.2", "10.0.0.0/8"),
        ("10.2.", "10.2.0.0/16"),
        ("10.2.0.0/1", "10.2.0.0/24"),
        ("2001", ""),
        ("2001:db8:", "2001:db8::/32"),
        ("2001:db8::", "2001:db8::/32"),
        ("2001:db8::7", "2001:db8::/32"),
        ("::", ""),
        ("x.y", "x.0.0.0/8"),
    ],
)
def test_what_is_typed_completely_is_a_prefix(typed, cover):
    assert _cover(typed) == cover


def completed(control: str, *words: str) -> list[str]:
    """Return what bash gets for the last word."""
    line = ["pybgpctl", "--control", control, *words]
    asked = {
        "_PYBGPCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": str(len(line) - 1),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from bgpd.cli.control import main; main(prog_name='pybgpctl')",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | asked,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.split()]


@pytest.mark.slow
def test_a_shell_completes_what_a_daemon_has(tmp_path: Path) -> None:
    peers = [
        {"name": "gateway-1", "address": "127.0.0.2", "as": 65001, "group": "gateways"},
        {"name": "gateway-2", "address": "127.0.0.3", "as": 65001, "group": "gateways"},
        {"name": "rack", "address": "127.0.0.4", "as": 64512},
    ]
    config = {
        "bgp": {"as": 64512, "router_id": "192.0.2.1", "listen": {"addresses": []}},
        "fib": {"mode": "off"},
        "peer_groups": {"gateways": {"passive": True}},
        "peers": [{**peer, "passive": True} for peer in peers],
        "routes": {
            "originate": [
                {"prefix": prefix}
                for prefix in ("10.2.0.0/16", "10.2.7.0/24", "10.3.0.0/16")
            ]
        },
    }
    file = write_yaml(tmp_path / "pybgpd.yaml", config)
    control = str(tmp_path / "control.sock")
    with Daemon(tmp_path, "run", "--config", str(file), "--control", control) as daemon:
        daemon.until(daemon.peers)
        assert completed(control, "show", "peers", "gate") == ["gateway-1", "gateway-2"]
        assert completed(control, "reset", "rack", "gateway-1"[:3]) == [
            "gateway-1",
            "gateway-2",
        ]
        assert completed(control, "reset", "--group", "") == ["gateways"]
        assert completed(control, "show", "route", "10.2.") == [
            "10.2.0.0/16",
            "10.2.7.0/24",
        ]
        assert completed(control, "show", "st") == ["status"]
    assert completed(control, "show", "peers", "gate") == []
