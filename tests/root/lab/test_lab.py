"""Labs in the real kernel: up, down, and after a crash."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bgpd.lab.errors import LabError
from bgpd.lab.lab import Lab
from bgpd.lab.probe import Probe, unreachable
from bgpd.lab.state import read_states, sweep
from bgpd.lab.topology import Pod, parse_topology
from tests.support.routers import eventually, needs_root, needs_tunnel

pytestmark = [pytest.mark.root, needs_root]

TWO_NODES = """
nodes:
  one:
    addresses: [172.2.2.11/24, "fd00::11/64"]
    pods: [{name: a, address: 10.244.0.1}, {name: a6, address: "fd10::1"}]
  two:
    addresses: [172.2.2.12/24, "fd00::12/64"]
    pods: [{name: b, address: 10.244.0.65}, {name: b6, address: "fd10::65"}]
"""


def namespaces(lab_id: str) -> list[str]:
    return [p.name for p in Path("/run/netns").glob(f"pybgpd-{lab_id}-*")]


def route(lab: Lab) -> None:
    """Route between the pods by hand."""
    lab.namespace("one").run(
        ["ip", "route", "add", "10.244.0.64/26", "via", "172.2.2.12"]
    )
    lab.namespace("two").run(
        ["ip", "route", "add", "10.244.0.0/26", "via", "172.2.2.11"]
    )
    lab.namespace("one").run(["ip", "route", "add", "fd10::64/122", "via", "fd00::12"])
    lab.namespace("two").run(["ip", "route", "add", "fd10::/122", "via", "fd00::11"])


def test_pods_reach_each_other_over_routes_in_both_ip_versions():
    with Lab(parse_topology(TWO_NODES)) as lab:
        assert unreachable(lab.namespace("a"), ["10.244.0.65"]) == ["10.244.0.65"]
        route(lab)
        assert unreachable(lab.namespace("a"), ["10.244.0.65", "172.2.2.12"]) == []
        assert unreachable(lab.namespace("a6"), ["fd10::65", "fd00::12"]) == []


def test_nothing_is_left_afterwards():
    with Lab(parse_topology(TWO_NODES)) as lab:
        assert len(namespaces(lab.lab_id)) == 7
        assert lab.folder.exists()
    assert namespaces(lab.lab_id) == []
    assert not lab.folder.exists()
    assert lab.lab_id not in [state.lab_id for state in read_states()]


def test_a_probe_tells_how_long_a_link_was_cut():
    with Lab(parse_topology(TWO_NODES)) as lab:
        route(lab)
        with Probe(lab.namespace("a"), ["10.244.0.65"], interval=0.02) as probe:
            time.sleep(0.3)
            lab.set_link("two", is_up=False)
            time.sleep(0.3)
            lab.set_link("two", is_up=True)
            assert eventually(
                lambda: not unreachable(lab.namespace("a"), ["10.244.0.65"])
            )
            report = probe.finish()["10.244.0.65"]
    assert report.lost_count > 0
    assert report.longest_gap_ms >= 280
    assert report.received > 10


def test_a_pinger_that_waits_for_its_turn_loses_no_answer():
    with Lab(parse_topology(TWO_NODES)) as lab:
        route(lab)
        targets = ["10.244.0.65"], ["fd10::65"]
        names = "a", "a6"
        probes = [
            Probe(lab.namespace(name), target, interval=0.004, count=700)
            for name, target in zip(names, targets, strict=True)
        ]
        with probes[0], probes[1]:
            for probe in probes:
                probe.signal(signal.SIGSTOP)
            time.sleep(2)  # 500 requests that it makes up for
            for probe in probes:
                probe.signal(signal.SIGCONT)
            reports = [report for probe in probes for report in probe.wait(60).values()]
    assert [report.lost_count for report in reports] == [0, 0]
    assert [report.sent for report in reports] == [700, 700]


def test_a_pod_moves_with_its_address():
    with Lab(parse_topology(TWO_NODES)) as lab:
        route(lab)
        lab.remove_pod("two", "b")
        assert unreachable(lab.namespace("a"), ["10.244.0.65"])
        lab.add_pod("one", Pod.model_validate({"name": "b", "address": "10.244.0.65"}))
        assert unreachable(lab.namespace("a"), ["10.244.0.65"]) == []


def test_a_failed_start_leaves_nothing():
    lab = Lab(parse_topology(TWO_NODES))
    with pytest.raises(LabError, match="ip netns exec"), lab:
        lab.namespace("two").run(["ip", "link", "set", "eth9", "up"])
    assert namespaces(lab.lab_id) == []


CRASH = f"""
import sys, time
from bgpd.lab.lab import Lab
from bgpd.lab.topology import parse_topology
lab = Lab(parse_topology('''{TWO_NODES}'''))
lab.up()
with (lab.folder / "log").open("wb") as log:
    child = lab.namespace("one").popen(["sleep", "600"], log)
