"""Which range an address falls to, and what its neighbours are configured to be. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

from bgpd.session.settings import PeerSettings, RangeSettings


def neighbour_settings(chosen: RangeSettings, address: str) -> PeerSettings:
    """Return the settings of a range's neighbour that connects by itself."""
    return replace(chosen.template, name=address, remote_addr=address, is_passive=True)


def range_of(address: str, ranges: Iterable[RangeSettings]) -> RangeSettings | None:
    """Return the range with the longest prefix that an address, or a whole prefix, is in."""
    mine = ip_network(address.partition("%")[0])
    fitting = [
        (prefix.prefixlen, number, settings)
        for number, settings in enumerate(ranges)
        if (prefix := ip_network(settings.prefix)).version == mine.version
        and mine.subnet_of(prefix)  # type: ignore[arg-type]  # versions are equal
    ]
    return max(fitting)[2] if fitting else None
