"""What a peer's routes depend on: its update group's identity, from settings and session."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bgpd.session.gr_helper import kept_of_ours
from bgpd.session.negotiation import Negotiated
from bgpd.session.settings import (
    AddPathMode,
    FamilySettings,
    LimitAction,
    LocalAsMode,
    NextHopMode,
    PeerSettings,
)
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.import_context import hidden_as
from bgpd.speaker.local_addresses import with_link_local
from reflector.as_path import PLAIN_PATH, PathRules
from reflector.export import ExportContext, PeerType
from rib.attributes import PrivateScope
from rib.family import Family
from rib.path import Source, SourceKind

_ALL: Final = frozenset(SourceKind)
_NONE: Final[frozenset[SourceKind]] = frozenset()
_EXTERNAL: Final = frozenset({SourceKind.EBGP})
_INTERNAL: Final = frozenset({SourceKind.IBGP})

SELF_FROM: Final[
    Mapping[NextHopMode, tuple[frozenset[SourceKind], frozenset[SourceKind]]]
] = MappingProxyType(
    {
        NextHopMode.AUTO: (_NONE, _ALL),
        NextHopMode.SELF: (_ALL - _INTERNAL, _ALL),
        NextHopMode.SELF_ALL: (_ALL, _ALL),
        NextHopMode.SELF_INTERNAL: (_INTERNAL, _ALL),
        NextHopMode.KEEP: (_NONE, _NONE),
        NextHopMode.KEEP_EXTERNAL: (_NONE, _ALL - _EXTERNAL),
        NextHopMode.KEEP_INTERNAL: (_NONE, _ALL - _INTERNAL),
    }
)
"""Kinds of source whose next hop is replaced by ourselves, towards iBGP and eBGP peers."""


def next_hop_mode(context: ExportContext) -> NextHopMode:
    """Return the simplest next-hop mode that has the effect of the configured one."""
    is_ebgp = context.peer_type is PeerType.EBGP
    for mode, sides in SELF_FROM.items():
        if sides[is_ebgp] == context.self_from:
            return mode
    return NextHopMode.AUTO


def export_context(
    context: SpeakerContext,
    settings: PeerSettings,
    source: Source,
    negotiated: Negotiated,
    *,
    family: Family,
    local_addr: str,
) -> ExportContext:
    """Return the context of one family of an established session.

    Args:
        context: Who we are.
        settings: The peer's.
        source: The peer as the RIB knows it, of that family.
        negotiated: Of the session.
        family: AFI and SAFI.
        local_addr: Our end of the session.
    """
    is_ibgp = negotiated.is_ibgp
    peer_type = PeerType.EBGP
    if is_ibgp:
        peer_type = PeerType.CLIENT if source.is_client else PeerType.NON_CLIENT
    mine = _family_settings(settings, family)
    sends_many = family in negotiated.add_path_send
    self_from = SELF_FROM[settings.next_hop][not is_ibgp]
    local = context.addresses.next_hop(family, local_addr, context.own_addresses)
    zone = source.zone
    # Within an AS routes go on beyond the link, and by reflectors that keep the link-local
    # half or do not: one router would be two next hops. BIRD leaves it out there, too.
    is_next_door = bool(zone) and not is_ibgp
    link_local = context.addresses.link_local(zone) if is_next_door else b""
    return ExportContext(
        family=family,
        peer_type=peer_type,
        local_as=settings.local_as,
        local_address=with_link_local(local, link_local),
        router_id=context.router_id,
        cluster_id=source.cluster_id,
        policy=context.policies.export_of(settings, is_ibgp=is_ibgp).name,
        self_from=self_from,
        as_path=PLAIN_PATH if is_ibgp else _path_rules(context, settings, negotiated),
        zone=zone
        if peer_type is PeerType.EBGP and SourceKind.EBGP not in self_from
        else "",
        four_octet_as=negotiated.four_octet_as,
        extended_next_hop=family in negotiated.extended_next_hop,
        add_path_max=mine.add_path_max if sends_many else None,
        max_message_len=negotiated.max_message_len,
        role="" if is_ibgp else settings.role,
        default_local_pref=context.decision.default_local_pref,
        has_long_lived=any(row.family == family for row in negotiated.long_lived),
        keeps_ours=family in kept_of_ours(negotiated),
        is_same_domain=is_ibgp or settings.is_same_domain,
        max_advertised=_most_advertised(mine),
        alone=settings.remote_addr if mine.max_advertised else "",
        originates_default=context.policies.originates_default(settings),
        is_drained=context.drains.of(settings.remote_addr) is not None,
    )


def _most_advertised(mine: FamilySettings) -> int:
    """Return how many routes may be advertised: with ``warn`` any number."""
    is_kept = mine.max_advertised_action is not LimitAction.WARN
    return mine.max_advertised if is_kept else 0


def _path_rules(
    context: SpeakerContext, settings: PeerSettings, negotiated: Negotiated
) -> PathRules:
    looks_at_peer = (
        settings.overrides_as or settings.remove_private_as is not PrivateScope.NONE
    )
    is_replaced = settings.local_as_mode is LocalAsMode.REPLACE_AS
    return PathRules(
        hidden_as=0 if is_replaced else hidden_as(context, settings),
        peer_as=negotiated.peer_as if looks_at_peer else 0,
        overrides_peer_as=settings.overrides_as,
        private=settings.remove_private_as,
        replaces_private=settings.replaces_private_as,
    )


def _family_settings(settings: PeerSettings, family: Family) -> FamilySettings:
    for mine in settings.families:
        if mine.family == family:
            return mine
    return FamilySettings(family, AddPathMode.OFF)
