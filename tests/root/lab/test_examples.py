"""The example topologies converge: sessions, routes in the kernels, pods that answer."""

import re
from ipaddress import ip_network
from pathlib import Path

import pytest

from bgpd.lab.lab import Lab
from bgpd.lab.probe import unreachable
from bgpd.lab.topology import Topology, load_topology
from tests.support.generated import ROOT
from tests.support.routers import a_lab_of, eventually, needs, needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root, needs("bird")]

EXAMPLES = [  # those of clusters have tests of their own
    path
    for path in sorted((ROOT / "configs" / "labs").glob("*.yaml"))
    if not load_topology(path).clusters
]


def kernel(lab: Lab, name: str) -> dict[str, str]:
    """Return a machine's routes via others: prefix to gateway."""
    namespace = lab.namespace(name)
    lines = [namespace.run(["ip", f"-{version}", "route"]) for version in (4, 6)]
    return dict(
        re.findall(r"^(\S+) .*?via (\S+) .*proto", "".join(lines), re.MULTILINE)
    )


def wanted_routes(topology: Topology, name: str) -> set[str]:
    """Return what others originate, of the IP versions that this machine speaks."""
    versions = {
        family
        for n in topology.machines[name].router.neighbours
        for family in n.families
    }
    return {
        prefix
        for other, machine in topology.machines.items()
        for prefix in machine.router.originate
        if other != name and f"ipv{ip_network(prefix).version}" in versions
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_converges_in_the_kernel_and_pods_answer(path: Path) -> None:
    topology = load_topology(path)
    with a_lab_of(topology) as lab:
        for router in lab.routers.values():
            router.wait_established()
            assert "5/1" not in router.log_path.read_text(), (
                "no attempt was an FSM error"
            )
        for name, machine in topology.machines.items():
            if machine.router.has_fib and machine.router.kind in {
                "pybgpd",
                "bird",
                "frr",
            }:
                wanted = wanted_routes(topology, name)
                assert eventually(
                    lambda n=name, w=wanted: w <= kernel(lab, n).keys()  # type: ignore[misc]
                ), (name, wanted, kernel(lab, name))
        pods = [pod for machine in topology.machines.values() for pod in machine.pods]
        for pod in pods:
            others = [
                str(other.address)
                for other in pods
                if other is not pod and other.address.version == pod.address.version
            ]
            assert not unreachable(lab.namespace(pod.name), others)
