"""One peer's sockets and clock around its sans-IO session.

Every callback is one input to the session, then ``_pump``: its events are carried out,
and the one timer is set to its next deadline. UPDATEs do not pass through the session on
their way out: ``write`` puts them on the wire directly and returns whether the socket still takes
something, so that the update group stops instead of a buffer growing. It calls nothing: its
caller is in the midst of a loop over members. That there is room again is an event of the socket,
and is passed to the handler, as everything else that the loop reports.
"""

import asyncio
from collections.abc import Sequence
from select import POLLOUT
from typing import Final, Protocol

from bgpd.net.connecting import connect
from bgpd.net.key_rollover import MOST_KEYS, KeyRollover
from bgpd.net.network import Socket
from bgpd.net.peer_sockets import outgoing_socket
from bgpd.net.poller import Poller
from bgpd.net.sockets import endpoint
from bgpd.net.taps import Taps
from bgpd.net.tcp_connection import Connection, reason_of
from bgpd.session.events import (
    CancelConnect,
    CloseConnection,
    Connect,
    Established,
    PeerExpired,
    RefreshReceived,
    Send,
    SessionDown,
    SessionEvent,
    StateChanged,
    UpdatesReceived,
)
from bgpd.session.peer import PeerSession
from bgpd.session.settings import PeerSettings
from bgpd.wire.errors import NotifyError

TYPE_AT: Final = 18  # octets from the beginning of a message to its type, RFC 4271 4.1


class PeerHandler(Protocol):
    """The receiver of a session's events: the speaker."""

    def established(self, event: Established) -> None:
        """The session is established."""

    def updates_received(self, bodies: list[bytes]) -> NotifyError | None:
        """Process UPDATEs; an error ends the session."""

    def refresh_received(self, event: RefreshReceived) -> None:
        """Advertise routes again, or note a marker of the peer's refresh."""

    def session_down(self, event: SessionDown) -> None:
        """The session is down: routes go or become stale."""

    def state_changed(self, event: StateChanged) -> None:
        """The state changed, for the log and ``show``."""

    def peer_expired(self) -> None:
        """A dynamic neighbour is gone."""

    def writing_paused(self) -> None:
        """The socket is full because of a message of the session itself."""

    def writing_resumed(self) -> None:
        """The socket has room again."""


class _Nobody:
    """The handler of an abandoned session: ignores everything."""

    def established(self, event: Established) -> None:
        """See ``PeerHandler``."""

    def updates_received(self, bodies: list[bytes]) -> NotifyError | None:
        """See ``PeerHandler``."""

    def refresh_received(self, event: RefreshReceived) -> None:
        """See ``PeerHandler``."""

    def session_down(self, event: SessionDown) -> None:
        """See ``PeerHandler``."""

    def state_changed(self, event: StateChanged) -> None:
        """See ``PeerHandler``."""

    def peer_expired(self) -> None:
        """See ``PeerHandler``."""

    def writing_paused(self) -> None:
        """See ``PeerHandler``."""

    def writing_resumed(self) -> None:
        """See ``PeerHandler``."""


_NOBODY: Final[PeerHandler] = _Nobody()


