"""A whole daemon, seen through its HTTP server by a real client."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bgpd.api.documents import health_documents
from bgpd.api.figures import PeerFigures
from bgpd.config.reflector_preset import reflector_settings
from bgpd.config.settings import (
    DaemonSettings,
    DatastoreKind,
    DatastoreSettings,
    MetricsSettings,
)
from bgpd.daemon.daemon import Daemon
from bgpd.runtime.log_fields import fields_of
from bgpd.runtime.loop_lag import LagMeter
from bgpd.show import health
from bgpd.show.health import LAG_LIMIT, DaemonHealth
from bgpd.show.peer_figures import peer_figures
from bgpd.speaker.peer import Peer
from bgpd.speaker.remembered_peers import RememberedPeer, encode_head, encode_member
from bgpd.speaker.speaker import Speaker
from rib.family import IPV4_UNICAST
from tests.support.api_places import ApiPlace
from tests.support.speakers import ASN, PORT, Rack, on_both_loops, until

DAEMON = 9  # the last octet of its address


def settings(network: str) -> DaemonSettings:
    address = f"{network}.{DAEMON}"
    return replace(
        reflector_settings(
            listen=[address],
            port=PORT,
            asn=ASN,
            router_id="10.0.0.9",
            cluster_id="",
            clients=[f"{network}.0/24"],
            has_fib=False,
            control_path="",
            hold_time=90,
            log_level="info",
            max_clients=10,
        ),
        metrics=MetricsSettings(address, _free_port(address)),
    )


def _free_port(address: str) -> int:
    with socket.socket() as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


@asynccontextmanager
async def running(wanted: DaemonSettings) -> AsyncIterator[Daemon]:
    daemon = Daemon(wanted)
    work = asyncio.create_task(daemon.run())
    try:
        yield daemon
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def ask(wanted: DaemonSettings, path: str) -> tuple[int, str]:
    where = wanted.metrics
    url = f"http://{where.address}:{where.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def metrics(wanted: DaemonSettings) -> dict[tuple[str, ...], float]:
    status, text = await ask(wanted, "/metrics")
    assert status == 200
    return {
        (
            sample.name,
            *(text for _, text in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@on_both_loops
async def test_metrics_tell_of_sessions_routes_and_groups() -> None:
    async with Rack() as rack:
        wanted = settings(rack.network)
        client = await rack.node(1, listens=False)
        client.announce("10.1.0.0/26", "10.1.0.64/26", "2001:db8::/64")
        async with running(wanted) as daemon:
            await until(lambda: daemon.is_started)
            address = wanted.metrics.address
            client.peers_with(address)
            tables = daemon.speaker.tables if daemon.speaker else {}
            await until(lambda: [len(t.loc_rib) for t in tables.values()] == [2, 1])
            found = await metrics(wanted)
            assert found["pybgpd_sessions", "established"] == 1
            assert found["pybgpd_sessions", "idle"] == 0
            assert found["pybgpd_peer_up", client.addr, client.addr] == 1
            of_peer = (client.addr, "ipv4-unicast", client.addr)
            assert found["pybgpd_peer_prefixes_accepted", *of_peer] == 2
            assert found["pybgpd_rib_prefixes", "ipv6-unicast"] == 1
            who = (client.addr, client.addr)
            assert found["pybgpd_peer_enabled", *who] == 1
            assert found["pybgpd_peer_routes_advertised", *of_peer] == 0  # its own
            began = found["pybgpd_peer_established_timestamp_seconds", *who]
            assert abs(time.time() - began) < 60
            assert found["pybgpd_peer_updates_received_total", *who] >= 2
            ranges = {
                key: n for key, n in found.items() if key[0] == "pybgpd_range_peers"
            }
            assert [*ranges.values()] == [1]
            ((_, prefix, name),) = ranges
            assert prefix == f"{rack.network}.0/24"
            assert found["pybgpd_range_max_peers", prefix, name] == 10
            (info,) = [key for key in found if key[0] == "pybgpd_peer_info"]
            assert set(info) >= {client.addr, "client", str(ASN)}
            assert found["process_resident_memory_bytes",] > 1e6
            assert found["pybgpd_rib_paths", "ipv4-unicast"] == 2
            assert found["pybgpd_update_group_members", "ipv4-unicast"] == 1
            assert found["pybgpd_warnings",] == 0
            assert 0 < found["pybgpd_uptime_seconds",] < 60
            assert not any(name.startswith("pybgpd_fib") for name, *_ in found)


@on_both_loops
async def test_a_started_daemon_is_live_and_ready() -> None:
    async with Rack() as rack:
        wanted = settings(rack.network)
        async with running(wanted) as daemon:
            await until(lambda: daemon.is_started)
            assert (await ask(wanted, "/healthz"))[0] == 200
            assert await ask(wanted, "/readyz") == (
                200,
                "ok: start: done\nok: listener: listening\n",
            )


@on_both_loops
async def test_a_taken_bgp_port_is_not_ready_and_a_warning() -> None:
    async with Rack() as rack:
        wanted = settings(rack.network)
        await rack.node(DAEMON)
        async with running(wanted) as daemon:
            await until(lambda: daemon.is_started)
            status, text = await ask(wanted, "/readyz")
            assert status == 503
            assert "not ok: listener: " in text
            assert (await metrics(wanted))["pybgpd_warnings",] == 1
            assert (await ask(wanted, "/healthz"))[0] == 200


@on_both_loops
async def test_a_taken_metrics_port_does_not_keep_bgp_from_starting() -> None:
    async with Rack() as rack:
        wanted = settings(rack.network)
        where = wanted.metrics
        with socket.create_server((where.address, where.port)):
            async with running(wanted) as daemon:
                await until(lambda: daemon.is_started)
                assert daemon.speaker is not None
                assert daemon.speaker.listener.addresses


def test_a_daemon_that_waits_for_its_datastore_is_live_but_not_ready(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()

    async def main() -> None:
        async with Rack() as rack:
            wanted = replace(
                settings(rack.network),
                datastore=DatastoreSettings(DatastoreKind.FOLDER, path=str(folder)),
                node_name="n1",
            )
            async with running(wanted) as daemon:
                await until(lambda: _has_snapshot(daemon))
                assert (await ask(wanted, "/healthz"))[0] == 200
                status, text = await ask(wanted, "/readyz")
                assert status == 503
                assert "not ok: start: not done\n" in text
                assert "not ok: listener: not yet\n" in text
                assert "ok: datastore: 1 snapshots\n" in text
                found = await metrics(wanted)
                assert found["pybgpd_datastore_connected",] == 1
                assert found["pybgpd_sessions", "idle"] == 0

    asyncio.run(main())


def _has_snapshot(daemon: Daemon) -> bool:
    cluster = daemon.cluster
    return cluster is not None and cluster.status.snapshots > 0


class _Late(LagMeter):
    def worst_by_work(self, window: float) -> float:  # noqa: ARG002 - as its parent
        return LAG_LIMIT + 1


@on_both_loops
async def test_a_loop_that_was_held_up_is_not_live() -> None:
    lag = _Late(asyncio.get_running_loop())
    daemon = Daemon(settings("127.0.0"))
    (check,) = DaemonHealth(daemon, lag, list, 5000).liveness()
    lag.close()
    assert not check.is_met


@on_both_loops
async def test_a_peer_whose_figures_are_at_fault_costs_its_own(
    caplog, monkeypatch
) -> None:
    async with Rack() as rack:
        wanted = settings(rack.network)
        async with running(wanted) as daemon:
            await until(lambda: daemon.is_started)
            speaker = daemon.speaker
            assert speaker is not None
            for number in (1, 2):
                client = await rack.node(number, listens=False)
                client.announce(f"10.{number}.0.0/16")
                client.peers_with(wanted.metrics.address)
            tables = speaker.tables[IPV4_UNICAST]
            await until(lambda: len(tables.loc_rib) == 2)
            first, second = speaker.peers
            sound = peer_figures(speaker, {})

            def some(peer: Peer) -> PeerFigures:
                if peer is speaker.peers[first]:
                    raise ValueError("injected")
                return sound(peer)

            caplog.clear()
            with monkeypatch.context() as broken:
                broken.setattr(health, "peer_figures", lambda *_: some)
                for _ in range(3):
                    found = await metrics(wanted)
                    assert found["pybgpd_peer_up", second, second] == 1
                    assert found["pybgpd_rib_prefixes", "ipv4-unicast"] == 2
                    assert found["pybgpd_sessions", "established"] == 2
                    assert ("pybgpd_peer_up", first, first) not in found
            lines = [record.getMessage() for record in caplog.records]
            assert lines == [f"peer {first}: its metrics are missing: injected"]
            assert fields_of(caplog.records[0])["address"] == first
            found = await metrics(wanted)
            assert found["pybgpd_peer_up", first, first] == 1
            # Each is a client, and gets the other's route.
            for peer in (first, second):
                of_peer = (peer, "ipv4-unicast", peer)
                assert found["pybgpd_peer_routes_advertised", *of_peer] == 1


class _WithSpeaker(Daemon):
    """A daemon that was given its speaker before anything else of it runs."""

    def __init__(self, wanted: DaemonSettings, speaker: Speaker) -> None:
        super().__init__(wanted)
        self._given = speaker

    @property
    def speaker(self) -> Speaker | None:
        return self._given


@pytest.mark.slow
@on_both_loops
async def test_a_thousand_peers_do_not_hold_up_the_loop() -> None:
    async with Rack() as rack:
        node = await rack.node(1, listens=False)
        daemon = _WithSpeaker(settings(rack.network), node.speaker)
        for number in range(1000):
            node.peers_with(f"127.1.{number >> 8}.{number & 255}", is_passive=True)
        loop = asyncio.get_running_loop()
        lag = LagMeter(loop)
        source = DaemonHealth(daemon, lag, list, 5000)

        async def told() -> DaemonHealth:
            return source

        server = ApiPlace("127.0.0.1", {}, (), documents=health_documents(told))
        await server.start()
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(turn)

        turn()
        url = f"{server.url}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert (await answer.text()).count("\npybgpd_peer_up{") == 1000
        lag.close()
        await server.close()
    assert turns > 20


@on_both_loops
async def test_a_restart_that_is_not_over_is_not_ready(tmp_path) -> None:
    async with Rack() as rack:
        address = f"{rack.network}.{DAEMON}"
        wanted = replace(
            settings(rack.network), control_path=str(tmp_path / "pybgpd.sock")
        )
        client = f"{rack.network}.2"
        member = RememberedPeer(
            client, "", address, ASN, ASN, frozenset({IPV4_UNICAST}), 120
        )
        (tmp_path / "pybgpd.ran").write_text("here")
        (tmp_path / "pybgpd.peers").write_text(
            "\n".join((encode_head([]), encode_member(member)))
        )
        peer = replace(wanted.ranges[0].template, name="c", remote_addr=client)
        wanted = replace(wanted, peers=(replace(peer, port=PORT),))
        async with running(wanted) as daemon:
            await until(lambda: daemon.is_started)
            await until(lambda: (r := daemon.recovery()) and client in r.awaited)
            status, text = await ask(wanted, "/readyz")
            assert status == 503
            assert "not ok: restart: waiting for 1 peers, " in text
            found = await metrics(wanted)
            assert found["pybgpd_selection_deferral_active",] == 1
            assert found["pybgpd_selection_deferral_awaited_peers",] == 1
            assert found["pybgpd_warnings",] == 1
            node = await rack.node(2)
            node.peers_with(address)
            await until(lambda: daemon.recovery() is None)
            assert (await ask(wanted, "/readyz"))[0] == 200
            found = await metrics(wanted)
            assert found["pybgpd_selection_deferral_active",] == 0
            assert found["pybgpd_selection_deferral_awaited_peers",] == 0
