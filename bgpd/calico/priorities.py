"""Route priorities: how kernel metrics and LOCAL_PREF translate into each other.

From 3.32 on, a route's kernel metric crosses the cluster as LOCAL_PREF: one is what the
other leaves of ``MAX_METRIC``. A metric below the normal one makes a route *elevated*: it
may leave a block that is announced as a whole otherwise (a workload that moves), and goes
before what the kernel has. Up to 3.31 there is none of this.
"""

from collections.abc import Mapping
from typing import Final

from bgpd.calico.compat import Compat
from fib.kernel_policy import MAX_METRIC
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.policy import Bounds

NORMAL_PRIORITY: Final = 1024
_MAX_LOCAL_PREF: Final = 0xFFFFFFFF


def local_pref_of_metric(metric: int) -> int:
    """Return the LOCAL_PREF that corresponds to a kernel metric."""
    return max(0, MAX_METRIC - metric)


def elevated(normal: int) -> Bounds:
    """Return the LOCAL_PREFs of routes with a metric below ``normal``."""
    return Bounds(MAX_METRIC - normal + 1, _MAX_LOCAL_PREF)


def normal_metrics(
    compat: Compat, ipv4: int | None, ipv6: int | None
) -> Mapping[Family, int]:
    """Return the normal metric of each family; empty where there are no priorities."""
    if compat is Compat.V3_31:
        return {}
    return {
        IPV4_UNICAST: ipv4 or NORMAL_PRIORITY,
        IPV6_UNICAST: ipv6 or NORMAL_PRIORITY,
    }
