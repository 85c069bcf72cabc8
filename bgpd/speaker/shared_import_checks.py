"""What the import checks of all sessions share, and what follows when it changes.

A route that names a cluster id of ours is a loop on every session, whichever of them has
that id (RFC 4456 8), and the same holds for our router id, AS numbers and addresses. So when one of
these values changes, routes of *other* sessions than the changed one were refused, or let
in, by what holds no longer: all are judged again, from what was received. Nothing is asked
of the peers and no session is reset.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rib.nlri import parse_address
from rib.zones import is_link_local

if TYPE_CHECKING:
    from bgpd.speaker.speaker import Speaker

_Numbers = frozenset[int]
_Facts = tuple[tuple[int, ...], _Numbers, _Numbers, frozenset[bytes], bool]


class SharedChecks:
    """The values, and the review of all peers that a change of one brings about.

    Args:
        speaker: Whose they are.

    Attributes:
        own_addresses: Routes through them are refused; 4 or 16 octets each.
    """

    def __init__(self, speaker: "Speaker") -> None:
        self.own_addresses: frozenset[bytes] = frozenset()
        self._speaker = speaker
        self._reviewed: _Facts | None = None
        self._is_asked = False

    def set_own_addresses(self, addresses: Iterable[str]) -> None:
        """Say which addresses are ours, on whatever link: no link-local one is."""
        octets = (parse_address(address.partition("%")[0]) for address in addresses)
        self.own_addresses = frozenset(
            each for each in octets if not is_link_local(each)
        )
        self.may_have_changed()

    def is_here(self, address: str) -> bool:
        """Return whether a peer's address is one of this machine.

        The kernel knows; where it is not asked, the addresses that are known to be ours.
        A link-local one says nothing: the same may be ours on another link.
        """
        if "%" in address:
            return False
        octets = parse_address(address)
        is_local = self._speaker.next_hops.get(octets).is_local
        return is_local or octets in self.own_addresses

    def may_have_changed(self) -> None:
        """Look at all peers once what happens now is over: a plan changes many at once."""
        if not self._is_asked:
            self._is_asked = True
            self._speaker.jobs.add(self._review())

    def _review(self) -> Iterator[None]:
        """Let every peer follow what changed since the last review, a peer each step."""
        self._is_asked = False
        speaker = self._speaker
        # LOCAL_PREF of routes that have none stands in what internal peers are told.
        ids = (
            speaker.router_id,
            speaker.cluster_id,
            speaker.asn,
            speaker.decision.default_local_pref,
        )
        numbers = speaker.cluster_ids, speaker.own_asns
        reserved = speaker.destinations.allows_reserved
        facts = (ids, *numbers, self.own_addresses, reserved)
        if facts == self._reviewed:
            return
        self._reviewed = facts
        for address, peer in list(speaker.peers.items()):
            if speaker.peers.get(address) is peer:
                peer.rejoin()
                peer.import_again(is_review=True)
                yield
