"""The demonstration: a cluster's life in under a minute, every step proved.

Each step does something to the cluster, through the datastore alone where that is how it
is done in life, and checks what it promises with pings and the kernel's tables. The first
promise that is broken ends the demonstration with what was expected and the routers' logs.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn, Self, TextIO

from bgpd.lab import demo_cluster as cluster
from bgpd.lab.errors import LabError
from bgpd.lab.lab import (
    Lab,
    lab_folder,
    labs_down,
    new_lab_id,
    terminated_like_interrupted,
)
from bgpd.lab.ping import PingReport
from bgpd.lab.probe import Probe, unreachable
from bgpd.lab.routers import DRIVERS
from bgpd.lab.routers.base import Router, wait_until
from bgpd.lab.store import FolderStore, Store
from bgpd.lab.topology import RouterKind, StoreKind

if TYPE_CHECKING:
    from rich.console import Console

STEP_TIME = 20.0  # seconds for anything to come true, on a slow machine
MAX_MOVE_GAP_MS = (
    3000  # while a pod and its block move; the pod itself is away meanwhile
)


def run_demo(*, datastore: StoreKind | None, keep: bool, out: TextIO) -> int:
    """Run the demonstration.

    Args:
        datastore: Use real servers instead of a folder of manifests: an etcd-server, or
            Kubernetes' API server.
        keep: Leave the lab running; the next demonstration takes it away.
        out: Where to print.

    Returns:
        0, or 1 when it failed; the exit status.
    """
    from rich.console import Console  # noqa: PLC0415 - 0.1 s, and only needed here

    console = Console(file=out, highlight=False, soft_wrap=True)
    with terminated_like_interrupted():
        try:
            labs_down(lambda state: state.is_kept and state.name == cluster.NAME)
            with Demo(console, datastore, is_kept=keep) as demo:
                demo.run()
        except LabError as error:
            console.print(f"[bold red]FAILED[/]: {_plain(str(error))}")
            return 1
        except KeyboardInterrupt:
            console.print("interrupted; the lab is gone")
            return 1
    return 0


class Demo:
    """One run; a context manager that takes everything away."""

    def __init__(
        self, console: "Console", datastore: StoreKind | None, *, is_kept: bool
    ) -> None:
        self._console = console
        self._is_kept = is_kept
        self._started = time.monotonic()
        lab_id = new_lab_id()
        self._manifests = lab_folder(lab_id) / "manifests"
        topology = cluster.topology(
            _first_installed("frr", "bird"),
            _first_installed("bird", "frr"),
            datastore,
            str(self._manifests),
        )
        self._lab = Lab(topology, is_kept=is_kept, lab_id=lab_id)
        self._store: Store | None = None

    def __enter__(self) -> Self:
        """Return itself; ``run`` brings the lab up."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove the lab, unless it succeeded and is to be kept."""
        if self._is_kept and kind is None:
            self._tell_kept()
            return
        self._lab.down()

    def run(self) -> None:
        """Run all steps.

        Raises:
            LabError: A promise was broken; with the end of the logs.
        """
        steps = (
            ("Four nodes in full mesh", self._mesh),
            ("Two reflectors take over from the mesh", self._reflectors),
            ("One reflector dies", self._reflector_dies),
            ("A gateway peers by iBGP", self._inner_gateway),
            ("Another gateway peers by eBGP", self._outer_gateway),
            ("node-14's daemon is restarted", self._restart),
            ("A block moves to another node", self._block_moves),
        )
        try:
            with self._console.status("making namespaces and the datastore"):
                self._prepare()
            for number, (title, step) in enumerate(steps, 1):
                self._console.print(f"[bold]{number}/{len(steps)} {title}[/]")
                with self._console.status(title):
                    step()
        except LabError as error:
            tails = [
                f"{r.kind} on {name}:\n{r.log_tail()}"
                for name, r in self._lab.routers.items()
            ]
            raise LabError("\n".join([str(error), *tails])) from None
        total = time.monotonic() - self._started
        self._console.print(f"[bold green]All proved[/] in {total:.0f} s.")

    # Steps

    def _prepare(self) -> None:
        start = time.monotonic()
        lab = self._lab
        lab.up()
        self._store = lab.stores.get(cluster.NAME)
        if self._store is None:
            self._store = FolderStore(self._manifests)
            self._apply(*cluster.base())
            what = "folder of manifests"
        else:
            what = lab.stores[cluster.NAME].title
        count = len(lab.topology.machines) + len(cluster.PODS)
        self._proved(
            f"{count} machines and pods as namespaces; datastore: {what}", start
        )

    def _mesh(self) -> None:
        start = time.monotonic()
        self._lab.start(cluster.NODES)
        addrs = [addr for addr, _ in cluster.NODES.values()]
        for name, (own, _) in cluster.NODES.items():
            others = [addr for addr in addrs if addr != own]
            self._router(name).wait_established(*others, timeout=STEP_TIME)
        self._proved("6 of 6 sessions of the mesh are established", start)
        start = time.monotonic()
        self._wait_kernels()
        self._proved("every kernel has the blocks of the three other nodes", start)
        for block, gateway in sorted(self._kernel("node-11").items()):
            self._console.print(f"     node-11: {block} via {gateway}")
        self._all_pods_answer()

    def _reflectors(self) -> None:
        with self._pinging("pod-11", "pod-12a", "pod-13", "pod-14a") as report:
            start = time.monotonic()
            self._apply(*cluster.reflectors())
            self._lab.start(cluster.REFLECTORS)
            for name in cluster.NODES:
                addrs = cluster.REFLECTORS.values()
                self._router(name).wait_established(*addrs, timeout=STEP_TIME)
            self._proved("8 sessions of nodes with reflectors are up beside 6", start)
            start = time.monotonic()
            self._wait_reflected()
            self._proved("every node has every block from both reflectors too", start)
            start = time.monotonic()
            self._apply(cluster.settings(is_mesh=False))
            for name in cluster.NODES:
                router = self._router(name)
                wanted = set(cluster.REFLECTORS.values())
                self._expect(
                    f"{name} has sessions with the reflectors alone",
                    lambda r=router, w=wanted: set(r.sessions()) == w,  # type: ignore[misc]
                )
            self._wait_kernels()
            self._proved("the mesh is gone; the kernels' routes are all there", start)
        self._no_loss(report)

    def _reflector_dies(self) -> None:
        name, addr = next(iter(cluster.REFLECTORS.items()))
        with self._pinging("pod-11", "pod-12a", "pod-13", "pod-14a") as report:
            start = time.monotonic()
            self._router(name).stop()
            node = self._router("node-11")
            self._expect(
                "node-11 sees that the reflector is gone",
                lambda: not node.sessions()[addr].is_established,
            )
            self._wait_kernels()
            self._proved(f"{name} is gone; the other one has all the routes", start)
            start = time.monotonic()
            self._lab.start([name])
            node.wait_established(addr, timeout=STEP_TIME)
            self._proved(f"{name} is back", start)
        self._no_loss(report)

    def _inner_gateway(self) -> None:
        self._gateway(cluster.INNER_GATEWAY, cluster.ASN)

    def _outer_gateway(self) -> None:
        gateway = cluster.OUTER_GATEWAY
        self._gateway(gateway, cluster.GATEWAY_ASN)
        routes = self._router(gateway[0]).routes()
        path = routes["10.244.128.0/26"][0].as_path
        if path != (cluster.ASN,):
            self._fail(f"the gateway sees AS path {cluster.ASN}", f"it sees {path}")
        self._proved(f"it sees the blocks with AS path {cluster.ASN}")

    def _gateway(self, gateway: tuple[str, ...], asn: int) -> None:
        start = time.monotonic()
        name, addr, prefix, inside = gateway
        self._apply(cluster.gateway_peer(gateway, asn))
        self._lab.start([name])
        router = self._router(name)
        router.wait_established(timeout=STEP_TIME)
        maker = "pybgpd" if router.kind == "pybgpd" else f"{router.kind} (real)"
        self._proved(f"{maker} in AS {asn} has sessions with both reflectors", start)
        start = time.monotonic()
        for node in cluster.NODES:
            self._expect(
                f"{node} routes {prefix} via {addr}",
                lambda n=node: self._kernel(n).get(prefix) == addr,  # type: ignore[misc]
            )
        pods = list(cluster.PODS)
        self._expect(
            f"{inside} behind {name} answers every pod",
            lambda: (
                not any(unreachable(self._lab.namespace(pod), [inside]) for pod in pods)
            ),
        )
        self._proved(f"{len(pods)} of {len(pods)} pods reach {inside} behind it", start)

    def _restart(self) -> None:
        router = self._router("node-14")
        with self._pinging("pod-11", "pod-14a", "pod-14b", "pod-13") as report:
            start = time.monotonic()
            router.stop()
            self._proved("stopped; its kernel routes stay")
            router.start()
            router.wait_ready()
            router.wait_established(*cluster.REFLECTORS.values(), timeout=STEP_TIME)
            self._wait_kernels()
            self._proved("started again, all sessions and routes are back", start)
        self._no_loss(report)

    def _block_moves(self) -> None:
        pod, target = cluster.MOVING_POD, cluster.MOVING_TO
        source, addr, block = cluster.PODS[pod]
        with self._pinging("pod-11", pod) as report:
            start = time.monotonic()
            self._lab.remove_pod(source, pod)
            self._delete(cluster.affinity(block, source))
            self._apply(cluster.affinity(block, target))
            self._lab.add_pod(target, cluster.a_pod(pod))
            via = cluster.NODES[target][0]
            for node in set(cluster.NODES) - {target}:
                self._expect(
                    f"{node} routes {block} via {via}",
                    lambda n=node: self._kernel(n).get(block) == via,  # type: ignore[misc]
                )
            self._proved(f"{block} is at {target} for all nodes", start)
            self._expect(
                f"{pod} answers at {target}",
                lambda: not unreachable(self._lab.namespace("pod-11"), [addr]),
            )
        (found,) = report.values()
        if found.longest_gap_ms > MAX_MOVE_GAP_MS:
            self._fail(
                f"a silence under {MAX_MOVE_GAP_MS} ms", f"{found.longest_gap_ms} ms"
            )
        self._proved(
            f"the pod was silent for {found.longest_gap_ms} ms while it moved"
            f" ({found.lost_count} of {found.sent} pings)"
        )

    # What steps are made of

    def _apply(self, *objects: cluster.Object) -> None:
        if self._store is not None:
            self._store.apply(objects)

    def _delete(self, *objects: cluster.Object) -> None:
        if self._store is not None:
            self._store.delete(objects)

    def _router(self, name: str) -> Router:
        return self._lab.routers[name]

    def _kernel(self, node: str) -> dict[str, str]:
        """Return the kernel's routes via others: prefix to gateway (ECMP: the first)."""
        text = self._lab.namespace(node).run(["ip", "-j", "route"])
        found = {}
        for route in json.loads(text):
            hops = [route, *route.get("nexthops", ())]
            gateways = [hop["gateway"] for hop in hops if "gateway" in hop]
            if gateways:
                found[route["dst"]] = gateways[0]
        return found

    def _wait_reflected(self) -> None:
        """Wait until the mesh can go: what it says is also said by the reflectors."""
        senders = set(cluster.REFLECTORS.values())

        def is_reflected(node: str) -> bool:
            routes = self._router(node).routes()
            return all(
                senders <= {view.from_addr for view in routes.get(block, ())}
                for block in _foreign_blocks(node)
            )

        for node in cluster.NODES:
            self._expect(
                f"{node} has every block from both reflectors",
                lambda n=node: is_reflected(n),  # type: ignore[misc]
            )

    def _wait_kernels(self) -> None:
        for node in cluster.NODES:
            wanted = _foreign_blocks(node)
            self._expect(
                f"{node}'s kernel has {wanted}",
                lambda n=node, w=wanted: w.items() <= self._kernel(n).items(),  # type: ignore[misc]
            )

    def _all_pods_answer(self) -> None:
        start = time.monotonic()
        missing: list[str] = []
        for pod in cluster.PODS:
            others = [
                addr for name, (_, addr, _) in cluster.PODS.items() if name != pod
            ]
            silent = unreachable(self._lab.namespace(pod), others)
            missing += [f"{pod} -> {addr}" for addr in silent]
        count = len(cluster.PODS) * (len(cluster.PODS) - 1)
        if missing:
            self._fail("every pod pings every other", ", ".join(missing) + " do not")
        self._proved(f"{count} of {count} pairs of pods ping each other", start)

    @contextlib.contextmanager
    def _pinging(self, source: str, *targets: str) -> Iterator[dict[str, PingReport]]:
        """Ping all the time; the reports are in what was yielded, afterwards."""
        addrs = {cluster.PODS[target][1]: target for target in targets}
        reports: dict[str, PingReport] = {}
        namespace = self._lab.namespace(source)
        with Probe(namespace, list(addrs), interval=0.02) as probe:
            yield reports
            found = probe.finish()
        reports.update({addrs[addr]: report for addr, report in found.items()})

    def _no_loss(self, reports: dict[str, PingReport]) -> None:
        sent = sum(report.sent for report in reports.values())
        lost = {name: r.lost_count for name, r in reports.items() if r.lost_count}
        if lost:
            gaps = {name: r.longest_gap_ms for name, r in reports.items()}
            self._fail(
                "no ping lost meanwhile", f"lost {lost} of {sent}, gaps {gaps} ms"
            )
        self._proved(f"0 of {sent} pings lost meanwhile")

    def _expect(self, what: str, predicate: Callable[[], bool]) -> None:
        wait_until(predicate, STEP_TIME, what)

    def _fail(self, expected: str, found: str) -> NoReturn:
        raise LabError(f"expected: {expected}; found: {found}")

    def _proved(self, what: str, start: float | None = None) -> None:
        took = "" if start is None else f" [dim]({time.monotonic() - start:.1f} s)[/]"
        self._console.print(f"  [green]ok[/] {what}{took}")

    def _tell_kept(self) -> None:
        node = self._lab.namespace("node-11")
        socket = self._lab.folder / "node-11" / "control.sock"
        self._console.print(
            "The lab stays until the next `pybgpd demo`. Look around:\n"
            f"  pybgpctl --control {socket} show peers\n"
            f"  ip netns exec {node.name} ip route\n"
            f"  ip netns exec {self._lab.namespace('pod-11').name} ping 10.244.128.1"
        )


def _foreign_blocks(node: str) -> dict[str, str]:
    """Return the blocks of all other nodes at the start, each with its node's address."""
    return {
        block: addr
        for name, (addr, blocks) in cluster.NODES.items()
        for block in blocks
        if name != node
    }


def _first_installed(*kinds: RouterKind) -> RouterKind:
    return next((kind for kind in kinds if DRIVERS[kind].is_installed()), "pybgpd")


def _plain(text: str) -> str:
    """Escape what rich would take for markup."""
    return text.replace("[", r"\[")
