"""The prefixes that this machine's own addresses are in, as candidates for announcement.

What BIRD's "direct" protocol does: one prefix for each global address of a device that is
up, host prefixes of point-to-point and tunnel devices included.
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from fib.kernel_view import Changed, KernelView
from fib.rtnetlink import RT_TABLE_LOCAL
from rib.family import AFI_IPV4, AFI_IPV6, SAFI_UNICAST, Family
from rib.nlri import Nlri, make_nlri

Connected = dict[tuple[Family, Nlri], str]
"""Prefix -> device."""

Deliver = Callable[[Connected, Connected], None]


class ConnectedPrefixes:
    """Follows the prefixes of chosen devices on a ``KernelView``.

    Args:
        view: Started by the caller.
        deliver: Called with what was and what is, whenever they differ.
        interfaces: Patterns of devices; the first that fits decides, a leading ``-``
            leaves its devices out, and so is what fits none.
    """

    def __init__(
        self, view: KernelView, deliver: Deliver, interfaces: Iterable[str] = ("*",)
    ) -> None:
        self._view = view
        self._deliver = deliver
        self._patterns = tuple(interfaces)
        self.known: Connected = {}
        view.subscribe(self._handle_changes)

    def start(self) -> None:
        """Deliver what is there already."""
        self._compare()

    def choose(self, interfaces: Iterable[str]) -> None:
        """Take other devices than so far."""
        patterns = tuple(interfaces)
        if patterns != self._patterns:
            self._patterns = patterns
            self._compare()

    def close(self) -> None:
        """Stop following."""
        self._view.unsubscribe(self._handle_changes)

    def _handle_changes(self, changed: Changed) -> None:
        # An address comes and goes with its route in table local.
        if any(table == RT_TABLE_LOCAL for _, table, _ in changed):
            self._compare()

    def _compare(self) -> None:
        now = dict(self._prefixes())
        if now != self.known:
            before, self.known = self.known, now
            self._deliver(before, now)

    def _prefixes(self) -> Iterable[tuple[tuple[Family, Nlri], str]]:
        for address, length_bits, device in self._view.addresses():
            if not _is_special(address) and self._is_chosen(device):
                afi = AFI_IPV4 if len(address) == 4 else AFI_IPV6
                family = Family(afi, SAFI_UNICAST)
                yield (family, make_nlri(address, length_bits)), device

    def _is_chosen(self, device: str) -> bool:
        for pattern in self._patterns:
            if fnmatchcase(device, pattern.removeprefix("-")):
                return not pattern.startswith("-")
        return False


def _is_special(address: bytes) -> bool:
    """Return whether an address means nothing beyond its machine or its link."""
    if len(address) == 4:
        return address[0] == 127 or address[:2] == b"\xa9\xfe"
    is_link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
    return is_link_local or address == bytes(15) + b"\1"
