"""What a speaker does after its process stood still (``bgpd.net.pulse``).

    what runs                            after a standstill
    -----------------------------------  ----------------------------------------------
    hold, delay open, send hold timer    goes on where it was: nothing was read or written
    keepalive timer                      is due: the peer's hold timer went on
    connect retry, idle hold timer       is due as the clock says: it may only be late
    restart and stale timers of peers'   go on where they were: no peer could come back,
    routes, an own restart's windows     nor send its End-of-RIB
    of datastore, control clients        end as the clock says: what they end is tried
                                         again, and loses nothing

Beside that, no peer's silence is judged while octets of its wait in a socket, with or
without a standstill (``PeerSession.handle_timer``).
"""

import logging
from collections.abc import Iterable

from bgpd.net.pulse import Stall
from bgpd.runtime.fault_isolation import each
from bgpd.speaker.peer import Peer
from bgpd.speaker.session_observers import SessionObserver

_log = logging.getLogger(__name__)


def resume(
    peers: Iterable[Peer],
    observers: Iterable[SessionObserver],
    stall: Stall,
) -> None:
    """Let all that measures silence leave the standstill out."""
    _log.warning(
        "the process stalled for %(seconds).1f s (paused, throttled, blocked or "
        "suspended); reading what has arrived before any timer expires",
        {"event": "process-stalled", "seconds": stall.seconds},
    )
    lost, now = stall.lost, stall.now
    each(lambda peer: peer.resume(lost, now), peers, "resuming a peer after a stall")
    each(lambda observer: observer.resumed(stall), observers, "standstill")
