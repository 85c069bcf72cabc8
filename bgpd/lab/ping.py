"""Ping with an account of every probe: what was lost, and the longest silence.

Run inside a namespace as ``python -m bgpd.lab.ping``, so that a demonstration needs nothing
but Python. It sends ICMP echo requests (RFC 792, RFC 4443 section 4) to several targets at
a fixed interval, until SIGTERM or a count. It prints ``READY`` once it is about to send,
and at the end one JSON object: target to report. Needs CAP_NET_RAW.
"""

import argparse
import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

ECHO_REQUEST = {4: 8, 6: 128}
ECHO_REPLY = {4: 0, 6: 129}
READY = "ready"
MAX_LOST_SHOWN = 50
LATE_TIME = 0.5  # seconds that replies are awaited after the last request
RECEIVE_OCTETS = 4 << 20  # of a socket's queue
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_SOL_RAW = 255  # linux/socket.h
_ICMP_FILTER = 1  # ICMP_FILTER of linux/icmp.h, and ICMPV6_FILTER of linux/icmpv6.h
_WORD = struct.Struct("=I")
_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_COUNTER = struct.Struct("!Q")  # our own sequence number, which does not wrap


@dataclass(frozen=True, slots=True)
class PingReport:
    """What became of the probes to one target.

    Attributes:
        sent: Requests that left, or that the kernel had no route for.
        received: Requests that were answered; a second answer counts nothing.
        longest_gap_ms: Longest time between two answers, or the start or end.
        lost: Sequence numbers without an answer, at most ``MAX_LOST_SHOWN`` of them.
    """

    sent: int
    received: int
    longest_gap_ms: int
    lost: tuple[int, ...] = ()

    @property
    def lost_count(self) -> int:
        """How many requests were not answered."""
        return self.sent - self.received


class PingAccount:
    """Keeps the account of one target. Pure: times are arguments, monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._sent = 0
        self._open: dict[int, float] = {}
        self._received = 0
        self._last_answer = now
        self._longest_gap = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is outstanding."""
        return bool(self._open)

    def next_sequence(self, now: float) -> int:
        """Return the number of the request that is sent now."""
        sequence = self._sent
        self._sent += 1
        self._open[sequence] = now
        return sequence

    def handle_reply(self, sequence: int, now: float) -> None:
        """Take an answer; unknown and repeated ones are ignored."""
        if self._open.pop(sequence, None) is None:
            return
        self._received += 1
        self._close_gap(now)

    def _close_gap(self, now: float) -> None:
        self._longest_gap = max(self._longest_gap, now - self._last_answer)
        self._last_answer = now

    def finish(self) -> PingReport:
        """Return the account; a silence up to the last unanswered request counts."""
        if self._open:
            self._close_gap(max(self._last_answer, *self._open.values()))
        return PingReport(
            sent=self._sent,
            received=self._received,
            longest_gap_ms=round(self._longest_gap * 1000),
            lost=tuple(sorted(self._open))[:MAX_LOST_SHOWN],
        )


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return ~total & 0xFFFF


def encode_request(version: int, identifier: int, target: int, sequence: int) -> bytes:
    """Return an echo request; the kernel puts in ICMPv6's checksum itself."""
    body = _COUNTER.pack(sequence) + bytes([target])
    kind = ECHO_REQUEST[version]
    head = _HEADER.pack(kind, 0, 0, identifier, sequence & 0xFFFF)
    total = checksum(head + body) if version == 4 else 0
    return _HEADER.pack(kind, 0, total, identifier, sequence & 0xFFFF) + body


def decode_reply(
    version: int, identifier: int, packet: bytes
) -> tuple[int, int] | None:
    """Return (target, sequence) of an answer to one of our requests; None for others."""
    if version == 4:  # a raw IPv4 socket shows the IP header too
        packet = packet[(packet[0] & 0xF) * 4 :] if packet else b""
    if len(packet) < _HEADER.size + _COUNTER.size + 1:
        return None
    kind, _, _, ident, _ = _HEADER.unpack_from(packet)
    if kind != ECHO_REPLY[version] or ident != identifier:
        return None
    sequence: int = _COUNTER.unpack_from(packet, _HEADER.size)[0]
    return packet[_HEADER.size + _COUNTER.size], sequence


