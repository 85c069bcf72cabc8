"""The kernel's part of a node's plan: redistribution and gateways."""

from typing import TYPE_CHECKING

from bgpd.config.settings import (
    DaemonSettings,
    DatastoreKind,
    DirectSettings,
    LearnSettings,
)
from bgpd.kernel.forwarding import Forwarding
from bgpd.kernel.redistribution_plan import RedistributionPlan
from bgpd.runtime.fault_border import FaultBorder
from rib.nlri import parse_address

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired


def is_calico_node(settings: DaemonSettings) -> bool:
    """Whether this is a forwarding node of a cluster, which redistributes kernel routes."""
    return settings.datastore.kind is not DatastoreKind.NONE and settings.fib.is_enabled


def redistribution_plan(
    settings: DaemonSettings, desired: "NodeDesired | None"
) -> RedistributionPlan:
    """Return what is redistributed from the kernel.

    A node of a cluster learns as BIRD does there: other programs' routes and connected
    prefixes, all of which export policy judges. A configuration that names what is to be
    learned goes first.
    """
    learn, direct = settings.routes.learn, settings.routes.direct
    if desired is None or not is_calico_node(settings):
        return RedistributionPlan(learn, direct)
    return RedistributionPlan(
        learn if learn.is_enabled else LearnSettings(is_enabled=True),
        direct if direct.interfaces else DirectSettings(desired.direct_interfaces),
        is_calico=True,
        local_pref=desired.local_pref,
        workload_interfaces=desired.workload_interfaces,
    )


def gateways(desired: "NodeDesired") -> dict[bytes, bytes]:
    """Return the peers that are reached through a gateway, and that gateway."""
    return {
        static.nlri[1:]: static.gateway for static in desired.statics if static.gateway
    }


def tunnel_address(desired: "NodeDesired") -> bytes:
    """Return the address that the IPIP tunnel must have; empty if it is not needed."""
    is_needed = desired.needs_tunnel and desired.tunnel_addr
    return parse_address(desired.tunnel_addr) if is_needed else b""


def apply_to_kernel(
    forwarding: Forwarding,
    settings: DaemonSettings,
    desired: "NodeDesired | None",
    border: FaultBorder,
) -> None:
    """Apply the kernel's part of the plan, each part separately."""
    if desired is not None:
        with border.around("kernel policy"):
            forwarding.set_policies(desired.kernel)
        with border.around("gateways to peers"):
            forwarding.reach_through(gateways(desired))
        with border.around("the IPIP tunnel"):
            forwarding.keep_tunnel(tunnel_address(desired))
    with border.around("what is redistributed from the kernel"):
        forwarding.learn(redistribution_plan(settings, desired))
