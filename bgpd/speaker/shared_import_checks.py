"""What the import checks of all sessions share, and what follows when it changes.

A route that names one of our cluster IDs is a loop on every session, whichever of them has
that id (RFC 4456 8), and the same holds for our router id, AS numbers and addresses. So when one of
these values changes, routes of *other* sessions than the changed one were refused, or let
in, by what holds no longer: all are judged again, from what was received. Nothing is asked
of the peers and no session is reset.
"""

from collections.abc import Iterable, Iterator, Mapping

from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.peer import Peer
from rib.nlri import parse_address
from rib.zones import is_link_local

_Numbers = frozenset[int]
_Facts = tuple[tuple[int, ...], _Numbers, _Numbers, frozenset[bytes], bool]


class SharedImportChecks:
    """The values, and the review of all peers that a change of one brings about.

    Args:
        context: The values.
        peers: By address.
    """

    def __init__(self, context: SpeakerContext, peers: Mapping[str, Peer]) -> None:
        self._context = context
        self._peers = peers
        self._reviewed: _Facts | None = None
        self._is_asked = False

    def set_own_addresses(self, addresses: Iterable[str]) -> None:
        """Say which addresses are ours, on whatever link: no link-local one is."""
        self._context.own_addresses = octets_of(addresses)
        self.may_have_changed()

    def may_have_changed(self) -> None:
        """Check all peers once the present call is over: a plan changes many at once."""
        if not self._is_asked:
            self._is_asked = True
            self._context.work_queue.add(self._review())

    def _review(self) -> Iterator[None]:
        """Let every peer follow what changed since the last review, a peer each step."""
        self._is_asked = False
        context = self._context
        # LOCAL_PREF of routes that have none appears in what we send to internal peers.
        ids = (
            context.router_id,
            context.numbers.cluster_id,
            context.numbers.asn,
            context.decision.default_local_pref,
        )
        numbers = context.numbers.cluster_ids, context.numbers.asns
        facts = (ids, *numbers, context.own_addresses, context.allows_reserved)
        if facts == self._reviewed:
            return
        self._reviewed = facts
        for address, peer in list(self._peers.items()):
            if self._peers.get(address) is peer:
                peer.rejoin()
                peer.imports.reimport(is_review=True)
                yield


def octets_of(addresses: Iterable[str]) -> frozenset[bytes]:
    """Return our addresses as next hops have them, without link-local ones."""
    octets = (parse_address(address.partition("%")[0]) for address in addresses)
    return frozenset(each for each in octets if not is_link_local(each))
