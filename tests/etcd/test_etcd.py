import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from bgpd.calico.blocks import parse_block
from bgpd.calico.events import Changes, Snapshot
from bgpd.calico.keys import affinity_key, assignment_key, prefixes, resource_key
from bgpd.calico.state import ClusterState
from bgpd.datastore.claimed import ClaimedBlocks
from bgpd.datastore.etcd import EtcdDatastore, EtcdSettings, EtcdWriter, client
from bgpd.datastore.etcd.client import EtcdError
from tests.etcd.servers import (
    IS_INSTALLED,
    Cluster,
    cluster,
    make_certificates,
    supported_options,
)
from tests.support.datastores import Follower
from tests.support.manifests import affinity, node

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.asyncio,
    pytest.mark.skipif(not IS_INSTALLED, reason="etcd-server is not installed"),
]

PASSWORD = "secret of the test"
CONFIRMED = b'{"state":"confirmed"}'


def block(number: int) -> str:
    return affinity_key("n1", f"10.{number >> 8}.{number & 255}.0/26")


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path) as one:
        yield one


async def test_snapshot_is_paged_at_one_revision(single: Cluster) -> None:
    await single.start()
    writer = EtcdWriter(single.settings)
    expected = {block(i): CONFIRMED for i in range(25)}
    await writer.put(expected | {"/calico/ipam/v2/handle/x": b"{}", "/other": b""})
    settings = replace(single.settings, page_keys=10)
    datastore = EtcdDatastore(settings)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        await follower.until(lambda seen: seen.datastore.status.is_connected)
        assert isinstance(follower.events[0], Snapshot)
        assert follower.items == expected
        status = datastore.status
        assert status.source == single.servers[0].endpoint
        assert status.applied_revision == follower.events[0].revision
        assert status.snapshots == 1


async def test_a_page_that_is_too_large_is_read_in_smaller_ones(
    single: Cluster, monkeypatch
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER", 4 << 20)
    await single.start()
    # More than the connection may have on its way: what is rejected must not count for ever.
    expected = {resource_key("Node", f"n{i:02}"): b"%1000000d" % i for i in range(24)}
    await EtcdWriter(single.settings).put(expected)
    async with Follower(EtcdDatastore(single.settings)) as follower:
        await follower.until(lambda seen: seen.datastore.status.is_connected)
        assert follower.items == expected
        assert follower.datastore.status.snapshots == 1


async def test_a_value_that_is_too_large_is_reported(
    single: Cluster, monkeypatch
) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER", 1000)
    await single.start()
    key = resource_key("Node", "n1")
    await EtcdWriter(single.settings).put({key: b"{}" + b" " * 1000})
    async with Follower(EtcdDatastore(single.settings)) as follower:
        await follower.until(
            lambda seen: "the limit is 1000" in seen.datastore.status.last_error
        )
        assert not follower.events


async def test_changes_follow_in_order(single: Cluster) -> None:
    await single.start()
    writer = EtcdWriter(single.settings)
    async with Follower(EtcdDatastore(single.settings)) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        await writer.apply([node("n1", "10.0.0.1/24"), affinity("n1", "10.1.0.0/26")])
        await writer.delete([affinity("n1", "10.1.0.0/26")])
        last = await writer.put({block(7): CONFIRMED})
        await follower.until(lambda seen: seen.events[-1].revision == last)
        assert follower.items.keys() == {resource_key("Node", "n1"), block(7)}
        revisions = [event.revision for event in follower.events]
        assert revisions == sorted(revisions)


async def test_only_the_nodes_own_blocks_where_asked(single: Cluster) -> None:
    await single.start()
    writer = EtcdWriter(single.settings)
    await writer.apply([affinity("n1", "10.1.0.0/26"), affinity("n2", "10.2.0.0/26")])
    datastore = EtcdDatastore(single.settings, prefixes("n1"))
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        await writer.apply(
            [affinity("n2", "10.2.0.64/26"), affinity("n1", "10.1.0.64/26")]
        )
        await follower.until(lambda seen: len(seen.items) == 2)
        assert all("/host/n1/" in key for key in follower.items)


async def test_a_long_absence_is_replayed_in_fragments(single: Cluster) -> None:
    await single.start()
    writer = EtcdWriter(single.settings)
    async with Proxy(single.servers[0].client_port) as proxy:
        settings = replace(single.settings, endpoints=(proxy.endpoint,))
        datastore = EtcdDatastore(settings)
        async with Follower(datastore) as follower:
            await follower.until(lambda seen: seen.datastore.status.is_connected)
            await proxy.cut()
            # Far over etcd's limit of one response, and over gRPC's usual 4 MiB.
            big = {block(i): b" " * 400_000 for i in range(20)}
            await writer.put(big)
            await proxy.listen()
            await follower.until(lambda seen: seen.items.keys() >= big.keys())
            assert follower.items == big
            assert datastore.status.snapshots == 1


async def test_restart_loses_and_withdraws_nothing(single: Cluster) -> None:
    await single.start()
    writer = EtcdWriter(single.settings)
    await writer.put({block(1): CONFIRMED})
    datastore = EtcdDatastore(single.settings)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: seen.datastore.status.is_connected)
        single.servers[0].stop()
        await follower.until(lambda seen: not seen.datastore.status.is_connected)
        assert follower.items == {block(1): CONFIRMED}
        assert datastore.status.last_error
        await single.start()
        await writer.put({block(2): CONFIRMED})
        await writer.remove([block(1)])
        await follower.until(lambda seen: seen.items.keys() == {block(2)})
        assert datastore.status.snapshots == 1
        assert isinstance(follower.events[1], Changes)


