"""Keys of Calico's objects: the known ones, and warnings about all others. Pure.

What the models read is known from them; the tables here add what Calico has beside that,
and Kubernetes in every object. A key that neither has counts for nothing, in Calico too,
without a warning: ``holdTime`` of a BGPPeer looks as if it had been accepted.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, Final, get_args

from bgpd.calico.fields import Metadata, Resource
from bgpd.calico.resources import (
    MODELS,
    ClusterInformationSpec,
    IpPoolSpec,
    NodeSpec,
    NodeStatus,
    SecretKey,
)
from bgpd.calico.warnings import ObjectWarning

MAX_TOLD: Final = 16  # of one object; the rest is counted
_MAX_SHOWN: Final = 64  # characters of a key

# Of every object. What is in the status is written by programs, and by none for us.
_OBJECT: Final = ("apiVersion", "kind", "status")

# What Calico knows and BGP does not need, by the model that is read in its place.
_UNREAD: Final[Mapping[type[Resource], tuple[str, ...]]] = {
    Metadata: (
        "annotations",
        "clusterName",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ),
    NodeSpec: (
        "addresses",
        "interfaces",
        "ipv4VXLANTunnelAddr",
        "ipv6VXLANTunnelAddr",
        "orchRefs",
        "vxlanTunnelMACAddr",
        "vxlanTunnelMACAddrV6",
    ),
    NodeStatus: ("wireguardPublicKey", "wireguardPublicKeyV6"),
    SecretKey: ("optional",),
    IpPoolSpec: (
        "allowedUses",
        "assignmentMode",
        "blockSize",
        "disabled",
        "ipip",  # of earlier releases, as the next
        "nat-outgoing",
        "namespaceSelector",
        "natOutgoing",
        "nodeSelector",
    ),
    ClusterInformationSpec: (
        "clusterGUID",
        "clusterType",
        "datastoreReady",
        "variant",
    ),
}
# What BGPConfiguration says to Felix and to the agent that starts BIRD.
_UNREAD_OF_KIND: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("BGPConfiguration", "spec"): (
        "localWorkloadPeeringIPV4",
        "localWorkloadPeeringIPV6",
    ),
}
_BLOCK_AFFINITY: Final = {
    "apiVersion": None,
    "kind": None,
    "status": None,
    "metadata": dict.fromkeys(("name", "labels", *_UNREAD[Metadata])),
    "spec": dict.fromkeys(("cidr", "deleted", "node", "state", "type")),
}

# Keys and what may stand below them: another such mapping, also for each item of a list;
# ``None`` is anything.
Keys = dict[str, Any]


def unknown_keys(key: str, kind: str, content: object) -> tuple[ObjectWarning, ...]:
    """Return a warning for each key of an object that Calico does not know.

    Args:
        key: Of the object, for the warnings.
        kind: The object's.
        content: Its JSON value.
    """
    found = _find(_keys_of(kind), content, "")
    told = [
        ObjectWarning(
            key, path, f"{kind} has no such field; ignored{_hint(name, known)}"
        )
        for path, name, known in islice(found, MAX_TOLD)
    ]
    more = sum(1 for _ in found)
    if more:
        told.append(
            ObjectWarning(key, "", f"has {more} more fields that {kind} does not have")
        )
    return tuple(told)


def _find(
    keys: Keys, content: object, above: str
) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Yield the path of each unknown key, the key, and those that are known beside it."""
    if not isinstance(content, dict):
        return  # the type error is reported elsewhere
    for name, value in content.items():
        path = f"{above}.{name}" if above else str(name)
        if name not in keys:
            yield _shown(path), name, keys
            continue
        below = keys[name]
        if below is None:
            continue
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from _find(below, item, f"{path}.{number}")
        else:
            yield from _find(below, value, path)


def _hint(name: str, known: Iterable[str]) -> str:
    """Return what is probably meant: people err in capital letters and by a letter."""
    from difflib import get_close_matches  # noqa: PLC0415  # only where something is wrong

    by_folded = {each.casefold(): each for each in known}
    folded = name[:_MAX_SHOWN].casefold()
    near = get_close_matches(folded, by_folded, n=1, cutoff=0.8)
    return f"; did you mean {by_folded[near[0]]}?" if near else ""


def _shown(path: str) -> str:
    text = path if path.isprintable() else repr(path)
    return text if len(text) <= 2 * _MAX_SHOWN else f"{text[: 2 * _MAX_SHOWN]}..."


@cache
def _keys_of(kind: str) -> Keys:
    if kind == "BlockAffinity":
        return _BLOCK_AFFINITY
    keys = _keys_of_model(MODELS[kind]) | dict.fromkeys(_OBJECT)
    for (owner, place), names in _UNREAD_OF_KIND.items():
        if owner == kind:
            keys[place] |= dict.fromkeys(names)
    return keys


def _keys_of_model(model: type[Resource]) -> Keys:
    keys: Keys = dict.fromkeys(_UNREAD.get(model, ()))
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        keys[field.alias or name] = None if inner is None else _keys_of_model(inner)
    return keys


def _model_in(annotation: object) -> type[Resource] | None:
    """Return the model that a field holds, or a list of it; ``None`` for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, Resource):
        return annotation
    for each in get_args(annotation):
        if (found := _model_in(each)) is not None:
            return found
    return None
