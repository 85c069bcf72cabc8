"""No convenience is vital: whatever one of them raises, the daemon and its session go on.

A daemon runs in this process with a folder as its datastore, local workloads, a watched
configuration, companions and all its servers, and has a session with a speaker. One part
of it is made to fail in every way that machines fail. Meanwhile the session stays; then,
once the part can work again, it does.
"""

import asyncio
import errno
import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest

from bgpd.api import line_server
from bgpd.config.reading import Source
from bgpd.daemon import doors, file_watch, listen_retry, placeholder_processes
from bgpd.daemon import service_manager as companions_module
from bgpd.daemon.daemon import Daemon
from bgpd.daemon.sd_notify import ServiceManager
from bgpd.daemon.service_manager import service_manager_tasks
from bgpd.datastore import endpoint_status, folder, folder_watch
from bgpd.datastore.endpoint_status import EndpointFolder
from bgpd.datastore.folder import FolderDatastore
from bgpd.datastore.inotify import Inotify
from bgpd.datastore.manifest_files import ManifestFiles
from bgpd.net.listener import Listener
from bgpd.runtime import supervisor
from rib.nlri import parse_prefix
from tests.support.daemons import write_yaml
from tests.support.manifests import affinity, node, resource
from tests.support.speakers import PORT as RACK_PORT
from tests.support.speakers import Rack, on_both_loops, until

pytestmark = pytest.mark.slow

PORT = 17913
METRICS_PORT = 17999
ERRORS = (
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
    OSError(errno.EIO, os.strerror(errno.EIO)),
    MemoryError(),
    ValueError("an odd value"),
)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in (
        (supervisor, "FIRST_PAUSE", 0.005),
        (supervisor, "LONGEST_PAUSE", 0.01),
        (supervisor, "STEADY", 0.05),
        (folder, "POLL_INTERVAL", 0.02),
        (folder, "AUDIT_INTERVAL", 0.1),
        (file_watch, "POLL_INTERVAL", 0.02),
        (file_watch, "AUDIT_INTERVAL", 0.1),
        (file_watch, "SETTLE", 0.01),
        (endpoint_status, "POLL_INTERVAL", 0.02),
        (endpoint_status, "AUDIT_INTERVAL", 0.1),
        (folder_watch, "RETRY_INTERVAL", 0.02),
        (listen_retry, "RETRY", 0.02),
        (placeholder_processes, "FIRST_PAUSE", 0.005),
        (placeholder_processes, "LOOK", 0.02),
        (companions_module, "STATUS_INTERVAL", 0.02),
    ):
        monkeypatch.setattr(module, name, seconds)