class Pinger:
    """Sends to all targets at an interval and keeps their accounts."""

    def __init__(self, targets: Sequence[str], interval: float, count: int) -> None:
        """Open a raw socket per IP version.

        Args:
            targets: Addresses, at most 256.
            interval: Seconds between two requests to a target.
            count: Requests per target; 0 is until ``stop``.
        """
        self._targets = targets
        self._interval = interval
        self._count = count
        self._identifier = os.getpid() & 0xFFFF
        self._is_stopped = False
        versions = {6 if ":" in target else 4 for target in targets}
        self._sockets = {version: _raw_socket(version) for version in versions}
        self._selector = selectors.DefaultSelector()
        for version, sock in self._sockets.items():
            self._selector.register(sock, selectors.EVENT_READ, version)

    def stop(self) -> None:
        """Stop sending; ``run`` ends soon, at once if nothing is unanswered."""
        self._is_stopped = True

    def run(self) -> dict[str, PingReport]:
        """Ping until the count is reached or ``stop``; return the accounts."""
        now = time.monotonic()
        accounts = [PingAccount(now) for _ in self._targets]
        due, rounds = now, 0
        while not self._is_stopped and (rounds < self._count or not self._count):
            self._send(accounts)
            rounds += 1
            due += self._interval
            self._receive(accounts, due, is_last=False)
        self._receive(accounts, time.monotonic() + LATE_TIME, is_last=True)
        finished = zip(self._targets, accounts, strict=True)
        return {target: account.finish() for target, account in finished}

    def _send(self, accounts: list[PingAccount]) -> None:
        for index, target in enumerate(self._targets):
            version = 6 if ":" in target else 4
            sequence = accounts[index].next_sequence(time.monotonic())
            packet = encode_request(version, self._identifier, index, sequence)
            try:
                self._sockets[version].sendto(packet, (target, 0))
            except OSError:
                continue  # no route just now: it stays unanswered, which is the account

    def _receive(
        self, accounts: list[PingAccount], until: float, *, is_last: bool
    ) -> None:
        while (left := until - time.monotonic()) > 0:
            if is_last and not any(account.is_waiting for account in accounts):
                return
            if self._is_stopped and not is_last:
                return
            for key, _ in self._selector.select(min(left, 0.1)):
                packet = self._sockets[key.data].recv(2048)
                reply = decode_reply(key.data, self._identifier, packet)
                if reply and reply[0] < len(accounts):
                    accounts[reply[0]].handle_reply(reply[1], time.monotonic())


def _raw_socket(version: int) -> socket.socket:
    """Return a socket that is shown answers alone, and has room for some seconds of them.

    A raw socket is shown all ICMP of its namespace, the requests of others too. On a busy
    machine the pinger may wait for its turn; what found no room meanwhile would seem lost.
    """
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if version == 6 else socket.IPPROTO_ICMP
    sock = socket.socket(family, socket.SOCK_RAW, protocol)
    level, words = (socket.IPPROTO_ICMPV6, 8) if version == 6 else (_SOL_RAW, 1)
    blocked = bytearray(b"\xff" * words * 4)  # one bit for each type, in native words
    word, bit = divmod(ECHO_REPLY[version], 32)
    allowed = 0xFFFFFFFF & ~(1 << bit)
    _WORD.pack_into(blocked, word * _WORD.size, allowed)
    sock.setsockopt(level, _ICMP_FILTER, blocked)
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_OCTETS)
    return sock


def main() -> None:
    """Run as a program; see the module."""
    parser = argparse.ArgumentParser(prog="ping")
    parser.add_argument("--interval", type=float, default=0.1, help="seconds")
    parser.add_argument("--count", type=int, default=0, help="0 is until SIGTERM")
    parser.add_argument("targets", nargs="+")
    options = parser.parse_args()
    pinger = Pinger(options.targets, options.interval, options.count)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: pinger.stop())
    print(READY, flush=True)  # noqa: T201 - its output
    reports = pinger.run()
    print(json.dumps({target: asdict(report) for target, report in reports.items()}))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
