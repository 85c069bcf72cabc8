"""The prefixes that this machine's own addresses are in, as candidates for announcement.

What BIRD's "direct" protocol does: one prefix for each global address of a device that is
up. An address of full length is a prefix of its own, also on ``lo`` or a dummy device; a
point-to-point link has the prefix of its far end.
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from fib.kernel_view import Changed, KernelView
from fib.netlink.rtnetlink import RT_TABLE_LOCAL
from rib.family import AFI_IPV4, AFI_IPV6, SAFI_UNICAST, Family
from rib.nlri import Nlri, covers
from rib.zones import is_link_local

Connected = dict[tuple[Family, Nlri], str]
"""Prefix -> device."""

Deliver = Callable[[Connected, Connected], None]


class Choice(NamedTuple):
    """Which connected prefixes are followed.

    Attributes:
        interfaces: Patterns of devices; the first that fits decides, a leading ``-``
            leaves its devices out, and so is what fits none.
        families: Only these; empty for any.
        prefixes: Only what lies inside one of these; empty for any.
    """

    interfaces: tuple[str, ...] = ()
    families: tuple[Family, ...] = ()
    prefixes: tuple[tuple[Family, Nlri], ...] = ()

    def has_device(self, device: str) -> bool:
        """Say whether a device is chosen."""
        for pattern in self.interfaces:
            if fnmatchcase(device, pattern.removeprefix("-")):
                return not pattern.startswith("-")
        return False

    def has_prefix(self, family: Family, nlri: Nlri) -> bool:
        """Say whether a prefix is chosen, out of whatever device."""
        if self.families and family not in self.families:
            return False
        return not self.prefixes or any(
            family == other and covers(cover, nlri) for other, cover in self.prefixes
        )


class ConnectedPrefixes:
    """Follows the prefixes of chosen devices on a ``KernelView``.

    Args:
        view: Started by the caller.
        deliver: Called with what was and what is, whenever they differ.
        choice: Which prefixes.
    """

    def __init__(self, view: KernelView, deliver: Deliver, choice: Choice) -> None:
        self._view = view
        self._deliver = deliver
        self._choice = choice
        self.known: Connected = {}
        view.subscribe(self._handle_changes)

    def start(self) -> None:
        """Deliver what is there already."""
        self._compare()

    def choose(self, choice: Choice) -> None:
        """Change which connected prefixes to report."""
        if choice != self._choice:
            self._choice = choice
            self._compare()

    def close(self) -> None:
        """Stop following."""
        self._view.unsubscribe(self._handle_changes)

    def _handle_changes(self, changed: Changed) -> None:
        # Every change of an address also shows as its route in table local.
        if any(table == RT_TABLE_LOCAL for _, table, _ in changed):
            self._compare()

    def _compare(self) -> None:
        now = dict(self._prefixes())
        if now != self.known:
            before, self.known = self.known, now
            self._deliver(before, now)

    def _prefixes(self) -> Iterable[tuple[tuple[Family, Nlri], str]]:
        choice = self._choice
        # Of devices that share a prefix, the same one is taken each time.
        found = sorted(self._view.connected(), key=lambda each: each[2], reverse=True)
        for address, nlri, device in found:
            if not _is_special(address) and choice.has_device(device):
                afi = AFI_IPV4 if len(address) == 4 else AFI_IPV6
                family = Family(afi, SAFI_UNICAST)
                if choice.has_prefix(family, nlri):
                    yield (family, nlri), device


def _is_special(address: bytes) -> bool:
    """Return whether an address means nothing beyond its machine or its link."""
    if len(address) == 4:
        return address[0] == 127 or address[:2] == b"\xa9\xfe"
    return is_link_local(address) or address == bytes(15) + b"\1"
