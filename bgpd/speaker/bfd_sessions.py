"""BFD for peers: what a session that comes up or fails means to BGP (RFC 5882, RFC 9384).

This module and the process behind it are loaded when the first peer has BFD.

    BFD's state             BGP, not strict             BGP, strict
    ----------------------  --------------------------  -------------------------------
    down, never up          nothing                     waits: no connection either way
    comes up                nothing                     starts
    fails                   Cease/10, routes go,        Cease/10, routes go,
                            then as after any failure   and waits again
    the peer disables it    nothing                     nothing; a new session waits
    our process ended       nothing: it is unknown      nothing: it is unknown
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from bgpd.bfd.authentication import AuthKey, AuthType
from bgpd.bfd.messages import Target
from bgpd.bfd.packet import Diagnostic, State
from bgpd.bfd.process import BfdProcess, Counts
from bgpd.bfd.session import Parameters
from bgpd.bfd.session_table import Report
from bgpd.session.settings import BfdSettings, PeerSettings, peer_fields
from bgpd.session.zones import split_zone
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.peer import Peer
from bgpd.wire.errors import CeaseSubcode, ErrorCode, NotifyError

_MICROSECONDS: Final = 1000  # in a millisecond
_AUTH_TYPES: Final = {
    "simple": AuthType.SIMPLE,
    "keyed-sha1": AuthType.KEYED_SHA1,
    "meticulous-keyed-sha1": AuthType.METICULOUS_KEYED_SHA1,
}

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class BfdSession:
    """One peer's session, as the daemon knows it.

    Attributes:
        number: Its name in the process.
        target: What is wanted.
        since: When the state last changed, on the loop's clock.
        report: The last one; ``None`` before the first.
        is_known: The process that reported it still runs.
        fault: Why no packets can be sent; empty if they can.
        up_count: How often it came up.
        failure_count: How often it failed.
        last_failure: The reason of the last failure, for people.
    """

    number: int
    target: Target
    since: float
    report: Report | None = None
    is_known: bool = True
    fault: str = ""
    up_count: int = 0
    failure_count: int = 0
    last_failure: str = field(default="")

    @property
    def is_up(self) -> bool:
        """Whether it is up, as far as is known."""
        return self.report is not None and self.report.state is State.UP

    @property
    def state_name(self) -> str:
        """The state as commands show it; ``unknown`` while no process can say."""
        if self.report is None or not self.is_known:
            return "unknown"
        return self.report.state.name.lower().replace("_", "-")


class BfdSessions:
    """The BFD sessions of all peers.

    Args:
        context: Time.
        peers: All peers, by address.
    """

    def __init__(self, context: SpeakerContext, peers: Mapping[str, Peer]) -> None:
        self._loop = context.loop
        self._peers = peers
        self._numbers = count(1)
        self._addresses: dict[int, str] = {}
        self.process = BfdProcess(context.loop, self)
        self.sessions: dict[str, BfdSession] = {}

    def follow(self, peer: Peer) -> None:
        """Begin, change or end a peer's session, by its settings."""
        settings = peer.settings
        address, session = settings.remote_addr, self.sessions.get(settings.remote_addr)
        if settings.bfd is None:
            self.forget(address)
            _start_waiting(peer)
            return
        target = target_of(settings, settings.bfd)
        if session is None:
            number = next(self._numbers)
            session = BfdSession(number, target, self._loop.time())
            self.sessions[address] = session
            self._addresses[number] = address
            self.process.set(number, target)
        elif session.target != target:
            session.target = target
            self.process.set(session.number, target)
        is_established = peer.negotiated is not None
        if settings.bfd.is_strict and not session.is_up and not is_established:
            _wait(peer)
        elif not settings.bfd.is_strict:
            _start_waiting(peer)

    def forget(self, address: str) -> None:
        """End the session of a peer, if it has one: it says AdminDown."""
        session = self.sessions.pop(address, None)
        if session is not None:
            del self._addresses[session.number]
            self.process.remove(session.number)

    async def counts(self) -> Counts:
        """Ask the process for what it counts."""
        return await self.process.counts()

    def close(self) -> None:
        """End all sessions and the process."""
        self.process.close()

    # -- what the process says (``BfdListener``) ----------------------------------------

    def reported(self, number: int, report: Report) -> None:
        """See ``BfdListener``."""
        address = self._addresses[number]
        peer, session = self._peers.get(address), self.sessions[address]
        was_up, former = session.is_up, session.report
        session.report, session.is_known = report, True
        if former is None or former.state is not report.state:
            session.since = self._loop.time()
        if peer is None:
            return
        if session.is_up and not was_up:
            session.up_count += 1
            self._came_up(peer)
        elif was_up and not session.is_up:
            self._went_down(peer, session, report)

    def fault_changed(self, number: int, text: str) -> None:
        """See ``BfdListener``."""
        address = self._addresses[number]
        self.sessions[address].fault = text
        peer = self._peers.get(address)
        if peer is not None and text:
            _log.warning(
                "%(peer)s (%(address)s): BFD cannot send packets: %(reason)s",
                {
                    "event": "bfd-fault",
                    **peer_fields(peer.settings),
                    "reason": text,
                },
            )

    def process_lost(self) -> None:
        """See ``BfdListener``."""
        for session in self.sessions.values():
            session.is_known = False

    # -- what that means ----------------------------------------------------------------

    def _came_up(self, peer: Peer) -> None:
        _log.info(
            "%(peer)s (%(address)s): BFD is up",
            {
                "event": "bfd-up",
                **peer_fields(peer.settings),
            },
        )
        _start_waiting(peer)

    def _went_down(self, peer: Peer, session: BfdSession, report: Report) -> None:
        is_disabled = report.peer.state is State.ADMIN_DOWN
        reason = reason_of(report)
        _log.warning(
            "%(peer)s (%(address)s): BFD is down: %(reason)s",
            {
                "event": "bfd-disabled" if is_disabled else "bfd-down",
                **peer_fields(peer.settings),
                "reason": reason,
            },
        )
        # An operator of the peer took BFD out of service: that says nothing about the path (RFC 5882 3.2).
        if is_disabled:
            return
        session.failure_count += 1
        session.last_failure = reason
        fail(peer, reason)
        # RFC 5882 4.3.2: while the peer restarts, a BFD that shares fate with its control plane fails
        # with it. One that does not (the C bit) has found that nothing is forwarded there.
        if report.peer.is_independent:
            for family in peer.sources:
                peer.imports.stale.drop(family)


