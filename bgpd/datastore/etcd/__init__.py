"""etcd v3 as a datastore: a minimal asyncio client and a watcher that loses nothing."""

from bgpd.datastore.etcd.client import EtcdSettings
from bgpd.datastore.etcd.source import EtcdDatastore
from bgpd.datastore.etcd.writer import EtcdWriter

__all__ = ["EtcdDatastore", "EtcdSettings", "EtcdWriter"]
