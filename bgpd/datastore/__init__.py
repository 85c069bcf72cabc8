"""Where cluster state comes from: etcd, a folder of manifests, or memory.

All speak Calico's key layout and provide one stream of events (``Datastore``); its reader
does not know which one it is. ``Writer`` is for labs, tests and tools.
"""

from bgpd.datastore.folder import FolderDatastore, FolderWriter
from bgpd.datastore.memory import MemoryDatastore
from bgpd.datastore.model import Datastore, DatastoreError, Manifest, Status, Writer

__all__ = [
    "Datastore",
    "DatastoreError",
    "FolderDatastore",
    "FolderWriter",
    "Manifest",
    "MemoryDatastore",
    "Status",
    "Writer",
]
