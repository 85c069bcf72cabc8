"""Does what confd does for BIRD: watches the datastore, writes the configuration, reports it.

Run inside a namespace as ``python -m bgpd.lab.confd NODE PLACE FOLDER``, where PLACE is the URL
of an etcd-server or the path of a kubeconfig. It writes ``bird.cfg``
into the folder when the objects give another text than before, and has BIRD read it
through ``bird.ctl`` there, if BIRD runs. A text that BIRD refuses changes nothing.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

from bgpd.calico.events import DatastoreEvent, Snapshot
from bgpd.calico.keys import prefixes
from bgpd.datastore.etcd import EtcdDatastore, EtcdSettings
from bgpd.datastore.kubernetes import Access, KubernetesDatastore
from bgpd.datastore.model import Datastore
from bgpd.lab.calico_objects import Objects
from bgpd.lab.calico_text import bird_text
from bgpd.texts.state_files import write_file

BIRDC = "/usr/sbin/birdc"
TEXT = "bird.cfg"
SOCKET = "bird.ctl"


class Confd:
    """One node's; keeps what is stored and what was written last."""

    def __init__(self, node: str, folder: Path) -> None:
        self._node = node
        self._folder = folder
        self._items: dict[str, bytes] = {}
        self._text = ""

    def take(self, event: DatastoreEvent) -> bool:
        """Take what the datastore tells; return whether there is a new text."""
        if isinstance(event, Snapshot):
            self._items = dict(event.items)
        else:
            self._items.update(event.puts)
            for key in event.deletes:
                self._items.pop(key, None)
        text = bird_text(Objects(self._items, self._node))
        if text == self._text:
            return False
        self._text = text
        write_file(self._folder / TEXT, text.encode())
        return True

    def configure(self) -> str:
        """Have BIRD read the text; return what it answers."""
        argv = [BIRDC, "-s", str(self._folder / SOCKET)]
        argv += ["configure", f'"{self._folder / TEXT}"']
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip()


def datastore_at(place: str, node: str) -> Datastore:
    """Return the datastore at a URL of etcd, or by a kubeconfig."""
    if "://" in place:
        return EtcdDatastore(EtcdSettings(endpoints=(place,)), prefixes(node))
    return KubernetesDatastore(Access(place), node)


async def run(node: str, place: str, folder: Path) -> None:
    """Watch for ever."""
    confd = Confd(node, folder)
    async for event in datastore_at(place, node).events():
        if confd.take(event) and (folder / SOCKET).exists():
            answer = await asyncio.to_thread(confd.configure)
            print(f"confd: {answer}", file=sys.stderr, flush=True)  # noqa: T201 - its log


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