def fail(peer: Peer, reason: str) -> None:
    """End a peer's BGP session because the path is broken; its routes go at once (RFC 9384)."""
    bfd = peer.settings.bfd
    if bfd is not None and bfd.is_strict:
        _wait(peer)
        return
    error = NotifyError(ErrorCode.CEASE, CeaseSubcode.BFD_DOWN, text=f"BFD: {reason}")
    peer.driver.notify(error)


def _wait(peer: Peer) -> None:
    """Hold a peer's BGP session until BFD is up."""
    peer.awaits_bfd = True
    if peer.driver.session.is_started:
        peer.driver.stop(subcode=CeaseSubcode.BFD_DOWN, hard=True)


def _start_waiting(peer: Peer) -> None:
    """Start the session of a peer that waited for BFD, unless an operator or a limit holds it."""
    if not peer.awaits_bfd:
        return
    peer.awaits_bfd = False
    if not (peer.is_held or peer.limits.is_disabled):
        peer.driver.start()


def reason_of(report: Report) -> str:
    """Return why a session is down, for people."""
    diagnostic = report.diagnostic
    if diagnostic == Diagnostic.DETECTION_TIME_EXPIRED:
        return "no packet within the detection time"
    if diagnostic == Diagnostic.NEIGHBOR_SIGNALED_DOWN:
        if report.peer.state is State.ADMIN_DOWN:
            return "the peer has disabled it"
        theirs = report.peer.diagnostic
        if theirs == Diagnostic.DETECTION_TIME_EXPIRED:
            return "the peer received no packet within its detection time"
        return "the peer signaled down"
    return "disabled here"


def target_of(settings: PeerSettings, bfd: BfdSettings) -> Target:
    """Return what the process is to do for a peer."""
    address, zone = split_zone(settings.remote_addr)
    is_multihop = bfd.is_multihop
    if is_multihop is None:
        is_multihop = max(settings.multihop_ttl, settings.ttl_security_hops) > 1
    key = None
    if bfd.auth_type:
        secret = bfd.auth_secret.encode()
        key = AuthKey(_AUTH_TYPES[bfd.auth_type], bfd.auth_key_id, secret)
    parameters = Parameters(
        bfd.min_tx * _MICROSECONDS, bfd.min_rx * _MICROSECONDS, bfd.multiplier, key
    )
    local = split_zone(settings.local_addr)[0]
    return Target(address, zone or settings.interface, local, is_multihop, parameters)
