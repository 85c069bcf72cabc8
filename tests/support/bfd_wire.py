"""Two BFD sessions and the wire between them, in virtual time."""

import heapq
from collections.abc import Callable
from random import Random

from bgpd.bfd.packet import Packet, State, decode_packet
from bgpd.bfd.session import Parameters, Session

Fate = Callable[[Random], float | None]
"""How long a packet takes, in seconds; ``None`` if it is lost."""


def at_once(_: Random) -> float | None:
    """Deliver each packet after a millisecond."""
    return 0.001


class Wire:
    """Sessions ``a`` and ``b``, whose packets take a time each, overtake each other, and get lost.

    Args:
        a: Parameters of one.
        b: Those of the other.
        fate: What happens to each packet.
        seed: Of everything random.
    """

    def __init__(
        self, a: Parameters, b: Parameters, fate: Fate = at_once, seed: int = 1
    ) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.fate = fate
        self.sessions = (
            Session(1, a, 0.0, rng=self.rng),
            Session(2, b, 0.0, rng=self.rng),
        )
        self.sent: list[list[tuple[float, Packet]]] = [[], []]
        self.states: list[list[tuple[float, State]]] = [[], []]
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._count = 0

    @property
    def a(self) -> Session:
        """One."""
        return self.sessions[0]

    @property
    def b(self) -> Session:
        """The other."""
        return self.sessions[1]

    @property
    def is_up(self) -> bool:
        """Whether both are up."""
        return self.a.state is State.UP and self.b.state is State.UP

    def send(self, sender: int, octets: bytes) -> None:
        """Put what a session returned on the wire."""
        session, states = self.sessions[sender], self.states[sender]
        if not states or states[-1][1] is not session.state:
            states.append((self.now, session.state))
        if not octets:
            return
        packet = decode_packet(octets)
        assert isinstance(packet, Packet)
        self.sent[sender].append((self.now, packet))
        time = self.fate(self.rng)
        if time is not None:
            self._count += 1
            heapq.heappush(
                self._flying, (self.now + time, self._count, 1 - sender, octets)
            )

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        """Let time pass, or until something holds."""
        end = self.now + seconds
        while until is None or not until():
            deadlines = [each.next_deadline() for each in self.sessions]
            moments = [at for at in deadlines if at is not None]
            if self._flying:
                moments.append(self._flying[0][0])
            if not moments or min(moments) > end:
                self.now = end
                return
            self.now = max(self.now, min(moments))
            self._happen()

    def _happen(self) -> None:
        # What has arrived is received before any timer is checked.
        while self._flying and self._flying[0][0] <= self.now:
            _, _, receiver, octets = heapq.heappop(self._flying)
            packet = decode_packet(octets)
            assert isinstance(packet, Packet)
            session = self.sessions[receiver]
            answer = session.receive(packet, octets, self.now)
            self.send(receiver, answer if isinstance(answer, bytes) else b"")
        for number, session in enumerate(self.sessions):
            deadline = session.next_deadline()
            if deadline is not None and deadline <= self.now:
                self.send(number, session.handle_timer(self.now))
