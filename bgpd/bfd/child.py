"""The BFD process: sends and judges packets where no route can delay it (ADR 0057).

One thread waits for its sockets and for the next deadline. Each turn reads what the daemon and the peers have
sent, within a bound, and only then does what is due: what has arrived counts before any silence.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
from random import Random
from typing import Any, Final

from bgpd.bfd.messages import (
    COUNTS_AT_ONCE,
    MAX_MESSAGE,
    Target,
    decode,
    encode,
    report_from,
    target_of,
)
from bgpd.bfd.packet import MAX_PACKET_LEN, Discard
from bgpd.bfd.paths import (
    MAX_TTL,
    Door,
    door_of,
    is_path_fault,
    receiving_socket,
    sending_socket,
    set_filter,
    source_of,
    ttl_of,
)
from bgpd.bfd.session_table import Entry, SessionTable, Source

_READ_MOST: Final = 256  # packets of one socket in a turn
_COMMANDS_MOST: Final = 64  # commands of the daemon in a turn
_RETRY: Final = 1.0  # seconds between attempts to make a socket
_URGENCY: Final = -10  # nice(2)
_ANCILLARY: Final = 64  # octets
_LAST_WORDS: Final = 3  # packets with AdminDown at the end: some may be lost
_BETWEEN_WORDS: Final = 0.03  # seconds


class BfdChild:
    """The process.

    Args:
        daemon: The socket to the daemon; its end is ours.
        rng: Of jitter, discriminators and source ports.
    """

    def __init__(self, daemon: socket.socket, rng: Random) -> None:
        daemon.setblocking(False)
        self._daemon = daemon
        self._rng = rng
        self._table = SessionTable(rng)
        self._targets: dict[int, Target] = {}
        self._sending: dict[int, socket.socket] = {}
        self._doors: dict[Door, socket.socket] = {}
        self._unfiltered: set[Door] = set()  # whose peers have changed
        self._broken: dict[int, str] = {}  # sessions without sockets, and why
        self._retry_at = 0.0
        self._poll = select.epoll()
        self._poll.register(daemon, select.EPOLLIN)
        self._is_full: bool = False  # the daemon has not read yet what it was sent
        self._waiting: list[
            bytes
        ] = []  # for the daemon: answers, at most one for each question

    def run(self) -> None:
        """Serve until the daemon is gone, then tell the peers that this says nothing about the path."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                self._turn()
        for _ in range(_LAST_WORDS):
            for entry in self._table.entries.values():
                octets = entry.session.disable(time.monotonic()) or (
                    entry.session.farewell()
                )
                self._send(entry, octets)
            time.sleep(_BETWEEN_WORDS)

    def _turn(self) -> None:
        deadline = self._table.next_deadline()
        if self._broken:
            deadline = min(deadline or self._retry_at, self._retry_at)
        left = -1.0
        if deadline is not None:
            left = max(0.0, deadline - time.monotonic())
        ready = dict(self._poll.poll(left))
        if self._daemon.fileno() in ready:
            self._take_commands()
        for door, sock in self._doors.items():
            if sock.fileno() in ready:
                self._read(door, sock)
        now = time.monotonic()
        for entry, octets in self._table.due(now):
            self._send(entry, octets)
        if self._broken and now >= self._retry_at:
            self._retry_at = now + _RETRY
            for number in tuple(self._broken):
                self._open(number)
        if self._table.gone:
            self._forget_gone()
        if self._unfiltered:
            self._filter()
        self._report()

    # -- packets ------------------------------------------------------------------------

    def _read(self, door: Door, sock: socket.socket) -> None:
        table = self._table
        for _ in range(_READ_MOST):
            try:
                octets, ancillary, _, where = sock.recvmsg(MAX_PACKET_LEN, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                return  # an error that the kernel noted for an earlier packet
            # The filter has seen to it, where the kernel has one.
            if not door.is_multihop and ttl_of(ancillary) != MAX_TTL:  # RFC 5881 5
                table.discarded[Discard.TTL] += 1
                continue
            zone = where[3] if door.is_ipv6 else 0
            source = Source(where[0], zone, door.is_multihop)
            answer = table.receive(octets, source, time.monotonic())
            if answer is not None:
                self._send(*answer)

    def _send(self, entry: Entry, octets: bytes) -> None:
        sock = self._sending.get(entry.number)
        if sock is None or not octets:
            return
        try:
            sock.send(octets)
        except OSError as error:
            if is_path_fault(error):
                self._break(entry.number, error)
        else:
            entry.sent += 1

    # -- sockets ------------------------------------------------------------------------

    def _open(self, number: int) -> None:
        target, entry = self._targets[number], self._table.entries[number]
        door = door_of(target)
        try:
            source = source_of(target)
            if door not in self._doors:
                kin = [
                    sock
                    for each, sock in self._doors.items()
                    if (each.is_ipv6, each.port) == (door.is_ipv6, door.port)
                ]
                self._doors[door] = receiving_socket(door, kin)
                self._poll.register(self._doors[door], select.EPOLLIN)
            self._table.locate(entry, source)
            self._unfiltered.add(door)
            self._sending[number] = sending_socket(target, source, self._rng)
        except OSError as error:
            self._break(number, error)
            return
        if self._broken.pop(number, None) is not None:
            self._waiting.append(encode("fault", number, ""))

    def _break(self, number: int, error: OSError) -> None:
        self._close(number)
        text = error.strerror or str(error)
        if self._broken.get(number) != text:
            self._waiting.append(encode("fault", number, text))
        self._broken[number] = text

    def _filter(self) -> None:
        """Let sockets receive from their peers alone; close those without any."""
        addresses: dict[Door, set[str]] = {door: set() for door in self._unfiltered}
        for target in self._targets.values():
            if (found := addresses.get(door_of(target))) is not None:
                found.add(target.address)
        self._unfiltered.clear()
        for door, found in addresses.items():
            sock = self._doors.get(door)
            if sock is not None and found:
                set_filter(sock, door, found)
            elif sock is not None:
                self._poll.unregister(sock)
                self._doors.pop(door).close()

    def _forget_gone(self) -> None:
        for number in self._table.gone:
            self._unfiltered.add(door_of(self._targets.pop(number)))
            self._broken.pop(number, None)
            self._close(number)
        self._table.gone.clear()

    def _close(self, number: int) -> None:
        sock = self._sending.pop(number, None)
        if sock is not None:
            sock.close()

    # -- the daemon ---------------------------------------------------------------------

    def _take_commands(self) -> None:
        for _ in range(_COMMANDS_MOST):
            try:
                octets = self._daemon.recv(MAX_MESSAGE)
            except BlockingIOError:
                return
            if not octets:
                raise EOFError
            what, *fields = decode(octets)
            if what == "set":
                self._set(*fields)
            elif what == "remove":
                self._remove(fields[0])
            else:
                self._count(fields[0])

    def _set(self, number: int, *fields: Any) -> None:  # noqa: ANN401  # JSON
        target, now = target_of(list(fields[:-1])), time.monotonic()
        former = self._targets.get(number)
        if former is not None:
            self._targets[number] = target
            entry = self._table.entries[number]
            self._send(entry, self._table.change(number, target.parameters, now))
            if former[:4] != target[:4]:
                self._close(number)
                self._table.locate(entry, None)
                self._open(number)
                self._unfiltered.add(door_of(former))
            return
        self._targets[number] = target
        self._table.add(number, target.parameters, now, report_from(fields[-1]))
        self._open(number)

    def _remove(self, number: int) -> None:
        removed = self._table.remove(number, time.monotonic())
        if removed is not None:
            self._send(*removed)

    def _count(self, token: int) -> None:
        """Answer with what is counted here: in pieces, the last one without sessions."""
        rows = {
            number: [
                entry.session.received,
                entry.sent,
                entry.session.interval,
                entry.session.detection_time,
            ]
            for number, entry in self._table.entries.items()
            if not entry.is_removed
        }
        numbers = list(rows)
        for at in range(0, len(numbers), COUNTS_AT_ONCE):
            piece = {n: rows[n] for n in numbers[at : at + COUNTS_AT_ONCE]}
            self._waiting.append(encode("counts", token, {}, piece))
        discarded = {why.value: n for why, n in self._table.discarded.items()}
        self._waiting.append(encode("counts", token, discarded, {}))

    def _report(self) -> None:
        """Pass on what changed, while the daemon takes it; of a session that changes on, the newest."""
        try:
            while self._waiting:
                self._daemon.send(self._waiting[0])
                del self._waiting[0]
            for number, report in self._table.reports():
                try:
                    self._daemon.send(encode("report", number, *report))
                except BlockingIOError:
                    self._table.repeat_report(number)
                    raise
        except BlockingIOError:
            is_full = True
        else:
            is_full = False
        if is_full is not self._is_full:
            self._is_full = is_full
            also = select.EPOLLOUT if is_full else 0
            self._poll.modify(self._daemon, select.EPOLLIN | also)


def main(descriptor: int) -> None:
    """Serve the daemon at the other end of a socket."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are the daemon's
    with contextlib.suppress(OSError):  # where that is allowed
        os.nice(_URGENCY)
    gc.disable()  # nothing here makes cycles, and a collection is a delay
    with socket.socket(fileno=descriptor) as daemon:
        BfdChild(daemon, Random()).run()  # noqa: S311  # jitter; the keys come from the daemon


if __name__ == "__main__":
    main(int(sys.argv[1]))
