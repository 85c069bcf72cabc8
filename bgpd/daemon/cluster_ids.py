"""The cluster ids that are this speaker's: a route that went through one is in a loop."""

from collections import Counter
from collections.abc import Iterable

from bgpd.session.settings import PeerSettings
from rib.nlri import parse_address


class ClusterIds:
    """Cluster ids towards clients, counted (RFC 4456 8): thousands of clients share a few.

    Args:
        default: Of clients that name none.
    """

    def __init__(self, default: int) -> None:
        self.default = default
        self._counts: Counter[int] = Counter()

    @property
    def all(self) -> frozenset[int]:
        """Return each of them once."""
        return frozenset(self._counts)

    def of(self, settings: PeerSettings) -> int:
        """Return the one towards a peer."""
        text = settings.cluster_id
        return int.from_bytes(parse_address(text), "big") if text else self.default

    def note(self, old: PeerSettings | None, new: PeerSettings | None) -> None:
        """Count a client that comes, changes or goes; others do not count.

        Raises:
            ValueError: The new one's cluster id is none; nothing has changed.
        """
        come = new is not None and new.is_client and self.of(new)
        gone = old is not None and old.is_client and self.of(old)
        if come is not False:
            self._counts[come] += 1
        if gone is not False:
            self._counts[gone] -= 1
            if not self._counts[gone]:
                del self._counts[gone]

    def replace(self, default: int, clients: Iterable[PeerSettings]) -> None:
        """Take another default, and count anew."""
        self.default = default
        self._counts.clear()
        for settings in clients:
            self.note(None, settings)
