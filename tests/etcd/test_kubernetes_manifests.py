"""The manifests before a real API server: valid there, with no right too many or too few."""

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bgpd.calico.kubernetes_objects import GROUP_V1, GROUP_V3, RESOURCES
from bgpd.datastore.kubernetes import (
    Access,
    KubernetesDatastore,
    KubernetesWatcher,
    Wants,
)
from bgpd.node.other_datastore import OtherDatastore
from tests.support.calico_cases import a_node
from tests.support.daemons import Daemon, write_yaml
from tests.support.datastores import Follower
from tests.support.kube_apiserver import KubeApi, in_thread, missing
from tests.support.kubernetes_objects import (
    block_affinity,
    kubernetes_node,
    resource,
)
from tests.support.kustomize import FOLDER, OVERLAYS, Manifest, Overlay, kubectl, render
from tests.support.speakers import own_network, until

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there"),
    pytest.mark.skipif(not kubectl(), reason="needs kubectl, to render overlays"),
    pytest.mark.timeout(300),
]

NAMESPACE = "calico-system"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
COLLECTIONS = {
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "Role": RBAC + "/namespaces/{}/roles",
    "RoleBinding": RBAC + "/namespaces/{}/rolebindings",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Pod": "/api/v1/namespaces/{}/pods",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "PodDisruptionBudget": "/apis/policy/v1beta1/namespaces/{}/poddisruptionbudgets",
}
AUDIT = """apiVersion: audit.k8s.io/v1
kind: Policy
rules: [{level: Metadata}]
"""
PORT = 17933


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    folder = tmp_path_factory.mktemp("k")
    api = KubeApi(folder)
    (folder / "audit.yaml").write_text(AUDIT)
    api.more_arguments = (
        f"--audit-policy-file={folder / 'audit.yaml'}",
        f"--audit-log-path={folder / 'audit.log'}",
    )
    with api:
        name = {"metadata": {"name": NAMESPACE}}
        api._send("POST", "/api/v1/namespaces", name)
        yield api


def collection(manifest: Manifest) -> str:
    namespace = manifest["metadata"].get("namespace", "")
    return COLLECTIONS[manifest["kind"]].format(namespace)


def accepted(api: KubeApi, manifest: Manifest) -> None:
    """Have the server check an object; nothing is created, and nothing is lost."""
    manifest = copy.deepcopy(manifest)
    if manifest["kind"] == "PodDisruptionBudget":
        manifest["apiVersion"] = "policy/v1beta1"  # of the server's release; the same
    answer = api.http.post(
        collection(manifest), params={"dryRun": "All"}, json=manifest
    )
    assert answer.status_code == 201, answer.text
    assert_kept(manifest, answer.json())


def assert_kept(sent: Any, got: Any, place: str = "") -> None:
    """A server drops fields that it does not know, without a word."""
    if isinstance(sent, dict):
        for key, value in sent.items():
            if value not in ({}, [], None):
                assert isinstance(got, dict), place
                assert key in got, f"{place}.{key}"
                assert_kept(value, got[key], f"{place}.{key}")
    elif isinstance(sent, list):
        assert len(sent) <= len(got), place
        for index, (one, other) in enumerate(zip(sent, got, strict=False)):
            assert_kept(one, other, f"{place}[{index}]")
    elif place.endswith(("cpu", "memory", "sizeLimit")):
        assert got  # a quantity may be written in another way
    else:
        assert sent == got, place


def pod_from(workload: Manifest) -> Manifest:
    """Return the pod that a workload's controller would make."""
    template = copy.deepcopy(workload["spec"]["template"])
    metadata = template["metadata"] | {
        "name": "pod",
        "namespace": workload["metadata"]["namespace"],
    }
    spec = template["spec"] | {"nodeName": "node-1"}
    if workload["kind"] == "DaemonSet":
        del spec["nodeName"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda each: each.folder)
