"""``pybgpctl capture``: lines, files, and what goes wrong with them."""

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bgpd.capture.pcap import FILE_HEADER
from bgpd.cli import capture as cli
from bgpd.cli.capture_file import CaptureFile, microseconds
from bgpd.cli.control import main
from bgpd.wire.framing import KEEPALIVE

PEER = {
    "time": "2026-11-30T14:31:19.041002Z",
    "dropped": 0,
    "peer": "tor-1",
    "address": "192.0.2.9",
    "connection": 1,
    "local_address": "192.0.2.1",
    "local_port": 40001,
    "remote_port": 179,
    "is_outgoing": True,
}


def row(event: str, **fields: Any) -> dict[str, Any]:
    return PEER | {"id": 1, "event": event, "direction": "out"} | fields


def a_message(text: str = "", **fields: Any) -> dict[str, Any]:
    about = {"type": "keepalive", "octets": KEEPALIVE.hex(), "length": 19}
    return row("message", text=text, **(about | fields))


BEGAN = {"id": 1, "time": PEER["time"], "event": "began", "dropped": 0}
ENDED = BEGAN | {"event": "ended", "reason": "messages"}


def run(monkeypatch: Any, rows: list[dict[str, Any]], *words: str) -> Result:
    monkeypatch.setattr(cli, "ask", lambda *_, **__: iter(rows))
    return CliRunner().invoke(main, ["capture", "tor-1", *words])


def test_lines_name_time_peer_direction_and_content(monkeypatch: Any) -> None:
    rows = [
        BEGAN,
        row("opened"),
        a_message("announces 10.0.0.0/24", type="update"),
        a_message("a\x1b[2Jb", type="notification", direction="in"),
        a_message(type="other", octets="474554"),
        a_message(dropped=3),
        ENDED | {"dropped": 3},
    ]
    done = run(monkeypatch, rows)
    assert done.exit_code == 0
    at = "2026-11-30 14:31:19.041002  tor-1"
    assert done.stdout.splitlines() == [
        f"{at}  out  connection opened: 192.0.2.1 port 40001, 192.0.2.9 port 179",
        f"{at}  out  UPDATE         announces 10.0.0.0/24",
        f"{at}  in   NOTIFICATION   a?[2Jb",
        f"{at}  out  not a message  474554",
        "-- 3 messages were dropped",
        f"{at}  out  KEEPALIVE",
    ]
    assert done.stderr == "4 messages captured, 3 dropped (--max-messages is reached)\n"


def test_lines_for_programs_have_every_key(monkeypatch: Any) -> None:
    done = run(monkeypatch, [BEGAN, a_message()], "-o", "jsonl")
    assert done.stdout.count("\n") == 2
    refused = run(monkeypatch, [], "-o", "json")
    assert refused.exit_code == 2
    assert "-o jsonl" in refused.stderr


def test_a_file_is_a_capture_of_packets(monkeypatch: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    file.write_bytes(b"x" * 10_000)  # of before
    rows = [BEGAN, row("found"), a_message(), row("closed"), ENDED]
    done = run(monkeypatch, rows, "--write", str(file))
    assert done.exit_code == 0
    assert f"1 message captured in {file}, none dropped" in done.stderr
    octets = file.read_bytes()
    assert octets.startswith(FILE_HEADER)
    assert octets.count(KEEPALIVE) == 1
    assert len(octets) == 24 + 3 * (16 + 40) + 2 * 4 + (16 + 59) + 3 * (16 + 40)


def test_another_port_comes_with_the_option_that_tshark_needs(
    monkeypatch: Any, tmp_path: Path
) -> None:
    rows = [BEGAN, a_message(remote_port=1790)]
    done = run(monkeypatch, rows, "--write", str(tmp_path / "a.pcap"))
    assert "tshark -d tcp.port==1790,bgp" in done.stderr


def test_a_file_that_cannot_be_made_is_named(monkeypatch: Any, tmp_path: Path) -> None:
    file = tmp_path / "none" / "a.pcap"
    done = run(monkeypatch, [BEGAN], "--write", str(file))
    assert done.exit_code == 1
    assert done.stderr == f"Error: cannot write {file}: No such file or directory\n"


def test_on_a_full_disk_the_file_ends_with_a_whole_packet(
    monkeypatch: Any, tmp_path: Path
) -> None:
    file = tmp_path / "a.pcap"
    target = CaptureFile(file)
    target.add(a_message())
    whole = file.read_bytes()
    left = [30]

    def write(descriptor: int, octets: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        count = os.pwrite(descriptor, octets[: left[0]], os.fstat(descriptor).st_size)
        left[0] -= count
        return count

    monkeypatch.setattr("bgpd.cli.capture_file.os.write", write)
    with pytest.raises(OSError, match="No space left"):
        target.add(a_message())
    target.close()
    assert file.read_bytes() == whole


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_device_is_an_error_without_a_traceback(monkeypatch: Any) -> None:
    done = run(monkeypatch, [BEGAN, a_message()], "--write", "/dev/full")
    assert done.exit_code == 1
    assert "cannot write /dev/full: No space left on device" in done.stderr


def test_standard_output_can_be_the_file(monkeypatch: Any, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr("bgpd.cli.capture_file._output", lambda: writing)
    done = run(monkeypatch, [BEGAN, a_message()], "--write", "-")
    assert "in standard output" in done.stderr
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        assert stream.read().startswith(FILE_HEADER)


def test_moments_keep_their_microseconds() -> None:
    assert microseconds("1970-01-01T00:00:01.000002Z") == 1_000_002
    assert microseconds("2026-11-30T14:31:19.041002Z") == 1_796_049_079_041_002
