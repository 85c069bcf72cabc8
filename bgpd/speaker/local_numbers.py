"""This speaker's AS numbers and cluster IDs: a route through one of them is a loop."""

from collections import Counter
from collections.abc import Iterable

from bgpd.session.settings import PeerSettings
from rib.nlri import parse_address


class LocalNumbers:
    """Our numbers towards all peers, counted: thousands of peers share a few.

    Args:
        cluster_id: Towards clients that name none (RFC 4456 8).
        asn: Our AS number where no session has another; 0 for unknown.
    """

    def __init__(self, cluster_id: int, asn: int = 0) -> None:
        self.cluster_id = cluster_id
        self.asn = asn
        self._cluster_ids: Counter[int] = Counter()
        self._asns: Counter[int] = Counter()

    @property
    def cluster_ids(self) -> frozenset[int]:
        """Return each cluster id once."""
        return frozenset(self._cluster_ids)

    @property
    def asns(self) -> frozenset[int]:
        """Return each AS number once, including those of single sessions (``local_as``)."""
        return frozenset((self.asn, *self._asns)) - {0}

    def cluster_id_of(self, settings: PeerSettings) -> int:
        """Return the cluster id towards a peer."""
        text = settings.cluster_id
        return int.from_bytes(parse_address(text), "big") if text else self.cluster_id

    def note(self, old: PeerSettings | None, new: PeerSettings | None) -> None:
        """Count a peer that comes, changes or goes; only clients have cluster IDs.

        Raises:
            ValueError: The new one's cluster id is none; nothing has changed.
        """
        come = new is not None and new.is_client and self.cluster_id_of(new)
        gone = old is not None and old.is_client and self.cluster_id_of(old)
        if come is not False:
            self._cluster_ids[come] += 1
        if gone is not False:
            _take_off(self._cluster_ids, gone)
        if new is not None:
            self._asns[new.local_as] += 1
        if old is not None:
            _take_off(self._asns, old.local_as)

    def replace(self, cluster_id: int, peers: Iterable[PeerSettings]) -> None:
        """Change the default cluster ID, and count again."""
        self.cluster_id = cluster_id
        self._cluster_ids.clear()
        self._asns.clear()
        for settings in peers:
            self.note(None, settings)


def _take_off(counts: Counter[int], number: int) -> None:
    counts[number] -= 1
    if not counts[number]:
        del counts[number]
