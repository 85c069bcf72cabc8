"""What a pass over the queue writes, and what it says of sockets that are full."""

from collections.abc import Sequence
from math import inf

import pytest

from bgpd.pipeline.transmit_queue import TransmitQueue, Write
from bgpd.wire.update import end_of_rib
from reflector.flush import Outbound
from reflector.member_fsm import Member
from rib.family import IPV4_UNICAST
from rib.path import Source
from tests.support.exports import a_client, make_current
from tests.support.told import octets_of

MESSAGE = end_of_rib(IPV4_UNICAST)


class Sockets:
    """Three current members, what was written to each, and whose sockets are full."""

    def __init__(self) -> None:
        self.members = [make_current(Member(a_client(n))) for n in range(3)]
        self.sources = [member.source for member in self.members]
        self.written: dict[Source, list[bytes]] = {s: [] for s in self.sources}
        self.full: set[Source] = set()
        self.queue = TransmitQueue({s: self.writer(s) for s in self.sources})

    def writer(self, source: Source) -> Write:
        def write(buffers: Sequence[bytes], count: int) -> bool:
            octets = octets_of(buffers)
            assert octets == MESSAGE * count
            self.written[source].append(octets)
            return source not in self.full

        return write

    def add(self, **parts: dict[Source, tuple[int, int]] | dict[Source, bytes]) -> None:
        found = {"spans": {}, "private": {}, **parts}
        outbound = Outbound(MESSAGE * 2, **found)  # type: ignore[arg-type]
        self.queue.add(outbound, self.members)

    def counts(self) -> list[int]:
        return [len(octets_of(self.written[s])) // len(MESSAGE) for s in self.sources]


@pytest.fixture
def sockets() -> Sockets:
    return Sockets()


def test_all_get_the_whole_pass_though_a_socket_is_full(sockets: Sockets) -> None:
    first, second, _ = sockets.sources
    sockets.full = {first, second}
    for _ in range(2):
        sockets.add(spans={first: (0, len(MESSAGE))})
    assert set(sockets.queue.drain(inf)) == {first, second}
    assert sockets.counts() == [2, 4, 4]
    assert not sockets.queue


def test_a_full_socket_changes_nothing_while_a_pass_is_under_way(
    sockets: Sockets,
) -> None:
    """A write returns its outcome; what that means to the member is decided after the pass."""
    sockets.full = set(sockets.sources)
    sockets.add()
    sockets.add()
    assert set(sockets.queue.drain(0.0)) == {sockets.sources[0]}  # one, as time is up
    assert sockets.counts() == [2, 0, 0]
    assert all(not member.is_slow for member in sockets.members)
    assert sockets.queue
    assert [*sockets.queue.drain(inf)] == [*sockets.sources[1:], *sockets.sources]
    assert sockets.counts() == [4, 4, 4]


def test_a_member_whose_write_succeeds_is_not_returned(sockets: Sockets) -> None:
    sockets.add(private={sockets.sources[1]: MESSAGE})
    assert sockets.queue.drain(inf) == []
    assert sockets.counts() == [2, 3, 2]


def test_an_empty_share_is_not_written(sockets: Sockets) -> None:
    first = sockets.sources[0]
    sockets.full = {first}
    sockets.add(spans={first: (0, 2 * len(MESSAGE))})
    assert sockets.queue.drain(inf) == []
    assert sockets.written[first] == []


def test_slow_peers_are_left_out(sockets: Sockets) -> None:
    sockets.members[1].writing_paused()
    sockets.add()
    sockets.queue.drain(inf)
    assert sockets.counts() == [2, 0, 2]


def test_a_peer_that_becomes_slow_still_gets_all_that_was_queued_for_it(
    sockets: Sockets,
) -> None:
    third = sockets.sources[2]
    sockets.add()
    sockets.add()
    sockets.queue.flush_member(third)
    assert sockets.counts() == [0, 0, 4]
    sockets.queue.flush_member(third)
    sockets.queue.drain(inf)
    assert sockets.counts() == [4, 4, 4]


def test_a_member_that_left_is_written_nothing(sockets: Sockets) -> None:
    sockets.add()
    sockets.queue.forget(sockets.sources[0])
    sockets.queue.drain(inf)
    assert sockets.counts() == [0, 2, 2]
