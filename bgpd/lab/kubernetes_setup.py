"""What a bare API server needs before it is the datastore of a Calico cluster.

The kinds of Calico's objects, with a schema that takes any spec, as Calico's own in the group
v1 nearly do; and for the daemons of the lab the rights that the manifests in
``configs/kubernetes`` give them, no more: a lab proves that these are enough.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bgpd.calico.kubernetes_objects import RESOURCES
from bgpd.datastore.kubernetes.stored_objects import KINDS, StoredObject
from bgpd.datastore.kubernetes.writer import KubernetesWriter

Object = dict[str, Any]

DAEMON: Final = "pybgpd"  # user of the daemons
SECRETS_NAMESPACE: Final = "kube-system"
SERVED_TIME: Final = 30.0  # seconds for a new kind to be served, on a busy machine
_READING: Final = ("list", "watch")
_CRDS: Final = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_RBAC: Final = "rbac.authorization.k8s.io"
_CALICO: Final = ("crd.projectcalico.org", "projectcalico.org")


async def prepare(writer: KubernetesWriter, group: str) -> None:
    """Create kinds and rights, and wait until the kinds are served.

    Raises:
        DatastoreError: The API does not answer, or refuses.
    """
    await writer.put([*definitions(group), *rights()])
    paths = [f"apis/{group}/{plural}" for plural in KINDS.values()]
    await writer.wait_for(paths, SERVED_TIME)


def definitions(group: str) -> Iterator[StoredObject]:
    """Yield the definitions of Calico's kinds in a group."""
    for kind in KINDS:
        yield StoredObject(_CRDS, definition(kind, group))


def definition(kind: str, group: str) -> Object:
    """Return the definition of one of Calico's kinds in a group."""
    name, version = group.split("/")
    any_spec = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": any_spec}}
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": KINDS[kind],
        "singular": kind.lower(),
    }
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    spec = {
        "group": name,
        "scope": "Cluster",
        "names": names,
        "versions": [served],
    }
    return _object(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        {"name": f"{KINDS[kind]}.{name}"},
        spec=spec,
    )


def rights() -> Iterator[StoredObject]:
    """Yield the roles of the daemons, and who has them."""
    yield from _granted("ClusterRole", DAEMON, _cluster_rules())
    rule = _rule([""], ["secrets"])  # of any name: what a lab's objects refer to
    yield from _granted("Role", f"{DAEMON}-passwords", [rule], SECRETS_NAMESPACE)


def _cluster_rules() -> list[Object]:
    return [
        _rule([""], ["services", "nodes"]),
        _rule(["discovery.k8s.io"], ["endpointslices"]),
        _rule(_CALICO, RESOURCES.values()),
        _rule(_CALICO, ["clusterinformations", "ipamblocks"], ["get"]),
    ]


def _rule(
    groups: Iterable[str], resources: Iterable[str], verbs: Sequence[str] = _READING
) -> Object:
    return {
        "apiGroups": list(groups),
        "resources": list(resources),
        "verbs": list(verbs),
    }


def _granted(
    kind: str, name: str, rules: list[Object], namespace: str = ""
) -> Iterator[StoredObject]:
    path = f"apis/{_RBAC}/v1/"
    path += f"namespaces/{namespace}/" if namespace else ""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    api_version = f"{_RBAC}/v1"
    yield StoredObject(
        f"{path}{kind.lower()}s", _object(api_version, kind, metadata, rules=rules)
    )
    binding = _object(
        api_version,
        f"{kind}Binding",
        metadata,
        roleRef={"apiGroup": _RBAC, "kind": kind, "name": name},
        subjects=[{"apiGroup": _RBAC, "kind": "User", "name": DAEMON}],
    )
    yield StoredObject(f"{path}{kind.lower()}bindings", binding)


def _object(
    api_version: str, kind: str, metadata: Mapping[str, str], **parts: object
) -> Object:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": dict(metadata),
        **parts,
    }
