"""Calico's resources as far as BGP reads them; unknown fields are ignored, null is absent.

The Go validators and CEL rules of Calico's API do not guard etcd itself, so nothing is
taken for granted here; what cannot be understood is a ``ValidationError`` of one object.
"""

from typing import Final

from pydantic import Field

from bgpd.calico.fields import (
    Address4,
    Address6,
    Asn,
    BindMode,
    Cidr,
    ClusterId,
    ClusterRoutes,
    Community,
    Count,
    EnabledDisabled,
    Hops,
    Interface4,
    Interface6,
    Metadata,
    NextHopModeName,
    Port,
    Priority,
    Resource,
    ReversePeering,
    Seconds,
    SourceAddress,
    TunnelMode,
)
from bgpd.calico.filters import BgpFilter


class NodeBgp(Resource):
    """``Node.spec.bgp``.

    Attributes:
        ipv4_address: Address and subnet in canonical text; empty without IPv4.
        ipv6_address: As ``ipv4_address``.
        asn: None takes the cluster's.
        cluster_id: Non-empty makes the node a route reflector.
    """

    ipv4_address: Interface4 = Field(default="", alias="ipv4Address")
    ipv6_address: Interface6 = Field(default="", alias="ipv6Address")
    asn: Asn | None = Field(default=None, alias="asNumber")
    cluster_id: ClusterId = Field(default="", alias="routeReflectorClusterID")

    tunnel_address: Address4 = Field(default="", alias="ipv4IPIPTunnelAddr")


class Wireguard(Resource):
    """``Node.spec.wireguard``: addresses in canonical text; empty without."""

    ipv4_address: Address4 = Field(default="", alias="interfaceIPv4Address")
    ipv6_address: Address6 = Field(default="", alias="interfaceIPv6Address")


class NodeSpec(Resource):
    """``Node.spec``; ``bgp`` None takes no part in BGP."""

    bgp: NodeBgp | None = None
    wireguard: Wireguard = Wireguard()


class NodeStatus(Resource):
    """``Node.status``: what host-local address management gave the node."""

    pod_cidrs: tuple[Cidr, ...] = Field(default=(), alias="podCIDRs")


class Node(Resource):
    """A machine of the cluster."""

    metadata: Metadata = Metadata()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class SecretKey(Resource):
    """``secretKeyRef``: which key of which Secret."""

    name: str = Field(min_length=1)
    key: str = Field(min_length=1)


class Password(Resource):
    """Where a password is."""

    reference: SecretKey | None = Field(default=None, alias="secretKeyRef")


class CidrBlock(Resource):
    """``{cidr}``; Calico's own data has empty ones, which mean nothing."""

    cidr: Cidr = ""


class NamedCommunity(Resource):
    """A community by a name."""

    name: str = Field(min_length=1)
    value: Community


class PrefixAdvertisement(Resource):
    """Communities of all that is announced from inside a prefix."""

    cidr: Cidr = Field(min_length=1)
    communities: tuple[str, ...] = ()


class BgpConfigurationSpec(Resource):
    """``BGPConfiguration.spec``; None is Calico's default of each."""

    is_mesh: bool | None = Field(default=None, alias="nodeToNodeMeshEnabled")
    asn: Asn | None = Field(default=None, alias="asNumber")
    listen_port: Port | None = Field(default=None, alias="listenPort")
    mesh_restart_time: Seconds | None = Field(
        default=None, alias="nodeMeshMaxRestartTime"
    )
    mesh_password: Password | None = Field(
        default=None, alias="nodeMeshPassword", repr=False
    )
    bind_mode: BindMode = Field(default="None", alias="bindMode")
    log_severity: str = Field(default="", alias="logSeverityScreen")
    ignored_interfaces: tuple[str, ...] = Field(default=(), alias="ignoredInterfaces")
    communities: tuple[NamedCommunity, ...] = ()
    prefix_advertisements: tuple[PrefixAdvertisement, ...] | None = Field(
        default=None, alias="prefixAdvertisements"
    )
    service_cluster_ips: tuple[CidrBlock, ...] = Field(
        default=(), alias="serviceClusterIPs"
    )
    service_external_ips: tuple[CidrBlock, ...] = Field(
        default=(), alias="serviceExternalIPs"
    )
    service_load_balancer_ips: tuple[CidrBlock, ...] = Field(
        default=(), alias="serviceLoadBalancerIPs"
    )
    service_aggregation: EnabledDisabled = Field(
        default="Enabled", alias="serviceLoadBalancerAggregation"
    )
    program_cluster_routes: ClusterRoutes = Field(
        default="", alias="programClusterRoutes"
    )
    ipv4_priority: Priority | None = Field(
        default=None, alias="ipv4NormalRoutePriority"
    )
    ipv6_priority: Priority | None = Field(
        default=None, alias="ipv6NormalRoutePriority"
    )


