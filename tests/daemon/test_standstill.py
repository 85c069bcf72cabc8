"""A daemon that is stopped for longer than the hold time keeps sessions whose peers spoke."""

import asyncio
import signal
from pathlib import Path

import pytest

from bgpd.wire.framing import KEEPALIVE
from tests.daemon.test_reflector import a_reflector
from tests.support.daemons import Daemon
from tests.support.scripted_peer import ScriptedPeer, an_open, an_update
from tests.support.speakers import own_network, run_on, some_nlris

pytestmark = pytest.mark.slow
ASN, PORT = 64512, 17912
HOLD_TIME = 6
PAUSE = HOLD_TIME + 1.5


async def _speak(peer: ScriptedPeer, updates: bytes, stop: asyncio.Event) -> None:
    """Send KEEPALIVE twice a second and ignore whatever comes back."""
    while not stop.is_set():
        peer.send(KEEPALIVE + updates)
        while True:
            try:
                async with asyncio.timeout(0.5):
                    assert await peer.reader.read(1 << 16), "the session was ended"
            except TimeoutError:
                break


async def _scenario(daemon: Daemon, network: str, count: int) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as speaking:
        peers = []
        for number in range(count):
            peer = ScriptedPeer(f"{network}.{10 + number}", f"{network}.1", PORT)
            await peer.__aenter__()
            opening = an_open(ASN, f"10.0.0.{10 + number}", hold_time=HOLD_TIME)
            await peer.establish(opening)
            updates = an_update(some_nlris(500, base=(20 + number) << 24))
            speaking.create_task(_speak(peer, updates, stop))
            peers.append(peer)
        await asyncio.sleep(0.5)
        daemon.signal(signal.SIGSTOP)
        await asyncio.sleep(PAUSE)
        daemon.signal(signal.SIGCONT)
        await asyncio.sleep(2.5)  # whatever was put off only, ends by then
        stop.set()
    for peer in peers:
        await peer.__aexit__()


def test_sessions_outlive_a_pause_longer_than_the_hold_time(tmp_path: Path) -> None:
    network = own_network()
    options = ("--hold-time", str(HOLD_TIME))
    with a_reflector(tmp_path, network, *options) as daemon:
        daemon.until_logged("started")
        run_on(asyncio.new_event_loop, _scenario(daemon, network, count=20))
        assert "hold timer expired" not in daemon.log()
        assert daemon.log().count("the process stalled for") == 1
