"""A speaker with peers whose sessions stand, though no socket does."""

import json
from collections.abc import Coroutine
from typing import Any

from bgpd.api.protocol import Request, find_command
from bgpd.session.events import Established
from bgpd.session.negotiation import RestartState, negotiate, offer
from bgpd.session.settings import FamilySettings, PeerSettings
from bgpd.show.commands import DaemonView, commands
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import parse_address
from tests.support.routes import nlris, some_attributes
from tests.support.simnet import VirtualLoop

LOCAL_AS = 64512


class World:
    """Answers commands as the daemon does.

    Attributes:
        speaker: Its clock runs while ``loop`` does.
        view: What commands see; replace it to show more.
    """

    def __init__(self, router_id: str = "192.0.2.254") -> None:
        self.loop = VirtualLoop()
        host = self.loop.net.host("127.0.0.1")
        self.speaker = Speaker(self.loop, router_id, seed=1, network=host)
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
        outcome = rib.learn((found.octets, path_id), found, path_id)
        self.speaker.tables[IPV4_UNICAST].changed(
            rib.announce(outcome, nlris(*prefixes), path_id)
        )

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return an answer as a client gets it: rows without breaths, through JSON."""
        arguments = {name.replace("_", "-"): v for name, v in arguments.items()}
        table = commands(self.view)
        found = find_command(table, Request(1, command, arguments))
        answer: Any = found.handle(arguments)
        if isinstance(answer, Coroutine):
            answer = finished(answer)
        if not isinstance(answer, dict):
            answer = [row for row in answer if row is not None]
        return json.loads(json.dumps(answer))


def _families(*families: Family) -> tuple[FamilySettings, ...]:
    return tuple(map(FamilySettings, families))


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine that waits for nothing comes to."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")