class BgpConfiguration(Resource):
    """Settings of the cluster (``default``) or of one node (``node.<name>``)."""

    metadata: Metadata = Metadata()
    spec: BgpConfigurationSpec = BgpConfigurationSpec()


class BgpPeerSpec(Resource):
    """``BGPPeer.spec``; see Calico's reference for each field."""

    node: str = ""
    node_selector: str = Field(default="", alias="nodeSelector")
    peer_ip: str = Field(default="", alias="peerIP")
    asn: Asn | None = Field(default=None, alias="asNumber")
    local_asn: Asn | None = Field(default=None, alias="localASNumber")
    peer_selector: str = Field(default="", alias="peerSelector")
    keeps_next_hop: bool = Field(default=False, alias="keepOriginalNextHop")
    next_hop_mode: NextHopModeName = Field(default="", alias="nextHopMode")
    password: Password | None = Field(default=None, repr=False)
    source_address: SourceAddress = Field(default="UseNodeIP", alias="sourceAddress")
    restart_time: Seconds | None = Field(default=None, alias="maxRestartTime")
    keepalive_time: Seconds | None = Field(default=None, alias="keepaliveTime")
    allow_own_as: Count = Field(default=0, alias="numAllowedLocalASNumbers")
    ttl_security: Hops = Field(default=0, alias="ttlSecurity")
    reachable_by: str = Field(default="", alias="reachableBy")
    filters: tuple[str, ...] = ()
    local_workload_selector: str = Field(default="", alias="localWorkloadSelector")
    reverse_peering: ReversePeering = Field(default="Auto", alias="reversePeering")


class BgpPeer(Resource):
    """Sessions beside the mesh."""

    metadata: Metadata = Metadata()
    spec: BgpPeerSpec = BgpPeerSpec()


class IpPoolSpec(Resource):
    """``IPPool.spec``."""

    cidr: Cidr = Field(min_length=1)
    ipip_mode: TunnelMode = Field(default="Never", alias="ipipMode")
    vxlan_mode: TunnelMode = Field(default="Never", alias="vxlanMode")
    is_export_disabled: bool = Field(default=False, alias="disableBGPExport")


class IpPool(Resource):
    """A range that blocks are cut from."""

    metadata: Metadata = Metadata()
    spec: IpPoolSpec


class IpReservationSpec(Resource):
    """``IPReservation.spec``; without effect on BGP, parsed only to report errors."""

    reserved_cidrs: tuple[Cidr, ...] = Field(default=(), alias="reservedCIDRs")


class IpReservation(Resource):
    """Addresses that are not given to workloads."""

    metadata: Metadata = Metadata()
    spec: IpReservationSpec = IpReservationSpec()


class ClusterInformationSpec(Resource):
    """``ClusterInformation.spec``; the version is that of the cluster's Calico."""

    version: str = Field(default="", alias="calicoVersion")


class ClusterInformation(Resource):
    """What the cluster is."""

    metadata: Metadata = Metadata()
    spec: ClusterInformationSpec = ClusterInformationSpec()


MODELS: Final[dict[str, type[Resource]]] = {
    "Node": Node,
    "BGPConfiguration": BgpConfiguration,
    "BGPPeer": BgpPeer,
    "IPPool": IpPool,
    "BGPFilter": BgpFilter,
    "IPReservation": IpReservation,
    "ClusterInformation": ClusterInformation,
}
