import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from bgpd.calico.kubernetes_objects import RESOURCES as RESOURCE_PLURALS
from bgpd.cli.daemon import main
from bgpd.config.loader import load
from bgpd.config.settings import DaemonSettings
from tests.architecture.test_documents import check_command
from tests.support.kustomize import FOLDER, OVERLAYS, Manifest, Overlay, kubectl, render

pytestmark = pytest.mark.skipif(
    not kubectl(), reason="needs kubectl, to render overlays"
)

# The oldest that has every field used, and the newest that is known.
RELEASES = ("1.27", kubernetes_validate.latest_version())
KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
FILES = sorted(set(FOLDER.rglob("*.yaml")) - set(KUSTOMIZATIONS))
# For ``kubectl patch``: Installation is the operator's kind.
OPERATOR_PATCHES = {
    FOLDER / "operator" / "installation-staged.yaml",
    FOLDER / "operator" / "whole-cluster" / "installation.yaml",
}


def documents(file: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def listed(kind: str) -> Iterator[Path]:
    """Yield the files that kustomizations name under a key."""
    for file in KUSTOMIZATIONS:
        (content,) = documents(file)
        for entry in content.get(kind, ()):
            name = entry if isinstance(entry, str) else entry.get("path")
            if name is not None:
                yield (file.parent / name).resolve()


@lru_cache
def rendered(overlay: Overlay) -> list[Manifest]:
    return overlay.manifests() if kubectl() else []


def of_kind(overlay: Overlay, *kinds: str) -> list[Manifest]:
    return [each for each in rendered(overlay) if each["kind"] in kinds]


def workload_of(overlay: Overlay) -> Manifest:
    (found,) = of_kind(overlay, "DaemonSet", "Deployment")
    return found


each_overlay = pytest.mark.parametrize(
    "overlay", OVERLAYS, ids=lambda each: each.folder
)
REFLECTORS = [each for each in OVERLAYS if each.folder.endswith("reflector")]


def pod_of(workload: Manifest) -> Manifest:
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Manifest) -> list[Manifest]:
    pod = pod_of(workload)
    return [*pod.get("initContainers", ()), *pod["containers"]]


def settings_of(overlay: Overlay, folder: Path) -> DaemonSettings:
    """Return what a workload's file and environment say together."""
    (config_map,) = documents(FOLDER / "datastore" / "calico-config.yaml")
    (container,) = pod_of(workload_of(overlay))["containers"]
    environment = {"NODENAME": "node-1"}
    for each in container["env"]:
        if "value" in each:
            environment[each["name"]] = each["value"]
            continue
        source = each["valueFrom"].get("configMapKeyRef")
        if source is not None:
            assert source["name"] == "calico-config"
            environment[each["name"]] = config_map["data"][source["key"]]
    file = folder / "pybgpd.yaml"
    file.write_text(config_of(overlay), encoding="utf-8")
    return load(file, environment=environment).settings


def config_of(overlay: Overlay) -> str:
    """Return the file that a workload's ConfigMap holds."""
    (name,) = [
        volume["configMap"]["name"]
        for volume in pod_of(workload_of(overlay))["volumes"]
        if "configMap" in volume
    ]
    (found,) = [
        e for e in of_kind(overlay, "ConfigMap") if e["metadata"]["name"] == name
    ]
    text: str = found["data"]["pybgpd.yaml"]
    return text


@pytest.mark.parametrize("release", RELEASES)
@each_overlay
def test_manifests_are_valid(overlay: Overlay, release: str) -> None:
    for manifest in rendered(overlay):
        kubernetes_validate.validate(manifest, release, strict=True)


@pytest.mark.parametrize("release", RELEASES)
def test_the_objects_of_etcd_are_valid(release: str) -> None:
    for manifest in render(FOLDER / "datastore"):
        kubernetes_validate.validate(manifest, release, strict=True)


def test_every_file_has_its_place() -> None:
    resources, patches = set(listed("resources")), set(listed("patches"))
    assert set(FILES) == OPERATOR_PATCHES | {
        each for each in patches | resources if each.suffix and each.is_file()
    }
    for path in resources | set(listed("components")):
        # The administrator writes this one.
        assert path.exists() or path.name == "calico-node.yaml", path
    assert all(path.exists() for path in patches)
    kept = {(FOLDER / each.folder).resolve() for each in OVERLAYS}
    applied = {"apply -k"}
    for file in KUSTOMIZATIONS:
        text = file.read_text(encoding="utf-8")
        if any(word in text for word in applied) and "calico-node" not in file.parts:
            assert file.parent.resolve() in kept


@each_overlay
def test_images_are_of_this_version(overlay: Overlay) -> None:
    images = {each["image"] for each in containers(workload_of(overlay))}
    assert images == {f"registry.example/pybgpd:{version('pybgpd')}"}


@each_overlay
def test_all_is_in_the_namespace_of_calico(overlay: Overlay) -> None:
    for manifest in rendered(overlay):
        where = manifest["metadata"].get("namespace", overlay.namespace)
        assert where == overlay.namespace
        for subject in manifest.get("subjects", ()):
            assert subject["namespace"] == overlay.namespace


