"""Which range an address falls to, and the settings of its neighbours. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import NamedTuple

from bgpd.session.settings import PeerSettings, RangeSettings
from bgpd.session.zones import split_zone


def neighbour_settings(chosen: RangeSettings, address: str) -> PeerSettings:
    """Return the settings of a dynamic neighbour."""
    return replace(chosen.template, name=address, remote_addr=address, is_passive=True)


class _Place(NamedTuple):
    """A prefix on a link, or on all of them.

    Attributes:
        version: Of IP.
        length_bits: Of the prefix.
        network: Its address as a number.
        link: A device; empty for all.
    """

    version: int
    length_bits: int
    network: int
    link: str


class RangeTable(Mapping[str, RangeSettings]):
    """Ranges by name, and the one that an address falls to.

    A look-up costs a hash for each length of prefix that there is, at most 33 or 129,
    however many ranges have it; a change costs one.

    Args:
        ranges: To begin with.
    """

    def __init__(self, ranges: Iterable[RangeSettings] = ()) -> None:
        self._ranges: dict[str, RangeSettings] = {}
        # By name within a place: the last of several with one prefix has its addresses.
        self._places: dict[_Place, dict[str, RangeSettings]] = {}
        # How many places there are of each length, by version.
        self._lengths: dict[int, dict[int, int]] = {4: {}, 6: {}}
        for settings in ranges:
            self.set(settings)

    def __getitem__(self, name: str) -> RangeSettings:
        return self._ranges[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    def set(self, settings: RangeSettings) -> None:
        """Add a range, or replace the one with the same name."""
        before = self._ranges.get(settings.name)
        if before is not None and before.prefix != settings.prefix:
            self.remove(settings.name)
        self._ranges[settings.name] = settings
        place = _place_of(settings.prefix)
        members = self._places.get(place)
        if members is None:
            members = self._places[place] = {}
            lengths = self._lengths[place.version]
            lengths[place.length_bits] = lengths.get(place.length_bits, 0) + 1
        members[settings.name] = settings

    def remove(self, name: str) -> RangeSettings:
        """Remove a range and return it.

        Raises:
            KeyError: There is none.
        """
        settings = self._ranges.pop(name)
        place = _place_of(settings.prefix)
        members = self._places[place]
        del members[name]
        if not members:
            del self._places[place]
            lengths = self._lengths[place.version]
            lengths[place.length_bits] -= 1
            if not lengths[place.length_bits]:
                del lengths[place.length_bits]
        return settings

    def of(self, address: str) -> RangeSettings | None:
        """Return the range with the longest prefix that an address, or prefix, is in.

        One with a link goes before one for all links, and matches no peer on another link.
        """
        version, own_length, number, zone = _place_of(address)
        width = 32 if version == 4 else 128
        lengths = self._lengths[version]
        for length in sorted(lengths, reverse=True):
            if length > own_length:
                continue
            network = number >> width - length << width - length
            for link in (zone, "") if zone else ("",):
                members = self._places.get(_Place(version, length, network, link))
                if members:
                    return next(reversed(members.values()))
        return None


def _place_of(text: str) -> _Place:
    plain, link = split_zone(text)
    network = ip_network(plain)
    number = int(network.network_address)
    return _Place(network.version, network.prefixlen, number, link)
