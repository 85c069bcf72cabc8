"""Real etcd servers on loopback: started, killed, frozen and restarted by the tests."""

import asyncio
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bgpd.datastore.etcd import EtcdSettings
from bgpd.datastore.etcd.client import Connection, EtcdError
from bgpd.datastore.etcd.rpc_pb2 import RangeRequest

READY_WITHIN = 20.0  # seconds; an election on a loaded machine included
IS_INSTALLED = shutil.which("etcd") is not None


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass
class Server:
    """One member; ``stop`` is graceful, ``kill`` is not."""

    name: str
    folder: Path
    client_port: int
    peer_port: int
    options: list[str]
    scheme: str = "http"
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer_port}"

    def start(self, members: "list[Server]") -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        cluster = ",".join(f"{each.name}={each.peer_url}" for each in members)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "etcd",
                    f"--name={self.name}",
                    f"--data-dir={self.folder / 'data'}",
                    f"--listen-client-urls={self.endpoint}",
                    f"--advertise-client-urls={self.endpoint}",
                    f"--listen-peer-urls={self.peer_url}",
                    f"--initial-advertise-peer-urls={self.peer_url}",
                    f"--initial-cluster={cluster}",
                    "--heartbeat-interval=50",
                    "--election-timeout=500",
                    "--unsafe-no-fsync",
                    *self.options,
                ],
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None


@dataclass
class Cluster:
    servers: list[Server]
    settings: EtcdSettings

    async def start(self) -> None:
        for server in self.servers:
            if server.process is None:
                server.start(self.servers)
        for server in self.servers:
            await self.wait_ready(server)

    async def wait_ready(self, server: Server) -> None:
        async with asyncio.timeout(READY_WITHIN):
            while True:
                try:
                    with Connection(server.endpoint, self.settings) as connection:
                        await connection.authenticate()
                        await connection.read(RangeRequest(key=b"/calico/", limit=1))
                except EtcdError:
                    await asyncio.sleep(0.05)
                else:
                    return

    def by_endpoint(self, endpoint: str) -> Server:
        return next(each for each in self.servers if each.endpoint == endpoint)


def supported_options(options: list[str]) -> list[str]:
    """Return those of ``options`` that the installed server knows."""
    text = subprocess.run(
        ["etcd", "--help"], capture_output=True, text=True, check=True
    )
    return [each for each in options if each.partition("=")[0] in text.stdout]


@contextmanager
def cluster(
    folder: Path, size: int = 1, *, options: list[str] | None = None
) -> Iterator[Cluster]:
    """Prepare a cluster, not started; all of it is gone at the end."""
    ports = free_ports(2 * size)
    servers = [
        Server(f"m{i}", folder / f"m{i}", ports[2 * i], ports[2 * i + 1], options or [])
        for i in range(size)
    ]
    endpoints = tuple(server.endpoint for server in servers)
    try:
        yield Cluster(servers, EtcdSettings(endpoints, call_timeout=2.0))
    finally:
        for server in servers:
            if server.process is not None:
                server.signal(signal.SIGCONT)
            server.kill()


def make_certificates(folder: Path) -> tuple[str, str, str]:
    """Make an authority and one certificate for both ends: CA, certificate, key."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key, cert, key, request, extensions = (
        str(folder / name)
        for name in ("ca.pem", "ca.key", "cert.pem", "cert.key", "cert.csr", "ext")
    )
    Path(extensions).write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
        "extendedKeyUsage=serverAuth,clientAuth\n"
    )
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    authority = [
        *("-addext", "basicConstraints=critical,CA:TRUE"),
        *("-addext", "keyUsage=critical,keyCertSign"),
    ]
    for command in (
        (
            *("req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-days", "2"),
            *("-subj", "/CN=test authority", *authority),
        ),
        ("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=member"),
        (
            *("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key),
            *("-CAcreateserial", "-extfile", extensions, "-days", "2", "-out", cert),
        ),
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return ca, cert, key
