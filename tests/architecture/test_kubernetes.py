"""The manifests: valid for Kubernetes, true to each other and to the daemon."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bgpd.calico.kubernetes_objects import RESOURCES as RESOURCE_PLURALS
from bgpd.cli.daemon import main
from bgpd.config.loader import load
from bgpd.config.settings import DaemonSettings, DatastoreKind
from tests.architecture.test_documents import check_command
from tests.support.generated import ROOT

FOLDER = ROOT / "configs" / "kubernetes"
CALICO_NODE = FOLDER / "calico-node"
# The oldest that has every field used, and the newest that is known.
RELEASES = ("1.27", kubernetes_validate.latest_version())
KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
FILES = sorted(set(FOLDER.rglob("*.yaml")) - set(KUSTOMIZATIONS))
Manifest = dict[str, Any]


def documents(file: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def listed(kind: str) -> Iterator[Path]:
    """Yield the files that kustomizations name under ``resources`` or ``patches``."""
    for file in KUSTOMIZATIONS:
        (content,) = documents(file)
        for entry in content.get(kind, ()):
            name = entry if isinstance(entry, str) else entry.get("path")
            if name is not None:
                yield (file.parent / name).resolve()


RESOURCES = [file for file in FILES if file in set(listed("resources"))]
ALL = [each for file in RESOURCES for each in documents(file)]


def of_kind(*kinds: str) -> list[Manifest]:
    return [each for each in ALL if each["kind"] in kinds]


WORKLOADS = of_kind("DaemonSet", "Deployment")
each_workload = pytest.mark.parametrize(
    "workload", WORKLOADS, ids=lambda each: each["metadata"]["name"]
)


def pod_of(workload: Manifest) -> Manifest:
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Manifest) -> list[Manifest]:
    pod = pod_of(workload)
    return [*pod.get("initContainers", ()), *pod["containers"]]


def settings_of(workload: Manifest, folder: Path) -> DaemonSettings:
    """Return what a workload's file and environment say together."""
    (config_map,) = [
        e for e in of_kind("ConfigMap") if e["metadata"]["name"] == "calico-config"
    ]
    (container,) = pod_of(workload)["containers"]
    environment = {"NODENAME": "node-1"}
    for each in container["env"]:
        source = each["valueFrom"].get("configMapKeyRef")
        if source is not None:
            assert source["name"] == "calico-config"
            environment[each["name"]] = config_map["data"][source["key"]]
    file = folder / "pybgpd.yaml"
    file.write_text(config_of(workload), encoding="utf-8")
    return load(file, environment=environment).settings


def config_of(workload: Manifest) -> str:
    """Return the file that a workload's ConfigMap holds."""
    (name,) = [
        volume["configMap"]["name"]
        for volume in pod_of(workload)["volumes"]
        if "configMap" in volume
    ]
    (found,) = [e for e in of_kind("ConfigMap") if e["metadata"]["name"] == name]
    text: str = found["data"]["pybgpd.yaml"]
    return text


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("file", RESOURCES, ids=lambda p: str(p.relative_to(FOLDER)))
def test_manifests_are_valid(file: Path, release: str) -> None:
    for manifest in documents(file):
        kubernetes_validate.validate(manifest, release, strict=True)


def test_every_file_has_its_place() -> None:
    patches = set(listed("patches"))
    assert patches | set(RESOURCES) == set(FILES)
    for path in listed("resources"):
        # The operator who migrates a cluster writes this one.
        assert path.exists() or path.name == "calico-node.yaml", path
    assert all(path.exists() for path in patches)


def test_images_are_of_this_version() -> None:
    tags = {
        (image["name"], image["newTag"])
        for file in KUSTOMIZATIONS
        for content in documents(file)
        for image in content.get("images", ())
    }
    assert tags == {("pybgpd", version("pybgpd"))}
    for workload in WORKLOADS:
        assert {each["image"] for each in containers(workload)} == {"pybgpd"}


