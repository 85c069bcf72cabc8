"""Which releases of Calico a node behaves like, and what follows by default."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")


class Compat(Enum):
    """Which releases of Calico the node behaves like.

    LOCAL_PREF and kernel metrics stand for each other from 3.32 on; who programs IPIP
    routes by default changed in 3.33.
    """

    V3_31 = "3.31"  # and earlier
    V3_32 = "3.32"
    V3_33 = "3.33"  # and later


class ClusterRoutes(NamedTuple):
    """Which pools' routes are ours to program; the rest are Felix'."""

    ipip: bool
    no_encap: bool


_CLUSTER_ROUTES: Final[Mapping[str, ClusterRoutes]] = {
    "Enabled": ClusterRoutes(ipip=True, no_encap=True),
    "Disabled": ClusterRoutes(ipip=False, no_encap=False),
    "EnabledIPIPOnly": ClusterRoutes(ipip=True, no_encap=False),
    "EnabledNoEncapOnly": ClusterRoutes(ipip=False, no_encap=True),
}


def compat_of_version(version: str) -> Compat | None:
    """Return the level of a Calico version such as ``v3.30.7``; ``None`` for other text."""
    found = _VERSION.match(version)
    if found is None:
        return None
    release = (int(found[1]), int(found[2]))
    if release <= (3, 31):
        return Compat.V3_31
    return Compat.V3_32 if release == (3, 32) else Compat.V3_33


def cluster_routes(compat: Compat, setting: str) -> ClusterRoutes:
    """Return what is ours; ``setting`` is ``programClusterRoutes``, empty if not given."""
    if compat is Compat.V3_31:  # does not know the field
        return _CLUSTER_ROUTES["Enabled"]
    default = "Enabled" if compat is Compat.V3_32 else "EnabledNoEncapOnly"
    return _CLUSTER_ROUTES[setting or default]
