"""BIRD 2 on a node of a Calico cluster, configured from the cluster's objects.

Two processes as in Calico's container: one that does what confd does, and BIRD. BIRD starts
with ``-R``, so that the kernel's routes are left alone until it knows better.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NoReturn

from bgpd.lab.confd import SOCKET, TEXT
from bgpd.lab.errors import LabError
from bgpd.lab.routers.base import READY_TIME, wait_until
from bgpd.lab.routers.bird import Bird
from bgpd.lab.routers.pybgpd import python_environment
from bgpd.lab.speaker import RouteView, SessionView
from bgpd.lab.topology import FamilyName

_PEER: Final = re.compile(r"^(?:Mesh|Global|Node)_([0-9a-f_]+?)(?:_port_\d+)?$")


class CalicoBird(Bird):
    """BIRD as Calico runs it; its neighbours and prefixes are the objects'."""

    kind: ClassVar = "calico-bird"

    def write_config(self) -> None:
        """Take away a former run's file: the first text has to be today's."""
        (self.folder / TEXT).unlink(missing_ok=True)
        (self.folder / SOCKET).unlink(missing_ok=True)

    def environment(self) -> Mapping[str, str]:
        """Let Python find these very packages, installed or not."""
        return python_environment()

    def commands(self) -> Sequence[Sequence[str]]:
        """Return the command lines of confd and BIRD."""
        speaker, folder = self.speaker, str(self.folder)
        if speaker.datastore is None:
            raise LabError(f"{speaker.name}: calico-bird needs a cluster")
        place = speaker.datastore.kubeconfig or speaker.datastore.url
        confd = [sys.executable, "-m", "bgpd.lab.confd", speaker.name, place, folder]
        bird = [self._path_of("bird"), "-f", "-R", "-c", TEXT, "-s", SOCKET]
        return [confd, bird]

    def _started(self, count: int) -> None:
        if count == 1:
            wait_until((self.folder / TEXT).exists, READY_TIME, "confd writes its text")

    def sessions(self) -> dict[str, SessionView]:
        """Read ``show protocols``; of two for one address the better one is shown."""
        found: dict[str, SessionView] = {}
        for line in self.birdc("show protocols").splitlines():
            words = line.split()
            if len(words) > 4 and words[1] == "BGP":
                addr = peer_addr(words[0])
                state = " ".join(words[5:]) or words[3]
                view = SessionView(addr, state == "Established", state)
                if addr not in found or view.is_established:
                    found[addr] = view
        return found

    def routes(self, family: FamilyName = "ipv4") -> dict[str, list[RouteView]]:
        """Read ``show route all``."""
        return self.read_routes(family, peer_addr)

    def originate(self, prefix: str) -> None:
        """Refuse: a node's prefixes are its blocks, in the datastore."""
        self._refuse(prefix)

    def withdraw(self, prefix: str) -> None:
        """Refuse: a node's prefixes are its blocks, in the datastore."""
        self._refuse(prefix)

    def _refuse(self, prefix: str) -> NoReturn:
        raise LabError(f"{prefix}: the objects say what {self.speaker.name} announces")

    def protocol(self, addr: str) -> str:
        """Return the name of the protocol of a neighbour."""
        for line in self.birdc("show protocols").splitlines():
            words = line.split()
            if len(words) > 1 and words[1] == "BGP" and peer_addr(words[0]) == addr:
                return words[0]
        raise LabError(f"{self.speaker.name}: no session with {addr}")


def peer_addr(protocol: str) -> str:
    """Return the address in a protocol's name: ``Mesh_10_0_0_2`` is ``10.0.0.2``."""
    match = _PEER.match(protocol)
    text = match[1] if match else protocol
    is_v4 = text.count("_") == 3 and text.replace("_", "").isdecimal()
    return text.replace("_", "." if is_v4 else ":")
