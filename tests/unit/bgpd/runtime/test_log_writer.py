"""A log that is not read, or cannot be written, holds up no caller."""

import fcntl
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgpd.runtime.log_writer import IMPORTANT_SHARE, QUEUE_OCTETS, LogWriter

LINE = b"x" * 1023 + b"\n"


def lost(count: int, reason: str) -> bytes:
    return f"lost {count}: {reason}\n".encode()


def a_writer(descriptor: int) -> LogWriter:
    return LogWriter(descriptor, lost, lambda: None, lambda: False)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.set_blocking(reader, False)
    for end in (writer, reader):
        os.close(end)


def read_all(reader: int, writer: LogWriter) -> bytes:
    """Read until the writer has written all; it may wait for room meanwhile."""
    found = bytearray()
    os.set_blocking(reader, False)
    while True:
        is_done = writer.flush(0.01)
        try:
            while data := os.read(reader, 1 << 16):
                found += data
        except BlockingIOError:
            pass
        if is_done:
            return bytes(found)


def test_lines_come_in_order_and_whole(pipe) -> None:
    made = a_writer(pipe[1])
    lines = [b"%d %s" % (n, LINE) for n in range(500)]
    for line in lines:
        made.put(line)
    assert read_all(pipe[0], made) == b"".join(lines)
    assert made.lost_count == 0
    made.close()


def test_lost_records_are_counted_and_reported_once_the_log_is_read_again(
    pipe,
) -> None:
    made = a_writer(pipe[1])
    count = 3 * QUEUE_OCTETS // len(LINE)
    for _ in range(count):
        made.put(LINE)  # nothing here waits, or the test would never end
    gone = made.lost_count
    assert count / 2 < gone < count
    found = read_all(pipe[0], made)
    assert found.count(LINE) == count - gone
    made.put(b"news\n")
    rest = found + read_all(pipe[0], made)
    said = re.findall(rb"lost ([0-9]+): the reader was too slow\n", rest)
    assert sum(map(int, said)) == gone
    assert rest.endswith(b"news\n")
    made.close()


def test_lesser_lines_leave_room_for_warnings(pipe) -> None:
    made = a_writer(pipe[1])
    while not made.lost_count:
        made.put(LINE, is_important=False)
    made.put(b"a warning\n")
    assert made.lost_count == 1
    assert IMPORTANT_SHARE < 1
    assert b"a warning\n" in read_all(pipe[0], made)
    made.close()


@pytest.mark.slow
def test_a_full_disk_loses_lines_and_ends_nothing(monkeypatch, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    made = a_writer(full)
    made.put(b"first\nsecond\n")
    while made.lost_count < 2:
        made.flush(0.05)
    file = tmp_path / "log"
    there = os.open(file, os.O_WRONLY | os.O_CREAT)
    os.dup2(there, full)  # room again
    made.put(b"third\n")
    assert made.flush(5)
    assert file.read_bytes() == b"lost 2: No space left on device\nthird\n"
    made.close()
    os.close(full)
    os.close(there)


@pytest.mark.slow
def test_a_reader_that_is_gone_ends_nothing(pipe) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    made = a_writer(writer)
    made.put(b"line\n")
    while not made.lost_count:
        made.flush(0.05)
    made.close()
    os.close(writer)


def test_a_descriptor_that_never_blocks_is_waited_for(pipe) -> None:
    os.set_blocking(pipe[1], False)
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
    made = a_writer(pipe[1])
    lines = [b"%d %s" % (n, LINE) for n in range(100)]
    for line in lines:
        made.put(line)
    assert read_all(pipe[0], made) == b"".join(lines)
    made.close()


def test_the_end_does_not_wait_long_for_a_reader(pipe) -> None:
    made = a_writer(pipe[1])
    for _ in range(200):
        made.put(LINE)
    made.close(0.05)  # returns, though the pipe is full
    assert not made.flush(0)


def test_one_thread_writes_and_begins_with_the_first_line(pipe) -> None:
    def writers() -> set[threading.Thread]:
        return {each for each in threading.enumerate() if each.name == "log"}

    before = writers()
    made = a_writer(pipe[1])
    assert writers() == before
    made.put(b"a\n")
    made.put(b"b\n")
    assert len(writers() - before) == 1
    read_all(pipe[0], made)
    made.close()
