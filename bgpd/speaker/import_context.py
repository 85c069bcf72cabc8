"""How a peer's UPDATEs are decoded and evaluated, from settings and session."""

from bgpd.session.negotiation import Negotiated
from bgpd.session.settings import LocalAsMode, PeerSettings
from bgpd.speaker.context import SpeakerContext
from rib.attributes import AttributeContext
from rib.import_checks import ImportChecks, LastChoice
from rib.nlri import parse_address


def attribute_context(
    settings: PeerSettings, negotiated: Negotiated
) -> AttributeContext:
    """Return what the decoding of an established session's attributes depends on."""
    return AttributeContext(
        is_ibgp=negotiated.is_ibgp,
        four_octet_as=negotiated.four_octet_as,
        peer_as=negotiated.peer_as,
        local_as=settings.local_as,
        enforces_first_as=settings.enforces_first_as,
        allows_as_set=settings.allows_as_set,
        families=negotiated.families,
        extended_next_hop=negotiated.extended_next_hop,
        discarded=settings.discarded_attributes,
        withdrawn=settings.withdrawn_attributes,
        is_same_domain=settings.is_same_domain,
        is_on_loopback=settings.remote_addr.startswith("127."),
    )


def decoding_of(settings: PeerSettings) -> tuple[object, ...]:
    """Return the settings for decoding UPDATEs that may change live."""
    return (
        settings.enforces_first_as,
        settings.allows_as_set,
        settings.is_same_domain,
        settings.discarded_attributes,
        settings.withdrawn_attributes,
    )


def import_rules(
    context: SpeakerContext,
    settings: PeerSettings,
    local_addresses: frozenset[bytes],
    *,
    is_ibgp: bool,
) -> ImportChecks:
    """Return what decides whether a peer's routes are accepted.

    Args:
        context: Who we are.
        settings: The peer's.
        local_addresses: Ours on its session.
        is_ibgp: Whether the peer is of our AS.
    """
    is_put_before = (
        settings.local_as_mode is LocalAsMode.PREPEND
        and hidden_as(context, settings) != 0
    )
    return ImportChecks(
        context.policies.import_of(settings, is_ibgp=is_ibgp),
        local_as=settings.local_as,
        own_asns=context.numbers.asns,
        put_before=settings.local_as if is_put_before else 0,
        router_id=context.router_id,
        cluster_ids=context.numbers.cluster_ids,
        own_addresses=context.own_addresses | local_addresses,
        is_on_this_machine=is_on_this_machine(context, settings.remote_addr),
        allow_own_as=settings.allow_own_as,
        role="" if is_ibgp else settings.role,
        allows_reserved=context.allows_reserved,
        last_choice=_last_choice(context, settings),
    )


def _last_choice(context: SpeakerContext, settings: PeerSettings) -> LastChoice:
    if context.drains.of(settings.remote_addr) is not None:
        return LastChoice.ALL
    is_obeyed = settings.obeys_graceful_shutdown
    return LastChoice.MARKED if is_obeyed else LastChoice.NONE


def is_on_this_machine(context: SpeakerContext, address: str) -> bool:
    """Return whether a peer's address is one of this machine.

    The kernel knows; where it is not asked, the addresses that are known to be ours.
    A link-local one says nothing: the same may be ours on another link.
    """
    if "%" in address:
        return False
    octets = parse_address(address)
    return context.next_hops.get(octets).is_local or octets in context.own_addresses


def hidden_as(context: SpeakerContext, settings: PeerSettings) -> int:
    """Return our AS if a session uses another in its place, else 0."""
    asn = context.numbers.asn
    return 0 if settings.local_as == asn else asn