def test_the_server_accepts_each_object(server: KubeApi, overlay: Overlay) -> None:
    manifests = overlay.manifests()
    assert {"ServiceAccount", "ConfigMap"} <= {each["kind"] for each in manifests}
    for manifest in manifests:
        accepted(server, manifest)
        if manifest["kind"] in ("DaemonSet", "Deployment"):
            accepted(server, pod_from(manifest))


def test_the_server_accepts_the_objects_of_etcd(server: KubeApi) -> None:
    for manifest in render(FOLDER / "datastore"):
        accepted(server, manifest)


# -- rights ---------------------------------------------------------------------------------


def overlay_of(folder: str) -> Overlay:
    (found,) = [each for each in OVERLAYS if each.folder == folder]
    return found


def create_rights(api: KubeApi, overlay: Overlay) -> None:
    kinds = (
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    )
    for manifest in overlay.manifests():
        if manifest["kind"] in kinds:
            api.put(collection(manifest), manifest)


def kubeconfig(api: KubeApi, account: str, folder: Path) -> Path:
    """Return a kubeconfig with a token that the server made for a service account."""
    answer = api._send(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token",
        {"spec": {"expirationSeconds": 3600}},
    )
    file = api.kubeconfig()
    content = yaml.safe_load(file.read_text())
    (folder / "token").write_text(answer["status"]["token"])
    content["users"][0]["user"] = {"tokenFile": "token"}
    mine = folder / "kubeconfig"
    mine.write_text(yaml.safe_dump(content))
    return mine


def objects_of_a_cluster(network: str, group: str) -> list[dict[str, Any]]:
    """Return objects that need every right: passwords, services, and a claimed block."""
    password = {"secretKeyRef": {"name": "bgp-secrets", "key": "rr"}}
    return [
        *(kubernetes_node(a_node(f"n{n}", f"{network}.{n}")) for n in (1, 2)),
        resource(
            "BGPConfiguration",
            "default",
            group,
            listenPort=PORT,
            asNumber=64512,
            serviceClusterIPs=[{"cidr": "10.96.0.0/16"}],
        ),
        resource(
            "BGPPeer",
            "rr",
            group,
            peerIP=f"{network}.9",
            asNumber=64512,
            password=password,
        ),
        resource("IPPool", "pool", group, cidr="10.244.0.0/16"),
        resource("ClusterInformation", "default", group, datastoreReady=True),
        block_affinity("n1", "10.244.1.0/26", "confirmed", group),
        block_affinity("n2", "10.244.1.0/26", "confirmed", group),
    ]


def create_side_objects(api: KubeApi) -> None:
    api.put(
        f"/api/v1/namespaces/{NAMESPACE}/secrets",
        {
            "metadata": {"name": "bgp-secrets", "namespace": NAMESPACE},
            "stringData": {"rr": "hush"},
        },
    )


def a_daemon(folder: Path, file: Path, network: str, environment: str) -> Daemon:
    content = {
        "node": {"name": "n1"},
        "bgp": {"listen": {"addresses": [f"{network}.1"]}},
        "datastore": {"type": "kubernetes"},
        "kubernetes": {
            "kubeconfig": str(file),
            "namespace": NAMESPACE,
            "endpoint_status": "",
        },
        "bird": {"ipv4": "", "ipv6": ""},
        "fib": {"mode": "off"},
        "next_hops": {"resolve": "trust"},
        "control": {"path": str(folder / "control.sock")},
    }
    config = write_yaml(folder / f"pybgpd-{environment}.yaml", content)
    return Daemon(folder, "run", "--config", str(config))


Used = tuple[str, str, str]  # API group, resource, verb


def used(api: KubeApi, account: str) -> tuple[set[Used], list[str]]:
    """Return what the server's audit log says of an account: uses, and refusals."""
    uses, refusals = set[Used](), []
    user = f"system:serviceaccount:{NAMESPACE}:{account}"
    for line in (api.folder / "audit.log").read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] != user or "objectRef" not in event:
            continue
        what = event["objectRef"]
        uses.add((what.get("apiGroup", ""), what["resource"], event["verb"]))
        if event.get("responseStatus", {}).get("code") == 403:
            refusals.append(event["requestURI"])
    return uses, refusals


