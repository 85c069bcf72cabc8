"""Taps get every message of a peer, both ways, and a failing one harms nothing."""

from collections.abc import Sequence

from bgpd.net.tcp_connection import Connection
from bgpd.session.events import Established, SessionDown, StateChanged
from bgpd.session.fsm import State
from bgpd.speaker.peer import Peer
from bgpd.speaker.session_observers import SessionObserver
from bgpd.wire.framing import HEADER_LEN, MARKER, MessageType
from tests.support.simnet import on_virtual_time, sim
from tests.support.speakers import Node, Rack, until


class Notes(SessionObserver):
    """Attaches itself to every new peer, and notes the bodies of what it gets."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.told: list[tuple[int, bytes]] = []
        self.events: list[object] = []

    def peer_added(self, peer: Peer) -> None:
        peer.driver.taps.attach(self)

    def received(
        self, connection: Connection, messages: Sequence[tuple[int, bytes]]
    ) -> None:
        assert connection.address_pair()[1]
        self.heard += messages

    def sent(self, connection: Connection, buffers: Sequence[bytes]) -> None:
        assert connection.address_pair()[0]
        octets = b"".join(buffers)
        while octets:
            assert octets.startswith(MARKER)
            length = int.from_bytes(octets[16:18], "big")
            self.told.append((octets[18], octets[HEADER_LEN:length]))
            octets = octets[length:]

    def happened(self, event: Established | SessionDown | StateChanged) -> None:
        self.events.append(event)


def updates(messages: list[tuple[int, bytes]]) -> list[bytes]:
    return [body for kind, body in messages if kind == MessageType.UPDATE]


async def two(rack: Rack) -> tuple[Node, Node, Notes, Notes]:
    a, b = await rack.node(1), await rack.node(2)
    notes = Notes(), Notes()
    for node, other, note in ((a, b, notes[0]), (b, a, notes[1])):
        node.speaker.observers.attach(note)
        node.peers_with(other)
    a.announce("10.1.0.0/24", "fd01::/64")
    await until(lambda: b.prefixes() == {"10.1.0.0/24", "fd01::/64"})
    return a, b, *notes


@on_virtual_time
async def test_one_end_hears_what_the_other_sends_octet_by_octet() -> None:
    async with Rack() as rack:
        a, b, at_a, at_b = await two(rack)
        # Of a connection that loses a collision, the end may be on its way yet.
        assert updates(at_a.told) == updates(at_b.heard)
        assert updates(at_b.told) == updates(at_a.heard)
        kinds = [kind for kind, _ in at_b.heard]
        assert kinds.count(MessageType.UPDATE) >= 2
        assert MessageType.OPEN in kinds
        a.peer(b).driver.stop()
        await until(lambda: not b.is_up(a))
        assert at_b.heard[-1][0] == MessageType.NOTIFICATION
        assert [type(event) for event in at_b.events[-2:]] == [
            SessionDown,
            StateChanged,
        ]
        ups = [e.new for e in at_a.events if isinstance(e, StateChanged)]
        assert State.ESTABLISHED in ups


@on_virtual_time
async def test_a_tap_that_fails_is_detached_and_the_session_goes_on() -> None:
    faults: list[object] = []
    sim().loop.set_exception_handler(lambda _, context: faults.append(context))
    async with Rack() as rack:
        a, b, at_a, _ = await two(rack)
        taps = a.peer(b).driver.taps
        at_a.heard = None  # type: ignore[assignment]
        b.announce("10.2.0.0/24")
        await until(lambda: "10.2.0.0/24" in a.prefixes())
        assert taps.listeners == ()
        assert len(faults) == 1
        assert a.peer(b).driver.session.heard is None
        assert a.flaps(b) == 0


@on_virtual_time
async def test_nothing_is_noted_without_a_tap() -> None:
    async with Rack() as rack:
        a, b, at_a, _ = await two(rack)
        a.peer(b).driver.taps.detach(at_a)
        before = len(at_a.heard)
        b.announce("10.2.0.0/24")
        await until(lambda: "10.2.0.0/24" in a.prefixes())
        assert len(at_a.heard) == before
        assert a.peer(b).driver.session.heard is None
