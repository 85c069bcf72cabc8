"""The datastore of a lab's cluster: a folder of manifests, or a real etcd-server."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import bgpd
from bgpd.datastore import DatastoreError, FolderWriter
from bgpd.lab.errors import LabError
from bgpd.lab.namespace import Namespace
from bgpd.lab.speaker import ETCD_PORT

Object = dict[str, Any]


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


class EtcdStore:
    """An etcd-server in a namespace, and a process there that writes to it."""

    def __init__(self, namespace: Namespace, addr: str, folder: Path) -> None:
        """Start both.

        Args:
            namespace: Where the server runs.
            addr: Address it listens on.
            folder: For its data and log.
        """
        folder.mkdir(exist_ok=True)
        self._namespace = namespace
        self._log_path = folder / "log"
        url = f"http://{addr}:{ETCD_PORT}"
        self._argv = ["etcd", "--data-dir", str(folder / "data"), "--logger", "zap"]
        self._argv += ["--listen-client-urls", url, "--advertise-client-urls", url]
        self._argv += ["--listen-peer-urls", "http://127.0.0.1:2380"]
        self._server: subprocess.Popen[bytes] | None = None
        self.start()
        with self._log_path.open("ab") as log:
            root = str(Path(bgpd.__file__).parents[1])
            self._writer = subprocess.Popen(
                namespace.argv([sys.executable, "-m", "bgpd.lab.etcd_writer", url]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=root,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start the server, with the data that it had."""
        with self._log_path.open("ab") as log:
            self._server = self._namespace.popen(self._argv, log)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def apply(self, objects: Iterable[Object]) -> None:
        """Put the objects' keys; see ``Store``."""
        self._tell("apply", objects)

    def delete(self, objects: Iterable[Object]) -> None:
        """Delete the objects' keys; see ``Store``."""
        self._tell("delete", objects)

    def _tell(self, verb: str, objects: Iterable[Object]) -> None:
        stdin, stdout = self._writer.stdin, self._writer.stdout
        if stdin is None or stdout is None:
            raise LabError("etcd's writer has no pipes")
        try:
            stdin.write(json.dumps({"verb": verb, "objects": list(objects)}) + "\n")
            stdin.flush()
            answer = stdout.readline().strip()
        except OSError as error:
            answer = str(error)
        if answer != "ok":
            raise LabError(
                f"etcd: {answer or self._log_path.read_text('utf-8')[-500:]}"
            )

    def close(self) -> None:
        """End the writer and the server; may be called twice."""
        self._writer.terminate()
        with contextlib.suppress(OSError, ValueError):  # its pipes are closed
            self._writer.communicate()
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
            self._server = None
