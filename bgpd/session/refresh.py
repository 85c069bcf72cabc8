"""The meaning of a received ROUTE-REFRESH (RFC 2918, RFC 7313)."""

from bgpd.session.events import RefreshReceived
from bgpd.session.negotiation import Negotiated
from bgpd.wire.route_refresh import decode_route_refresh


def refresh_of(body: bytes, negotiated: Negotiated) -> RefreshReceived | None:
    """Return what the peer requests or marks; ``None`` to ignore it.

    Raises:
        NotifyError: RFC 7313 5: the length is wrong.
    """
    message = decode_route_refresh(body, has_enhanced=negotiated.has_enhanced_refresh)
    if message is None or message.family not in negotiated.families:
        return None
    return RefreshReceived(message.family, message.subtype)
