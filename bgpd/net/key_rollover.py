"""Which MD5 key an established connection uses while keys change (RFC 2385).

A socket has one key for its peer: what is signed by another is dropped, as if it had been
lost. When a key changes here, the peer's may have changed already, change at any time from
now on, or stay what it is. Makers differ, too: some end the session under the former key
(BIRD, FRR), others go on under the new one. So the connection keeps the key that works: while
what we send is acknowledged, that is the one it has; when it is not, the others are tried in
turn, each for at least one segment that TCP sends under it, until the peer answers.

    keeps a key ---sent, and not acknowledged for ACK_TIMEOUT---> tries the next
        ^                                                          |
        +------------------the peer is heard-----------------------+

A segment signed by another key is not counted as received by the kernel, so what is counted
was signed by ours.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final, NamedTuple

from bgpd.net.network import Socket
from bgpd.net.sockets import set_md5_key
from bgpd.net.tcp_connection import Connection
from bgpd.session.settings import PeerSettings, peer_fields

LOOK: Final = 0.5  # seconds between looks at a connection
ACK_TIMEOUT: Final = 1.5
"""Seconds for an acknowledgement: a round trip and a delayed one (RFC 1122 4.2.3.2)."""
BUSY_TIME: Final = 60.0
"""Seconds in which the peer's operator is expected to change the peer's key: it is spoken to
all the time, so that its change is noticed long before its hold timer ends."""
PROBE: Final = 5.0  # seconds between two KEEPALIVEs in that time
IDLE_LOOK: Final = 5.0  # seconds between looks later on
MOST_KEYS: Final = 3
"""Keys tried: that of the connection, and the latest; a key that changes again and again
before the peer follows is no more than that."""

_TCP_INFO: Final = Struct("=24xI108xII")
"""Of struct tcp_info: tcpi_unacked, tcpi_segs_out, tcpi_segs_in."""

_log = logging.getLogger(__name__)


class Sight(NamedTuple):
    """The kernel's figures about a connection.

    Attributes:
        unacknowledged: Segments that the peer has not acknowledged.
        sent: Segments ever sent.
        received: Segments ever received whose signature was right.
    """

    unacknowledged: int
    sent: int
    received: int


NOTHING_SEEN: Final = Sight(0, 0, 0)


def sight_of(sock: Socket) -> Sight:
    """Ask the kernel about a connection.

    Raises:
        OSError: It is gone.
    """
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    return Sight(*_TCP_INFO.unpack(info))


class Trial:
    """Decides, sample by sample, whether a connection's key works. Pure.

    Args:
        sight: As the key is set.
    """

    def __init__(self, sight: Sight) -> None:
        self._last = sight
        self._unanswered_since: float | None = None

    def fails(self, sight: Sight, now: float) -> bool:
        """Return whether the peer leaves unanswered what was sent under the key.

        Args:
            sight: Now.
            now: Monotonic seconds.
        """
        if sight.received != self._last.received or not sight.unacknowledged:
            self._last, self._unanswered_since = sight, None
        elif sight.sent != self._last.sent and self._unanswered_since is None:
            self._unanswered_since = now
        since = self._unanswered_since
        return since is not None and now - since >= ACK_TIMEOUT


class KeyRollover:
    """Keeps a connection on the key that works.

    Args:
        loop: For timers.
        connection: Its ``key`` is the one that signs it.
        settings: The peer's.
        keys: First the one that the peer is expected to use; that of the connection is among
            the others. An empty one means no key.
        probe: Sends the peer something that it acknowledges.

    Attributes:
        keys: As given.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        settings: PeerSettings,
        keys: Sequence[str],
        probe: Callable[[], None],
    ) -> None:
        self.keys = tuple(keys)
        self._loop = loop
        self._connection = connection
        self._settings = settings
        self._probe = probe
        self._busy_until = loop.time() + BUSY_TIME
        self._probed_at = loop.time()
        self._set_at: Sight | None = None  # what was seen when another key was set
        self._trial = Trial(NOTHING_SEEN)
        self._timer: asyncio.TimerHandle | None = loop.call_later(LOOK, self._look)

    def close(self) -> None:
        """Stop checking: the connection ends, or its key is settled."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._probe = _nobody

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        try:
            sight = sight_of(self._connection.sock)
            if self._trial.fails(sight, now):
                self._try_next(sight)
        except OSError:  # gone, as its driver will hear, or the kernel takes no key
            self.close()
            return
        if self._is_settled(sight):
            _log.info(
                "%(address)s now signs with the new MD5 key",
                {"event": "md5-key-changed", **peer_fields(self._settings)},
            )
            self.close()
            return
        is_busy = now < self._busy_until
        if is_busy and now - self._probed_at >= PROBE:
            self._probed_at = now
            self._probe()
        wait = LOOK if is_busy or sight.unacknowledged else IDLE_LOOK
        self._timer = self._loop.call_later(wait, self._look)

    def _is_settled(self, sight: Sight) -> bool:
        """Whether the peer has used the expected key, after another one."""
        was = self._set_at
        is_heard = was is not None and sight.received != was.received
        return is_heard and self._connection.key == self.keys[0]

    def _try_next(self, sight: Sight) -> None:
        connection = self._connection
        at = self.keys.index(connection.key) + 1
        key = self.keys[at % len(self.keys)]
        set_md5_key(connection.sock, self._settings.remote_addr, key)
        connection.key = key
        self._set_at = sight
        self._trial = Trial(sight)


def _nobody() -> None:
    """No peer is watched any more."""
