"""A reflector with hundreds of clients restarts, and half of them return late."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.support.daemons import Daemon, write_yaml
from tests.support.graceful_client import GracefulClient
from tests.support.speakers import own_network, run_on, some_nlris, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(170)]
ASN, PORT = 64512, 17915
CLIENTS, ROUTES, LATE = 200, 10, 13.0
"""Late: seconds after all others are up, more than ``gr_restarting_speaker.WINDOW``."""


def a_reflector(folder: Path, network: str) -> Daemon:
    nodes = {"name": "nodes", "prefix": f"{network}.0/24", "as": ASN, "client": True}
    file = write_yaml(
        folder / "pybgpd.yaml",
        {
            "bgp": {
                "as": ASN,
                "router_id": "10.0.0.1",
                "listen": {"addresses": [f"{network}.1"], "port": PORT},
            },
            "ranges": [nodes],
            "fib": {"mode": "off"},
            "next_hops": {"resolve": "trust"},
            "control": {"path": str(folder / "control.sock")},
        },
    )
    return Daemon(folder, "run", "--config", str(file))


@pytest.mark.rfc("4724", "4.1", "MUST")
def test_no_client_drops_what_those_who_are_late_have_told(tmp_path) -> None:
    network = own_network()
    nlris = some_nlris(CLIENTS * ROUTES)
    clients = [
        GracefulClient(
            f"{network}.{number + 20}",
            f"{network}.1",
            PORT,
            ASN,
            nlris[number * ROUTES : (number + 1) * ROUTES],
        )
        for number in range(CLIENTS)
    ]
    all_others = (CLIENTS - 1) * ROUTES

    def are_whole() -> bool:
        return all(c.is_complete and len(c.held) == all_others for c in clients)

    async def scenario() -> None:
        first = a_reflector(tmp_path, network)
        with first:
            lives = [asyncio.create_task(client.live()) for client in clients]
            await until(lambda: all(len(c.held) == all_others for c in clients), 60)
            await asyncio.sleep(2)  # who is up is written down within a second
            first.signal(signal.SIGKILL)
            first.ended()
            await asyncio.gather(*lives)
        assert all(len(client.held) == all_others for client in clients)
        again = a_reflector(tmp_path, network)
        with again:
            early, late = clients[::2], clients[1::2]
            lives = [asyncio.create_task(client.live()) for client in early]
            await until(lambda: all(client.is_up for client in early), 60)
            lives += [asyncio.create_task(client.live(LATE)) for client in late]
            # The speaker checks every half second or so whom it still waits for.
            status = {"selection_deferral": {"awaited_count": 0}}
            while status["selection_deferral"]["awaited_count"] < len(late):
                assert not late[0].is_up, status["selection_deferral"]
                await asyncio.sleep(0.1)
                (status,) = await asyncio.to_thread(again.ask, "show-status")
            assert any("our restart is not complete" in w for w in status["warnings"])
            rows = await asyncio.to_thread(again.ask, "show-peers")
            assert sum(row["is_awaited"] for row in rows) >= len(late)
            await until(are_whole, 60)
            (status,) = await asyncio.to_thread(again.ask, "show-status")
            assert status["selection_deferral"] is None
            assert not status["warnings"]
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
            assert "Traceback" not in again.log()
        assert sum(len(client.lost) for client in clients) == 0

    run_on(asyncio.new_event_loop, scenario())