class PeerDriver:
    """Runs one ``PeerSession``.

    Args:
        session: The sans-IO machine.
        settings: For connecting.
        handler: Acts on events.
        loop: Sockets and time.
        poller: Watches the connections.

    Attributes:
        taps: Listen to all messages.
    """

    def __init__(
        self,
        session: PeerSession,
        settings: PeerSettings,
        handler: PeerHandler,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
    ) -> None:
        self.session = session
        self.settings = settings
        self._handler = handler
        self._loop = loop
        self._poller = poller
        self._connections: dict[int, Connection] = {}
        self._next_id = 1
        self._connecting: asyncio.Task[None] | None = None
        self._dialled: Socket | None = None  # an attempt that is under way
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_pumping = False
        self._is_abandoned = False
        self._established: Connection | None = None
        self._key_number = 0  # counts changes of the peer's MD5 key
        self._rollover: KeyRollover | None = None
        self._sent = session.counters.sent
        self._written_at = 0.0  # of UPDATEs unknown to the session yet; 0: none
        self._paused_at_len = 0
        self._is_paused = False
        self.taps = Taps(session, loop)

    @property
    def connection(self) -> Connection | None:
        """The established connection."""
        return self._established

    def start(self) -> None:
        """Start the session."""
        self.session.start(self._loop.time())
        self._pump()

    def stop(self, **how: object) -> None:
        """Stop the session; the keywords are those of ``PeerSession.stop``."""
        self.session.stop(self._loop.time(), **how)  # type: ignore[arg-type]
        self._pump()

    def abandon(self) -> None:
        """Drop all connections without a word, as a crash would (RFC 4724's restart).

        The handler gets no more events, and we drop the reference to it: it refers to us.
        """
        self._is_abandoned = True
        self._handler = _NOBODY
        self._cancel_connect()
        self._stop_timer()
        self._end_rollover()
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._established = None

    def rekey(self) -> None:
        """Follow a changed MD5 key (RFC 2385).

        The established connection keeps the key that works (``bgpd.net.key_rollover``);
        any other connection starts again with the new one.
        """
        self._key_number += 1
        self.session.change_key(self._loop.time())
        self._pump()
        connection, wanted = self._established, self.settings.password
        if connection is None:
            return
        former = () if self._rollover is None else self._rollover.keys
        self._end_rollover()
        keys = tuple(dict.fromkeys((wanted, connection.key, *former)))[:MOST_KEYS]
        if len(keys) > 1:
            self._rollover = KeyRollover(
                self._loop, connection, self.settings, keys, self._probe
            )
            self._probe()

    def _probe(self) -> None:
        """Send something that the peer's TCP acknowledges."""
        self._note_written()
        self.session.say_alive(self._loop.time())
        self._rearm()

    def _end_rollover(self) -> None:
        if self._rollover is not None:
            self._rollover.close()
            self._rollover = None

    def notify(self, error: NotifyError) -> None:
        """End the session with a NOTIFICATION."""
        self.session.notify(error, self._loop.time())
        self._pump()

    def try_afresh(self) -> None:
        """Forget failures and try at once: settings have changed."""
        self.session.try_afresh(self._loop.time())
        self._pump()

    def adopt(self, connection: Connection) -> None:
        """Take over a connection from the peer."""
        self._made(connection, is_outgoing=False)

    # hot: per flush and member
    def write(self, buffers: Sequence[bytes], count: int) -> bool:
        """Write messages; return whether the socket still accepts data.

        Where it does not, what was given is kept all the same, and the handler hears
        ``writing_resumed`` later; until then the answer stays the same. There is no callback.

        Args:
            buffers: Whole messages, all of one type.
            count: How many.
        """
        connection = self._established
        if connection is None:
            return True
        if self.taps.listeners:
            self.taps.sent(connection, buffers)
        is_writable = True
        try:
            is_writable = connection.write(buffers)
            if not is_writable:
                self._note_paused(connection)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # of one member, not of all
            self._report("writing to a peer failed", error)
            self._loop.call_soon(self._give_up)
        # The session learns of it when its timer fires: to count the keepalive
        # interval again for every member of a flush would cost more than its writes.
        self._sent[buffers[0][TYPE_AT]] += count
        self._written_at = self._loop.time()
        return is_writable

    def _note_paused(self, connection: Connection) -> None:
        """Run the send hold timer while the socket is full (RFC 9687)."""
        if not self._is_paused:
            self._is_paused = True
            self._paused_at_len = connection.unsent_len
            self.session.note_send_blocked(self._loop.time())
            self._rearm()

    def send_message(self, octets: bytes) -> None:
        """Write one message: ROUTE-REFRESH."""
        if not self.write((octets,), 1):
            self._handler.writing_paused()

    def _send(self, conn_id: int, octets: bytes) -> None:
        """Write what the session sends: on a connection that need not be established yet."""
        connection = self._connections.get(conn_id)
        if connection is None:
            return
        if self.taps.listeners:
            self.taps.sent(connection, (octets,))
        if connection.write((octets,)):
            return
        if connection is self._established:
            self._note_paused(connection)
            self._handler.writing_paused()

    def data_received(self, conn_id: int, data: bytes) -> None:
        """Process one chunk of octets."""
        now = self._loop.time()
        bodies = self.session.receive_updates(conn_id, data, now)
        if self.taps.listeners:
            self.taps.received(self._connections.get(conn_id))
        if bodies is not None:
            error = self._handler.updates_received(bodies) if bodies else None
            if error is None:
                return
            self.session.notify(error, now)
        self._pump()

    def connection_lost(self, conn_id: int, reason: str) -> None:
        """Handle the end of a connection by the peer or the network."""
        self._connections.pop(conn_id, None)
        self.session.connection_lost(conn_id, reason, self._loop.time())
        self._pump()

    def writing_resumed(self, conn_id: int) -> None:
        """The socket has room again."""
        established = self._established
        if self._is_paused and established and established.conn_id == conn_id:
            self._is_paused = False
            self.session.note_send_progress(self._loop.time(), is_blocked=False)
            self._pump()
            self._handler.writing_resumed()

    def _pump(self) -> None:
        """Execute the session's events until there are none."""
        if self._is_pumping:
            return  # an event's consequence; the loop below sees to it
        self._is_pumping = True
        try:
            while events := self.session.events():
                for event in events:
                    self._carry_out_apart(event)
        finally:
            self._is_pumping = False
            self._rearm()  # also after a fault in a handler: timers must go on

    def _carry_out_apart(self, event: SessionEvent) -> None:
        """Execute one event; an error ends this session, but loses no other event."""
        try:
            self._carry_out(event)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # of one event, not of all
            self._report("handling an event of a session failed", error)
            if not isinstance(event, SessionDown):
                self._give_up()

    def devices_gone(self) -> None:
        """Drop connections over links that are gone; nothing else would end them soon."""
        for connection in [*self._connections.values()]:
            if connection.has_lost_device():
                connection.give_up("its interface is gone")

    def _give_up(self) -> None:
        """Drop the established connection: the peer may have received only half of a message."""
        if self._established is not None:
            self._established.give_up()

    def _report(self, message: str, error: Exception) -> None:
        self._loop.call_exception_handler({"message": message, "exception": error})

    def _carry_out(self, event: SessionEvent) -> None:
        match event:
            case UpdatesReceived():
                error = self._handler.updates_received(event.bodies)
                if error is not None:
                    self.session.notify(error, self._loop.time())
            case Send():
                self._send(event.conn_id, event.octets)
            case Connect():
                self._connect()
            case CancelConnect():
                self._cancel_connect()
            case CloseConnection():
                self._close(event.conn_id)
            case Established():
                self._established = self._connections[event.conn_id]
                self.taps.happened(event)
                self._handler.established(event)
            case SessionDown():
                self._end_rollover()
                self._established = None
                self._is_paused = False
                self._written_at = 0.0
                self.taps.happened(event)
                self._handler.session_down(event)
            case RefreshReceived():
                self._handler.refresh_received(event)
            case StateChanged():
                self.taps.happened(event)
                self._handler.state_changed(event)
            case PeerExpired():
                self._handler.peer_expired()

    def _rearm(self) -> None:
        deadline = self.session.next_deadline()
        if deadline is None or self._is_abandoned:
            self._stop_timer()
        elif self._timer is None or deadline < self._timer_at:
            # A later deadline leaves the timer be: most are pushed back with every
            # message, and the early wake-up finds out.
            self._stop_timer()
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline, self._timer_fired)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timer_fired(self) -> None:
        self._timer = None
        now = self._poller.pulse.look()
        session = self.session
        self._note_written()
        if self._is_paused and self._established is not None:
            left = self._established.unsent_len
            # Room that is not used yet is progress of the peer as well.
            if left < self._paused_at_len or self._established.has_room():
                session.note_send_progress(now, is_blocked=True)
            self._paused_at_len = left
        deadline = session.next_deadline()
        if deadline is not None and deadline <= now:
            try:
                has_unread = session.must_listen_first(now) and self._has_unread()
                session.handle_timer(now, has_unread=has_unread)
            finally:
                self._pump()
        else:
            self._rearm()

    def _note_written(self) -> None:
        if self._written_at:
            self.session.note_sent(self._written_at)
            self._written_at = 0.0

    def _has_unread(self) -> bool:
        """Whether data of the peer waits in a socket, or an attempt has ended.

        The poller reads thousands of sockets in turns, and a standstill fills them all.
        """
        dialled = self._dialled
        return any(each.has_unread() for each in self._connections.values()) or (
            dialled is not None
            and self._poller.network.has_events(dialled.fileno(), POLLOUT)
        )

    def resume(self, lost: float, now: float) -> None:
        """Go on after a stall (see ``PeerSession.resume``)."""
        self.session.resume(lost, now)
        self._rearm()

    def try_now(self) -> bool:
        """Connect at once if we wait for the peer; return whether we try."""
        is_tried = self.session.try_now(self._loop.time())
        self._pump()
        return is_tried

    def _connect(self) -> None:
        self._cancel_connect()
        self._connecting = self._loop.create_task(self._open())

    def _cancel_connect(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None

    async def _open(self) -> None:
        """Make one attempt; the outcome is an input to the session."""
        try:
            connection = Connection(self._poller, await self._dial())
        except OSError as error:
            self._connecting = None
            self.session.connect_failed(reason_of(error), self._loop.time())
            self._pump()
        else:
            self._connecting = None
            self._made(connection, is_outgoing=True)

    async def _dial(self) -> Socket:
        sock = outgoing_socket(self._poller.network, self.settings)
        try:
            where = endpoint(self.settings.remote_addr, self.settings.port)
            self._dialled = sock
            await connect(self._loop, sock, where)
        except BaseException:
            sock.close()
            raise
        finally:
            if self._dialled is sock:  # else another attempt is under way
                self._dialled = None
        return sock

    def _made(self, connection: Connection, *, is_outgoing: bool) -> None:
        conn_id, self._next_id = self._next_id, self._next_id + 1
        connection.conn_id = conn_id
        connection.key = self.settings.password
        connection.owner = self
        self._connections[conn_id] = connection
        if (watch := self._poller.connection_watch) is not None:
            watch.connected(connection, is_outgoing=is_outgoing)
        local, remote = connection.address_pair()
        self.session.connection_made(
            conn_id,
            is_outgoing=is_outgoing,
            local_addr=local,
            remote_addr=remote,
            now=self._loop.time(),
            key_number=self._key_number,
        )
        self._pump()

    def _close(self, conn_id: int) -> None:
        connection = self._connections.pop(conn_id, None)
        if connection is not None:
            connection.close()
