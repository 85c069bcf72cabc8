"""What a run writes down for the next one: who was up, and how long it keeps our routes.

A restarted speaker that knows who was up can wait for those alone (RFC 4724 4.1), and go to
those who would not come by themselves: of the neighbours of a range nothing else is known.

Values and their text; no input or output. The text has a line of JSON for the whole, then one for each peer. A line that makes no sense
costs that peer alone.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, NamedTuple

from bgpd.session.settings import PeerSettings
from bgpd.session.zones import split_zone
from rib.family import FAMILIES_BY_NAME, Family

MAX_MEMBERS: Final = 65536
MAX_OCTETS: Final = 16 << 20
MAX_SECONDS: Final = 4095  # of the restart time, RFC 4724 3
MARGIN: Final = 2.0
"""Seconds before a peer's patience ends at which ours does: what was held back must still
reach those who are back before theirs is over, too."""
_FORMAT: Final = 1
_MAX_PLACES: Final = 64

Place = tuple[str, int]
"""Address and port."""


class RememberedPeer(NamedTuple):
    """A peer that had a session.

    Attributes:
        address: Its address; a link-local one with its zone.
        range_name: The range it came from; empty for a configured peer.
        local_addr: Our end of the session.
        local_as: Our AS on it.
        remote_as: Its AS.
        families: Those for which it keeps our routes while we are away.
        seconds: For so long (RFC 4724 3: the restart time that we sent); 0 keeps nothing.
    """

    address: str
    range_name: str
    local_addr: str
    local_as: int
    remote_as: int
    families: frozenset[Family] = frozenset()
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class RememberedPeers:
    """What an earlier run has written down.

    Attributes:
        members: By address.
        places: Where it listened.
        age: Seconds since it was alive for certain.
    """

    members: Mapping[str, RememberedPeer] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    age: float = 0.0

    @property
    def longest(self) -> float:
        """Seconds from now for which any peer is worth waiting for; 0 if none is."""
        seconds = max((member.seconds for member in self.members.values()), default=0)
        return max(0.0, patience(seconds) - self.age)


def patience(seconds: float) -> float:
    """Return for how long a peer is worth waiting for that keeps our routes.

    Args:
        seconds: From the loss of its session, for which it keeps them.
    """
    return seconds - min(MARGIN, seconds / 2)


def encode_head(places: Iterable[Place]) -> str:
    """Return the text's first line."""
    return json.dumps({"format": _FORMAT, "listening": sorted(places)[:_MAX_PLACES]})


def encode_member(member: RememberedPeer) -> str:
    """Return a peer's line."""
    families = sorted(map(str, member.families))
    return json.dumps([*member._replace(families=families)])  # type: ignore[arg-type]


def decode(text: str, age: float) -> RememberedPeers | None:
    """Return the parsed text; ``None`` if it has another form.

    Args:
        text: The file's.
        age: Seconds since it was written or confirmed.
    """
    head, *lines = text.split("\n", MAX_MEMBERS)
    try:
        found = json.loads(head)
        if found["format"] != _FORMAT:
            return None
        places = tuple(_place(*entry) for entry in found["listening"][:_MAX_PLACES])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    members = (_member(line) for line in lines)
    return RememberedPeers(
        {member.address: member for member in members if member is not None},
        places,
        age,
    )


def _place(address: str, port: int) -> Place:
    ip_address(address)
    if type(port) is not int or not 0 < port < 1 << 16:
        raise ValueError(port)
    return address, port


def _member(line: str) -> RememberedPeer | None:
    try:
        address, range_name, local_addr, *numbers, names, seconds = json.loads(line)
        local_as, remote_as = numbers
        for text in (address, local_addr):
            ip_address(text)
        if not (
            isinstance(range_name, str)
            and all(type(n) is int and 0 < n < 1 << 32 for n in numbers)
            and type(seconds) is int
            and 0 <= seconds <= MAX_SECONDS
        ):
            return None
        families = frozenset(FAMILIES_BY_NAME[name] for name in names)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return RememberedPeer(
        address, range_name, local_addr, local_as, remote_as, families, seconds
    )


def still_matches(member: RememberedPeer, settings: PeerSettings) -> bool:
    """Whether a peer that was up is one that ``settings`` would have now.

    With another AS on either side there will be no session: it is not waited for.
    """
    here = split_zone(settings.local_addr)[0]  # its zone, if any, is the peer's
    return (
        member.local_as in (settings.local_as, settings.other_as)
        and settings.accepts_as(member.remote_as)
        and here in ("", split_zone(member.local_addr)[0])
    )
