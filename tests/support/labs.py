"""What tests of whole clusters are made of: pings between all pods, kernels, steps."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bgpd.lab.lab import Lab
from bgpd.lab.probe import Probe, unreachable
from bgpd.lab.topology import RouterKind, Topology, load_topology
from tests.support.generated import ROOT
from tests.support.routers import eventually

STEP_TIME = 45.0  # seconds for anything to come true, on a machine shared with others
MIN_TIME = 2.0  # seconds that pings run at least, so that each pair sends hundreds
INTERVAL = 0.01  # seconds between two pings of a pair: 100 a second


def a_topology(name: str) -> Topology:
    """Return one of the examples in ``configs/labs``."""
    return load_topology(Path(ROOT, "configs", "labs", f"{name}.yaml"))


def with_maker(topology: Topology, name: str, kind: RouterKind) -> Topology:
    """Return the topology with another maker's router on a node."""
    node = topology.nodes[name]
    router = node.router.model_copy(update={"kind": kind})
    nodes = {**topology.nodes, name: node.model_copy(update={"router": router})}
    return topology.model_copy(update={"nodes": nodes})


def with_release(topology: Topology, release: str) -> Topology:
    """Return the topology as of another release of Calico, its Felix too."""
    data = topology.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for cluster in data["clusters"].values():
        for thing in cluster["objects"]:
            if thing["kind"] == "ClusterInformation":
                thing["spec"]["calicoVersion"] = release
    parts = release.lstrip("v").split(".")
    if (int(parts[0]), int(parts[1])) >= (3, 32):
        for node in data["nodes"].values():
            for pod in node.get("pods", ()):
                pod["metric"] = 1024
    return Topology.model_validate(data)


def an_object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource of Calico."""
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def pod_addrs(lab: Lab) -> dict[str, str]:
    """Return all pods with their addresses."""
    machines = lab.topology.machines.values()
    return {pod.name: str(pod.address) for m in machines for pod in m.pods}


def silent_pairs(lab: Lab, *targets: str) -> list[str]:
    """Return which pods do not reach which pods, or which of ``targets``."""
    addrs = pod_addrs(lab)
    found = []
    for name, addr in addrs.items():
        wanted = _reachable(addr, (*addrs.values(), *targets))
        silent = unreachable(lab.namespace(name), wanted)
        found += [f"{name} -> {other}" for other in silent]
    return found


def _reachable(addr: str, others: Iterable[str]) -> list[str]:
    """Return the others of the same IP version."""
    is_v6 = ":" in addr
    return [other for other in others if other != addr and (":" in other) is is_v6]


def all_reach_all(lab: Lab, *targets: str) -> None:
    """Wait until every pod reaches every pod, and every target."""
    assert eventually(lambda: not silent_pairs(lab, *targets), STEP_TIME), silent_pairs(
        lab, *targets
    )


@dataclass(slots=True)
class Pings:
    """The account of one step, filled when it is over.

    Attributes:
        sent: Requests of all pairs.
        lost: Pair to requests without an answer, where there were any.
        gaps_ms: Pair to the longest silence.
        seconds: How long the step took.
    """

    sent: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    gaps_ms: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def lost_count(self) -> int:
        """Requests of all pairs without an answer."""
        return sum(self.lost.values())


@contextmanager
def pinging(lab: Lab, title: str, *targets: str) -> Iterator[Pings]:
    """Ping between all pods, and to ``targets``, during a step; print the account."""
    addrs = pod_addrs(lab)
    pings = Pings()
    start = time.monotonic()
    with ExitStack() as stack:
        probes = {}
        names = list(addrs)
        for index, name in enumerate(names):
            others = [addrs[other] for other in names[index + 1 :]]
            wanted = _reachable(addrs[name], (*others, *targets))
            if wanted:
                probe = Probe(lab.namespace(name), wanted, interval=INTERVAL)
                probes[name] = stack.enter_context(probe)
        yield pings
        pings.seconds = time.monotonic() - start
        time.sleep(max(0.0, MIN_TIME - pings.seconds))
        for name, probe in probes.items():
            for target, report in probe.finish().items():
                pair = f"{name} -> {target}"
                pings.sent += report.sent
                pings.gaps_ms[pair] = report.longest_gap_ms
                if report.lost_count:
                    pings.lost[pair] = report.lost_count
    print(  # noqa: T201 - the account of the step, shown with -s or when the test fails
        f"{title}: {pings.seconds:.1f} s, {pings.lost_count} of {pings.sent} pings lost",
        pings.lost or "",
    )


def kernel_routes(lab: Lab, name: str) -> dict[str, dict[str, Any]]:
    """Return a machine's routes as ``ip`` tells them, by destination."""
    found = {}
    for version in ("-4", "-6"):
        argv = ["ip", version, "-j", "route"]
        for route in json.loads(lab.namespace(name).run(argv) or "[]"):
            found[route["dst"]] = route
    return found


def gateways(lab: Lab, name: str) -> dict[str, str]:
    """Return a machine's routes through others: prefix to ``gateway device; ...``."""
    found = {}
    for prefix, route in kernel_routes(lab, name).items():
        hops = [route, *route.get("nexthops", ())]
        ways = [f"{hop['gateway']} {hop['dev']}" for hop in hops if "gateway" in hop]
        if ways:
            found[prefix] = "; ".join(sorted(ways))
    return found


@contextmanager
def a_cluster(topology: Topology) -> Iterator[Lab]:
    """Bring a lab up without routers; a failure shows the logs of those started."""
    with Lab(topology) as lab:
        try:
            yield lab
        except BaseException as error:
            for name, router in lab.routers.items():
                error.add_note(f"{router.kind} on {name}:\n{router.log_tail(30)}")
            raise
