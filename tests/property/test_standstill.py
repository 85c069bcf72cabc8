"""What has arrived counts before any timer, however the process is held up."""

import socket
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgpd.net.driver import PeerDriver
from bgpd.net.poller import Poller
from bgpd.net.pulse import Stall
from bgpd.net.tcp_connection import Connection
from bgpd.session.events import DownKind
from bgpd.session.fsm import State
from bgpd.session.peer import PeerSession
from bgpd.wire.capabilities import Capabilities
from bgpd.wire.framing import KEEPALIVE, Framer, MessageType, encode_message
from bgpd.wire.open import OpenMessage, encode_open
from bgpd.wire.update import end_of_rib
from rib.family import IPV4_UNICAST
from tests.support.clock import Clock
from tests.support.session_pair import settings as peer_settings

HOLD_TIME = 9
OPEN = encode_open(OpenMessage(65001, HOLD_TIME, 2, Capabilities(four_octet_as=65001)))
LONG = encode_message(MessageType.UPDATE, bytes(4000))
MESSAGES = [KEEPALIVE, end_of_rib(IPV4_UNICAST), LONG]


class Heard:
    """Who acts on the session: notes how it ends."""

    def __init__(self) -> None:
        self.ends: list[DownKind] = []

    def session_down(self, event: Any) -> None:
        self.ends.append(event.reason.kind)

    def updates_received(self, _bodies: list[bytes]) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Held:
    """A real driver on a real socket, with time and turns in the test's hand."""

    def __init__(self) -> None:
        self.loop = Clock(1000.0)
        self.poller = Poller(self.loop, self._resumed)
        self.handler = Heard()
        session = PeerSession(
            peer_settings(hold_time=HOLD_TIME, is_passive=True), 1, rng=Random(1)
        )
        self.driver = PeerDriver(
            session,
            session.settings,
            self.handler,
            self.loop,
            self.poller,
        )
        self.driver.start()
        with socket.create_server(("127.0.0.1", 0)) as door:
            self.far = socket.create_connection(door.getsockname())
            near, _ = door.accept()
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        near.setblocking(False)
        self.far.setblocking(False)
        self.near = Connection(self.poller, near)
        self.driver.adopt(self.near)
        self.unsent = b""
        self.say(OPEN + KEEPALIVE)
        self.poller._turn()
        assert session.state is State.ESTABLISHED
        self.heard()

    def _resumed(self, stall: Stall) -> None:
        self.driver.resume(stall.lost, stall.now)

    def fire(self, order: Callable[[list[Any]], object] = list) -> int:
        """Run the timers that are due, which read nothing; return how many."""
        has_unread, ends = self.near.has_unread(), len(self.handler.ends)
        count = self.loop.fire(order)
        assert not (has_unread and len(self.handler.ends) > ends)
        return count

    def say(self, octets: bytes) -> None:
        """Let octets arrive: on loopback they are there when ``send`` returns."""
        self.far.setblocking(True)
        self.far.sendall(octets)

    def heard(self) -> list[int]:
        """Return the types of the messages that were sent to the peer."""
        self.far.setblocking(False)
        framer = Framer(65535)
        try:
            return [kind for kind, _ in framer.feed(self.far.recv(1 << 20))]
        except BlockingIOError:
            return []

    def close(self) -> None:
        self.driver.abandon()
        self.poller.close()
        self.far.close()
        self.loop.close()


acts = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(MESSAGES)),
    st.tuples(st.just("begin"), st.integers(1, 18)),
    st.tuples(st.just("wait"), st.floats(0.1, 4.0)),
    st.tuples(st.just("jump"), st.floats(1.0, 40.0)),
    st.tuples(st.just("starve"), st.integers(1, 14)),
    st.tuples(st.just("read"), st.none()),
    st.tuples(st.just("timers"), st.randoms(use_true_random=False)),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(acts, max_size=25))
def test_no_session_ends_for_silence_while_octets_wait(history) -> None:
    held = Held()
    try:
        for act, what in history:
            if held.driver.session.state is not State.ESTABLISHED:
                break
            if act == "say":  # the rest of a message that was begun, then this one
                held.say(held.unsent + what)
                held.unsent = b""
            elif act == "begin" and not held.unsent:
                held.say(KEEPALIVE[:what])
                held.unsent = KEEPALIVE[what:]
            elif act in ("wait", "jump"):
                held.loop.now += what
            elif act == "starve":  # the clock goes on; other sockets are read
                for _ in range(what):
                    held.loop.now += 1
                    held.fire()
            elif act == "read":
                held.poller._turn()
            elif act == "timers":
                held.fire(what.shuffle)
        assert set(held.handler.ends) <= {DownKind.HOLD_TIMER_EXPIRED}
    finally:
        held.close()


@given(st.lists(st.floats(0.3, 60.0), max_size=6), st.randoms(use_true_random=False))
def test_a_peer_that_is_gone_is_given_up_though_the_process_stands_still(
    pauses, rng
) -> None:
    held = Held()
    try:
        for pause in pauses:
            held.loop.now += pause
            held.fire(rng.shuffle)
            held.poller._turn()
        listened = 0.0
        while held.driver.session.state is State.ESTABLISHED:
            step = max(0.0, held.loop.next_timer() - held.loop.now)
            listened += step
            held.loop.now += step
            held.fire(rng.shuffle)
            assert listened <= HOLD_TIME + 1
        assert held.handler.ends == [DownKind.HOLD_TIMER_EXPIRED]
    finally:
        held.close()


@given(st.floats(2.0, 3600.0), st.randoms(use_true_random=False), st.booleans())
def test_the_peer_hears_a_keepalive_at_once_after_a_standstill(
    seconds, rng, reads_first
) -> None:
    held = Held()
    try:
        held.loop.now += seconds
        if reads_first:
            held.poller._turn()
        while held.fire(rng.shuffle):
            pass
        assert held.heard() == [MessageType.KEEPALIVE]
        assert held.driver.session.state is State.ESTABLISHED
    finally:
        held.close()
