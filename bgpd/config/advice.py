"""Warnings about valid configurations that are probably unintended. Pure."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from bgpd.config.settings import ApiSettings, DaemonSettings
from bgpd.session.settings import NextHopMode, PeerSettings
from bgpd.session.zones import split_zone
from rib.destinations import NotUnicast, why_not_unicast
from rib.nlri import format_prefix

_SHOWN: Final = 5  # neighbours by name; there may be thousands of a kind

NO_IMPORT: Final = "no import policy: nothing is accepted (RFC 8212)"
NO_EXPORT: Final = "no export policy: nothing is advertised (RFC 8212)"
NO_POLICY: Final = "no policy: nothing is accepted, nothing is advertised (RFC 8212)"
NO_DISCARD: Final = (
    "no blackhole: packets to unreachable addresses inside the "
    "aggregate follow a less specific route (RFC 4632 5.1)"
)
NO_KEY: Final = (
    "no password, but range {} around it has one: the kernel drops "
    "packets that are not signed with it"
)
NO_ROUTES: Final = (
    "next_hop `{}` attracts packets to this node, which has no routes "
    "because fib.mode is off"
)

_OURSELVES: Final = (
    NextHopMode.SELF,
    NextHopMode.SELF_ALL,
    NextHopMode.SELF_INTERNAL,
)


def missing_policy(settings: PeerSettings) -> str:
    """Return the missing policies of an eBGP neighbour; empty if none.

    A neighbour whose AS is open (a range that takes any) is given the benefit of the
    doubt, and so is one whose own AS comes from the datastore.
    """
    if not settings.local_as or settings.is_internal is not False:
        return ""
    if not settings.import_policy:
        return NO_IMPORT if settings.export_policy else NO_POLICY
    return "" if settings.export_policy else NO_EXPORT


def advice(settings: DaemonSettings) -> tuple[str, ...]:
    """Return a warning for each thing that an operator should check."""
    return (
        *_missing_policies(settings),
        *_dead_ends(settings),
        *_missing_keys(settings),
        *_open_aggregates(settings),
        *_idle_patterns(settings),
        *_not_unicast(settings),
        *_unused_api(settings),
    )


def _open_aggregates(settings: DaemonSettings) -> Iterator[str]:
    """Yield aggregates whose packets may loop (RFC 4632 5.1)."""
    if not settings.fib.is_enabled:
        return
    names = [
        format_prefix(route.nlri, route.family.afi)
        for route in settings.routes.originated
        if route.is_aggregate and not route.is_blackhole
    ]
    if names:
        yield f"aggregate {_some(names)}: {NO_DISCARD}"


def _missing_keys(settings: DaemonSettings) -> Iterator[str]:
    """Yield neighbours without an MD5 key inside a range with one, which the kernel enforces."""
    keyed = {
        _place(some.prefix): some.prefix
        for some in settings.ranges
        if some.template.password
    }
    lengths = {(net.version, net.prefixlen) for net, _ in keyed}
    lacking = [
        (f"range {some.prefix}", *_place(some.prefix))
        for some in settings.ranges
        if not some.template.password
    ]
    lacking += [
        (f"peer {peer.name}", *_place(peer.remote_addr))
        for peer in settings.peers
        if not peer.password
    ]
    found: dict[str, list[str]] = {}
    for name, net, zone in lacking:
        around = [
            keyed[wider, where]
            for version, length in sorted(lengths)
            if version == net.version and length <= net.prefixlen
            for wider in (net.supernet(new_prefix=length),)
            for where in dict.fromkeys(("", zone))  # a key of a link is for it alone
            if (wider, where) in keyed
        ]
        if around:
            found.setdefault(around[-1], []).append(name)
    for prefix, names in found.items():
        yield f"{_some(names)}: {NO_KEY.format(prefix)}"


def _place(text: str) -> tuple[IPv4Network | IPv6Network, str]:
    """Return an address or prefix as a prefix, and its zone."""
    plain, zone = split_zone(text)
    return ip_network(plain), zone


def _dead_ends(settings: DaemonSettings) -> Iterator[str]:
    """Yield peers that get our address as next hop although this node has no routes."""
    if settings.fib.is_enabled:
        return
    named = [(f"peer {peer.name}", peer) for peer in settings.peers]
    named += [(f"range {some.prefix}", some.template) for some in settings.ranges]
    for mode in _OURSELVES:
        names = [
            name for name, peer in named if peer.next_hop is mode and peer.is_internal
        ]
        if names:
            yield f"{_some(names)}: {NO_ROUTES.format(mode.value)}"


def _idle_patterns(settings: DaemonSettings) -> Iterator[str]:
    patterns = settings.routes.direct.interfaces
    if patterns and all(pattern.startswith("-") for pattern in patterns):
        yield (
            'routes.direct.interfaces only excludes interfaces: end it with "*" to '
            "advertise the prefixes of the others"
        )


def _not_unicast(settings: DaemonSettings) -> Iterator[str]:
    for route in settings.routes.originated:
        why = why_not_unicast(
            route.nlri,
            route.family.afi,
            allows_reserved=settings.speaker.allows_reserved,
        )
        if why is not None:
            prefix = format_prefix(route.nlri, route.family.afi)
            hint = ""
            if why is NotUnicast.RESERVED:
                hint = "; bgp.allow_reserved_ranges allows it"
            key = "aggregate" if route.is_aggregate else "originate"
            yield (
                f"routes.{key}: {prefix} is not advertised: it is not a unicast"
                f" destination: {why.value}{hint}"
            )


def _missing_policies(settings: DaemonSettings) -> Iterator[str]:
    lacking: dict[str, list[str]] = {}
    for peer in settings.peers:
        lacking.setdefault(missing_policy(peer), []).append(f"peer {peer.name}")
    for some in settings.ranges:
        name = f"range {some.prefix}"
        lacking.setdefault(missing_policy(some.template), []).append(name)
    for text, names in lacking.items():
        if text:
            yield f"{_some(names)}: eBGP with {text}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return f"{', '.join(names[:_SHOWN])}{f' and {more} more' if more > 0 else ''}"


def _unused_api(settings: DaemonSettings) -> Iterator[str]:
    """Yield a warning about keys of an API that listens on no address."""
    if not settings.api.address and settings.api != ApiSettings():
        yield "api: these keys have no effect without api.listen"
