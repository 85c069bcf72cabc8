"""Sessions that count what they receive, for loads in which many receive very much.

A reader that gathers prefixes in a set takes a tenth of a microsecond for each, and so would be
the slower end of the fastest loads. This one does a microsecond of work for an UPDATE, however many
prefixes it has. That works because all prefixes of a load are of one length. A prefix that comes twice counts
twice, so a sample of sessions keeps the runs that it received, and ``check`` looks at those when the
clock has stopped.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from bgpd.wire.framing import HEADER_LEN, KEEPALIVE, MessageType
from tests.bench.feed import ASN, CHUNK, LIMIT, Client, turns

UNCOUNTED: Final = b"\xc0"  # prefixes from 192.0.0.0 on count for nothing
_SAMPLE: Final = 8  # sessions whose runs are kept
_KEEPALIVE_EACH: Final = 20.0  # seconds


class CountingClient(Client):
    """One session with the router, established when it is made.

    Args:
        address: Its own.
        asn: Its own AS number.
        piece: Octets of each prefix that it receives, its length included.
        own: Its own prefixes are from here to below there; some routers send them back.

    Attributes:
        announced: Prefixes received since ``count``.
        withdrawn: Prefixes withdrawn since.
        done_at: Monotonic seconds when ``until`` was reached; 0 before.
    """

    def __init__(
        self,
        address: str,
        asn: int = ASN,
        piece: int = 5,
        own: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        self.reset(piece, own)
        super().__init__(address, asn=asn)

    def reset(self, piece: int, own: tuple[bytes, bytes] = (b"", b"")) -> None:
        """Begin with nothing received, and nothing to count."""
        self.announced = self.withdrawn = self.until = 0
        self.done_at = 0.0
        self._piece, self._own = piece, own
        self._mark = b""
        self._runs: list[bytes] | None = None
        self._rest = b""

    def count(self, until: int, mark: bytes = b"", *, keeps_runs: bool = False) -> None:
        """Count from zero again.

        Args:
            until: Prefixes, announced or withdrawn, at which this session is done.
            mark: Count only routes with these octets among their attributes.
            keeps_runs: For ``distinct``.
        """
        self.announced = self.withdrawn = 0
        self.until, self.done_at, self._mark = until, 0.0, mark
        self._runs = [] if keeps_runs else None

    def distinct(self) -> int:
        """Return how many different prefixes were counted; -1 where no runs were kept."""
        if self._runs is None:
            return -1
        run, piece = b"".join(self._runs), self._piece
        return len({run[at : at + piece] for at in range(0, len(run), piece)})

    def receive(self) -> None:
        """Take what has come."""
        octets = self.sock.recv(CHUNK)
        if not octets:
            raise ConnectionError(f"{self.address}: the router closed the session")
        octets = self._rest + octets if self._rest else octets
        at, size = 0, len(octets)
        piece, mark, runs = self._piece, self._mark, self._runs
        own, after_own = self._own
        while size - at >= HEADER_LEN:
            end = at + (octets[at + 16] << 8 | octets[at + 17])
            if end > size:
                break
            kind = octets[at + 18]
            if kind == MessageType.UPDATE:
                gone = octets[at + 19] << 8 | octets[at + 20]
                block = at + 23 + gone
                run = block + (octets[block - 2] << 8 | octets[block - 1])
                if gone and octets[at + 22 : at + 26] < UNCOUNTED:
                    self.withdrawn += gone // piece
                    if runs is not None:
                        runs.append(octets[at + 21 : at + 21 + gone])
                first = octets[run + 1 : end][:4]
                if (
                    first
                    and first < UNCOUNTED
                    and not own <= first < after_own
                    and (not mark or octets.find(mark, block, run) >= 0)
                ):
                    self.announced += (end - run) // piece
                    if runs is not None:
                        runs.append(octets[run:end])
            elif kind == MessageType.NOTIFICATION:
                text = octets[at + HEADER_LEN : end].hex()
                raise ConnectionError(f"{self.address}: NOTIFICATION {text}")
            at = end
        self._rest = octets[at:]
        if not self.done_at and self.announced + self.withdrawn >= self.until:
            self.done_at = time.monotonic()


def count(
    clients: Sequence[CountingClient],
    until: Callable[[CountingClient], int],
    mark: bytes = b"",
) -> None:
    """Let sessions count from zero, and a sample of them keep what they receive."""
    step = max(1, len(clients) // _SAMPLE)
    for number, client in enumerate(clients):
        client.count(until(client), mark, keeps_runs=number % step == 0)


def serve_all(clients: Sequence[CountingClient], limit: float = LIMIT) -> float:
    """Send and receive until the last client is done; return seconds since the call.

    Raises:
        TimeoutError: Some were not.
    """
    started = time.monotonic()
    keepalive_at = started + _KEEPALIVE_EACH
    waiting = list(clients)
    for _ in turns(clients):
        while waiting and waiting[-1].done_at:
            waiting.pop()
        if not waiting:
            break
        now = time.monotonic()
        if now > keepalive_at:
            keepalive_at = now + _KEEPALIVE_EACH
            for client in clients:
                if not client.unsent:
                    client.sock.send(KEEPALIVE)
        if now > started + limit:
            last = waiting[-1]
            told = last.announced + last.withdrawn
            raise TimeoutError(f"{last.address}: {told} of {last.until} told")
    return max(client.done_at for client in clients) - started


def check(clients: Sequence[CountingClient]) -> None:
    """Look at the runs that were kept.

    Raises:
        ValueError: They have fewer different prefixes than were counted.
    """
    for client in clients:
        found = client.distinct()
        if 0 <= found < client.until:
            raise ValueError(f"{client.address}: {found} different of {client.until}")
