"""The etcd role of the migration's page is enough to follow a cluster, and can no more."""

import asyncio
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bgpd.calico.keys import affinity_key, resource_key
from bgpd.datastore.etcd import EtcdDatastore, EtcdWriter
from bgpd.datastore.etcd.client import EtcdError
from tests.etcd.servers import IS_INSTALLED, cluster
from tests.support.daemons import ROOT
from tests.support.datastores import Follower

pytestmark = [
    pytest.mark.etcd,
    pytest.mark.slow,
    pytest.mark.asyncio,
    pytest.mark.skipif(not IS_INSTALLED, reason="etcd-server is not installed"),
    pytest.mark.skipif(shutil.which("etcdctl") is None, reason="needs etcdctl"),
]
PASSWORD = "secret-of-the-test"
PAGE = ROOT / "docs" / "migrating-from-bird.md"


def lines_of_the_page() -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    return [
        shlex.split(line.removeprefix("$ etcdctl"))
        for line in text.splitlines()
        if line.startswith("$ etcdctl ")
    ]


def etcdctl(endpoint: str, *words: str) -> None:
    subprocess.run(
        ["etcdctl", "--endpoints", endpoint, *words],
        check=True,
        capture_output=True,
        timeout=20,
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin:/usr/local/bin"},
    )


async def test_the_role_reads_what_is_needed_and_writes_nothing(tmp_path: Path) -> None:
    node = resource_key("Node", "n1")
    own = affinity_key("n1", "10.244.1.0/26")
    foreign = affinity_key("n2", "10.244.2.0/26")
    with cluster(tmp_path) as single:
        await single.start()
        endpoint = single.servers[0].endpoint
        lines = lines_of_the_page()
        assert len(lines) == 6
        for words in lines:
            if "--no-password" in words:  # here the user comes without a certificate
                words[words.index("--no-password")] = f"--new-user-password={PASSWORD}"
            await asyncio.to_thread(etcdctl, endpoint, *words)
        root = ("user", "add", "root", f"--new-user-password={PASSWORD}")
        await asyncio.to_thread(etcdctl, endpoint, *root)
        await asyncio.to_thread(etcdctl, endpoint, "user", "grant-role", "root", "root")
        await asyncio.to_thread(etcdctl, endpoint, "auth", "enable")
        writer = EtcdWriter(replace(single.settings, user="root", password=PASSWORD))
        await writer.put({node: b"{}", own: b"{}", foreign: b"{}", "/calico/x": b"{}"})
        reading = replace(single.settings, user="pybgpd", password=PASSWORD)
        async with Follower(EtcdDatastore(reading)) as follower:
            await follower.until(lambda seen: seen.datastore.status.is_connected)
            await follower.until(lambda seen: {node, own, foreign} <= seen.items.keys())
            later = affinity_key("n1", "10.244.3.0/26")
            await writer.put({later: b"{}"})
            await follower.until(lambda seen: later in seen.items)
        with pytest.raises(EtcdError, match="permission denied"):
            await EtcdWriter(reading).put({own: b"changed"})


async def test_a_user_who_may_read_nothing_is_never_connected(tmp_path: Path) -> None:
    node = resource_key("Node", "n1")
    with cluster(tmp_path) as single:
        await single.start()
        endpoint = single.servers[0].endpoint
        for words in (
            ("user", "add", "root", f"--new-user-password={PASSWORD}"),
            ("user", "grant-role", "root", "root"),
            ("user", "add", "pybgpd", f"--new-user-password={PASSWORD}"),
            ("role", "add", "node"),
            ("user", "grant-role", "pybgpd", "node"),
            ("auth", "enable"),
        ):
            await asyncio.to_thread(etcdctl, endpoint, *words)
        root = replace(single.settings, user="root", password=PASSWORD)
        await EtcdWriter(root).put({node: b"{}"})
        reading = replace(single.settings, user="pybgpd", password=PASSWORD)
        async with Follower(EtcdDatastore(reading)) as follower:
            status = follower.datastore.status
            await follower.until(
                lambda seen: "denies this user" in seen.datastore.status.last_error
            )
            assert not status.is_connected
            grant = ("role", "grant-permission", "node", "read", "/calico/", "--prefix")
            login = (f"--user=root:{PASSWORD}",)
            await asyncio.to_thread(etcdctl, endpoint, *login, *grant)
            await follower.until(lambda seen: seen.datastore.status.is_connected)
            await follower.until(lambda seen: node in seen.items)
