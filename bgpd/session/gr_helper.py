"""Whose routes stay when a session ends (RFC 4724 4.2, RFC 8538 4, RFC 9494 4.2).

    how it ended                                N flag of both    routes
    ------------------------------------------  ----------------  ------
    connection lost, or replaced by a new one   no matter         stay
    NOTIFICATION received or sent, hold timer   no                go
    the same                                    yes               stay
    hard reset received or sent                 no matter         go
    stopped here to shut down or deconfigure    no matter         go

"Stay" means: those of the families the peer listed in its capability. A family of the
long-lived capability stays too, even with a restart time of 0.
"""

from typing import Final

from bgpd.session.events import DownKind, DownReason
from bgpd.session.negotiation import Negotiated
from bgpd.wire.errors import CeaseSubcode, ErrorCode
from rib.family import Family

_SILENT: Final = (DownKind.CONNECTION_LOST, DownKind.REPLACED)
_FINAL: Final = (
    CeaseSubcode.ADMINISTRATIVE_SHUTDOWN,
    CeaseSubcode.PEER_DECONFIGURED,
)


def kept_families(negotiated: Negotiated, reason: DownReason) -> frozenset[Family]:
    """Return the families whose routes stay as stale after ``reason``."""
    graceful = negotiated.graceful_restart
    if graceful is None or not _is_graceful(negotiated, reason):
        return frozenset()
    kept = {family for family, _ in graceful.families}
    kept.update(row.family for row in negotiated.long_lived if row.stale_time)
    return frozenset(kept)


def kept_of_ours(negotiated: Negotiated) -> frozenset[Family]:
    """Return the families whose routes of ours the peer keeps over our restart.

    It does so where both sent the capability, and ours says that the forwarding state was
    preserved; one that lists no families only helps others (RFC 4724 4.2).
    """
    mine = negotiated.local.graceful_restart
    if negotiated.graceful_restart is None or mine is None:
        return frozenset()
    kept = (family for family, is_preserved in mine.families if is_preserved)
    return negotiated.families & frozenset(kept)


def kept_when_lost(negotiated: Negotiated) -> frozenset[Family]:
    """Return the families whose routes of ours the peer keeps when the connection is lost.

    Our capability has to list them. Whether forwarding was preserved is told by the OPEN
    after the loss.
    """
    mine = negotiated.local.graceful_restart
    if negotiated.graceful_restart is None or mine is None:
        return frozenset()
    return negotiated.families & {family for family, _ in mine.families}


def are_ours_kept(negotiated: Negotiated) -> bool:
    """Return whether the peer keeps our routes when the connection is lost."""
    return bool(kept_when_lost(negotiated))


def _is_graceful(negotiated: Negotiated, reason: DownReason) -> bool:
    if reason.kind in _SILENT:
        return True
    if not negotiated.has_notification_restart:
        return False
    notification = reason.notification
    if notification is None:
        return True
    is_final = (
        reason.kind is DownKind.ADMIN_STOP
        and notification.code == ErrorCode.CEASE
        and notification.subcode in _FINAL
    )
    return not notification.is_hard_reset and not is_final
