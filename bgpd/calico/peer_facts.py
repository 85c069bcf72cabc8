"""What one BGPPeer means by itself: parsed once, used by every plan until the object changes."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from bgpd.calico.addresses import parse_gateway, parse_peer
from bgpd.calico.resources import BgpPeerSpec
from bgpd.calico.selectors import Labels, Selector, SelectorError, compile_selector

Finding = tuple[str, str]  # field of the spec, and what is wrong with it

_LEFT_OUT: Final = "the peer is ignored"


class PeerFacts(NamedTuple):
    """What a BGPPeer means, parsed.

    Attributes:
        spec: As the object has it.
        end: Address and port (0 for the default) of ``peerIP``; ``None`` where it has none,
            or one that cannot be understood.
        gateway: Of ``reachableBy``; empty where it has none that can be used.
        node_selector: Of ``nodeSelector``; ``None`` without one.
        peer_selector: Of ``peerSelector``; ``None`` without one.
        findings: What is wrong with it, whatever else the cluster holds.
    """

    spec: BgpPeerSpec
    end: tuple[str, int] | None
    gateway: str
    node_selector: Selector | None
    peer_selector: Selector | None
    findings: tuple[Finding, ...]

    @property
    def is_global(self) -> bool:
        """Whether it is of every node."""
        return not self.spec.node and self.node_selector is None


def read_peer(spec: BgpPeerSpec) -> PeerFacts:
    """Return what a BGPPeer says; what cannot be understood is a finding."""
    findings: list[Finding] = []
    of_nodes = _selector("nodeSelector", spec.node_selector, findings)
    of_ends = _selector("peerSelector", spec.peer_selector, findings)
    end = _end(spec, findings)
    gateway = _gateway(spec, end, findings)
    findings += _rest(spec)
    return PeerFacts(spec, end, gateway, of_nodes, of_ends, tuple(findings))


def _selector(field: str, text: str, findings: list[Finding]) -> Selector | None:
    if not text:
        return None
    try:
        return compile_selector(text)
    except SelectorError as error:
        findings.append((field, f"{error}; matches no node"))
        return _nothing


def _nothing(_: Labels) -> bool:
    return False


def _end(spec: BgpPeerSpec, findings: list[Finding]) -> tuple[str, int] | None:
    if not spec.peer_ip:
        if not spec.peer_selector and not spec.local_workload_selector:
            findings.append(("peerIP", f"is missing; {_LEFT_OUT}"))
        return None
    end = None
    try:
        end = parse_peer(spec.peer_ip)
    except ValueError as error:
        findings.append(("peerIP", f"{error}; {_LEFT_OUT}"))
    if spec.asn is None:
        findings.append(("asNumber", f"is missing; {_LEFT_OUT}"))
    return end


def _gateway(
    spec: BgpPeerSpec, end: tuple[str, int] | None, findings: list[Finding]
) -> str:
    """Return the gateway; ``Planner`` makes a route of it to the address of ``end``."""
    if not spec.reachable_by:
        return ""
    try:
        gateway = parse_gateway(spec.reachable_by)
    except ValueError as error:
        findings.append(("reachableBy", f"{error}; has no effect"))
        return ""
    if end is None:
        text = "has no effect without an address here and in peerIP"
        findings.append(("reachableBy", text))
        return ""
    if (":" in gateway) is not (":" in end[0]):
        findings.append(
            (
                "reachableBy",
                "has no effect: its address family differs from that of peerIP",
            )
        )
        return ""
    return gateway


def _rest(spec: BgpPeerSpec) -> Iterator[Finding]:
    if spec.node and spec.node_selector:
        yield "node", "has no effect together with nodeSelector"
    if spec.local_workload_selector and spec.asn is None:
        yield "asNumber", f"is missing; {_LEFT_OUT}"
