"""A session that announces a prefix every 20 ms, and one that watches when they come.

They have a process of their own, so that what the others receive does not delay them. The prefixes
are different ones, in turn: pacing one that changes all the time is a router's good right
(RFC 4271 9.2.1.1), and no gap.
"""

import multiprocessing
import select
import time
from multiprocessing.connection import Connection
from typing import Any, Final

from bgpd.wire.framing import KEEPALIVE, MessageType
from tests.bench.feed import Client, an_update

PERIOD: Final = 0.02  # seconds
_PREFIXES: Final = 4096  # each comes again after 80 s
_NET: Final = b"\x20\xc0\x00"  # 192.0.0.0/16


class _Watcher(Client):
    """Notes when UPDATEs of the beacon come."""

    def __init__(self, address: str) -> None:
        self.seen: list[float] = []
        super().__init__(address)

    def receive(self) -> None:
        for kind, body in self._read():
            if kind == MessageType.UPDATE:
                run = 4 + int.from_bytes(body[2:4], "big")
                if body[:2] == b"\0\0" and body.startswith(_NET, run):
                    self.seen.append(time.monotonic())


class Beacon:
    """Both sessions, in a process of their own; begins when it is made.

    Args:
        sender: Address of the session that announces.
        watcher: Address of the one that watches.
    """

    def __init__(self, sender: str, watcher: str) -> None:
        context = multiprocessing.get_context("fork")
        self._end, its_end = context.Pipe()
        self._process = context.Process(
            target=_run, args=(sender, watcher, its_end), daemon=True
        )
        self._process.start()
        self._end.recv()  # both are up

    def stop(self, since: float) -> dict[str, float]:
        """End it; return the longest gaps in seconds since a monotonic time.

        ``gap_s`` is between two arrivals, ``sent_gap_s`` between two announcements: what the
        load itself is to blame for.
        """
        self._end.send(since)
        found: dict[str, float] = self._end.recv()
        self._process.join()
        return found


def _run(sender: str, watcher: str, end: Connection) -> None:
    feeder, told = Client(sender), _Watcher(watcher)
    end.send(None)
    sent: list[float] = []
    due = keepalive_at = time.monotonic()
    while not end.poll():
        wait = max(0.0, due - time.monotonic())
        sources: list[Any] = [told.sock, feeder.sock, end]
        ready, _, _ = select.select(sources, [], [], wait)
        if told.sock in ready:
            told.receive()
        if feeder.sock in ready:
            feeder.receive()
        now = time.monotonic()
        if now >= due:
            number = len(sent) % _PREFIXES
            changed = (len(sent) // _PREFIXES).to_bytes(4, "big")
            run = _NET + number.to_bytes(2, "big")
            feeder.sock.sendall(an_update(sender, run, communities=changed))
            sent.append(now)
            due = max(due + PERIOD, now)
        if now > keepalive_at:
            keepalive_at = now + 20
            told.sock.sendall(KEEPALIVE)
    since, now = end.recv(), time.monotonic()
    end.send(
        {
            "gap_s": _longest(told.seen, since, now),
            "sent_gap_s": _longest(sent, since, now),
        }
    )


def _longest(moments: list[float], since: float, now: float) -> float:
    """Return the longest gap that ends after ``since``, one that has not ended included."""
    gaps = [
        b - a for a, b in zip(moments, [*moments[1:], now], strict=True) if b > since
    ]
    return max(gaps, default=now - since)
