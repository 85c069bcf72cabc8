"""Parts that follow the sessions of all peers: the memory of peers that were up, the deferral of a restart.

They are above the peers and know them; the peers know nothing of them. What happens to a session is
passed on after it has taken effect, in the order in which it happened.
"""

from collections.abc import Iterator

from bgpd.net.pulse import Stall
from bgpd.speaker.peer import Peer
from rib.family import Family


class SessionObserver:
    """A part that follows sessions; it overrides what it wants to know."""

    def peer_added(self, peer: Peer) -> None:
        """There is a new neighbour, whose session is not started yet."""

    def session_changed(self, peer: Peer) -> None:
        """A session came up or went down."""

    def end_of_rib_received(self, peer: Peer, family: Family) -> None:
        """A peer has sent all its routes of a family (RFC 4724 2)."""

    def resumed(self, stall: Stall) -> None:
        """The process goes on after it stood still."""


class SessionObservers:
    """Those of one speaker."""

    def __init__(self) -> None:
        self._observers: list[SessionObserver] = []

    def __iter__(self) -> Iterator[SessionObserver]:
        return iter(tuple(self._observers))

    def attach(self, observer: SessionObserver) -> None:
        """Let a part follow the sessions from now on."""
        self._observers.append(observer)

    def detach(self, observer: SessionObserver) -> None:
        """Let a part follow them no longer."""
        self._observers.remove(observer)