class World(AbstractAsyncContextManager["World"]):
    """A daemon with all it reads, and a speaker that has a session with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = AsyncExitStack()
        self._number = 0
        (folder / "manifests").mkdir()
        (folder / "endpoints" / "endpoint-status").mkdir(parents=True)

    async def __aenter__(self) -> Self:
        rack = await self._stack.enter_async_context(Rack())
        self.network = rack.network
        self.configure()
        self.put(node("node-1", f"{self.network}.1/32"))
        self.put(resource("BGPConfiguration", "default", listenPort=PORT))
        self.put(resource("IPPool", "pods", cidr="10.244.0.0/16"))
        remote = f"{self.network}.2:{RACK_PORT}"
        self.put(resource("BGPPeer", "other", peerIP=remote, asNumber=64512))
        self.other = await rack.node(2)
        self.peer = self.other.peers_with(f"{self.network}.1", port=PORT)
        return self

    async def start(self) -> None:
        source = Source(self._folder / "pybgpd.yaml", environment={})
        loaded = source.load()
        self.daemon = Daemon(loaded.settings, source, loaded.files)
        self._running = asyncio.create_task(self._run())
        await until(lambda: self.other.is_up(f"{self.network}.1"))
        self._flaps = self.peer.driver.session.counters.flaps

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.daemon.stopping.set()
        await self._running
        await self._stack.aclose()

    async def _run(self) -> None:
        manager = ServiceManager(str(self._folder / "notify"), watchdog=0.05)
        async with service_manager_tasks(self.daemon, manager):
            await self.daemon.run()

    def put(self, manifest: dict[str, Any]) -> None:
        name = f"{manifest['kind']}-{manifest['metadata']['name']}.yaml"
        write_yaml(self._folder / "manifests" / name, manifest)

    def configure(self, *prefixes: str) -> None:
        write_yaml(
            self._folder / "pybgpd.yaml",
            {
                "node": {"name": "node-1"},
                "datastore": {
                    "type": "folder",
                    "path": str(self._folder / "manifests"),
                },
                "kubernetes": {"endpoint_status": str(self._folder / "endpoints")},
                "calico": {"process_names": ["bird"]},
                "bgp": {
                    "as": 64512,
                    "router_id": "10.0.0.1",
                    "listen": {"addresses": [f"{self.network}.1"]},
                },
                "fib": {"mode": "off"},
                "next_hops": {"resolve": "trust"},
                "control": {"path": str(self._folder / "control.sock")},
                "bird": {"ipv4": str(self._folder / "bird.ctl")},
                "metrics": {"listen": f"{self.network}.1:{METRICS_PORT}"},
                "routes": {"originate": [{"prefix": each} for each in prefixes]},
            },
        )

    def assert_unharmed(self) -> None:
        assert not self._running.done()
        assert self.other.is_up(f"{self.network}.1")
        assert self.peer.driver.session.counters.flaps == self._flaps

    # -- what makes a part work, each time another way; and whether it has ---------------

    def change_configuration(self) -> Callable[[], bool]:
        self._number += 1
        prefix = f"10.1.{self._number}.0/24"
        self.configure(prefix)
        nlri = parse_prefix(prefix)[1]
        return lambda: (
            nlri in {route.nlri for route in self.daemon.settings.routes.originated}
        )

    def change_block(self) -> Callable[[], bool]:
        self._number += 1
        block = f"10.244.{self._number}.0/26"
        self.put(affinity("node-1", block))
        return lambda: block in self.other.prefixes()

    def change_workload(self) -> Callable[[], bool]:
        self._number += 1
        name = f"odd-{self._number}"
        file = self._folder / "endpoints" / "endpoint-status" / name
        file.write_text("{", encoding="utf-8")
        return lambda: any(name in warning for warning in self.daemon.warnings())

    def listen_elsewhere(self) -> Callable[[], bool]:
        self._number += 1
        port = PORT + 1 + self._number
        self.put(resource("BGPConfiguration", "default", listenPort=port))
        speaker = self.daemon.speaker
        assert speaker is not None
        return lambda: speaker.listener.addresses == [(f"{self.network}.1", port)]

    def nothing(self) -> Callable[[], bool]:
        return lambda: True


class Part(NamedTuple):
    """Where a fault is injected, and what needs that."""

    place: type | Any
    name: str
    change: Callable[[World], Callable[[], bool]]


PARTS = {
    "file watch": Part(file_watch, "stamps", World.change_configuration),
    "listing of a folder": Part(folder, "list_folder", World.change_block),
    "reading of manifests": Part(ManifestFiles, "refresh", World.change_block),
    "datastore": Part(FolderDatastore, "_take", World.change_block),
    "local workloads": Part(EndpointFolder, "read_in_slices", World.change_workload),
    "watches of inotify": Part(Inotify, "watch", World.change_block),
    "listener": Part(Listener, "listen", World.listen_elsewhere),
    "service manager": Part(ServiceManager, "tell", World.nothing),
    "process names": Part(subprocess.Popen, "poll", World.nothing),
}


def failing(error: BaseException, hits: list[BaseException]) -> Callable[..., None]:
    """Return what raises ``error`` in place of a function, and counts that."""

    def fail(*_: object, **__: object) -> None:
        hits.append(error)
        raise error

    return fail


@pytest.mark.parametrize("name", PARTS)
@on_both_loops
async def test_a_part_that_fails_ends_nothing_and_works_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = PARTS[name]
    loop = asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    async with World(tmp_path) as world:
        await world.start()
        for error in ERRORS:
            hits: list[BaseException] = []
            with monkeypatch.context() as patch:
                patch.setattr(part.place, part.name, failing(error, hits))
                has_worked = part.change(world)
                await until(partial(len, hits))
                world.assert_unharmed()
            await until(has_worked, what=f"{name} after {error!r}")
            world.assert_unharmed()
        await until(lambda: not world.daemon.warnings() or name == "local workloads")
    assert not reported


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize(
    "part",
    [
        (doors, "tcp_socket", "metrics server: "),
        (doors, "listening_socket", "control socket: "),
        (line_server, "listening_socket", "BIRD's socket for ipv4-unicast: "),
        (Listener, "listen", "cannot listen on "),
    ],
    ids=["metrics", "control", "bird", "listener"],
)
@on_both_loops
async def test_what_cannot_be_opened_at_the_start_is_opened_later(
    part: tuple[Any, str, str],
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, name, line = part
    async with World(tmp_path) as world:
        hits: list[BaseException] = []
        with monkeypatch.context() as patch:
            patch.setattr(place, name, failing(error, hits))
            await world.start()
            assert any(each.startswith(line) for each in world.daemon.warnings())
        await until(lambda: not world.daemon.warnings())
        assert (tmp_path / "control.sock").exists()
        assert (tmp_path / "bird.ctl").exists()
        world.assert_unharmed()