# The server is of a release that has no discovery.k8s.io/v1 yet: it is asked, and refuses.
ABSENT = {("discovery.k8s.io", "endpointslices", "watch")}


def granted(overlay: Overlay) -> set[Used]:
    return {
        (group, name, verb)
        for role in overlay.manifests()
        if role["kind"] in ("ClusterRole", "Role")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
        for verb in rule["verbs"]
    }


def test_a_daemon_with_all_features_uses_each_right_and_no_other(
    server: KubeApi, tmp_path: Path
) -> None:
    network = own_network()
    overlay = overlay_of("operator")
    create_rights(server, overlay)
    create_side_objects(server)
    file = kubeconfig(server, "pybgpd", tmp_path)
    server.make_kinds_once(GROUP_V1)
    server.apply(*objects_of_a_cluster(network, GROUP_V1))

    def use(daemon: Daemon, rights: set[Used]) -> None:
        try:
            daemon.until(lambda: rights <= used(server, "pybgpd")[0], 60)
        except AssertionError as error:
            error.add_note(f"not used: {rights - used(server, 'pybgpd')[0]}")
            raise

    wanted = granted(overlay) - ABSENT
    of_v3 = {each for each in wanted if each[0] == "projectcalico.org"}
    early = {("crd.projectcalico.org", "clusterinformations", "get")}
    with a_daemon(tmp_path, file, network, "v1") as daemon:
        use(daemon, wanted - of_v3 - early)
        assert "Traceback" not in daemon.log()
    # Both groups are there: a migration is over, and the former one is locked.
    server.make_kinds_once(GROUP_V3)
    server.apply(*objects_of_a_cluster(network, GROUP_V3))
    locked = resource("ClusterInformation", "default", GROUP_V1, datastoreReady=False)
    server.apply(locked)
    with a_daemon(tmp_path, file, network, "v3") as daemon:
        use(daemon, wanted)
        assert "Traceback" not in daemon.log()
    uses, refusals = used(server, "pybgpd")
    assert uses == wanted
    assert not refusals


def denied(warning: str) -> Used | None:
    """Return the right that a refusal of the server names."""
    _, found, rest = warning.partition(" cannot ")
    if not found:
        return None
    verb, _, name, *_ = rest.split()
    group = rest.partition("in API group ")[2].split('"')[1]
    return group, name.strip('"'), verb


# A handshake that is cancelled leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.asyncio
@pytest.mark.parametrize("verb", ["list", "watch", "get"])
async def test_each_right_that_is_missing_is_named(
    server: KubeApi, tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.FIRST_DELAY", 0.05)
    monkeypatch.setattr("bgpd.datastore.kubernetes.collection.MAX_DELAY", 0.5)
    overlay = overlay_of("kubernetes-datastore")
    await in_thread(server.make_kinds_once, GROUP_V1)
    account = {"metadata": {"name": f"without-{verb}", "namespace": NAMESPACE}}
    await in_thread(
        server.put, f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", account
    )
    rules = [
        rule | {"verbs": [each for each in rule["verbs"] if each != verb]}
        for role in overlay.manifests()
        if role["kind"] in ("ClusterRole", "Role")
        for rule in role["rules"]
        if rule["verbs"] != [verb]
    ]
    await in_thread(lambda: grant(server, f"without-{verb}", rules))
    access = Access(
        str(await in_thread(kubeconfig, server, f"without-{verb}", tmp_path))
    )
    wanted = {each for each in granted(overlay) - ABSENT if each[2] == verb}
    wanted = {each for each in wanted if each[0] != "projectcalico.org"}
    datastore = KubernetesDatastore(access, "n1", api_group="v1")
    if verb == "get":
        with pytest.raises(Exception, match='cannot get resource "ipamblocks"'):
            await datastore.read(["/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26"])
        await asyncio.sleep(0)
        return
    watcher = KubernetesWatcher(access, NAMESPACE, Nobody())
    watcher.want(Wants(frozenset({"bgp-secrets"}), has_services=True))
    try:
        async with Follower(datastore):

            def found() -> set[Used | None]:
                group = datastore._following
                if group is None:
                    return set()
                own = group._following._collections()
                every = (*own, *watcher._collections.values())
                return {denied(each.fault.problem) for each in every} - {None}

            await until(lambda: wanted <= found(), 60)
            assert found() == wanted
    finally:
        await watcher.close()


def grant(api: KubeApi, account: str, rules: list[Any]) -> None:
    """Give an account rights; those of a namespace for all of them."""
    role = {"metadata": {"name": account}, "rules": rules}
    api.put(f"{RBAC}/clusterroles", role)
    subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    binding = {
        "metadata": {"name": account},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": account,
        },
        "subjects": [subject],
    }
    api.put(f"{RBAC}/clusterrolebindings", binding)


