"""What a valid configuration says and hardly anybody means. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from bgpd.config.settings import DaemonSettings
from bgpd.session.settings import NextHopMode, PeerSettings

_SHOWN: Final = 5  # neighbours by name; there may be thousands of a kind

NO_IMPORT: Final = "no import policy: nothing is accepted (RFC 8212)"
NO_EXPORT: Final = "no export policy: nothing is advertised (RFC 8212)"
NO_POLICY: Final = "no policy: nothing is accepted, nothing is advertised (RFC 8212)"
NO_ROUTES: Final = "next_hop `{}` brings packets here, and with fib.mode off no route"

_OURSELVES: Final = (
    NextHopMode.SELF,
    NextHopMode.SELF_ALL,
    NextHopMode.SELF_INTERNAL,
)


def missing_policy(settings: PeerSettings) -> str:
    """Return what an eBGP neighbour lacks; empty where nothing is missing.

    A neighbour whose AS is open (a range that takes any) is given the benefit of the
    doubt, and so is one whose own AS comes from the datastore.
    """
    asns = settings.remote_as, settings.local_as
    if 0 in asns or asns[0] == asns[1]:
        return ""
    if not settings.import_policy:
        return NO_IMPORT if settings.export_policy else NO_POLICY
    return "" if settings.export_policy else NO_EXPORT


def advice(settings: DaemonSettings) -> tuple[str, ...]:
    """Return a line for each thing that an operator should look at again."""
    return (*_missing_policies(settings), *_dead_ends(settings))


def _dead_ends(settings: DaemonSettings) -> Iterator[str]:
    """Yield who is told to send packets here although there are no routes here."""
    if settings.fib.is_enabled:
        return
    named = [(f"peer {peer.name}", peer) for peer in settings.peers]
    named += [(f"range {some.prefix}", some.template) for some in settings.ranges]
    for mode in _OURSELVES:
        names = [
            name
            for name, peer in named
            if peer.next_hop is mode and peer.remote_as == peer.local_as
        ]
        if names:
            yield f"{_some(names)}: {NO_ROUTES.format(mode.value)}"


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