print(lab.lab_id, child.pid, flush=True)
time.sleep(600)
"""


def test_what_a_killed_process_left_is_swept():
    owner = subprocess.Popen(
        [sys.executable, "-c", CRASH], stdout=subprocess.PIPE, text=True
    )
    try:
        assert owner.stdout is not None
        lab_id, pid = owner.stdout.readline().split()
        assert lab_id not in sweep()  # its owner lives
        assert len(namespaces(lab_id)) == 7
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.communicate()
    assert Path(f"/proc/{pid}").exists()
    lab_ids = sweep()
    assert lab_id in lab_ids or namespaces(lab_id) == []  # another run may be first
    assert eventually(lambda: not namespaces(lab_id))
    assert eventually(lambda: not Path(f"/proc/{pid}/cwd").exists())
    assert not any(state.lab_id == lab_id for state in read_states())


TUNNELS = """
nodes:
  one:
    {addresses: [10.0.0.1/24], tunnel: 10.244.0.0, pods: [{name: a, address: 10.244.0.1}]}
  two:
    {addresses: [10.0.0.2/24], tunnel: 10.244.0.64, pods: [{name: b, address: 10.244.0.65}]}
"""


@needs_tunnel
def test_a_tunnel_goes_where_the_route_through_it_says_and_nowhere_without_gateway():
    with Lab(parse_topology(TUNNELS)) as lab:
        for node, block, via in (
            ("one", "10.244.0.64/26", "10.0.0.2"),
            ("two", "10.244.0.0/26", "10.0.0.1"),
        ):
            words = ["ip", "route", "add", block, "via", via, "dev", "tunl0", "onlink"]
            lab.namespace(node).run(words)
        assert unreachable(lab.namespace("a"), ["10.244.0.65"]) == []
        lab.namespace("one").run(
            ["ip", "route", "replace", "10.244.0.64/26", "dev", "tunl0"]
        )
        assert unreachable(lab.namespace("a"), ["10.244.0.65"]) == ["10.244.0.65"]
        lab.namespace("one").run(
            ["ip", "route", "replace", "10.244.0.64/26", "via", "10.0.0.2"]
        )
        assert unreachable(lab.namespace("a"), ["10.244.0.65"]) == []


FAR = """
networks: {near: , far: }
nodes:
  one:
    network: near
    addresses: [10.0.0.1/24]
    routes: [{to: 10.0.1.0/24, via: 10.0.0.254}]
    pods: [{name: a, address: 10.244.0.1}]
gateways:
  between:
    network: near
    addresses: [10.0.0.254/24]
    links: [{network: far, addresses: [10.0.1.254/24]}]
    routes: [{to: 10.244.0.0/26, via: 10.0.0.1}]
  end:
    network: far
    addresses: [10.0.1.1/24]
    routes: [{to: 0.0.0.0/0, via: 10.0.1.254}]
"""


def test_a_machine_on_two_networks_joins_them_and_cuts_both():
    with Lab(parse_topology(FAR)) as lab:
        assert unreachable(lab.namespace("a"), ["10.0.1.1"]) == []
        lab.set_link("between", is_up=False)
        assert unreachable(lab.namespace("one"), ["10.0.0.254"]) == ["10.0.0.254"]
        assert unreachable(lab.namespace("end"), ["10.0.1.254"]) == ["10.0.1.254"]
        lab.set_link("between", is_up=True)
        assert unreachable(lab.namespace("a"), ["10.0.1.1"]) == []


@pytest.mark.slow
def test_a_lab_of_thirty_namespaces_comes_up_and_goes():
    nodes = "\n".join(
        f"  n{n}: {{addresses: [10.0.0.{n}/24],"
        f" pods: [{{name: p{n}, address: 10.244.{n}.1}}]}}"
        for n in range(1, 15)
    )
    with Lab(parse_topology(f"nodes:\n{nodes}")) as lab:
        assert len(namespaces(lab.lab_id)) >= 28
    assert not namespaces(lab.lab_id)
