"""An unread log holds up no session, and a flood of bad UPDATEs makes a few lines."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bgpd.wire.framing import KEEPALIVE, MessageType, encode_message
from tests.support.daemons import ROOT, Daemon
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.speakers import own_network, run_on, some_nlris

pytestmark = pytest.mark.slow
ASN, PORT, HOLD_TIME = 64512, 17914, 9
PATIENCE = 60.0  # seconds, on a machine with other work
BAD = encode_message(  # ORIGIN of three octets: RFC 7606 says withdraw
    MessageType.UPDATE,
    b"\0\0\0\x06\x40\x01\x03\0\0\0" + b"\x18\x0a\0\0",
)
FLOOD = 20_000


def arguments(network: str, *more: str) -> list[str]:
    return [
        *("reflector", "--listen", f"{network}.1", "--port", str(PORT)),
        *("--as", str(ASN), "--router-id", "10.0.0.1"),
        *("--clients", f"{network}.0/24", "--hold-time", str(HOLD_TIME), *more),
    ]


async def _flood(network: str, keepalives: int) -> None:
    """Send bad UPDATEs from one client, and see that another is spoken to.

    The loop of a daemon that waits for its log would never do that.
    """
    bad = ScriptedPeer(f"{network}.11", f"{network}.1", PORT)
    good = ScriptedPeer(f"{network}.12", f"{network}.1", PORT)
    async with bad, good:
        for number, peer in ((11, bad), (12, good)):
            await peer.establish(an_open(ASN, f"10.0.0.{number}", hold_time=HOLD_TIME))
        bad.send(BAD * FLOOD + an_update(some_nlris(1)))
        while b"\x18\x0a\0\0" not in await good.expect(MessageType.UPDATE, PATIENCE):
            pass  # End-of-RIB; the route behind the flood comes when all was taken in
        for _ in range(keepalives):
            for peer in (bad, good):
                peer.send(KEEPALIVE)
            await good.expect(MessageType.KEEPALIVE, PATIENCE)


def test_sessions_stay_up_while_the_log_is_not_read(tmp_path: Path) -> None:
    network = own_network()
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "bgpd.cli.daemon"]
    command += arguments(network, "--log-level", "debug")
    process = subprocess.Popen(command, cwd=ROOT, stdout=writer, stderr=writer)
    os.close(writer)
    try:
        seen = b""
        while b"listening on" not in seen:
            seen += os.read(reader, 1 << 16)
        os.set_blocking(reader, False)
        filled = subprocess.run(
            ["head", "-c", "65536", "/dev/zero"], capture_output=True, check=True
        ).stdout
        _fill(process.pid, filled)
        run_on(asyncio.new_event_loop, _flood(network, 2))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0  # the end waits for no reader either
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        os.close(reader)


def _fill(pid: int, octets: bytes) -> None:
    """Fill a process's standard error, a pipe without a reader."""
    pipe = os.open(f"/proc/{pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(pipe, octets)
    except BlockingIOError:
        pass
    finally:
        os.close(pipe)


def test_a_flood_of_bad_updates_makes_a_few_lines(tmp_path: Path) -> None:
    network = own_network()
    with Daemon(tmp_path, *arguments(network)) as daemon:
        daemon.until_logged("started")
        run_on(asyncio.new_event_loop, _flood(network, 0))
        daemon.signal(signal.SIGTERM)
        assert daemon.ended(30) == 0
        lines = [line for line in daemon.log().splitlines() if "malformed" in line]
    reasons = {line.split("malformed UPDATE: ")[1].split(" (")[0] for line in lines}
    assert len(reasons) == 3  # what is wrong with each of the 20,000
    assert len(lines) <= 2 * len(reasons)
    assert all("similar lines within" in line for line in lines[-3:])