async def test_a_server_that_comes_late_is_waited_for(single: Cluster) -> None:
    datastore = EtcdDatastore(single.settings)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: bool(seen.datastore.status.last_error))
        assert follower.events == []
        await single.start()
        await follower.until(lambda seen: len(seen.events) == 1)


async def test_a_user_where_no_password_is_asked_is_served(single: Cluster) -> None:
    await single.start()
    settings = replace(single.settings, user="root", password=PASSWORD)
    await EtcdWriter(settings).put({block(1): CONFIRMED})
    async with Follower(EtcdDatastore(settings)) as follower:
        await follower.until(lambda seen: block(1) in seen.items)


async def test_unreadable_tls_files_are_waited_for(
    single: Cluster, tmp_path: Path
) -> None:
    endpoints = (f"https://127.0.0.1:{single.servers[0].client_port}",)
    settings = replace(
        single.settings, endpoints=endpoints, ca_file=str(tmp_path / "absent.pem")
    )
    async with Follower(EtcdDatastore(settings)) as follower:
        await follower.until(
            lambda seen: "there is no such file" in seen.datastore.status.last_error
        )


async def test_compaction_while_disconnected_gives_a_snapshot(tmp_path: Path) -> None:
    with cluster(tmp_path) as one:
        await one.start()
        writer = EtcdWriter(one.settings)
        await writer.put({block(1): CONFIRMED, block(2): CONFIRMED})
        # The datastore goes through a proxy that can be cut while the server works on.
        async with Proxy(one.servers[0].client_port) as proxy:
            settings = replace(one.settings, endpoints=(proxy.endpoint,))
            datastore = EtcdDatastore(settings)
            async with Follower(datastore) as follower:
                await follower.until(lambda seen: seen.datastore.status.is_connected)
                await proxy.cut()
                await follower.until(
                    lambda seen: not seen.datastore.status.is_connected
                )
                await writer.remove([block(1)])
                last = await writer.put({block(3): CONFIRMED})
                await writer.compact(last)
                await proxy.listen()
                await follower.until(
                    lambda seen: seen.items.keys() == {block(2), block(3)}
                )
                assert datastore.status.snapshots == 2
                last = await writer.put({block(4): CONFIRMED})
                await follower.until(lambda seen: block(4) in seen.items)
                assert isinstance(follower.events[-1], Changes)


async def test_a_restored_cluster_is_read_again(tmp_path: Path) -> None:
    with cluster(tmp_path / "a") as first, cluster(tmp_path / "b") as second:
        await first.start()
        for i in range(20):
            await EtcdWriter(first.settings).put({block(i): CONFIRMED})
        async with Proxy(first.servers[0].client_port) as proxy:
            settings = replace(first.settings, endpoints=(proxy.endpoint,))
            async with Follower(EtcdDatastore(settings)) as follower:
                await follower.until(lambda seen: len(seen.items) == 20)
                await second.start()
                await EtcdWriter(second.settings).put({block(99): CONFIRMED})
                await proxy.cut()
                proxy.target = second.servers[0].client_port
                await proxy.listen()
                await follower.until(lambda seen: seen.items.keys() == {block(99)})
                assert isinstance(follower.events[-1], Snapshot)


