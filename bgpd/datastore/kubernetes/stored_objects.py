"""Calico's resources as its client stores them in Kubernetes' API. Pure.

The way back of ``bgpd.calico.kubernetes_objects``, for what writes there: labs, tests and
tools. A resource has one form for users and up to two in the API:

* a Node is Kubernetes' own, and what Calico knows of it stands in annotations;
* a block affinity has labels since Calico 3.31, a name made of node and prefix, and in the
  group v1 text for the truth value ``deleted``;
* of everything else the spec is as users write it, and in the group v1 the metadata that users
  gave is JSON in an annotation, since the API keeps names there that it would not take.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bgpd.calico.kubernetes_objects import (
    AFFINITY_TYPE,
    ANNOTATION,
    ANNOTATIONS,
    GROUP_V1,
    GROUP_V3,
    HOSTNAME_HASH,
    RESOURCES,
    hostname_hash,
    prefix_in_name,
)
from bgpd.datastore.manifests import ManifestError, key_of
from bgpd.datastore.model import Manifest

GROUPS: Final[Mapping[str, str]] = {"v1": GROUP_V1, "v3": GROUP_V3}
"""Both API groups, by the short names that ``datastore.api_group`` has for them."""
KINDS: Final[Mapping[str, str]] = {**RESOURCES, "IPAMBlock": "ipamblocks"}
"""Kinds that are custom resources, each with its plural."""
_IS_TRUE: Final = {GROUP_V1: {True: "true", False: "false"}}


class StoredObject(NamedTuple):
    """An object, and where it belongs.

    Attributes:
        collection: Path of its collection, below the server's address.
        content: The object.
    """

    collection: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.content["metadata"]["name"])

    @property
    def path(self) -> str:
        """Its own path."""
        return f"{self.collection}/{self.name}"


def stored(manifest: Manifest, group: str) -> StoredObject:
    """Return what the API holds for one of Calico's resources.

    Args:
        manifest: In Calico's form, which ``calicoctl`` takes.
        group: ``GROUP_V1`` or ``GROUP_V3``.

    Raises:
        ManifestError: It is none, or of a kind that is not kept in the API.
    """
    key_of(manifest)  # refuses what is malformed
    kind = manifest["kind"]
    if kind == "Node":
        return StoredObject("api/v1/nodes", _node(manifest))
    if kind not in KINDS:
        raise ManifestError(f"{kind} is not kept in the Kubernetes API")
    make = {"BlockAffinity": _affinity, "IPAMBlock": _block}.get(kind, _resource)
    content = {"apiVersion": group, "kind": kind, **make(manifest, group)}
    return StoredObject(f"apis/{group}/{KINDS[kind]}", content)


def _node(manifest: Manifest) -> dict[str, Any]:
    given = manifest["metadata"]
    labels, annotations = _texts(given.get("labels")), _texts(given.get("annotations"))
    for field, annotation in ANNOTATIONS.items():
        value = _at(manifest, field)
        if field.startswith("spec.") and value is not None:
            annotations[annotation] = str(value)
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": str(given["name"]),
            "labels": labels,
            "annotations": annotations,
        },
    }
    if pod_cidrs := _at(manifest, "status.podCIDRs"):
        content["spec"] = {"podCIDR": pod_cidrs[0], "podCIDRs": list(pod_cidrs)}
    return content


def _resource(manifest: Manifest, group: str) -> dict[str, Any]:
    given = manifest["metadata"]
    metadata: dict[str, Any] = {"name": str(given["name"])}
    own = {
        field: _texts(given[field])
        for field in ("labels", "annotations")
        if given.get(field)
    }
    if group != GROUP_V1:
        metadata |= own
    elif own:
        text = json.dumps({**own, "creationTimestamp": None})
        metadata["annotations"] = {f"{ANNOTATION}metadata": text}
    return {"metadata": metadata, "spec": manifest.get("spec") or {}}


def _affinity(manifest: Manifest, group: str) -> dict[str, Any]:
    spec = manifest["spec"]
    node, cidr = str(spec["node"]), str(spec["cidr"])
    kind = spec.get("type") or "host"
    is_deleted = str(spec.get("deleted", False)).lower() == "true"
    labels = {
        HOSTNAME_HASH: hostname_hash(node),
        AFFINITY_TYPE: kind,
        f"{ANNOTATION}ip-version": "6" if ":" in cidr else "4",
    }
    return {
        "metadata": {"name": f"{node}-{prefix_in_name(cidr)}", "labels": labels},
        "spec": {
            "cidr": cidr,
            "node": node,
            "state": spec.get("state") or "",
            "type": kind,
            "deleted": _IS_TRUE.get(group, {}).get(is_deleted, is_deleted),
        },
    }


def _block(manifest: Manifest, _: str) -> dict[str, Any]:
    spec = dict(manifest["spec"])
    return {
        "metadata": {"name": prefix_in_name(str(spec["cidr"]))},
        "spec": spec,
    }


def _at(content: object, path: str) -> Any:  # noqa: ANN401  # of a manifest: any JSON
    """Return the value at a path of keys; ``None`` without one."""
    for name in path.split("."):
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def _texts(value: object) -> dict[str, str]:
    given = value if isinstance(value, Mapping) else {}
    return {str(key): str(text) for key, text in given.items()}
