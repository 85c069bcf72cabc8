"""A speaker with peers whose sessions stand, though no socket does."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bgpd.api.commands import COMMANDS
from bgpd.api.protocol import check
from bgpd.calico.desired import NodeDesired
from bgpd.calico.warnings import ObjectWarning
from bgpd.datastore.kubernetes import ApiStatus
from bgpd.datastore.model import Status
from bgpd.net.network import KERNEL, Network
from bgpd.node.removal_holds import RemovalHolds
from bgpd.session.events import Established
from bgpd.session.negotiation import RestartState, negotiate, offer
from bgpd.session.settings import FamilySettings, PeerSettings
from bgpd.show.commands import DaemonView, handlers
from bgpd.show.state import NoKernel
from bgpd.speaker.peer import Peer
from bgpd.speaker.selection_deferral import Report
from bgpd.speaker.speaker import Speaker
from fib.kernel_policy import KernelPolicy
from fib.next_hop_state import NextHopState
from fib.routes import Fib
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import parse_address
from tests.support.answer_forms import check_answer
from tests.support.routes import nlris, some_attributes
from tests.support.simnet import VirtualLoop

LOCAL_AS = 64512


_CONNECTED: Final = Status("etcd", "https://e:2379", True, 7, 7)


@dataclass(frozen=True)
class AProcess:
    """A daemon as it looks from outside; implements ``ProcessState``."""

    node: str = ""
    changed_at: float = 0.0
    asn: int = 0
    lines: Sequence[str] = ()
    report: Callable[[], Report | None] = lambda: None

    def own_as(self) -> int:
        return self.asn

    def warnings(self) -> Sequence[str]:
        return self.lines

    def recovery(self) -> Report | None:
        return self.report()


@dataclass(frozen=True)
class AKernel(NoKernel):
    """A kernel's table, and what is known of next hops."""

    fib: Fib | None = None
    states: Callable[[bytes], NextHopState | None] = lambda _: None
    in_force: Mapping[Family, KernelPolicy] = field(default_factory=dict)

    def policies(self) -> Mapping[Family, KernelPolicy]:
        return self.in_force

    def next_hop(self, address: bytes) -> NextHopState | None:
        return self.states(address)


@dataclass(frozen=True)
class ACluster:
    """What a datastore says of this node; implements ``ClusterState``."""

    wanted: NodeDesired | None = None
    status: Status = _CONNECTED
    holds: RemovalHolds = field(default_factory=lambda: RemovalHolds(()))
    kubernetes: ApiStatus = field(default_factory=ApiStatus)

    def desired(self) -> NodeDesired | None:
        return self.wanted

    def warnings(self) -> Sequence[ObjectWarning]:
        return () if self.wanted is None else self.wanted.warnings


class World:
    """Answers commands as the daemon does.

    Attributes:
        speaker: Its clock runs while ``loop`` does.
        view: What commands see; replace it to show more.
    """

    def __init__(
        self,
        router_id: str = "192.0.2.254",
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = loop or VirtualLoop()
        network: Network = KERNEL
        if isinstance(self.loop, VirtualLoop):
            network = self.loop.net.host("127.0.0.1")
        self.speaker = Speaker(self.loop, router_id, seed=1, network=network)
        self.speaker.neighbours.hostname = "here"
        self.view = DaemonView(self.speaker, self.loop.time() - 75)

    def close(self) -> None:
        self.loop.run_until_complete(self.speaker.close())
        self.loop.close()

    def peer(self, name: str, addr: str, asn: int = LOCAL_AS, **changes: Any) -> Peer:
        """Configure a peer whose session is not up."""
        if asn == LOCAL_AS:
            changes.setdefault("families", _families(IPV4_UNICAST, IPV6_UNICAST))
        settings = PeerSettings(name, addr, asn, LOCAL_AS, **changes)
        return self.speaker.neighbours.make(settings)

    def up(self, name: str, addr: str, asn: int = LOCAL_AS, **changes: Any) -> Peer:
        """Configure a peer whose session stands."""
        peer = self.peer(name, addr, asn, **changes)
        ours = peer.settings
        mirrored = PeerSettings(
            "us", "192.0.2.254", LOCAL_AS, asn, families=ours.families
        )
        router_id = int.from_bytes(parse_address(addr)[:4], "big")
        local = offer(ours, self.speaker.context.router_id, restart=RestartState())
        remote = offer(mirrored, router_id, restart=RestartState(), hostname=name)
        peer.established(Established(1, negotiate(ours, local, remote)))
        return peer

    def announce(self, peer: Peer, *prefixes: str, path_id: int = 0, **attributes: Any):
        rib = peer.ribs_in[IPV4_UNICAST]
        attributes.setdefault("next_hop", peer.settings.remote_addr)
        found = some_attributes(**attributes)
        outcome = rib.outcomes.decide((found.octets, path_id), found, path_id)
        self.speaker.tables[IPV4_UNICAST].changed(
            rib.announce(outcome, nlris(*prefixes), path_id)
        )

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return an answer as a client gets it: rows without breaths, through JSON."""
        declared = COMMANDS[command]
        several = {each.name for each in declared.arguments if each.type is list}
        arguments = {  # in a query one of several is a text by itself
            name: [value] if name in several and isinstance(value, str) else value
            for name, value in arguments.items()
        }
        answer: Any = handlers(self.view)[command](check(declared, arguments))
        if isinstance(answer, Coroutine):
            answer = finished(answer)
        if not isinstance(answer, dict):
            answer = [row for row in answer if row is not None]
        answer = json.loads(json.dumps(answer))
        check_answer(command, answer)
        return answer


def _families(*families: Family) -> tuple[FamilySettings, ...]:
    return tuple(map(FamilySettings, families))


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine; on a loop that runs, of one that does not wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")
