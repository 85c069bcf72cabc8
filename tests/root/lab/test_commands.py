"""``pybgpd lab``: up, list, down, as a user calls them."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.generated import ROOT
from tests.support.routers import eventually, needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]

FOUR_NODES = str(ROOT / "configs" / "labs" / "four-nodes.yaml")
COMMAND = [sys.executable, "-m", "bgpd.cli.daemon", "lab"]


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, cwd=ROOT, check=False
    )


def namespaces(lab_id: str) -> list[str]:
    return [path.name for path in Path("/run/netns").glob(f"pybgpd-{lab_id}-*")]


def test_a_kept_lab_is_listed_until_it_is_taken_down():
    up = call("up", FOUR_NODES, "--keep")
    assert up.returncode == 0, up.stderr
    found = re.search(r"four-nodes is up, id (\w+)", up.stdout)
    assert found is not None
    lab_id = found[1]
    try:
        assert f"ip netns exec pybgpd-{lab_id}-pod-14  # 10.244.128.1" in up.stdout
        assert f"{lab_id}  four-nodes  9 namespaces  kept" in call("list").stdout
        assert len(namespaces(lab_id)) == 9
    finally:
        down = call("down", lab_id)
    assert down.stdout == f"removed {lab_id}\n"
    assert lab_id not in call("list").stdout
    assert eventually(lambda: not namespaces(lab_id))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_lab_in_the_foreground_goes_with_its_process(number):
    argv = [*COMMAND, "up", FOUR_NODES]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as up:
        assert up.stdout is not None
        lines = iter(up.stdout.readline, "")
        lab_id = next(lines).rpartition(" ")[2].strip()
        assert any("Ctrl-C" in line for line in lines)
        up.send_signal(number)
        assert up.wait(30) == 0
        assert "removed the lab" in up.stdout.read()
    assert eventually(lambda: not namespaces(lab_id))


def test_errors_are_reported_without_a_traceback(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("nodes: {a: {adresses: []}}")
    up = call("up", str(bad))
    assert up.returncode == 1
    assert f"pybgpd: {bad}:1: nodes.a" in up.stderr
    assert "Traceback" not in up.stderr
    down = call("down", "none")
    assert (down.returncode, down.stderr) == (1, "pybgpd: no lab none\n")
