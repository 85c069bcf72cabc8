"""Kubernetes' API server on an etcd-server, as the datastore of a lab's cluster.

Both run in the namespace of one machine: the API server listens on the machine's address, its
etcd on the loopback there. The server makes its certificate itself; two users have tokens, an
administrator and the daemons, whose rights are those of the manifests.
"""

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

import yaml

from bgpd.lab.errors import LabError
from bgpd.lab.kubernetes_setup import DAEMON
from bgpd.lab.namespace import Namespace
from bgpd.lab.speaker import API_PORT, KUBECONFIG
from bgpd.lab.store import ServerStore, etcd_command, require_etcd
from bgpd.lab.topology import ApiGroup
from bgpd.texts.state_files import write_file

ADMIN: Final = "admin"
ADMIN_KUBECONFIG: Final = "admin.kubeconfig"
VARIABLE: Final = "KUBE_APISERVER"
NAME: Final = "kube-apiserver"
_ETCD_URL: Final = "http://127.0.0.1:2379"
_MODE: Final = 0o600  # of what holds tokens
_HOW: Final = (
    f"put one on the PATH, name one in {VARIABLE}, or build Debian's by .ci/kube-apiserver"
    " (once, 6 to 12 minutes)"
)


class KubernetesStore(ServerStore):
    """An API server and its etcd-server.

    Attributes:
        admin_kubeconfig: File with all rights, to change objects with.
    """

    title = "Kubernetes API server"

    def __init__(
        self, namespace: Namespace, addr: str, folder: Path, api_group: ApiGroup
    ) -> None:
        """Start both, and the writer.

        Args:
            namespace: Where the servers run.
            addr: Address that the API server listens on.
            folder: For their data, certificates and logs.
            api_group: Where Calico's objects are.

        Raises:
            LabError: One of them is not installed.
        """
        require_api_server()
        folder.mkdir(exist_ok=True)
        _write_users(folder, f"https://{addr}:{API_PORT}")
        self.admin_kubeconfig = folder / ADMIN_KUBECONFIG
        commands = {
            "etcd": [*etcd_command(folder, _ETCD_URL), "--unsafe-no-fsync"],
            NAME: _api_command(folder, addr),
        }
        writer = ["kubernetes", str(self.admin_kubeconfig), api_group]
        super().__init__(namespace, folder, commands, writer)


def require_api_server() -> str:
    """Return the path of the API server: named, built for the tests, or installed.

    Raises:
        LabError: There is none, or no etcd-server; says how to get it.
    """
    require_etcd()
    named = os.environ.get(VARIABLE, "")
    if named:
        if found := shutil.which(named):
            return found
        raise LabError(f"{VARIABLE} is {named!r}: no such program; {_HOW}")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    built = Path(cache, "pybgpd-tests", NAME, "current", NAME)
    if found := shutil.which(built) or shutil.which(NAME):
        return str(found)
    raise LabError(f"{NAME} is not installed: {_HOW}")


def _api_command(folder: Path, addr: str) -> list[str]:
    # The key of its certificate, which it makes before it needs one for accounts of pods.
    key = folder / "certs" / "apiserver.key"
    return [
        require_api_server(),
        f"--etcd-servers={_ETCD_URL}",
        f"--bind-address={addr}",
        f"--advertise-address={addr}",
        f"--secure-port={API_PORT}",
        f"--cert-dir={folder / 'certs'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
    ]


def _write_users(folder: Path, url: str) -> None:
    tokens = {name: secrets.token_hex(16) for name in (ADMIN, DAEMON)}
    lines = [
        f"{tokens[ADMIN]},{ADMIN},1,system:masters",
        f"{tokens[DAEMON]},{DAEMON},2",
    ]
    write_file(folder / "tokens.csv", "".join(f"{x}\n" for x in lines).encode(), _MODE)
    for name, file in ((ADMIN, ADMIN_KUBECONFIG), (DAEMON, KUBECONFIG)):
        text = _kubeconfig(url, folder / "certs" / "apiserver.crt", tokens[name])
        write_file(folder / file, text.encode(), _MODE)


def _kubeconfig(url: str, certificate: Path, token: str) -> str:
    cluster = {"server": url, "certificate-authority": str(certificate)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
    }
    return yaml.safe_dump(content, sort_keys=False)
