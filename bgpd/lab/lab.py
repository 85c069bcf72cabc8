"""A lab that runs: namespaces, links, pods and routers, up and down.

``Lab`` is a context manager; whatever happens, leaving it takes everything away. Labs of
processes that died are swept when the next one comes up.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn, Self

import bgpd
from bgpd.lab.errors import LabError
from bgpd.lab.kubernetes_store import KubernetesStore, require_api_server
from bgpd.lab.namespace import Namespace, batch
from bgpd.lab.plan import Plan, add_pod, host_device, plan, port_of
from bgpd.lab.routers import DRIVERS
from bgpd.lab.routers.base import Router
from bgpd.lab.speaker import Speaker, kind_of, speaker_of, store_folder
from bgpd.lab.state import (
    PREFIX,
    LabState,
    read_states,
    remove,
    start_time,
    sweep,
)
from bgpd.lab.store import EtcdStore, ServerStore, require_etcd
from bgpd.lab.topology import Cluster, Pod, RouterKind, Topology
from bgpd.lab.tunnel import kernel_has_ipip


def new_lab_id() -> str:
    """Return an id that no other lab of this machine has."""
    return f"{os.getpid():x}{secrets.token_hex(2)}"


def lab_folder(lab_id: str) -> Path:
    """Return where a lab's configuration files and logs are."""
    return Path(tempfile.gettempdir(), f"{PREFIX}-lab-{lab_id}")