class Nobody:
    """Takes what a watcher finds."""

    def put(self, kind: str, name: object, content: object) -> None:
        """Forget it."""

    def drop(self, kind: str, name: object) -> None:
        """Forget it."""

    def changed(self, *, is_loss: bool = False) -> None:
        """Do nothing."""


def test_reflectors_need_no_more_than_their_rights(
    server: KubeApi, tmp_path: Path
) -> None:
    network = own_network()
    overlay = overlay_of("operator/reflector")
    create_rights(server, overlay)
    create_side_objects(server)
    server.make_kinds_once(GROUP_V1)
    objects = objects_of_a_cluster(network, GROUP_V1)
    excluded = "node.kubernetes.io/exclude-from-external-load-balancers"
    objects[0]["metadata"]["labels"] = {excluded: "true"}
    server.apply(*objects)
    file = kubeconfig(server, "pybgpd-reflector", tmp_path)
    with a_daemon(tmp_path, file, network, "reflector") as daemon:

        def is_following() -> bool:
            uses, _ = used(server, "pybgpd-reflector")
            return {("", "secrets", "watch"), ("", "nodes", "watch")} <= uses

        daemon.until(is_following, 60)
        daemon.until(
            lambda: any(s["is_started"] for s in daemon.ask("show-status")), 60
        )
    uses, refusals = used(server, "pybgpd-reflector")
    assert not refusals
    assert uses <= granted(overlay)
    assert not {"services", "endpointslices"} & {name for _, name, _ in uses}


@pytest.mark.asyncio
async def test_a_cluster_that_moved_to_kubernetes_is_noticed_by_those_who_may(
    server: KubeApi, tmp_path: Path
) -> None:
    await in_thread(server.make_kinds_once, GROUP_V1)
    await in_thread(create_rights, server, overlay_of("operator"))
    account = {"metadata": {"name": "without-rights", "namespace": NAMESPACE}}
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    await in_thread(server.put, accounts, account)
    files = {}
    for name in ("pybgpd", "without-rights"):
        folder = tmp_path / name
        folder.mkdir()
        files[name] = str(await in_thread(kubeconfig, server, name, folder))
    for is_ready, warnings in ((False, 0), (True, 1)):
        for group in (GROUP_V1, GROUP_V3):
            if group == GROUP_V1 or await in_thread(has_group, server, group):
                state = resource(
                    "ClusterInformation", "default", group, datastoreReady=is_ready
                )
                await in_thread(server.apply, state)
        allowed = OtherDatastore(Access(files["pybgpd"]))
        assert len(await allowed._look()) == warnings
        assert not await OtherDatastore(Access(files["without-rights"]))._look()


def has_group(api: KubeApi, group: str) -> bool:
    return api.http.get(f"/apis/{group}/ippools").status_code == 200


def test_the_rights_cover_all_kinds() -> None:
    read = {
        name for _, name, verb in granted(overlay_of("operator")) if verb == "watch"
    }
    assert set(RESOURCES.values()) <= read
