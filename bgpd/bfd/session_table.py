"""All sessions of a process: which one a packet is for, and which is due next (RFC 5880 6.3). Pure.

A packet is a session's if it comes from the session's peer; its Your Discriminator, once the peer knows it, must
then be ours. The RFC would let the source address change after that; a BGP peer has one, and to ask for it keeps
strangers out by one look-up.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

from bgpd.bfd.packet import Discard, State, decode_packet
from bgpd.bfd.session import Parameters, Peer, Session

REMOVED_TIME: Final = 3.0  # seconds that a removed session says AdminDown for, at most


class Source(NamedTuple):
    """Where a peer's packets come from.

    Attributes:
        address: Canonical text, without a zone.
        zone: The interface's index of a link-local address, else 0.
        is_multihop: Received on port 4784 (RFC 5883), else on 3784.
    """

    address: str
    zone: int
    is_multihop: bool


class Report(NamedTuple):
    """What the daemon knows of a session.

    Attributes:
        state: Ours.
        diagnostic: Why.
        discriminator: Ours.
        peer: What it said.
    """

    state: State
    diagnostic: int
    discriminator: int
    peer: Peer


class Entry:
    """One session in the table.

    Attributes:
        number: The daemon's name of it.
        session: The machine.
        source: Where its peer's packets come from; ``None`` while that is unknown.
        is_removed: It says AdminDown for a while, then goes.
        sent: Packets; counted by the process.
    """

    __slots__ = (
        "ends_at",
        "is_removed",
        "number",
        "reported",
        "sent",
        "session",
        "source",
        "wakes_at",
    )

    def __init__(self, number: int, session: Session) -> None:
        self.number = number
        self.session = session
        self.source: Source | None = None
        self.is_removed = False
        self.sent = 0
        self.reported: Report | None = None
        self.wakes_at = 0.0
        self.ends_at = 0.0


class SessionTable:
    """The sessions of one process.

    Args:
        rng: Of jitter, discriminators and sequence numbers.

    Attributes:
        entries: By the daemon's number.
        discarded: Packets, by reason.
        gone: Numbers of sessions that have said their last word; their sockets are to be closed.
    """

    def __init__(self, rng: Random) -> None:
        self.entries: dict[int, Entry] = {}
        self.discarded: Counter[Discard] = Counter()
        self.gone: list[int] = []
        self._rng = rng
        self._by_source: dict[Source, Entry] = {}
        self._discriminators: set[int] = set()
        self._due: list[tuple[float, int, Entry]] = []
        self._pushed = 0  # orders what is due at the same moment
        self._changed: dict[int, Entry] = {}

    # -- they come and go ---------------------------------------------------------------

    def add(
        self, number: int, parameters: Parameters, now: float, resumed: Report | None
    ) -> Entry:
        """Begin a session.

        Args:
            number: The daemon's, unused so far.
            parameters: What it is configured to be.
            now: Monotonic seconds.
            resumed: What a former process reported; it goes on from there if it was up.
        """
        is_known = resumed is not None and resumed.state is State.UP
        discriminator = self._unused(
            resumed.discriminator if resumed is not None else 0
        )
        session = Session(
            discriminator,
            parameters,
            now,
            rng=self._rng,
            resumed=resumed.peer if resumed is not None and is_known else None,
        )
        entry = self.entries[number] = Entry(number, session)
        self._settle(entry)
        return entry

    def locate(self, entry: Entry, source: Source | None) -> None:
        """Set where the packets of a session's peer come from."""
        if entry.source is not None and self._by_source.get(entry.source) is entry:
            del self._by_source[entry.source]
        entry.source = source
        if source is not None:
            self._by_source[source] = entry

    def sources(self) -> Iterator[Source]:
        """Yield where packets are expected from."""
        yield from self._by_source

    def remove(self, number: int, now: float) -> tuple[Entry, bytes] | None:
        """Take a session out of service: it says AdminDown for a detection time (RFC 5880 6.8.16).

        Returns:
            What to send.
        """
        entry = self.entries.get(number)
        if entry is None or entry.is_removed:
            return None
        # The peer counts by its own multiplier of our interval: not known here, but ours is its.
        interval = max(entry.session.interval, 0.001)
        time = entry.session.parameters.multiplier * interval
        entry.is_removed, entry.ends_at = True, now + min(time, REMOVED_TIME)
        octets = entry.session.disable(now)
        self._settle(entry)
        self._wake(entry, entry.ends_at)
        return entry, octets

    def change(self, number: int, parameters: Parameters, now: float) -> bytes:
        """Follow changed parameters; return what to send."""
        entry = self.entries[number]
        octets = entry.session.change(parameters, now)
        self._settle(entry)
        return octets

    # -- packets and time ---------------------------------------------------------------

    def receive(
        self, octets: bytes, source: Source, now: float
    ) -> tuple[Entry, bytes] | None:
        """Process one packet; return what to send at once."""
        entry = self._by_source.get(source)
        if entry is None:
            self.discarded[Discard.NO_SESSION] += 1
            return None
        packet = decode_packet(octets)
        if isinstance(packet, Discard):
            self.discarded[packet] += 1
            return None
        if packet.your_discriminator not in (0, entry.session.discriminator):
            self.discarded[Discard.NO_SESSION] += 1
            return None
        answer = entry.session.receive(packet, octets, now)
        if isinstance(answer, Discard):
            self.discarded[answer] += 1
            return None
        self._settle(entry)
        return (entry, answer) if answer else None

    def due(self, now: float) -> Iterator[tuple[Entry, bytes]]:
        """Do what is due, session by session, and yield what to send."""
        while self._due and self._due[0][0] <= now:
            at, _, entry = heapq.heappop(self._due)
            if at != entry.wakes_at:
                continue  # it was given an earlier time since
            entry.wakes_at = 0.0
            if entry.is_removed and now >= entry.ends_at:
                self._free(entry)
                continue
            octets = entry.session.handle_timer(now)
            self._settle(entry)
            if entry.is_removed:
                self._wake(entry, entry.ends_at)
            if octets:
                yield entry, octets

    def next_deadline(self) -> float | None:
        """Return when ``due`` has something to do, in monotonic seconds; ``None`` for never."""
        return self._due[0][0] if self._due else None

    def reports(self) -> Iterator[tuple[int, Report]]:
        """Take what has changed since it was reported: the newest of each session."""
        while self._changed:
            number = next(iter(self._changed))
            entry = self._changed.pop(number)
            entry.reported = report_of(entry.session)
            yield number, entry.reported

    def repeat_report(self, number: int) -> None:
        """Let ``reports`` give it again: it could not be passed on."""
        if number in self.entries:
            self._changed[number] = self.entries[number]

    # -- helpers ------------------------------------------------------------------------

    def _settle(self, entry: Entry) -> None:
        deadline = entry.session.next_deadline()
        if deadline is not None:
            self._wake(entry, deadline)
        if not entry.is_removed and report_of(entry.session) != entry.reported:
            self._changed[entry.number] = entry

    def _wake(self, entry: Entry, at: float) -> None:
        # A later deadline leaves the place in the heap: most are pushed back by every packet, and
        # waking early only finds that out.
        if entry.wakes_at and entry.wakes_at <= at:
            return
        entry.wakes_at = at
        self._pushed += 1
        heapq.heappush(self._due, (at, self._pushed, entry))

    def _unused(self, wanted: int) -> int:
        number = wanted
        # At random, so that a stranger cannot guess it (RFC 5880 9).
        while not number or number in self._discriminators:
            number = self._rng.getrandbits(32)
        self._discriminators.add(number)
        return number

    def _free(self, entry: Entry) -> None:
        self.locate(entry, None)
        self._discriminators.discard(entry.session.discriminator)
        self._changed.pop(entry.number, None)
        del self.entries[entry.number]
        self.gone.append(entry.number)


def report_of(session: Session) -> Report:
    """Return what the daemon is to know."""
    return Report(
        session.state, session.diagnostic, session.discriminator, session.peer
    )
