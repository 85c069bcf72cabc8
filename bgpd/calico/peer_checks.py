"""What of BGPPeers cannot be understood, or has no effect on a node."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address

from bgpd.calico.fields import split_peer_ip
from bgpd.calico.keys import resource_key
from bgpd.calico.resources import BgpPeerSpec, Password
from bgpd.calico.selectors import SelectorError
from bgpd.calico.topology import Topology
from bgpd.calico.warnings import ObjectWarning

Warn = Callable[[str, str], None]


class PeerChecks:
    """Collects findings about BGPPeers and the sessions that come of them.

    Args:
        topology: What selectors and filter names refer to.
        passwords: By name and key of the Secret, as far as known.

    Attributes:
        findings: What was found.
    """

    def __init__(
        self, topology: Topology, passwords: Mapping[tuple[str, str], str]
    ) -> None:
        self.findings: list[ObjectWarning] = []
        self._topology = topology
        self._passwords = passwords

    def check_addresses(self, node: str, places: Iterable[tuple[str, int]]) -> None:
        """Report two sessions with one address: a neighbour is known by its address."""
        ports: dict[str, int] = {}
        for addr, port in places:
            first = ports.setdefault(addr, port)
            if first != port:
                key = resource_key("Node", node)
                text = (
                    f"two sessions with {addr}, at ports {first} and {port}: one runs"
                )
                self.findings.append(ObjectWarning(key, "spec.bgp", text))

    def check(self, name: str, spec: BgpPeerSpec) -> None:
        """Report what of a BGPPeer cannot be understood or has no effect."""

        def warn(field: str, text: str) -> None:
            key = resource_key("BGPPeer", name)
            self.findings.append(ObjectWarning(key, f"spec.{field}", text))

        for field, selector in (
            ("nodeSelector", spec.node_selector),
            ("peerSelector", spec.peer_selector),
        ):
            if selector:
                try:
                    self._topology.matching(selector)
                except SelectorError as error:
                    warn(field, f"{error}; matches no node")
        if spec.peer_ip:
            try:
                split_peer_ip(spec.peer_ip)
            except ValueError as error:
                warn("peerIP", f"{error}; the peer is left out")
            if spec.asn is None:
                warn("asNumber", "is missing; the peer is left out")
        elif not spec.peer_selector and not spec.local_workload_selector:
            warn("peerIP", "is missing; the peer is left out")
        if spec.node and spec.node_selector:
            warn("node", "has no effect beside nodeSelector")
        for filter_name in spec.filters:
            if filter_name not in self._topology.filters:
                warn("filters", f"there is no BGPFilter {filter_name!r}; passed over")
        self._check_rest(spec, warn)

    def _check_rest(self, spec: BgpPeerSpec, warn: Warn) -> None:
        if spec.reachable_by:
            try:
                gateway = ip_address(spec.reachable_by)
                far_end = ip_address(split_peer_ip(spec.peer_ip)[0])
            except ValueError:
                warn("reachableBy", "needs addresses here and in peerIP; has no effect")
            else:
                if gateway.version != far_end.version:
                    warn("reachableBy", "is of another family than peerIP; no effect")
        if spec.local_workload_selector and spec.asn is None:
            warn("asNumber", "is missing; the peer is left out")
        if spec.password is not None:
            self._check_password(spec.password, warn)

    def _check_password(self, password: Password, warn: Warn) -> None:
        reference = password.reference
        if reference is None:
            warn("password", "names no Secret; the session has no password")
        elif (reference.name, reference.key) not in self._passwords:
            text = f"key {reference.key!r} of Secret {reference.name!r} is not known"
            warn("password", f"{text}; the session has no password")
