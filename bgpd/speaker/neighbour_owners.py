"""Which range owns which neighbour, and its counters and settings.

A configured peer has a TCP MD5 key, a cluster id and AS numbers of its own. The neighbours
of a range share those of its template, which count once however many neighbours there are.
"""

from collections import Counter
from collections.abc import Callable

from bgpd.session.ranges import RangeTable
from bgpd.session.settings import PeerSettings, RangeSettings
from bgpd.speaker.local_numbers import LocalNumbers
from bgpd.speaker.peer import Peer


class NeighbourOwners:
    """The ranges, and the keys and numbers of neighbours and ranges.

    Args:
        ours: The numbers that are ours by what is configured.
        set_key: Demands a TCP MD5 key of an address or prefix; an empty one demands none.

    Attributes:
        ranges: By name.
        sizes: Neighbours of each range that has any.
    """

    def __init__(self, ours: LocalNumbers, set_key: Callable[[str, str], None]) -> None:
        self.ranges = RangeTable()
        self.sizes: Counter[str] = Counter()
        self._ours = ours
        self._set_key = set_key

    def set_range(self, settings: RangeSettings) -> None:
        """Add a range, or change its settings but not its prefix."""
        before = self.ranges.get(settings.name)
        former = None if before is None else before.template
        self._ours.note(former, settings.template)
        self.ranges.set(settings)
        key = settings.template.password
        if key != ("" if former is None else former.password):
            self._set_key(settings.prefix, key)

    def remove_range(self, name: str) -> None:
        """Remove a range."""
        settings = self.ranges.remove(name)
        self._ours.note(settings.template, None)
        if settings.template.password:
            self._set_key(settings.prefix, "")

    def move(self, peer: Peer, settings: PeerSettings, range_name: str) -> None:
        """Account for a neighbour whose settings or owner change.

        Raises:
            ValueError: Of the new settings; nothing has changed.
        """
        before = peer.range_name
        was_configured, is_configured = not before, not range_name
        self._ours.note(
            peer.settings if was_configured else None,
            settings if is_configured else None,
        )
        old_key = peer.settings.password if was_configured else ""
        key = settings.password if is_configured else ""
        if key != old_key:
            self._set_key(settings.remote_addr, key)
        if range_name != before:
            self.count(before, -1)
            self.count(range_name, 1)
            peer.range_name = range_name
            peer.driver.session.is_dynamic = bool(range_name)

    def remove(self, peer: Peer, *, has_key: bool = True) -> None:
        """Account for a neighbour that goes.

        Args:
            peer: Its present owner.
            has_key: Its key was set; one whose key failed has none.
        """
        self.count(peer.range_name, -1)
        if not peer.range_name:
            self._ours.note(peer.settings, None)
            if has_key and peer.settings.password:
                self._set_key(peer.settings.remote_addr, "")

    def count(self, range_name: str, change: int) -> None:
        """Count neighbours that a range gets or loses; configured ones do not count."""
        if range_name:
            self.sizes[range_name] += change
            if not self.sizes[range_name]:
                del self.sizes[range_name]
