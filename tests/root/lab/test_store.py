"""The cluster's objects in a folder and in a real etcd-server."""

import json
import shutil
import sys

import pytest

from bgpd.datastore.manifests import parse
from bgpd.lab.demo_cluster import affinity, base
from bgpd.lab.lab import Lab
from bgpd.lab.store import EtcdStore, FolderStore
from bgpd.lab.topology import parse_topology
from tests.support.routers import needs_root

BLOCK = "/calico/ipam/v2/host/node-12/ipv4/block/10.244.45.0-26"
NODE = "/calico/resources/v3/projectcalico.org/nodes/node-12"

READ_KEYS = """
import asyncio, json, sys
from bgpd.datastore.etcd import EtcdDatastore, EtcdSettings

async def main():
    async for event in EtcdDatastore(EtcdSettings(endpoints=(sys.argv[1],))).events():
        print(json.dumps(sorted(event.items)))
        return

asyncio.run(main())
"""


def test_a_folder_holds_what_was_applied_and_not_deleted(tmp_path):
    store = FolderStore(tmp_path / "manifests")
    store.apply(base())
    store.delete([affinity("10.244.45.0/26", "node-12")])
    keys = set()
    for path in (tmp_path / "manifests").glob("*.yaml"):
        keys |= {entry.key for entry in parse(path.read_text()).entries}
    assert NODE in keys
    assert BLOCK not in keys
    assert BLOCK.replace("45.0", "44.192") in keys


@pytest.mark.root
@pytest.mark.etcd
@pytest.mark.slow
@needs_root
@pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")
def test_etcd_in_a_namespace_holds_what_was_applied_and_not_deleted():
    with Lab(parse_topology("nodes: {store: {addresses: [10.0.0.1/24]}}")) as lab:
        namespace = lab.namespace("store")
        store = EtcdStore(namespace, "10.0.0.1", lab.folder / "store")
        try:
            store.apply(base())
            store.delete([affinity("10.244.45.0/26", "node-12")])
            argv = [sys.executable, "-c", READ_KEYS, "http://10.0.0.1:2379"]
            keys = json.loads(namespace.run(argv))
        finally:
            store.close()
    assert NODE in keys
    assert BLOCK not in keys
    assert BLOCK.replace("45.0", "44.192") in keys