@each_workload
def test_rights_are_no_more_than_needed(workload: Manifest) -> None:
    pod = pod_of(workload)
    assert pod["hostNetwork"] is True
    assert pod["enableServiceLinks"] is False
    assert not pod.get("hostPID")
    assert not pod.get("hostIPC")
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    needed = {"NET_BIND_SERVICE"}
    if "mode: off" not in config_of(workload):
        needed.add("NET_ADMIN")
    for container in containers(workload):
        context = container["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert "privileged" not in context
        added = set(context["capabilities"].get("add", ()))
        assert added == (needed if container["name"] == "pybgpd" else set())


@each_workload
def test_nothing_starts_beside_bird(workload: Manifest) -> None:
    (wait,) = pod_of(workload)["initContainers"]
    *shell, script = wait["command"]
    assert shell == ["/bin/sh", "-c"]
    (probe,) = re.findall(r"while pybgpd (health [^>]*)>", script)
    check_command(main, probe.split())
    files = {mount["mountPath"] for mount in wait["volumeMounts"]}
    assert files == {"/var/run/calico", "/var/lib/calico"}
    subprocess.run([*shell[:1], "-nc", script], check=True)


@each_workload
def test_a_pod_is_critical_and_bounded(workload: Manifest) -> None:
    pod = pod_of(workload)
    assert pod["priorityClassName"] in (
        "system-node-critical",
        "system-cluster-critical",
    )
    assert 0 < pod["terminationGracePeriodSeconds"] <= 30
    for container in containers(workload):
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
    (main_container,) = pod["containers"]
    assert "cpu" not in main_container["resources"]["limits"]
    strategy = workload["spec"].get("updateStrategy") or workload["spec"]["strategy"]
    assert strategy["rollingUpdate"]["maxUnavailable"] == 1
    assert not strategy["rollingUpdate"].get("maxSurge")


@each_workload
def test_the_command_and_the_probes_exist(workload: Manifest, tmp_path: Path) -> None:
    (container,) = pod_of(workload)["containers"]
    check_command(main, container["args"])
    listen = settings_of(workload, tmp_path).metrics
    for name in ("livenessProbe", "readinessProbe"):
        probe = container[name]
        assert probe["timeoutSeconds"] <= probe["periodSeconds"]
        if "exec" in probe:
            program, *words = probe["exec"]["command"]
            assert program == "pybgpd"
            check_command(main, words)
        else:
            where = (probe["httpGet"]["host"], probe["httpGet"]["port"])
            assert where == (listen.address, listen.port)
            assert probe["httpGet"]["path"] in ("/healthz", "/readyz")


@each_workload
def test_configuration_and_environment_load_together(
    workload: Manifest, tmp_path: Path
) -> None:
    settings = settings_of(workload, tmp_path)
    assert settings.calico.process_names == ("bird", "bird6")
    store = settings.datastore
    assert store.kind is DatastoreKind.ETCD
    assert len(store.endpoints) == 3
    # The files are where the Secret is mounted, under the names of its keys.
    (container,) = pod_of(workload)["containers"]
    (secret,) = of_kind("Secret")
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    names = {
        f"{mounts[volume['name']]}/{key}"
        for volume in pod_of(workload)["volumes"]
        if volume.get("secret", {}).get("secretName") == secret["metadata"]["name"]
        for key in secret["data"]
    }
    assert {store.ca_file, store.cert_file, store.key_file} == names
    # Every path the daemon writes or reads is mounted.
    assert Path(settings.control_path).parent.as_posix() in mounts.values()
    assert {"/var/run/calico", "/var/lib/calico", "/etc/pybgpd"} <= set(mounts.values())


@each_workload
def test_names_lead_somewhere(workload: Manifest) -> None:
    pod, spec = pod_of(workload), workload["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    accounts = {each["metadata"]["name"] for each in of_kind("ServiceAccount")}
    assert pod["serviceAccountName"] in accounts
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in containers(workload):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_reflectors_keep_apart_and_leave_one_at_a_time() -> None:
    (deployment,) = of_kind("Deployment")
    (budget,) = of_kind("PodDisruptionBudget")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["replicas"] >= 2
    assert budget["spec"]["selector"]["matchLabels"] == labels
    assert budget["spec"]["maxUnavailable"] == 1
    pod = pod_of(deployment)
    (rule,) = pod["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"] == labels
    (spread,) = pod["topologySpreadConstraints"]
    assert spread["topologyKey"] == "topology.kubernetes.io/zone"
    assert spread["labelSelector"]["matchLabels"] == labels


def test_rights_of_the_api_are_to_read() -> None:
    rules = [rule for each in of_kind("ClusterRole", "Role") for rule in each["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} == {
        "get",
        "list",
        "watch",
    }
    (cluster_role,) = of_kind("ClusterRole")
    read = {name for rule in cluster_role["rules"] for name in rule["resources"]}
    assert read == {
        *("services", "endpointslices", "nodes", "ipamblocks"),
        *RESOURCE_PLURALS.values(),
    }
    for each in of_kind("ClusterRoleBinding", "RoleBinding"):
        assert each["roleRef"]["name"] in {
            role["metadata"]["name"] for role in of_kind("ClusterRole", "Role")
        }


def patched(manifest: Manifest, patch: list[Manifest]) -> Manifest:
    """Return a manifest after a patch of RFC 6902, as far as ours use it."""
    made: Manifest = yaml.safe_load(yaml.safe_dump(manifest))
    for step in patch:
        *path, last = step["path"].split("/")[1:]
        at: Any = made
        for part in path:
            at = at[int(part)] if isinstance(at, list) else at[part]
        key = int(last) if isinstance(at, list) else last
        match step["op"]:
            case "replace":
                assert at[key] is not None
                at[key] = step["value"]
            case "remove":
                del at[key]
            case "test":
                assert at[key] == step["value"]
            case other:
                raise AssertionError(other)
    return made


def test_the_node_without_etcd_reads_kubernetes_alone(tmp_path: Path) -> None:
    (node,) = [e for e in WORKLOADS if e["metadata"]["name"] == "pybgpd"]
    (patch,) = documents(FOLDER / "kubernetes-datastore" / "node.yaml")
    workload = patched(node, patch)  # type: ignore[arg-type]  # a list of steps
    for release in RELEASES:
        kubernetes_validate.validate(workload, release, strict=True)
    assert "etcd" not in yaml.safe_dump(workload)
    (container,) = pod_of(workload)["containers"]
    values = {each["name"]: each.get("value", "node-1") for each in container["env"]}
    file = tmp_path / "pybgpd.yaml"
    file.write_text(config_of(workload), encoding="utf-8")
    settings = load(file, environment=values).settings
    assert settings.datastore.kind is DatastoreKind.KUBERNETES
    assert settings.node_name == "node-1"


# -- calico-node with and without BIRD -----------------------------------------------------

EXPORTED: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {
        "name": "calico-node",
        "namespace": "kube-system",
        "uid": "6d7c",
        "resourceVersion": "1234",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"deprecated.daemonset.template.generation": "3"},
        "labels": {"k8s-app": "calico-node"},
    },
    "spec": {
        "selector": {"matchLabels": {"k8s-app": "calico-node"}},
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 1},
        },
        "template": {
            "metadata": {"labels": {"k8s-app": "calico-node"}},
            "spec": {
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "hostNetwork": True,
                "serviceAccountName": "calico-node",
                "containers": [
                    {
                        "name": "calico-node",
                        "image": "quay.io/calico/node:v3.31.0",
                        "env": [
                            {
                                "name": "CALICO_NETWORKING_BACKEND",
                                "valueFrom": {
                                    "configMapKeyRef": {
                                        "name": "calico-config",
                                        "key": "calico_backend",
                                    }
                                },
                            },
                            {"name": "IP", "value": "autodetect"},
                        ],
                        "livenessProbe": {
                            "exec": {"command": ["calico-node", "-bird-live"]},
                            "periodSeconds": 10,
                        },
                        "readinessProbe": {
                            "exec": {"command": ["calico-node", "-bird-ready"]},
                            "periodSeconds": 10,
                        },
                    }
                ],
            },
        },
    },
    "status": {
        "currentNumberScheduled": 3,
        "desiredNumberScheduled": 3,
        "numberMisscheduled": 0,
        "numberReady": 3,
    },
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    """Return what the patches make of a calico-node, by the name of the DaemonSet."""
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl, for kubectl kustomize")
    folder = tmp_path_factory.mktemp("kustomize") / "calico-node"
    shutil.copytree(CALICO_NODE, folder)
    (folder / "exported" / "calico-node.yaml").write_text(
        yaml.safe_dump(EXPORTED), encoding="utf-8"
    )
    outcome = subprocess.run(
        ["kubectl", "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    made = list(yaml.safe_load_all(outcome.stdout))
    for each in made:
        kubernetes_validate.validate(each, RELEASES[0], strict=True)
        assert "status" not in each
        assert not {"uid", "resourceVersion", "generation"} & each["metadata"].keys()
    return {each["metadata"]["name"]: each for each in made}


def nodes_of(workload: Manifest) -> tuple[str, str, tuple[str, ...]]:
    terms = pod_of(workload)["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    ((expression,),) = [term["matchExpressions"] for term in terms]
    return expression["key"], expression["operator"], tuple(expression["values"])


def test_calico_node_keeps_bird_on_nodes_without_our_label(
    pair: dict[str, Manifest],
) -> None:
    made = pair["calico-node"]
    assert made["spec"]["updateStrategy"] == {"type": "OnDelete"}
    (container,) = pod_of(made)["containers"]
    assert container == pod_of(EXPORTED)["containers"][0]


def test_calico_node_without_bird_keeps_all_but_bird(pair: dict[str, Manifest]) -> None:
    made = pair["calico-node-without-bird"]
    (container,) = pod_of(made)["containers"]
    assert container["env"] == [
        {"name": "CALICO_NETWORKING_BACKEND", "value": "vxlan"},
        {"name": "IP", "value": "autodetect"},
    ]
    for name in ("livenessProbe", "readinessProbe"):
        assert container[name]["httpGet"]["port"] == 9099
        assert "exec" not in container[name]
        assert container[name]["periodSeconds"] == 10
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels == made["spec"]["selector"]["matchLabels"]
    assert labels != pair["calico-node"]["spec"]["selector"]["matchLabels"]


def test_each_node_has_one_calico_node_and_at_most_one_of_us(
    pair: dict[str, Manifest],
) -> None:
    ours = tuple(
        sorted(pod_of(each)["nodeSelector"]["bgp-daemon"] for each in WORKLOADS)
    )
    assert nodes_of(pair["calico-node"]) == ("bgp-daemon", "NotIn", ours)
    assert nodes_of(pair["calico-node-without-bird"]) == ("bgp-daemon", "In", ours)
