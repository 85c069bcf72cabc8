"""What of BGPPeers cannot be understood, or has no effect on a node."""

from collections.abc import Callable, Iterable, Mapping

from bgpd.calico.keys import resource_key
from bgpd.calico.peer_facts import PeerFacts
from bgpd.calico.resources import Password
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
                text = f"two sessions with {addr}, at ports {first} and {port}: only one can run"
                self.findings.append(ObjectWarning(key, "spec.bgp", text))

    def check(self, name: str, facts: PeerFacts) -> None:
        """Report what of a BGPPeer cannot be understood or has no effect."""
        spec = facts.spec
        if not (facts.findings or spec.filters or spec.password):
            return
        key = resource_key("BGPPeer", name)

        def warn(field: str, text: str) -> None:
            self.findings.append(ObjectWarning(key, f"spec.{field}", text))

        for field, text in facts.findings:
            warn(field, text)
        for filter_name in spec.filters:
            if filter_name not in self._topology.filters:
                warn("filters", f"there is no BGPFilter {filter_name!r}; ignored")
        if spec.password is not None:
            self._check_password(spec.password, warn)

    def _check_password(self, password: Password, warn: Warn) -> None:
        reference = password.reference
        if reference is None:
            warn("password", "does not name a Secret; the session has no password")
        elif (reference.name, reference.key) not in self._passwords:
            text = f"key {reference.key!r} of Secret {reference.name!r} is missing"
            warn("password", f"{text}; the session has no password")
