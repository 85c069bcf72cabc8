"""Which of its two API groups a cluster's Calico objects are in. Pure.

``crd.projectcalico.org/v1`` is what most clusters have; ``projectcalico.org/v3`` is served by
CRDs of its own in newer ones, and by Calico's API server out of the former in others. A
migration copies everything from one to the other while the cluster runs.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bgpd.calico.kubernetes_objects import GROUP_V1, GROUP_V3, RESOURCES

# Theory
# ------
#       groups there          ready (ClusterInformation `datastoreReady`)     read
#       --------------------  --------------------------------------------   -----------
#       v1 alone              no matter                                      v1
#       v3 alone              no matter                                      v3
#       both                  v1, or no answer                         v1
#       both                  v3, and not v1                                 v3
#       both                  v1 is locked, v3 not ready: copying            what was
#       neither               -                                              what was
#
# Both without a migration means Calico's API server, which serves v3 out of v1. During a
# migration v1 is locked first; v3 becomes ready when the copy is complete, and v1 stays
# locked. So a reader that follows "ready" switches exactly once, to a complete copy.
#
# "What was" is the group that is in force. At the start there is none: then it is asked again,
# and nothing is guessed. A discovery that fails decides nothing either; to take v1 then, as
# Calico does, would read an empty group in a v3 cluster.

_V1_NAME: Final = GROUP_V1.partition("/")[0]
_V3_NAME: Final = GROUP_V3.partition("/")[0]


class Readiness(NamedTuple):
    """What the ClusterInformation of each group says; ``None`` if it says nothing."""

    v1: bool | None = None
    v3: bool | None = None


def groups_of(content: Mapping[str, Any]) -> frozenset[str]:
    """Return which of the two groups an answer to ``GET /apis`` names."""
    groups = content.get("groups")
    names = {
        each.get("name")
        for each in (groups if isinstance(groups, list) else ())
        if isinstance(each, dict)
    }
    return frozenset(
        group
        for name, group in ((_V1_NAME, GROUP_V1), (_V3_NAME, GROUP_V3))
        if name in names
    )


def is_ready(content: Mapping[str, Any] | None) -> bool | None:
    """Return what a ClusterInformation says; ``None`` where it says nothing."""
    spec = (content or {}).get("spec")
    ready = spec.get("datastoreReady") if isinstance(spec, dict) else None
    return ready if isinstance(ready, bool) else None


def choose(
    groups: frozenset[str], readiness: Readiness, current: str | None
) -> str | None:
    """Return the group to read; ``None`` where that is not known yet.

    Args:
        groups: That the API has.
        readiness: Asked for only where both are there.
        current: That is in force.
    """
    if not groups:
        return current
    if len(groups) == 1:
        (only,) = groups
        return only
    v1, v3 = readiness
    if v1 or (v1 is None and not v3):
        return GROUP_V1
    return GROUP_V3 if v3 else current


def kinds_to_stay(content: Mapping[str, Any]) -> frozenset[str]:
    """Return which kinds of a group an answer to ``GET /apis/GROUP/VERSION`` names.

    A kind that is being deleted is named until its last object is gone, but no object of it can
    be created.
    """
    resources = content.get("resources")
    plurals = {
        each.get("name")
        for each in (resources if isinstance(resources, list) else ())
        if isinstance(each, dict) and "create" in (each.get("verbs") or ())
    }
    return frozenset(kind for kind, plural in RESOURCES.items() if plural in plurals)
