"""A real Kubernetes API server on a real etcd, both on loopback, and a writer for it."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx2
import yaml

from bgpd.datastore.kubernetes.stored_objects import KINDS
from bgpd.lab.kubernetes_setup import definition
from tests.support.generated import ROOT

Object = dict[str, Any]

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
BINARY = _CACHE / "pybgpd-tests/kube-apiserver/current/kube-apiserver"
ADMIN, DAEMON = "admin-token", "daemon-token"
START_TIME = 60.0  # seconds, on a machine with other work


def missing() -> str:
    """Return why there is no API server here; empty if there is one."""
    if not BINARY.exists():
        return "needs Kubernetes' API server, which .ci/kube-apiserver builds"
    return "" if shutil.which("etcd") else "needs etcd (etcd-server)"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class KubeApi:
    """The server and its etcd, in a folder of their own.

    Args:
        folder: For their files; short, since etcd makes sockets there.
        beside: Another server, whose certificate and keys this one has, too.
        etcd_port: Where it reaches that server's etcd.
    """

    def __init__(
        self, folder: Path, *, beside: "KubeApi | None" = None, etcd_port: int = 0
    ) -> None:
        self.folder = folder
        self.port, self.etcd_port, self._peer_port = (
            free_port(),
            etcd_port or free_port(),
            free_port(),
        )
        self._keys_in = folder if beside is None else beside.folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.more_arguments: tuple[str, ...] = ()
        folder.mkdir(parents=True, exist_ok=True)
        if beside is None:
            self._keys()
        self.http = httpx2.Client(
            base_url=self.url,
            verify=False,  # of a certificate that it makes itself
            headers={"Authorization": f"Bearer {ADMIN}"},
            timeout=30,
        )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _keys(self) -> None:
        key = self.folder / "sa.key"
        subprocess.run(
            ["openssl", "genrsa", "-out", str(key), "2048"],
            check=True,
            capture_output=True,
        )
        tokens = f"{ADMIN},admin,1,system:masters\n{DAEMON},pybgpd,2,pybgpd\n"
        (self.folder / "tokens.csv").write_text(tokens)

    def add_users(self, tokens: Mapping[str, str]) -> None:
        """Let the server know more users with a daemon's rights, by their token."""
        with (self.folder / "tokens.csv").open("a") as file:
            for token, user in tokens.items():
                file.write(f"{token},{user},{user},pybgpd\n")

    def __enter__(self) -> Self:
        self.start_etcd()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was started."""
        self.http.close()
        for name in tuple(self._processes):
            self.stop(name)

    def start_etcd(self) -> None:
        """Start etcd on what the folder has."""
        url = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        self._start(
            "etcd",
            *("etcd", "--name", "one", "--data-dir", str(self.folder / "etcd")),
            *("--listen-client-urls", url, "--advertise-client-urls", url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"one={peer}", "--unsafe-no-fsync"),
        )

    def start(self) -> None:
        """Start the API server, and wait until it is ready."""
        folder = self._keys_in
        self._start(
            "api",
            str(BINARY),
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={folder / 'certs'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.key'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            "--disable-admission-plugins=ServiceAccount",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            *self.more_arguments,
        )
        until = time.monotonic() + START_TIME
        while True:
            try:
                if self.http.get("/readyz").status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            process = self._processes["api"]
            assert process.poll() is None, self.log("api")
            assert time.monotonic() < until, self.log("api")
            time.sleep(0.1)

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a process and wait for it."""
        process = self._processes.pop(name)
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)

    def pid(self, name: str) -> int:
        """Return the process id of ``api`` or ``etcd``."""
        return self._processes[name].pid

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    # -- objects ------------------------------------------------------------------------

    def kubeconfig(self, token: str = DAEMON) -> Path:
        """Write a kubeconfig for a token."""
        file = self.folder / f"kubeconfig-{token}"
        certificate = self.folder / "certs/apiserver.crt"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "one",
            "clusters": [
                {
                    "name": "one",
                    "cluster": {
                        "server": self.url,
                        "certificate-authority": str(certificate),
                    },
                }
            ],
            "users": [{"name": "one", "user": {"token": token}}],
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        }
        file.write_text(yaml.safe_dump(content))
        return file

    def make_kinds(self, *groups: str, kinds: Iterable[str] = KINDS) -> None:
        """Create CRDs, and wait until they are served."""
        kinds = tuple(kinds)
        for group in groups:
            for kind in kinds:
                path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
                self._send("POST", path, definition(kind, group))
        for group in groups:
            for kind in kinds:
                self._wait_for(f"/apis/{group}/{KINDS[kind]}")

    def make_kinds_once(self, group: str) -> None:
        """Create a group's CRDs unless they are there."""
        if self.http.get(f"/apis/{group}/ippools").status_code != 200:
            self.make_kinds(group)

    def _wait_for(self, path: str) -> None:
        until = time.monotonic() + START_TIME
        while self.http.get(path).status_code != 200:
            assert time.monotonic() < until, f"{path} is not served"
            time.sleep(0.05)

    def grant(self, *rules: Mapping[str, Any], name: str = "pybgpd") -> None:
        """Give the daemon's user and its group exactly these rights."""
        path = "/apis/rbac.authorization.k8s.io/v1/"
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": list(rules),
        }
        self.put(f"{path}clusterroles", role)
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": name,
            },
            "subjects": [
                {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": kind,
                    "name": "pybgpd",
                }
                for kind in ("User", "Group")
            ],
        }
        self.put(f"{path}clusterrolebindings", binding)

    @staticmethod
    def path_of(content: Mapping[str, Any]) -> str:
        """Return the collection of an object."""
        if content["kind"] == "Node":
            return "/api/v1/nodes"
        return f"/apis/{content['apiVersion']}/{KINDS[content['kind']]}"

    def put(self, path: str, content: Mapping[str, Any]) -> None:
        """Create or replace an object of a collection."""
        name = content["metadata"]["name"]
        answer = self.http.post(path, json=content)
        if answer.status_code == 409:
            known = self.http.get(f"{path}/{name}").json()
            metadata = {
                **content["metadata"],
                "resourceVersion": known["metadata"]["resourceVersion"],
            }
            answer = self.http.put(
                f"{path}/{name}", json={**content, "metadata": metadata}
            )
        assert answer.status_code in (200, 201), answer.text

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Create or replace objects."""
        for content in objects:
            metadata = {
                key: value
                for key, value in content["metadata"].items()
                if key in ("name", "labels", "annotations")
            }
            self.put(self.path_of(content), {**content, "metadata": metadata})

    def delete(self, *objects: Mapping[str, Any]) -> None:
        """Delete objects."""
        for content in objects:
            path = f"{self.path_of(content)}/{content['metadata']['name']}"
            self._send("DELETE", path)

    def _send(self, method: str, path: str, content: object = None) -> Object:
        answer = self.http.request(method, path, json=content)
        assert answer.status_code in (200, 201, 202), answer.text
        found: Object = answer.json()
        return found


async def in_thread(work: Any, *args: Any) -> Any:
    """Run what blocks while the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *args)


def rules() -> list[Object]:
    """Return the rights that the manifests give a node's daemon beside passwords."""
    found: list[Object] = []
    for name in ("base/node/rbac.yaml", "components/kubernetes/datastore-role.yaml"):
        text = (ROOT / "configs/kubernetes" / name).read_text()
        for each in yaml.safe_load_all(text):
            if each["kind"] == "ClusterRole":
                found += each["rules"]
    return found


READS = tuple(rules())