class Lab:
    """One lab on this machine.

    Attributes:
        topology: What it is built from.
        lab_id: Unique; part of the names of its namespaces.
        folder: Where configuration files and logs are.
        routers: By the name of their machine, once made.
        stores: Datastores by the name of their cluster, while it is up.
    """

    def __init__(
        self, topology: Topology, *, is_kept: bool = False, lab_id: str = ""
    ) -> None:
        """Prepare a lab; nothing is made yet.

        Args:
            topology: What to build.
            is_kept: It stays when its process ends, until a user removes it.
            lab_id: From ``new_lab_id``, where its folder must be known beforehand.
        """
        self.topology = topology
        self.lab_id = lab_id or new_lab_id()
        self.folder = lab_folder(self.lab_id)
        self.routers: dict[str, Router] = {}
        self.stores: dict[str, ServerStore] = {}
        self._helpers: list[subprocess.Popen[bytes]] = []
        self._prefix = f"{PREFIX}-{self.lab_id}-"
        self._state = LabState(
            lab_id=self.lab_id,
            owner_pid=os.getpid(),
            owner_start=start_time(os.getpid()),
            is_kept=is_kept,
            folder=str(self.folder),
            name=topology.name,
        )

    def __enter__(self) -> Self:
        """Bring it up; if that fails, remove what was made."""
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Take it down, unless it is to be kept."""
        if not self._state.is_kept:
            self.down()

    def up(self) -> None:
        """Sweep dead labs, then make what the topology says, without the routers.

        Namespaces, links, addresses and pods; the far sides of tunnels; the datastores
        of clusters, with their objects.

        Raises:
            LabError: No permission, a datastore's server is not installed, or a command
                failed.
        """
        if os.geteuid() != 0:
            raise LabError("a lab needs root: it makes network namespaces")
        for cluster in self.topology.clusters.values():
            if cluster.datastore == "etcd":
                require_etcd()
            else:
                require_api_server()
        sweep()
        self.folder.mkdir(mode=0o755)
        tunnels = [n for n, m in self.topology.machines.items() if m.tunnel]
        has_ipip = bool(tunnels) and kernel_has_ipip()
        self._apply(plan(self.topology, self._prefix, has_ipip=has_ipip))
        if not has_ipip:
            for name in tunnels:
                self._serve_tunnel(name)
        for name, cluster in self.topology.clusters.items():
            store = self.stores[name] = self._store(name, cluster)
            store.apply(cluster.objects)

    def down(self) -> None:
        """End all routers and remove everything; may be called twice."""
        for router in self.routers.values():
            with contextlib.suppress(LabError):
                router.kill()
        self.routers.clear()
        for store in self.stores.values():
            store.close()
        self.stores.clear()
        for helper in self._helpers:
            helper.kill()
            helper.communicate()
        self._helpers.clear()
        remove(self._state)

    def namespace(self, name: str) -> Namespace:
        """Return the namespace of a machine, network or pod."""
        return Namespace(self._prefix + name)

    def router(
        self,
        name: str,
        kind: RouterKind | None = None,
        speaker: Speaker | None = None,
    ) -> Router:
        """Make (not start) the router of a machine.

        Args:
            name: Machine.
            kind: Another maker than the topology says.
            speaker: Another description than the topology's.

        Raises:
            LabError: That maker's router is not installed.
        """
        kind = kind or kind_of(self.topology, name)
        driver = DRIVERS.get(kind)
        if driver is None:
            raise LabError(f"{name} has no router")
        speaker = speaker or speaker_of(self.topology, name, self.folder)
        if not driver.is_installed(speaker.programs):
            where = f" in {speaker.programs}" if speaker.programs else ""
            raise LabError(f"{kind} is not installed{where}")
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        router = driver(speaker, self.namespace(name), folder)
        self.routers[name] = router
        return router

    def start(self, names: Iterable[str] | None = None) -> None:
        """Start the routers of the named machines (all by default), then wait for them.

        Raises:
            LabError: One is not installed, ended at once, or never answered.
        """
        if names is None:
            names = [
                n for n, m in self.topology.machines.items() if m.router.kind != "none"
            ]
        routers = [self.router(name) for name in names]
        for router in routers:
            router.start()
        for router in routers:
            router.wait_ready()

    def add_pod(self, node: str, pod: Pod) -> None:
        """Put a pod behind a node of the running lab."""
        piece = Plan()
        add_pod(piece, node, pod, self._prefix)
        self._apply(piece)

    def remove_pod(self, node: str, pod: str) -> None:
        """Take a pod away; its veth pair and the node's route go with it.

        The device goes first: a namespace is taken apart by the kernel in its own time.
        """
        name = self._prefix + pod
        self.namespace(node).run(["ip", "link", "del", host_device(pod)])
        batch([f"netns del {name}"])
        self._state.namespaces.remove(name)
        self._state.save()

    def set_link(self, name: str, *, is_up: bool) -> None:
        """Cut a machine off its networks, or join it again.

        Its ports leave the bridges, so both ends see a link that is up: silence, as when
        a switch fails, and not the quick news of a pulled cable.
        """
        machine = self.topology.machines[name]
        where = ["master", "br0"] if is_up else ["nomaster"]
        for device, network in self.topology.devices_of(machine).items():
            port = port_of(self.topology, name, device)
            self.namespace(network).run(["ip", "link", "set", port, *where])

    def _store(self, name: str, cluster: Cluster) -> ServerStore:
        """Start the datastore of a cluster."""
        namespace = self.namespace(cluster.store)
        addr = self.topology.machines[cluster.store].address(4)
        folder = store_folder(self.folder, name)
        if cluster.datastore == "etcd":
            return EtcdStore(namespace, addr, folder)
        return KubernetesStore(namespace, addr, folder, cluster.api_group)

    def _serve_tunnel(self, name: str) -> None:
        """Start the process behind a machine's ``tunl0``; it ends with the lab."""
        argv = [sys.executable, "-m", "bgpd.lab.tunnel", "tunl0"]
        path = self.folder / f"tunnel-{name}"
        env = {"PYTHONPATH": str(Path(bgpd.__file__).parents[1])}
        with path.open("wb") as log:
            process = self.namespace(name).popen(
                argv, log, env=env, stdout=subprocess.PIPE
            )
        self._helpers.append(process)
        if process.stdout is not None and not process.stdout.readline():
            raise LabError(f"tunnel of {name}: {path.read_text('utf-8').strip()}")

    def _apply(self, commands: Plan) -> None:
        names = [self._prefix + name for name in commands.namespaces]
        self._state.namespaces += names
        self._state.save()  # first of all: what is not on record cannot be swept
        batch([f"netns add {name}" for name in names])
        batch(commands.links)
        for name, setup in commands.setups.items():
            self.namespace(name).setup(setup.sysctls, setup.lines)


def labs_down(choose: Callable[[LabState], bool]) -> list[str]:
    """Remove every recorded lab that ``choose`` picks; return their ids."""
    chosen = [state for state in read_states() if choose(state)]
    for state in chosen:
        remove(state)
    return [state.lab_id for state in chosen]


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, so that the lab is taken down too."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
