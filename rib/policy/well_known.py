"""Communities that every speaker must honour, whatever its policies (RFC 1997, RFC 8326)."""

from typing import Final

from rib.attributes import PathAttributes, encode_communities
from rib.attributes.codes import COMMUNITIES, LOCAL_PREF
from rib.attributes.communities import (
    GRACEFUL_SHUTDOWN,
    LLGR_STALE,
    NO_ADVERTISE,
    NO_EXPORT,
    NO_EXPORT_SUBCONFED,
    NO_LLGR,
)

# A block without these octets carries no such community: one search instead of a decode.
_NO_EXPORT_FAMILY: Final = b"\xff\xff\xff"
_LLGR_STALE_OCTETS: Final = LLGR_STALE.to_bytes(4, "big")
_GRACEFUL_SHUTDOWN_OCTETS: Final = b"\xff\xff\x00\x00"

_BARS_EVERYBODY: Final = frozenset({NO_ADVERTISE})
# We are never in a confederation, so NO_EXPORT_SUBCONFED bars no more than NO_EXPORT.
_BARS_EBGP: Final = frozenset({NO_EXPORT, NO_ADVERTISE, NO_EXPORT_SUBCONFED})

LOWEST_LOCAL_PREF: Final = bytes(4)


def export_allowed(attributes: PathAttributes, *, is_ebgp: bool) -> bool:
    """Return whether the route's communities let it go to a peer (RFC 1997).

    Args:
        attributes: The route's.
        is_ebgp: Whether the peer is in another AS.
    """
    if _NO_EXPORT_FAMILY not in attributes.octets:
        return True
    barriers = _BARS_EBGP if is_ebgp else _BARS_EVERYBODY
    return barriers.isdisjoint(attributes.communities)


def obey_graceful_shutdown(attributes: PathAttributes) -> PathAttributes:
    """Return ``attributes``, with LOCAL_PREF 0 if GRACEFUL_SHUTDOWN is there.

    For routes from eBGP peers, after import policy (RFC 8326 4.1); the same object where
    the community is absent.
    """
    if (
        _GRACEFUL_SHUTDOWN_OCTETS in attributes.octets
        and GRACEFUL_SHUTDOWN in attributes.communities
    ):
        return least_preferred(attributes)
    return attributes


def least_preferred(attributes: PathAttributes) -> PathAttributes:
    """Return ``attributes`` with LOCAL_PREF 0; the same object where it is 0 already."""
    if attributes.local_pref == 0:
        return attributes
    return attributes.with_changes({LOCAL_PREF: LOWEST_LOCAL_PREF})


def discarding(attributes: PathAttributes) -> PathAttributes:
    """Return the attributes of a route whose packets are dropped here (RFC 7999 3.2).

    It is not for others: NO_ADVERTISE is added, unless the route has it.
    """
    communities = attributes.communities
    changes: dict[int, bytes | None] = {}
    if NO_ADVERTISE not in communities:
        changes[COMMUNITIES] = encode_communities((*communities, NO_ADVERTISE))
    return attributes.with_changes(changes, next_hop=bytes(_octets_of(attributes)))


def _octets_of(attributes: PathAttributes) -> int:
    """Return the length of an address in the family of the next hop."""
    return 4 if len(attributes.next_hop) == 4 else 16


def drained(attributes: PathAttributes, *, is_ebgp: bool) -> dict[int, bytes | None]:
    """Return the changes that make an outgoing route the last choice of a peer (RFC 8326).

    Args:
        attributes: The route's, after policy.
        is_ebgp: Whether the peer is in another AS: it gets GRACEFUL_SHUTDOWN, and one in
            ours LOCAL_PREF 0, which acts on it whatever it honours.
    """
    if not is_ebgp:
        return {LOCAL_PREF: LOWEST_LOCAL_PREF}
    communities = attributes.communities
    if GRACEFUL_SHUTDOWN in communities:
        return {}
    return {COMMUNITIES: encode_communities((*communities, GRACEFUL_SHUTDOWN))}


def is_long_lived_stale(attributes: PathAttributes) -> bool:
    """Return whether LLGR_STALE marks the route (RFC 9494 4.3)."""
    return (
        _LLGR_STALE_OCTETS in attributes.octets and LLGR_STALE in attributes.communities
    )


def long_lived(attributes: PathAttributes) -> PathAttributes | None:
    """Return a stale route's long-lived attributes; ``None`` if it must go.

    RFC 9494 4.2 and 4.3: LLGR_STALE is added, and NO_LLGR forbids it.
    """
    communities = attributes.communities
    if NO_LLGR in communities:
        return None
    if LLGR_STALE in communities:
        return attributes
    value = encode_communities((*communities, LLGR_STALE))
    return attributes.with_changes({COMMUNITIES: value})
