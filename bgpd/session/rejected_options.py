"""What a peer rejected in our OPEN, and what the next one has instead.

A peer refuses capabilities (RFC 5492 3), or the AS number that it knows us by no more or not
yet: Bad Peer AS (RFC 4271 6.2). Where we have another number for it
(``PeerSettings.other_as``), the next OPEN has that one; the number that was accepted stays
the first choice for later sessions.
"""

from dataclasses import replace
from typing import Final

from bgpd.session.endings import NO_FAILURE
from bgpd.session.events import DownKind, DownReason
from bgpd.session.fsm import State
from bgpd.session.negotiation import rejected_capabilities
from bgpd.session.settings import PeerSettings
from bgpd.wire.errors import ErrorCode, OpenSubcode
from bgpd.wire.notification import Notification
from bgpd.wire.open import OpenMessage

PATIENCE: Final = 120.0
"""Seconds for which a dynamic peer that said Bad Peer AS is not forgotten: it calls again by
its own timer, and would be offered the same number for ever."""
_OPENING: Final = (State.OPEN_SENT, State.OPEN_CONFIRM)
_BAD_PEER_AS: Final = (ErrorCode.OPEN, OpenSubcode.BAD_PEER_AS)


class RejectedOptions:
    """What one peer rejected.

    Attributes:
        left_out: Capabilities, for the next OPEN.
        kept_until: Monotonic seconds until which a dynamic peer is not forgotten.
    """

    __slots__ = ("_is_other_as", "kept_until", "left_out")

    def __init__(self) -> None:
        self.left_out: frozenset[int] = frozenset()
        self.kept_until = 0.0
        self._is_other_as = False

    def follow(self, old: PeerSettings, new: PeerSettings) -> None:
        """Start with ``local_as`` again if new settings have other numbers."""
        if (old.local_as, old.other_as) != (new.local_as, new.other_as):
            self._is_other_as = False

    def offered(self, settings: PeerSettings) -> PeerSettings:
        """Return the settings of the next OPEN: with our AS number in it."""
        return (
            under(settings, settings.other_as or 0) if self._is_other_as else settings
        )

    def note_end(
        self,
        offer: OpenMessage | None,
        settings: PeerSettings,
        reason: DownReason,
        state: State,
        now: float,
    ) -> bool:
        """Note how a connection ended.

        Args:
            offer: Our OPEN on it.
            settings: Of the peer.
            reason: Why it ended.
            state: In which it did.
            now: Monotonic seconds.

        Returns:
            Whether the next OPEN is another one, worth an attempt at once.
        """
        is_opening = state in _OPENING
        is_told = reason.kind is DownKind.NOTIFICATION_RECEIVED and is_opening
        notification = reason.notification if is_told else None
        has_other_as = False
        if notification is not None and offer is not None:
            has_other_as = self._note_rejected_as(offer, settings, notification, now)
        is_shorter = self._note_rejected_capabilities(notification, reason, state)
        return has_other_as or is_shorter

    def _note_rejected_as(
        self,
        offer: OpenMessage,
        settings: PeerSettings,
        notification: Notification,
        now: float,
    ) -> bool:
        if not settings.other_as:
            return False
        if (notification.code, notification.subcode) != _BAD_PEER_AS:
            return False
        if offer.asn != self.offered(settings).local_as:
            return False  # both connections of a collision were refused for one number
        self._is_other_as = not self._is_other_as
        self.kept_until = now + PATIENCE
        return self._is_other_as

    def _note_rejected_capabilities(
        self, notification: Notification | None, reason: DownReason, state: State
    ) -> bool:
        """Leave out next time what the peer cannot take.

        Once only: an attempt that failed in spite of it is followed by a whole offer.
        """
        if state < State.OPEN_SENT or reason.kind in NO_FAILURE:
            return False
        before, self.left_out = self.left_out, frozenset()
        if notification is not None and not before:
            self.left_out = rejected_capabilities(notification)
        return bool(self.left_out)


def under(settings: PeerSettings, asn: int) -> PeerSettings:
    """Return the settings with ``asn`` as our AS on the session; 0 changes nothing."""
    if asn in (0, settings.local_as):
        return settings
    return replace(settings, local_as=asn)