async def test_frozen_server_is_noticed(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as three:
        await three.start()
        settings = replace(
            three.settings, keepalive_time=1.0, keepalive_timeout=1.0, call_timeout=1.0
        )
        datastore = EtcdDatastore(settings)
        async with Follower(datastore) as follower:
            await follower.until(lambda seen: seen.datastore.status.is_connected)
            frozen = three.by_endpoint(datastore.status.source)
            frozen.signal(signal.SIGSTOP)
            await follower.until(
                lambda seen: (
                    seen.datastore.status.is_connected
                    and seen.datastore.status.source != frozen.endpoint
                )
            )
            others = tuple(e for e in settings.endpoints if e != frozen.endpoint)
            writer = EtcdWriter(replace(three.settings, endpoints=others))
            await writer.put({block(1): CONFIRMED})
            await follower.until(lambda seen: block(1) in seen.items)
            assert datastore.status.snapshots == 1


async def test_member_killed_during_writes_loses_nothing(tmp_path: Path) -> None:
    count = 400
    with cluster(tmp_path, 3) as three:
        await three.start()
        datastore = EtcdDatastore(three.settings)
        async with Follower(datastore) as follower:
            await follower.until(lambda seen: seen.datastore.status.is_connected)
            victim = three.by_endpoint(datastore.status.source)
            others = tuple(e for e in three.settings.endpoints if e != victim.endpoint)
            writer = EtcdWriter(replace(three.settings, endpoints=others))
            for i in range(count):
                await write_until_done(writer, {block(i): CONFIRMED})
                if i == count // 3:
                    victim.kill()
            await follower.until(lambda seen: len(seen.items) == count)
            assert follower.items == {block(i): CONFIRMED for i in range(count)}
            assert datastore.status.snapshots == 1
            told = [
                key
                for event in follower.events
                if isinstance(event, Changes)
                for key in event.puts
            ]
            assert len(told) >= count
            assert len(set(told)) == count


async def test_minority_member_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with cluster(tmp_path, 3) as three:
        await three.start()
        datastore = EtcdDatastore(three.settings)
        async with Follower(datastore) as follower:
            await follower.until(lambda seen: seen.datastore.status.is_connected)
            kept = three.by_endpoint(datastore.status.source)
            for server in three.servers:
                if server is not kept:
                    server.kill()
            # Alive but without a leader: it must not count as connected.
            await follower.until(lambda seen: not seen.datastore.status.is_connected)
            assert "no leader" in caplog.text
            await three.start()
            await EtcdWriter(three.settings).put({block(5): CONFIRMED})
            await follower.until(lambda seen: block(5) in seen.items)


async def test_tls_client_certificate_and_expiring_tokens(tmp_path: Path) -> None:
    ca, cert, key = make_certificates(tmp_path / "pki")
    options = supported_options(["--auth-token-ttl=2"])
    options += [f"--cert-file={cert}", f"--key-file={key}", "--client-cert-auth"]
    options += [f"--trusted-ca-file={ca}"]
    with cluster(tmp_path, 1, options=options) as secure:
        server = secure.servers[0]
        server.scheme = "https"
        tls = EtcdSettings(
            (f"https://localhost:{server.client_port}",),
            ca_file=ca,
            cert_file=cert,
            key_file=key,
            call_timeout=2.0,
        )
        secure.settings = tls
        await secure.start()
        await asyncio.to_thread(enable_auth, server.endpoint, ca, cert, key)
        settings = replace(tls, user="root", password=PASSWORD)
        secure.settings = settings
        writer = EtcdWriter(settings)
        await writer.put({block(1): CONFIRMED})
        datastore = EtcdDatastore(settings)
        async with Follower(datastore) as follower:
            await follower.until(lambda seen: seen.datastore.status.is_connected)
            await asyncio.sleep(3)  # the token expires; a running watch goes on
            await writer.put({block(2): CONFIRMED})
            await follower.until(lambda seen: block(2) in seen.items)
            server.stop()
            await follower.until(lambda seen: not seen.datastore.status.is_connected)
            await secure.start()
            await writer.put({block(3): CONFIRMED})
            await follower.until(lambda seen: block(3) in seen.items)
            assert datastore.status.snapshots == 1
        wrong = replace(settings, password=PASSWORD + "x")
        with pytest.raises(EtcdError, match="authentication failed"):
            await EtcdWriter(wrong).put({block(4): CONFIRMED})
        without = replace(settings, cert_file="", key_file="")
        with pytest.raises(EtcdError):
            await EtcdWriter(without).put({block(4): CONFIRMED})
        stranger = make_certificates(tmp_path / "stranger")[0]
        with pytest.raises(EtcdError, match="its certificate is rejected"):
            await EtcdWriter(replace(settings, ca_file=stranger)).put({"x": b""})


async def test_progress_notifications_keep_an_idle_watch_fresh(tmp_path: Path) -> None:
    options = supported_options(["--experimental-watch-progress-notify-interval=300ms"])
    if not options:
        pytest.skip("this etcd-server has a fixed progress interval of 10 minutes")
    with cluster(tmp_path, 1, options=options) as one:
        await one.start()
        writer = EtcdWriter(one.settings)
        async with Proxy(one.servers[0].client_port) as proxy:
            settings = replace(one.settings, endpoints=(proxy.endpoint,))
            datastore = EtcdDatastore(settings)
            async with Follower(datastore) as follower:
                await follower.until(lambda seen: seen.datastore.status.is_connected)
                last = await writer.put({f"/elsewhere/{i}": b"" for i in range(10)})
                await follower.until(
                    lambda seen: seen.datastore.status.server_revision >= last
                )
                await asyncio.sleep(0.7)  # each watcher has had its notification
                await proxy.cut()
                await writer.compact(last)
                await proxy.listen()
                await writer.put({block(1): CONFIRMED})
                await follower.until(lambda seen: block(1) in seen.items)
                assert datastore.status.snapshots == 1


async def write_until_done(writer: EtcdWriter, items: dict[str, bytes]) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await writer.put(items)
            except EtcdError:
                await asyncio.sleep(0.02)
            else:
                return


def enable_auth(endpoint: str, ca: str, cert: str, key: str) -> None:
    """Switch password authentication on, through the server's JSON gateway."""
    for path, body in (
        ("auth/user/add", {"name": "root", "password": PASSWORD}),
        ("auth/user/grant", {"user": "root", "role": "root"}),
        ("auth/enable", {}),
    ):
        subprocess.run(
            [
                *("curl", "-sSf", "--cacert", ca, "--cert", cert, "--key", key),
                *("-d", json.dumps(body), f"{endpoint}/v3/{path}"),
            ],
            check=True,
            capture_output=True,
            timeout=10,
        )


class Proxy:
    """A TCP relay that can be cut and opened again on the same port."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(
            self._relay, "127.0.0.1", self._port, reuse_address=True
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()
        self._server = None

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._pump(reader, far_writer), self._pump(far_reader, writer)
            )
        finally:
            self._writers -= {writer, far_writer}
            for each in (writer, far_writer):
                each.transport.abort()

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        except OSError:
            writer.transport.abort()


async def test_blocks_that_two_nodes_claim_are_read_and_others_are_not(
    single: Cluster,
) -> None:
    await single.start()
    writer = EtcdWriter(single.settings)
    cidrs = ("10.1.0.0/26", "fd00::/122")
    claims = [affinity(name, cidr) for name in ("n1", "n2") for cidr in cidrs]
    await writer.apply([*claims, affinity("n1", "10.1.0.64/26")])
    whose = {
        assignment_key(cidrs[0]): b'{"affinity":"host:n2"}',
        assignment_key(cidrs[1]): b'{"affinity":"host:n1"}',
        assignment_key("10.1.0.64/26"): b'{"affinity":"host:n1"}',
        assignment_key("10.1.0.128/26"): b'{"affinity":"host:n3"}',
    }
    await writer.put(whose)
    originated: dict[str, set[str]] = {}
    for name in ("n1", "n2"):
        datastore = EtcdDatastore(single.settings, prefixes(name))
        claimed = ClaimedBlocks(datastore, name, doubt=0.2)
        state = ClusterState()
        async with aclosing(claimed.events(datastore.events())) as events:
            state.apply(await anext(events))
            originated[name] = {str(b) for b in state.desired(name).originated}
            if name == "n2":
                # It gives this one up and gets the other: ownership is decided again.
                await writer.put({assignment_key(cidrs[1]): b'{"affinity":"host:n2"}'})
                await writer.delete([affinity("n1", cidrs[1])])
                while parse_block(cidrs[1]) not in state.originated(name):
                    state.apply(await asyncio.wait_for(anext(events), 10))
                await writer.delete([affinity(name, cidrs[0])])
                while parse_block(cidrs[0]) in state.originated(name):
                    state.apply(await asyncio.wait_for(anext(events), 10))
    assert originated == {"n1": {cidrs[1], "10.1.0.64/26"}, "n2": {cidrs[0]}}
