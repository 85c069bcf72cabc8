"""The identity of this speaker: from the configuration, completed by the datastore. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bgpd.config.settings import DaemonSettings, SpeakerSettings
from bgpd.session.settings import AsClass, PeerSettings

if TYPE_CHECKING:  # a reflector without a datastore must not load Calico's models
    from bgpd.calico.desired import NodeDesired

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared, not bound


def identify(
    settings: DaemonSettings, desired: "NodeDesired | None"
) -> SpeakerSettings | None:
    """Return the complete settings of the speaker; ``None`` without a router ID.

    What the configuration says goes first; a cluster id from the datastore makes the node
    a reflector.
    """
    mine = settings.speaker
    if desired is None:
        return mine if mine.router_id else None
    router_id = mine.router_id or desired.router_id
    if not router_id:
        return None
    own = tuple(addr for addr in (desired.ipv4_addr, desired.ipv6_addr) if addr)
    addresses = own if desired.listens_on_node_addr else mine.listen_addresses
    return replace(
        mine,
        router_id=router_id,
        asn=mine.asn or desired.asn,
        cluster_id=mine.cluster_id or desired.cluster_id,
        listen_addresses=addresses,
        listen_port=desired.listen_port or mine.listen_port,
    )


def own_addresses(
    identity: SpeakerSettings, desired: "NodeDesired | None"
) -> list[str]:
    """Return the addresses that are known to be ours, in order."""
    addresses = set(identity.listen_addresses) - _WILDCARDS
    if desired is not None:
        addresses |= {desired.ipv4_addr, desired.ipv6_addr} - {""}
    return sorted(addresses)


def peers_with_as(peers: Iterable[PeerSettings], asn: int) -> Iterator[PeerSettings]:
    """Yield peers; those without our AS number get it."""
    for peer in peers:
        yield _with_as(peer, asn) if _is_open(peer) else peer


def with_as(settings: DaemonSettings, asn: int) -> DaemonSettings:
    """Return settings with our AS in all peers if only the datastore knows it."""
    return replace(
        settings,
        peers=tuple(peers_with_as(settings.peers, asn)),
        ranges=tuple(
            replace(entry, template=_with_as(entry.template, asn))
            if _is_open(entry.template)
            else entry
            for entry in settings.ranges
        ),
    )


def _is_open(peer: PeerSettings) -> bool:
    return 0 in (peer.local_as, peer.other_as)


def _with_as(peer: PeerSettings, asn: int) -> PeerSettings:
    if peer.local_as:  # the other number is what is missing
        return replace(peer, other_as=asn)
    is_internal = peer.remote_as_class is AsClass.INTERNAL
    return replace(peer, local_as=asn, remote_as=asn if is_internal else peer.remote_as)
