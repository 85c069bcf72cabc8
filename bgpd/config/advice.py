"""What a valid configuration says and hardly anybody means. Pure."""

from collections.abc import Iterator
from typing import Final

from bgpd.config.settings import DaemonSettings
from bgpd.session.settings import PeerSettings

_SHOWN: Final = 5  # neighbours by name; there may be thousands of a kind

NO_IMPORT: Final = "no import policy: nothing is accepted (RFC 8212)"
NO_EXPORT: Final = "no export policy: nothing is advertised (RFC 8212)"
NO_POLICY: Final = "no policy: nothing is accepted, nothing is advertised (RFC 8212)"


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
    return tuple(_missing_policies(settings))


def _missing_policies(settings: DaemonSettings) -> Iterator[str]:
    lacking: dict[str, list[str]] = {}
    for peer in settings.peers:
        lacking.setdefault(missing_policy(peer), []).append(f"peer {peer.name}")
    for some in settings.ranges:
        name = f"range {some.prefix}"
        lacking.setdefault(missing_policy(some.template), []).append(name)
    for text, names in lacking.items():
        if text:
            shown = ", ".join(names[:_SHOWN])
            more = len(names) - _SHOWN
            yield f"{shown}{f' and {more} more' if more > 0 else ''}: eBGP with {text}"