@each_overlay
def test_rights_are_no_more_than_needed(overlay: Overlay) -> None:
    workload = workload_of(overlay)
    pod = pod_of(workload)
    assert pod["hostNetwork"] is True
    assert pod["enableServiceLinks"] is False
    assert not pod.get("hostPID")
    assert not pod.get("hostIPC")
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    needed = {"NET_BIND_SERVICE"}
    if "mode: off" not in config_of(overlay):
        needed.add("NET_ADMIN")
    for container in containers(workload):
        context = container["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert "privileged" not in context
        added = set(context["capabilities"].get("add", ()))
        assert added == (needed if container["name"] == "pybgpd" else set())


@each_overlay
def test_nothing_starts_beside_bird(overlay: Overlay) -> None:
    workload = workload_of(overlay)
    (wait,) = pod_of(workload)["initContainers"]
    *shell, script = wait["command"]
    assert shell == ["/bin/sh", "-c"]
    (probe,) = re.findall(r"while pybgpd (health [^>]*)>", script)
    check_command(main, probe.split())
    files = {mount["mountPath"] for mount in wait["volumeMounts"]}
    assert files == {"/var/run/calico", "/var/lib/calico"}
    subprocess.run([*shell[:1], "-nc", script], check=True)


@each_overlay
def test_a_pod_is_critical_and_bounded(overlay: Overlay) -> None:
    workload = workload_of(overlay)
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


@each_overlay
def test_the_command_and_the_probes_exist(overlay: Overlay, tmp_path: Path) -> None:
    (container,) = pod_of(workload_of(overlay))["containers"]
    check_command(main, container["args"])
    listen = settings_of(overlay, tmp_path).metrics
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
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


@each_overlay
def test_configuration_and_environment_load_together(
    overlay: Overlay, tmp_path: Path
) -> None:
    settings = settings_of(overlay, tmp_path)
    assert settings.calico.process_names == ("bird", "bird6")
    store, pod = settings.datastore, pod_of(workload_of(overlay))
    assert store.kind.value == overlay.datastore
    (container,) = pod["containers"]
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    if overlay.datastore == "etcd":
        assert len(store.endpoints) == 3
        # The files are where the Secret is mounted, under the names of its keys.
        (secret,) = documents(FOLDER / "datastore" / "calico-etcd-secrets.yaml")
        names = {
            f"{mounts[volume['name']]}/{key}"
            for volume in pod["volumes"]
            if volume.get("secret", {}).get("secretName") == secret["metadata"]["name"]
            for key in secret["data"]
        }
        assert {store.ca_file, store.cert_file, store.key_file} == names
    else:
        assert "etcd" not in yaml.safe_dump(rendered(overlay))
    # Every path the daemon writes or reads is mounted.
    assert Path(settings.control_path).parent.as_posix() in mounts.values()
    assert Path(store.saved_state).parent.as_posix() in mounts.values()
    assert {"/var/run/calico", "/var/lib/calico", "/etc/pybgpd"} <= set(mounts.values())


@each_overlay
def test_names_lead_somewhere(overlay: Overlay) -> None:
    workload = workload_of(overlay)
    pod, spec = pod_of(workload), workload["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    accounts = [each["metadata"]["name"] for each in of_kind(overlay, "ServiceAccount")]
    assert accounts == [pod["serviceAccountName"]]
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in containers(workload):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


@pytest.mark.parametrize("overlay", REFLECTORS, ids=lambda each: each.folder)
def test_reflectors_keep_apart_and_leave_one_at_a_time(overlay: Overlay) -> None:
    (deployment,) = of_kind(overlay, "Deployment")
    (budget,) = of_kind(overlay, "PodDisruptionBudget")
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


@each_overlay
def test_rights_of_the_api_are_to_read(overlay: Overlay) -> None:
    roles = of_kind(overlay, "ClusterRole", "Role")
    rules = [rule for each in roles for rule in each["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} <= {
        "get",
        "list",
        "watch",
    }
    read = {name for rule in rules for name in rule["resources"]}
    expected = {"secrets"}
    if overlay not in REFLECTORS:
        expected |= {"services", "endpointslices", "clusterinformations"}
    if overlay.datastore == "kubernetes":
        expected |= {"nodes", "ipamblocks", *RESOURCE_PLURALS.values()}
    assert read == expected
    for rule in rules:
        assert ("secrets" in rule["resources"]) <= bool(rule.get("resourceNames"))
    bound = of_kind(overlay, "ClusterRoleBinding", "RoleBinding")
    assert {each["roleRef"]["name"] for each in bound} == {
        role["metadata"]["name"] for role in roles
    }


def test_no_two_overlays_of_a_cluster_share_an_object_that_differs() -> None:
    """Node daemons and reflectors are applied side by side, and deleted one by one."""
    for nodes, reflectors in (
        ("kubernetes-datastore", "kubernetes-datastore/reflector"),
        ("operator", "operator/reflector"),
        (".", "reflector"),
    ):
        found = [
            {(e["kind"], e["metadata"]["name"]): e for e in rendered(overlay)}
            for overlay in OVERLAYS
            if overlay.folder in (nodes, reflectors)
        ]
        for name in found[0].keys() & found[1].keys():
            assert name == ("ClusterRole", "pybgpd-datastore")
            assert found[0][name] == found[1][name]


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


def made_of(exported: Manifest, folder: Path, source: Path) -> dict[str, Manifest]:
    """Return what a folder's patches make of a calico-node, by the name of the DaemonSet."""
    shutil.copytree(source, folder)
    (folder / "exported" / "calico-node.yaml").write_text(
        yaml.safe_dump(exported), encoding="utf-8"
    )
    made = render(folder)
    for each in made:
        kubernetes_validate.validate(each, RELEASES[0], strict=True)
        assert "status" not in each
        theirs = {"uid", "resourceVersion", "generation", "ownerReferences"}
        assert not theirs & each["metadata"].keys()
    return {each["metadata"]["name"]: each for each in made}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    folder = tmp_path_factory.mktemp("kustomize") / "calico-node"
    return made_of(EXPORTED, folder, FOLDER / "calico-node")


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


def ours() -> tuple[str, ...]:
    """Return the labels of nodes where one of our daemons runs."""
    selectors = (
        pod_of(workload_of(each))["nodeSelector"].get("bgp-daemon") for each in OVERLAYS
    )
    return tuple(sorted({label for label in selectors if label}))


def test_each_node_has_one_calico_node_and_at_most_one_of_us(
    pair: dict[str, Manifest],
) -> None:
    assert nodes_of(pair["calico-node"]) == ("bgp-daemon", "NotIn", ours())
    assert nodes_of(pair["calico-node-without-bird"]) == ("bgp-daemon", "In", ours())


# -- where the operator owns calico-node -----------------------------------------------------


def an_operators_calico_node() -> Manifest:
    """Return a calico-node as the operator of Calico 3.33 writes it."""
    made: Manifest = yaml.safe_load(yaml.safe_dump(EXPORTED))
    made["metadata"] |= {
        "namespace": "calico-system",
        "ownerReferences": [
            {
                "apiVersion": "operator.tigera.io/v1",
                "kind": "Installation",
                "name": "default",
                "uid": "1b2c",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    (container,) = pod_of(made)["containers"]
    health = ["calico", "component", "node", "health", "--bird-ready", "--felix-ready"]
    container |= {
        "env": [
            {"name": "DATASTORE_TYPE", "value": "kubernetes"},
            {"name": "CALICO_NETWORKING_BACKEND", "value": "bird"},
            {"name": "FELIX_HEALTHPORT", "value": "9099"},
        ],
        "startupProbe": {
            "exec": {"command": health},
            "periodSeconds": 2,
            "failureThreshold": 150,
        },
        "livenessProbe": {
            "httpGet": {"host": "localhost", "path": "/liveness", "port": 9099},
            "timeoutSeconds": 10,
        },
        "readinessProbe": {"exec": {"command": health}, "periodSeconds": 10},
    }
    return made


def test_the_operators_calico_node_is_copied_without_bird(tmp_path: Path) -> None:
    exported = an_operators_calico_node()
    source = FOLDER / "operator" / "calico-node"
    made = made_of(exported, tmp_path / "calico-node", source)
    assert made.keys() == {"calico-node-without-bird"}
    copy = made["calico-node-without-bird"]
    assert copy["metadata"]["namespace"] == "calico-system"
    assert nodes_of(copy) == ("bgp-daemon", "In", ours())
    (container,) = pod_of(copy)["containers"]
    assert {e["name"]: e["value"] for e in container["env"]} == {
        "DATASTORE_TYPE": "kubernetes",
        "CALICO_NETWORKING_BACKEND": "vxlan",
        "FELIX_HEALTHPORT": "9099",
    }
    assert "bird" not in yaml.safe_dump(
        {k: v for k, v in container.items() if k.endswith("Probe")}
    )
    assert (
        container["livenessProbe"]
        == (pod_of(exported)["containers"][0]["livenessProbe"])
    )
    labels = copy["spec"]["template"]["metadata"]["labels"]
    assert labels == copy["spec"]["selector"]["matchLabels"]
    assert labels != exported["spec"]["selector"]["matchLabels"]


def test_the_operators_calico_node_leaves_our_nodes() -> None:
    (patch,) = documents(FOLDER / "operator" / "installation-staged.yaml")
    override = patch["spec"]["calicoNodeDaemonSet"]["spec"]["template"]
    assert nodes_of({"spec": {"template": override}}) == ("bgp-daemon", "NotIn", ours())
    assert override["spec"].keys() == {"affinity"}


def test_the_whole_cluster_is_ours_but_for_reflectors() -> None:
    (overlay,) = [e for e in OVERLAYS if e.folder == "operator/whole-cluster"]
    pod = pod_of(workload_of(overlay))
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert nodes_of(workload_of(overlay)) == (
        "bgp-daemon",
        "NotIn",
        ("pybgpd-reflector",),
    )
    (patch,) = documents(FOLDER / "operator" / "whole-cluster" / "installation.yaml")
    assert patch == {"spec": {"calicoNetwork": {"bgp": "Disabled"}}}
