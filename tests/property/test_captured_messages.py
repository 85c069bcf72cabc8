"""Messages cut out of a stream, and put into packets: nothing is lost, however it was divided."""

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.capture.ends import Ends
from bgpd.capture.message_runs import (
    NO_MESSAGE,
    MessageRuns,
    first_boundary,
    messages_of,
)
from bgpd.capture.pcap import FILE_HEADER, TcpStream, checksum
from bgpd.wire.framing import MARKER, encode_message

bodies = st.binary(max_size=80) | st.builds(
    bytes.__add__, st.binary(max_size=9), st.just(MARKER)
)
messages = st.lists(st.builds(encode_message, st.integers(0, 255), bodies), max_size=8)
cuts = st.lists(st.integers(0, 400), max_size=12).map(sorted)


def pieces(octets: bytes, at: list[int]) -> list[bytes]:
    return [octets[a:b] for a, b in zip([0, *at], [*at, len(octets)], strict=True)]


@given(messages, cuts, st.binary(max_size=18))
def test_the_same_messages_come_out_in_whatever_pieces_they_came(sent, at, rest):
    runs = MessageRuns()
    found: list[tuple[int, bytes]] = []
    count = 0
    for piece in pieces(b"".join(sent) + rest, at):
        run, number = runs.feed(piece)
        found += messages_of(run)
        count += number
    assert found == [(each[18], each) for each in sent]
    assert count == len(sent)
    assert runs.rest() == rest


@given(messages, cuts, st.binary(min_size=19, max_size=60))
def test_no_octet_is_lost_behind_a_malformed_header(sent, at, junk):
    runs = MessageRuns()
    stream = b"".join(sent) + b"\0" + junk
    found: list[tuple[int, bytes]] = []
    for piece in pieces(stream, at):
        found += messages_of(runs.feed(piece)[0])
    assert b"".join([each for _, each in found] + [runs.rest()]) == stream
    whole = [pair for pair in found if pair[0] != NO_MESSAGE]
    assert whole[: len(sent)] == [(e[18], e) for e in sent if e[18]][: len(whole)]


@given(messages, st.data())
def test_a_capture_that_begins_inside_a_message_finds_the_next(sent, data):
    stream = b"".join(sent)
    start = data.draw(st.integers(0, len(stream)))
    boundaries = [0]
    for each in sent:
        boundaries.append(boundaries[-1] + len(each))
    expected = next(each for each in boundaries if each >= start)
    rest = stream[start:]
    assert first_boundary(rest) == expected - start
    runs = MessageRuns(b"", first_boundary(rest))
    assert runs.feed(rest)[0] == stream[expected:]
    # What came in before is known, and goes in front.
    begun = max(each for each in boundaries if each <= start)
    assert MessageRuns(stream[begun:start]).feed(rest)[0] == stream[begun:]


@given(st.binary(max_size=64))
def test_a_checksum_makes_the_sum_of_all_words_all_ones(octets):
    if len(octets) % 2:
        octets += b"\0"
    summed = octets + checksum(octets).to_bytes(2)
    total = sum(int.from_bytes(summed[at : at + 2]) for at in range(0, len(summed), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def ends_of(number: int) -> Ends:
    """Return those of a connection; ports tell them apart."""
    port = 20000 + number
    ours, theirs = [("192.0.2.1", "192.0.2.9"), ("fd00::1", "fe80::9%eth0")][number % 2]
    if number % 3:
        return Ends(ours, 179, theirs, port, False)
    return Ends(ours, port, theirs, 179, True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("seed", [1, 2])
def test_tshark_puts_every_stream_together_again(seed: int, tmp_path: Path) -> None:
    choose = random.Random(seed)
    streams = [TcpStream(ends_of(number), number) for number in range(1, 25)]
    sent: dict[tuple[str, str], bytes] = {}
    at_us, records = 1_700_000_000_000_000, [FILE_HEADER]
    for _ in range(600):
        number = choose.randrange(len(streams))
        ends, is_local = ends_of(number + 1), choose.random() < 0.5
        size = choose.choice((0, 4, 1421, 1422, 1440, 1441, 1460, 4077, 65516))
        message = encode_message(choose.randint(1, 5), choose.randbytes(size))
        records.append(streams[number].sent(at_us, message, is_local=is_local))
        ports = (str(ends.local_port), str(ends.remote_port))
        key = ports if is_local else ports[::-1]
        sent[key] = sent.get(key, b"") + message
        at_us += choose.randrange(10**6)
    records += [
        each.closed(at_us, is_local=bool(choose.randint(0, 1))) for each in streams
    ]
    file = tmp_path / "streams.pcap"
    file.write_bytes(b"".join(records))

    command = ["tshark", "-r", str(file), "-T", "json", "-o", "tcp.check_checksum:TRUE"]
    command += ["-o", "ip.check_checksum:TRUE", "-o", "bgp.desegment:FALSE"]
    names = ["tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.ack", "tcp.payload"]
    checks = ["tcp.checksum.status", "ip.checksum.status", "tcp.analysis.flags"]
    for name in (*names, *checks, "tcp.flags", "frame.time_epoch"):
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    packets = [each["_source"]["layers"] for each in json.loads(done.stdout)]
    got: dict[tuple[str, str], bytes] = {}
    for packet in packets:
        assert packet["tcp.checksum.status"] == ["1"]
        assert packet.get("ip.checksum.status", ["1"]) == ["1"]
        assert "tcp.analysis.flags" not in packet, (
            packet
        )  # nothing lost or out of order
        key = packet["tcp.srcport"][0], packet["tcp.dstport"][0]
        for octets in packet.get("tcp.payload", ()):
            # Sequence numbers are relative; the SYN has 0.
            assert int(packet["tcp.seq"][0]) == 1 + len(got.get(key, b""))
            assert int(packet["tcp.ack"][0]) == 1 + len(got.get(key[::-1], b""))
            got[key] = got.get(key, b"") + bytes.fromhex(octets.replace(":", ""))
    assert got == sent
    flags = [int(packet["tcp.flags"][0], 16) for packet in packets]
    assert sum(each & 2 for each in flags) // 2 == 2 * len(streams)
    assert sum(each & 1 for each in flags) == 2 * len(streams)
    assert float(packets[-1]["frame.time_epoch"][0]) == pytest.approx(at_us / 1e6)
