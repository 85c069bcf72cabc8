"""Which range an address falls to, and what its neighbours are configured to be. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network

from bgpd.session.settings import PeerSettings, RangeSettings
from bgpd.session.zones import split_zone


def neighbour_settings(chosen: RangeSettings, address: str) -> PeerSettings:
    """Return the settings of a range's neighbour that connects by itself."""
    return replace(chosen.template, name=address, remote_addr=address, is_passive=True)


def range_of(address: str, ranges: Iterable[RangeSettings]) -> RangeSettings | None:
    """Return the range with the longest prefix that an address, or a whole prefix, is in.

    One of a link goes before one of all links, and takes nobody from another link.
    """
    plain, zone = split_zone(address)
    mine = ip_network(plain)
    fitting = []
    for number, settings in enumerate(ranges):
        text, link = split_zone(settings.prefix)
        prefix = ip_network(text)
        if (
            link in ("", zone)
            and prefix.version == mine.version
            and mine.subnet_of(prefix)  # type: ignore[arg-type]  # versions are equal
        ):
            fitting.append((prefix.prefixlen, bool(link), number, settings))
    return max(fitting)[-1] if fitting else None
