"""What listens to the messages of a session, beside the speaker: records and captures.

A driver without a tap asks one question for each read and each write, whether it has any. A tap
gets octets that are there anyway; it must take them at once, keep no more than it has
room for: what it cannot take is lost to it alone. One that raises is detached.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from bgpd.net.tcp_connection import Connection
from bgpd.session.events import Established, SessionDown, StateChanged
from bgpd.session.peer import PeerSession


class MessageTap(Protocol):
    """Gets every message of one peer, on each of its connections, in order."""

    def received(
        self, connection: Connection, messages: Sequence[tuple[int, bytes]]
    ) -> None:
        """Messages arrived: the type and the body, without header, of each.

        Before the events that they cause. Octets that break the framing are left out.
        """

    def sent(self, connection: Connection, buffers: Sequence[bytes]) -> None:
        """Messages were written; a buffer has one or several whole ones."""

    def happened(self, event: Established | SessionDown | StateChanged) -> None:
        """The session changed, in consequence of what arrived before."""


class Taps:
    """The taps of one peer.

    Args:
        session: The peer's; it notes what arrives while there is a tap.
        loop: Hears of taps that fail.

    Attributes:
        listeners: They; read on the hot path.
    """

    def __init__(self, session: PeerSession, loop: asyncio.AbstractEventLoop) -> None:
        self.listeners: tuple[MessageTap, ...] = ()
        self._session = session
        self._loop = loop

    def attach(self, tap: MessageTap) -> None:
        """Let a tap listen from now on."""
        self.listeners += (tap,)
        if self._session.heard is None:
            self._session.heard = []

    def detach(self, tap: MessageTap) -> None:
        """Let a tap listen no longer; no effect if it does not."""
        self.listeners = tuple(each for each in self.listeners if each is not tap)
        if not self.listeners:
            self._session.heard = None

    def received(self, connection: Connection | None) -> None:
        """Pass on what the session noted of a chunk; nothing of a connection that is gone."""
        heard = self._session.heard
        if not heard:
            return
        self._session.heard = []
        if connection is not None:
            for tap in self.listeners:
                try:
                    tap.received(connection, heard)
                except Exception as error:  # noqa: BLE001  # of a tap, not of the session
                    self._drop(tap, error)

    def sent(self, connection: Connection, buffers: Sequence[bytes]) -> None:
        """Pass on what is written."""
        for tap in self.listeners:
            try:
                tap.sent(connection, buffers)
            except Exception as error:  # noqa: BLE001  # likewise
                self._drop(tap, error)

    def happened(self, event: Established | SessionDown | StateChanged) -> None:
        """Pass on an event."""
        for tap in self.listeners:
            try:
                tap.happened(event)
            except Exception as error:  # noqa: BLE001  # likewise
                self._drop(tap, error)

    def _drop(self, tap: MessageTap, error: Exception) -> None:
        """Report a tap that fails, and listen to the others alone."""
        if isinstance(error, MemoryError):
            raise error
        self.detach(tap)
        message = "a tap of a session failed, and is detached"
        self._loop.call_exception_handler({"message": message, "exception": error})
