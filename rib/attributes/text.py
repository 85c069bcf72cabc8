"""Attributes as data for people and programs: what ``show`` prints, JSON-able."""

from typing import Any, Final

from rib.attributes.codes import FLAGS
from rib.attributes.communities import (
    format_community,
    format_ext_community,
    format_large_community,
)
from rib.attributes.path_attributes import PathAttributes, iterate
from rib.nlri import format_address
from rib.zones import is_link_local

ORIGIN_NAMES: Final = ("IGP", "EGP", "INCOMPLETE")  # RFC 4271 4.3 a


def describe(attributes: PathAttributes) -> dict[str, Any]:
    """Return the attributes by the RFCs' field names; absent ones are left out.

    Values are what ``json.dumps`` takes. Attributes carried without being understood stand
    in ``unknown``, each with its type code, flags and value in hexadecimal.
    """
    aggregator = attributes.aggregator
    originator_id = attributes.originator_id
    known: dict[str, Any] = {
        "origin": ORIGIN_NAMES[attributes.origin],
        "as_path": str(attributes.as_path),
        "next_hop": format_next_hop(attributes.next_hop) or None,
        "med": attributes.med,
        "local_pref": attributes.local_pref,
        "atomic_aggregate": attributes.atomic_aggregate or None,
        "aggregator": (
            None
            if aggregator is None
            else f"{aggregator[0]} {format_address(aggregator[1])}"
        ),
        "communities": [format_community(c) for c in attributes.communities],
        "originator_id": None if originator_id is None else _dotted(originator_id),
        "cluster_list": [_dotted(number) for number in attributes.cluster_list],
        "ext_communities": [
            format_ext_community(c) for c in attributes.ext_communities
        ],
        "ipv6_ext_communities": [c.hex() for c in attributes.ipv6_ext_communities],
        "aigp": attributes.aigp,
        "large_communities": [
            format_large_community(c) for c in attributes.large_communities
        ],
        "otc": attributes.otc,
        "unknown": [
            {"type": code, "flags": f"{flags:#04x}", "value": value.hex()}
            for flags, code, value in iterate(attributes.octets)
            if code not in FLAGS
        ],
    }
    return {
        name: value
        for name, value in known.items()
        if value is not None and value != []
    }


def format_next_hop(next_hop: bytes, zone: str = "") -> str:
    """Return the address, or ``global (link-local)`` for 32 octets (RFC 2545 3).

    Args:
        next_hop: 0, 4, 16 or 32 octets.
        zone: The device of a link-local address, where it is known (RFC 4007 11).
    """
    percent = f"%{zone}" if zone else ""
    if len(next_hop) == 32:
        link_local = f"{format_address(next_hop[16:])}{percent}"
        return f"{format_address(next_hop[:16])} ({link_local})"
    if is_link_local(next_hop):
        return f"{format_address(next_hop)}{percent}"
    return format_address(next_hop) if next_hop else ""


def _dotted(number: int) -> str:
    return format_address(number.to_bytes(4, "big"))
