"""A whole daemon with Kubernetes' API beside its datastore."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.daemons import Daemon, write_yaml
from tests.support.kubernetes_api import Api
from tests.support.manifests import node, resource
from tests.support.speakers import own_network, until

pytestmark = pytest.mark.slow
PORT = 17913


def a_daemon(folder: Path, api: Api, network: str) -> Daemon:
    objects = folder / "objects"
    objects.mkdir()
    secret = {"secretKeyRef": {"name": "bgp", "key": "rr"}}
    manifests = [
        node("n1", f"{network}.1/24"),
        resource(
            "BGPConfiguration",
            "default",
            nodeToNodeMeshEnabled=False,
            listenPort=PORT,
            serviceClusterIPs=[{"cidr": "10.96.0.0/12"}],
        ),
        resource(
            "BGPPeer",
            "rr",
            peerIP=f"{network}.9:{PORT}",
            asNumber=64512,
            password=secret,
        ),
    ]
    (objects / "all.yaml").write_text(yaml.safe_dump_all(manifests))
    content: dict[str, Any] = {
        "node": {"name": "n1"},
        "bgp": {"listen": {"addresses": [f"{network}.1"]}},
        "datastore": {"type": "folder", "path": str(objects)},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "kubernetes": {
            "kubeconfig": api.kubeconfig(),
            "endpoint_status": str(folder),
        },
        "control": {"path": str(folder / "control.sock")},
    }
    file = write_yaml(folder / "pybgpd.yaml", content)
    return Daemon(folder, "run", "--config", str(file))


def test_services_and_secrets_are_followed_live(tmp_path: Path) -> None:
    network = own_network()

    async def scenario() -> None:
        async with Api(tmp_path) as api:
            api.put("Secret", "bgp", "kube-system", data={"rr": "aHVzaA=="})
            with a_daemon(tmp_path, api, network) as daemon:
                await follow(api, daemon)
                assert "hush" not in daemon.log()
                assert "psst" not in daemon.log()

    async def follow(api: Api, daemon: Daemon) -> None:
        def prefixes() -> set[str]:
            rows = daemon.ask("show-routes", family="ipv4-unicast")
            return {row["prefix"] for row in rows}

        def has_password() -> bool:
            peers = daemon.ask("show-peer", peer=f"{network}.9")
            return bool(peers and peers[0]["has_password"])

        await until(lambda: prefixes() == {"10.96.0.0/12"}, 20)
        await until(has_password, 20)
        assert daemon.ask("show-status")[0]["kubernetes"]["is_connected"] is True
        service = {
            "type": "ClusterIP",
            "clusterIP": "10.96.7.7",
            "clusterIPs": ["10.96.7.7"],
            "ipFamilies": ["IPv4"],
            "externalTrafficPolicy": "Local",
        }
        api.put("Service", "web", spec=service)
        labels = {"kubernetes.io/service-name": "web"}
        here = [{"addresses": ["10.244.1.5"], "nodeName": "n1", "conditions": {}}]
        api.put(
            "EndpointSlice", "web-1", labels=labels, addressType="IPv4", endpoints=here
        )
        await until(lambda: "10.96.7.7/32" in prefixes())
        api.put(
            "EndpointSlice", "web-1", labels=labels, addressType="IPv4", endpoints=[]
        )
        await until(lambda: prefixes() == {"10.96.0.0/12"})
        api.delete("Secret", "bgp", "kube-system")
        await until(lambda: daemon.ask("show-status")[0]["removal_holds"])
        assert has_password()  # a session needs it: no operator can mean that
        (held,) = daemon.ask("calico-held")
        assert held["object"] == "passwords/bgp/rr"
        daemon.ask("calico-confirm")
        await until(lambda: not has_password())
        status = daemon.ask("show-status")[0]
        assert any("spec.password" in warning for warning in status["warnings"])
        api.put("Secret", "bgp", "kube-system", data={"rr": "cHNzdA=="})
        await until(has_password)
        await api.stop()
        await until(
            lambda: not daemon.ask("show-status")[0]["kubernetes"]["is_connected"]
        )
        assert has_password()  # what the API said last stays in force

    asyncio.run(scenario())


def test_local_workloads_become_sessions_without_an_api(tmp_path: Path) -> None:
    network = own_network()
    folder = tmp_path / "endpoint-status"

    async def scenario() -> None:
        async with Api(tmp_path) as api:
            daemon = a_daemon(tmp_path, api, network)
            file = tmp_path / "pybgpd.yaml"
            content = yaml.safe_load(file.read_text())
            content["kubernetes"] |= {"mode": "off"}
            file.write_text(yaml.safe_dump(content))
            pods = resource(
                "BGPPeer", "pods", asNumber=65009, localWorkloadSelector="all()"
            )
            (tmp_path / "objects" / "pods.yaml").write_text(yaml.safe_dump(pods))
            with daemon:
                await follow(daemon)

    async def follow(daemon: Daemon) -> None:
        def names() -> set[str]:
            return {row["name"] for row in daemon.ask("show-peers")}

        await until(lambda: len(names()) == 1, 20)
        folder.mkdir()
        endpoint = {
            "ifaceName": "cali1",
            "ipv4Nets": [f"{network}.77/32"],
            "ipv6Nets": [],
            "bgpPeerName": "pods",
        }
        (folder / "cali1").write_text(json.dumps(endpoint))
        name = f"Local_Workload_{network.replace('.', '_')}_77"
        await until(lambda: name in names())
        (folder / "cali1").unlink()
        await until(lambda: len(names()) == 1)
        kubernetes = daemon.ask("show-status")[0]["kubernetes"]
        assert kubernetes["last_error"] == "switched off"

    asyncio.run(scenario())
