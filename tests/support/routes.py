"""Builders of sources, attributes and paths for tests; every argument has a default."""

from collections.abc import Iterable

from rib.attributes import (
    PathAttributes,
    decode_usual,
    make_attributes,
    parse_as_path,
)
from rib.nlri import parse_address, parse_prefix
from rib.path import NextHop, Path, Source, SourceKind
from tests.support.attributes import IBGP


def a_source(
    name: str = "peer",
    kind: SourceKind = SourceKind.IBGP,
    *,
    address: str = "",
    router_id: int = 1,
    asn: int = 64512,
    weight: int = 0,
) -> Source:
    return Source(
        name,
        kind,
        address=parse_address(address) if address else b"",
        router_id=router_id,
        asn=asn,
        weight=weight,
    )


def some_attributes(
    as_path: str = "",
    *,
    next_hop: str = "192.0.2.1",
    origin: int = 0,
    med: int | None = None,
    local_pref: int | None = None,
    communities: Iterable[int] = (),
    large_communities: Iterable[tuple[int, int, int]] = (),
    originator_id: int | None = None,
    cluster_list: Iterable[int] = (),
    aigp: int | None = None,
    ext_communities: Iterable[int] = (),
) -> PathAttributes:
    """Return attributes of the class that they have when a peer sends them."""
    made = make_attributes(
        next_hop=parse_address(next_hop),
        as_path=parse_as_path(as_path),
        origin=origin,
        med=med,
        local_pref=local_pref,
        communities=communities,
        large_communities=large_communities,
        originator_id=originator_id,
        cluster_list=cluster_list,
        aigp=aigp,
        ext_communities=ext_communities,
    )
    return decode_usual(made.octets, IBGP) or made


def slow_twin(attributes: PathAttributes) -> PathAttributes:
    """Return equal attributes that no short cut knows as plain."""
    return PathAttributes(attributes.octets, attributes.next_hop)


def a_path(
    attributes: PathAttributes | None = None,
    *,
    source: Source | None = None,
    next_hop: NextHop | None = None,
    metric: int = 0,
    is_reachable: bool = True,
    path_id: int = 0,
    weight: int | None = None,
) -> Path:
    attributes = attributes or some_attributes()
    return Path(
        source or a_source(),
        attributes,
        next_hop
        or NextHop(attributes.next_hop, metric=metric, is_reachable=is_reachable),
        path_id=path_id,
        weight=weight,
    )


def nlris(*texts: str) -> list[bytes]:
    return [parse_prefix(text)[1] for text in texts]
