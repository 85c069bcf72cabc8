"""``show bfd``: BFD sessions as rows."""

from collections.abc import Iterator

from bgpd.api.protocol import Arguments, Row
from bgpd.bfd.process import Counts
from bgpd.show.state import DaemonView
from bgpd.speaker.bfd_sessions import BfdSession, reason_of
from bgpd.speaker.peer import Peer

_MICROSECONDS = 1000  # in a millisecond


async def bfd(view: DaemonView, _: Arguments) -> Iterator[Row]:
    """Return a row for each peer that has BFD."""
    sessions = view.speaker.neighbours.bfd
    if sessions is None:
        return iter(())
    counts = await sessions.counts()
    found = [
        (peer, sessions.sessions[address])
        for address, peer in view.speaker.peers.items()
        if address in sessions.sessions
    ]
    return (row_of(view, peer, session, counts) for peer, session in found)


def row_of(view: DaemonView, peer: Peer, session: BfdSession, counts: Counts) -> Row:
    """Return all about one session."""
    report, target = session.report, session.target
    received, sent, interval, time = counts.sessions.get(session.number, (0, 0, 0, 0))
    far = None if report is None else report.peer
    is_down = report is not None and not session.is_up and session.up_count
    return {
        "name": peer.settings.name,
        "address": peer.settings.remote_addr,
        "state": session.state_name,
        "peer_state": None if far is None else far.state.name.lower().replace("_", "-"),
        "since": view.wall_time(session.since),
        "uptime": int(view.now - session.since) if session.is_up else None,
        "reason": session.fault
        or (reason_of(report) if report is not None and is_down else ""),
        "is_multihop": target.is_multihop,
        "is_strict": peer.settings.bfd is not None and peer.settings.bfd.is_strict,
        "is_waiting": peer.awaits_bfd,
        "authentication": (
            peer.settings.bfd.auth_type if peer.settings.bfd is not None else ""
        ),
        "local_discriminator": None if report is None else report.discriminator,
        "remote_discriminator": None if far is None else far.discriminator,
        "min_tx": target.parameters.min_tx // _MICROSECONDS,
        "min_rx": target.parameters.min_rx // _MICROSECONDS,
        "multiplier": target.parameters.multiplier,
        "remote_min_tx": None if far is None else far.min_tx // _MICROSECONDS,
        "remote_min_rx": None if far is None else far.min_rx // _MICROSECONDS,
        "remote_multiplier": None if far is None else far.detect_mult,
        "interval": round(interval * 1000),
        "detection_time": round(time * 1000),
        "packets_received": received,
        "packets_sent": sent,
        "times_up": session.up_count,
        "failures": session.failure_count,
        "last_failure": session.last_failure or None,
    }
