"""The datastore of a lab's cluster: a folder of manifests, a real etcd-server, or more.

Kubernetes' API server is in ``bgpd.lab.kubernetes_store``.
"""

import asyncio
import contextlib
import json
import select
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import bgpd
from bgpd.datastore.folder import FolderWriter
from bgpd.datastore.model import DatastoreError
from bgpd.lab.errors import LabError
from bgpd.lab.namespace import Namespace
from bgpd.lab.speaker import ETCD_PORT

Object = dict[str, Any]

LOOK: Final = 0.5  # seconds between looks whether the servers still run
LOG_OCTETS: Final = 500  # of a log's end, in an error


class Store(Protocol):
    """Where a lab writes its cluster's objects."""

    def apply(self, objects: Iterable[Object]) -> None:
        """Create or replace objects, in Calico's resource form.

        Raises:
            LabError: The datastore does not take them.
        """

    def delete(self, objects: Iterable[Object]) -> None:
        """Delete objects.

        Raises:
            LabError: The datastore does not take it.
        """

    def close(self) -> None:
        """End what belongs to it."""


class FolderStore:
    """A folder of manifests."""

    def __init__(self, path: Path) -> None:
        self._writer = FolderWriter(path)

    def apply(self, objects: Iterable[Object]) -> None:
        """Write one file per object; see ``Store``."""
        try:
            asyncio.run(self._writer.apply(list(objects)))
        except DatastoreError as error:
            raise LabError(str(error)) from None

    def delete(self, objects: Iterable[Object]) -> None:
        """Remove their files; see ``Store``."""
        try:
            asyncio.run(self._writer.delete(list(objects)))
        except DatastoreError as error:
            raise LabError(str(error)) from None

    def close(self) -> None:
        """Do nothing: the folder goes with the lab."""


class ServerStore:
    """Servers in a namespace, and a process there that writes to them.

    Attributes:
        title: What it is, for people.

    Args:
        namespace: Where they run.
        folder: For their data and logs.
        commands: What is started, by name and in order.
        writer: Arguments of ``bgpd.lab.store_writer``.
    """

    title: ClassVar[str]

    def __init__(
        self,
        namespace: Namespace,
        folder: Path,
        commands: Mapping[str, Sequence[str]],
        writer: Sequence[str],
    ) -> None:
        """Start all."""
        folder.mkdir(exist_ok=True)
        self._namespace = namespace
        self._folder = folder
        self._commands = commands
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self.start()
        with self._log_path("writer").open("ab") as log:
            root = str(Path(bgpd.__file__).parents[1])
            argv = [sys.executable, "-m", "bgpd.lab.store_writer", *writer]
            self._writer = subprocess.Popen(
                namespace.argv(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=root,
                start_new_session=True,
            )

    @property
    def servers(self) -> tuple[str, ...]:
        """Names of the servers, in the order of their start."""
        return tuple(self._commands)

    def start(self, *names: str) -> None:
        """Start servers, all by default, with the data that they had."""
        for name in names or self.servers:
            if name not in self._servers:
                with self._log_path(name).open("ab") as log:
                    self._servers[name] = self._namespace.popen(
                        self._commands[name], log
                    )

    def kill(self, *names: str) -> None:
        """End servers, all by default, with SIGKILL, as a crash would."""
        for name in names or tuple(self._servers):
            server = self._servers.pop(name)
            server.kill()
            server.wait()

    def apply(self, objects: Iterable[Object]) -> None:
        """Write the objects; see ``Store``."""
        self._tell("apply", objects)

    def delete(self, objects: Iterable[Object]) -> None:
        """Delete the objects; see ``Store``."""
        self._tell("delete", objects)

    def close(self) -> None:
        """End the writer and the servers, whose data is the lab's; may be called twice."""
        self._writer.terminate()
        with contextlib.suppress(OSError, ValueError):  # its pipes are closed
            self._writer.communicate()
        self.kill()

    def _tell(self, verb: str, objects: Iterable[Object]) -> None:
        stdin, stdout = self._writer.stdin, self._writer.stdout
        if stdin is None or stdout is None:
            raise LabError("the datastore's writer has no pipes")
        try:
            stdin.write(json.dumps({"verb": verb, "objects": list(objects)}) + "\n")
            stdin.flush()
            while not select.select([stdout], [], [], LOOK)[0]:
                self._check_servers()
            answer = stdout.readline().strip()
        except OSError as error:
            answer = str(error)
        if answer != "ok":
            raise LabError(
                f"{self.servers[-1]}: {answer or self._end_of_log('writer')}"
            )

    def _check_servers(self) -> None:
        for name, server in self._servers.items():
            if server.poll() is not None:
                raise LabError(
                    f"{name} ended with status {server.returncode}:"
                    f" {self._end_of_log(name)}"
                )

    def _log_path(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _end_of_log(self, name: str) -> str:
        text = self._log_path(name).read_text("utf-8", errors="replace")
        return text[-LOG_OCTETS:]


class EtcdStore(ServerStore):
    """An etcd-server."""

    title = "etcd-server"

    def __init__(self, namespace: Namespace, addr: str, folder: Path) -> None:
        """Start it, and its writer.

        Args:
            namespace: Where the server runs.
            addr: Address it listens on.
            folder: For its data and log.
        """
        url = f"http://{addr}:{ETCD_PORT}"
        commands = {"etcd": etcd_command(folder, url)}
        super().__init__(namespace, folder, commands, ["etcd", url])


def etcd_command(folder: Path, url: str) -> list[str]:
    """Return the command line of an etcd-server.

    Args:
        folder: For its data.
        url: Where it listens.
    """
    argv = ["etcd", "--data-dir", str(folder / "data"), "--logger", "zap"]
    argv += ["--listen-client-urls", url, "--advertise-client-urls", url]
    return [*argv, "--listen-peer-urls", "http://127.0.0.1:2380"]


def require_etcd() -> None:
    """Check that an etcd-server is there.

    Raises:
        LabError: It is not; says how to get it.
    """
    if shutil.which("etcd") is None:
        raise LabError("etcd is not installed (Debian: apt-get install etcd-server)")
