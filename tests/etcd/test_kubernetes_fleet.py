"""``pybgpctl show ... --kubernetes``: real daemons, found by a real API server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import ROOT, Daemon, write_yaml
from tests.support.kube_apiserver import DAEMON, KubeApi, free_port, missing
from tests.support.kubernetes_api import certificates
from tests.support.speakers import own_network

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there"),
    pytest.mark.timeout(300),
]

PODS = "/api/v1/namespaces/kube-system/pods"
TOKEN = "0123456789abcdef-token"
READS = {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["list"]}


def with_status(api: KubeApi, path: str, content: dict[str, Any]) -> None:
    """Create an object, and say what kubelet would."""
    api.put(path, content)
    name = content["metadata"]["name"]
    known = api.http.get(f"{path}/{name}").json()
    answer = api.http.put(
        f"{path}/{name}/status", json={**known, "status": content["status"]}
    )
    assert answer.status_code == 200, answer.text


def a_pod(name: str, node: str, address: str, phase: str = "Running") -> dict[str, Any]:
    labels = {"k8s-app": "pybgpd"}
    addresses = {"podIP": address, "podIPs": [{"ip": address}]} if address else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "a", "image": "a"}]},
        "status": {"phase": phase, **addresses},
    }


def a_node(name: str, *addresses: str) -> dict[str, Any]:
    rows = [{"type": "InternalIP", "address": each} for each in addresses]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"rack": "1"}},
        "status": {"addresses": rows},
    }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[KubeApi, int, Path]]:
    """Two daemons with a certificate for one name; pods and nodes, not all of which answer."""
    network, port = own_network(), free_port()
    cert, key = certificates(tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    with ExitStack() as stack:
        api = stack.enter_context(KubeApi(tmp_path / "k"))
        api.grant(READS)
        for number in (1, 2):
            address = f"{network}.{number}"
            folder = tmp_path / f"d{number}"
            folder.mkdir()
            config = {
                "bgp": {
                    "as": 64512,
                    "router_id": address,
                    "listen": {"addresses": [address], "port": 1179},
                },
                "control": {"path": str(folder / "control.sock")},
                "api": {
                    "listen": f"{address}:{port}",
                    "cert_file": str(cert),
                    "key_file": str(key),
                    "read_token_file": str(tmp_path / "token"),
                    "loopback": "none",
                },
                "fib": {"mode": "off"},
                "peers": [{"name": "away", "address": f"{network}.9", "as": 64512}],
            }
            file = write_yaml(folder / "pybgpd.yaml", config)
            daemon = stack.enter_context(Daemon(folder, "run", "--config", str(file)))
            daemon.until(partial(daemon.ask, "show-peers"))
        for pod in (
            a_pod("pybgpd-1", "node-1", f"{network}.1"),
            a_pod("pybgpd-2", "node-2", f"{network}.2"),
            a_pod("pybgpd-3", "node-3", "", "Pending"),
            a_pod("pybgpd-4", "node-4", f"{network}.4"),
            a_pod("pybgpd-5", "node-2", f"{network}.2", "Failed"),
        ):
            with_status(api, PODS, pod)
        for node in (a_node("node-1", f"{network}.1"), a_node("node-6")):
            with_status(api, "/api/v1/nodes", node)
        yield api, port, tmp_path


def pybgpctl(api: KubeApi, folder: Path, *words: str) -> tuple[int, str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYBGPD_")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bgpd.cli.control"),
            *("--token-file", str(folder / "token")),
            *("--ca-file", str(folder / "cert.pem")),
            *("--tls-name", "127.0.0.1", "show", *words),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**kept, "KUBECONFIG": str(api.kubeconfig(DAEMON))},
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_daemons_of_a_cluster_are_found_by_pods_or_nodes(
    cluster: tuple[KubeApi, int, Path],
) -> None:
    api, port, folder = cluster
    at = ("--api-port", str(port))
    code, out, err = pybgpctl(api, folder, "peers", "--kubernetes", *at, "-o", "json")
    assert code == 5, err
    rows = json.loads(out)
    assert [row["node"] for row in rows] == ["node-1", "node-2", "node-3", "node-4"]
    assert [row.get("name") for row in rows] == ["away", "away", None, None]
    assert rows[2]["error"] == "pod pybgpd-3 is Pending: it has no address"
    assert "nothing listens there" in rows[3]["error"]
    assert err == "pybgpctl: 2 of 4 nodes did not answer: node-3, node-4\n"

    words = ("status", "--kubernetes", "nodes", *at)
    code, out, err = pybgpctl(api, folder, *words)
    _, first, second = out.splitlines()
    assert code == 5, err
    assert first.split()[0] == "node-1"
    assert second.endswith("the node has no InternalIP")

    code, out, err = pybgpctl(api, folder, *words, "--selector", "rack=1,rack!=2")
    assert (code, len(out.splitlines())) == (5, 3)
    api.delete(a_node("node-6"))
    code, out, err = pybgpctl(api, folder, *words)
    assert (code, err) == (0, "")

    code, out, err = pybgpctl(
        api, folder, "peers", "--kubernetes", "--namespace", "default"
    )
    assert (code, out) == (3, "")
    assert "there are no pods with labels k8s-app in (pybgpd" in err
    code, out, err = pybgpctl(api, folder, *words, "--selector", "rack in (")
    assert code == 3
    assert "400: " in err
    assert "Traceback" not in err

    api.grant()
    code, out, err = pybgpctl(api, folder, *words)
    assert code == 3
    assert f"{api.url}: 403: " in err
    assert "nodes is forbidden" in err
    api.stop("api")
    code, out, err = pybgpctl(api, folder, *words)
    assert (code, out) == (3, "")
    assert api.url in err
    assert "Traceback" not in err
