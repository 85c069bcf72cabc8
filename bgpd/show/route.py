"""``show route PREFIX``: the best path for a prefix and why it was chosen.

Everything that was decided about one prefix: each path and what made it win or lose, what
was filtered and by which rule, which peers receive the route and in which form, what the kernel
has.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_interface
from typing import Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.show.adj_rib_out import AdjRibOut, NotAdvertised
from bgpd.show.ages import Ages
from bgpd.show.fib import route_row
from bgpd.show.routes import filter_reason_text, filtered_row, path_row
from bgpd.show.state import (
    DaemonView,
    Describer,
    describe_next_hop,
    find_prefix,
)
from bgpd.speaker.peer import Peer
from reflector.group import UpdateGroup
from rib.family import ADDRESS_OCTETS, AFI_IPV4, AFI_IPV6, Family
from rib.import_checks import FilteredRoute
from rib.nlri import Nlri, format_prefix, make_nlri, network_octets
from rib.path_set import best_of, multipath_of, paths_of, reasons_of
from rib.prefix_lookup import PrefixLengths, longest_match

# Looking for every length costs 130 look-ups at most; counting the lengths that a table
# has costs a pass over it.
_EVERY_LENGTH: Final[Mapping[int, PrefixLengths]] = {
    afi: PrefixLengths(bytes((n,)) for n in range(ADDRESS_OCTETS[afi] * 8 + 1))
    for afi in (AFI_IPV4, AFI_IPV6)
}
_YIELD_AFTER: Final = 1024  # refused routes looked at between yield points


def route(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return one row that explains a prefix.

    With argument ``lpm``, or for a plain address that is not a prefix of the table, it is
    the most specific prefix that contains it.

    Raises:
        ControlError: ``bad-argument``; ``no-such-route`` with the routes that cover it.
    """
    asked = arguments["prefix"]
    family, nlri = find_prefix(asked)
    table = view.speaker.tables[family].loc_rib.table
    is_address = "/" not in asked
    shown = nlri
    if arguments.get("lpm") or (is_address and nlri not in table):
        octets = network_octets(nlri, family.afi)
        found = longest_match(table, octets, _EVERY_LENGTH[family.afi])
        if found is not None:
            shown = found[0]
    return _explain(view, asked, family, nlri, shown)


def _explain(
    view: DaemonView, asked: str, family: Family, wanted: Nlri, nlri: Nlri
) -> Iterator[Row | None]:
    """Explain ``nlri``, the table's match for ``wanted``.

    Raises:
        ControlError: ``no-such-route``; no peer advertised it.
    """
    tables = view.speaker.tables[family]
    describe = Describer()
    entry = tables.loc_rib.table.get(nlri)
    around: dict[Nlri, list[tuple[Peer, int, FilteredRoute]]] = {}
    for peer in list(view.speaker.peers.values()):
        for found in _filtered_around(peer, family, wanted):
            if found is None:
                yield None
            else:
                around.setdefault(found[0], []).append((peer, *found[1:]))
    if entry is None and around and nlri not in around and "/" not in asked:
        nlri = max(around)  # the longest: what would carry the address, were it usable
    if entry is None and nlri not in around:
        raise _no_such_route(tables, asked, nlri, around)
    best, multipath = best_of(entry), multipath_of(entry)
    advertised: list[Row] = []
    not_advertised: list[Row] = []
    for group in list(tables.groups.values()):
        for answer, is_told in _advertisements(group, tables, nlri, describe):
            (advertised if is_told else not_advertised).append(answer)
        yield None
    yield {
        "prefix": format_prefix(nlri, family.afi),
        "requested": asked,
        "family": str(family),
        "paths": _paths(view, tables, nlri, describe),
        "filtered": [filtered_row(*each, describe) for each in around.get(nlri, ())],
        "more_specific_filtered": _more_specific(around, family, nlri),
        "best": None if best is None else best.source.name,
        "multipath": [path.source.name for path in multipath],
        "advertised": advertised,
        "not_advertised": not_advertised,
        "uses_kernel": view.kernel.fib is not None,
        "fib": route_row(view.kernel.fib, family, nlri),
    }


def _more_specific(
    around: Mapping[Nlri, list[tuple[Peer, int, FilteredRoute]]],
    family: Family,
    nlri: Nlri,
) -> list[Row]:
    """Return more specific prefixes than ``nlri`` that were filtered."""
    return [
        {
            "prefix": format_prefix(longer, family.afi),
            "peer": peer.settings.name,
            "reason": filter_reason_text(why),
        }
        for longer in sorted(around, reverse=True)
        if longer[0] > nlri[0]
        for peer, _, why in around[longer]
    ]


def _paths(
    view: DaemonView, tables: FamilyTables, nlri: Nlri, describe: Describer
) -> list[Row]:
    entry = tables.loc_rib.table.get(nlri)
    if entry is None:
        return []
    best, multipath = best_of(entry), multipath_of(entry)
    ages = Ages(view, tables.family)
    ages.look_up(nlri)
    way_of = view.kernel.next_hop
    return [
        {
            **path_row(path),
            **ages.row(nlri, path, is_best=path is best),
            "is_best": path is best,
            "is_multipath": len(multipath) > 1 and path in multipath,
            "reason": reason.value,
            "next_hop": describe_next_hop(path.next_hop, way_of(path.next_hop.key)),
            "attributes": describe.of_path(path),
            "pre_policy_attributes": (
                None
                if path.received is path.attributes
                else describe(path.received)  # what import policy changed
            ),
        }
        for path, reason in zip(paths_of(entry), reasons_of(entry), strict=True)
    ]


def _filtered_around(
    peer: Peer, family: Family, nlri: Nlri
) -> Iterator[tuple[Nlri, int, FilteredRoute] | None]:
    """Yield a peer's filtered routes for a prefix and for all that contain it.

    With yield points (``None``) in a long search.
    """
    rib = peer.ribs_in.get(family)
    if rib is None or not rib.filtered:
        return
    negotiated = peer.negotiated
    if negotiated is None or family not in negotiated.add_path_receive:
        for length_bits in range(nlri[0] + 1):
            some = make_nlri(nlri[1:], length_bits)
            why = rib.filtered.get((some, 0))
            if why is not None:
                yield some, 0, why
        return
    # Under add-path the identifiers are the peer's choice: check them all.
    for count, ((some, path_id), why) in enumerate(list(rib.filtered.items())):
        if some[0] <= nlri[0] and make_nlri(nlri[1:], some[0]) == some:
            yield some, path_id, why
        elif count % _YIELD_AFTER == 0:
            yield None


def _advertisements(
    group: UpdateGroup, tables: FamilyTables, nlri: Nlri, describe: Describer
) -> Iterator[tuple[Row, bool]]:
    """Yield each distinct answer of a group, with its members."""
    entry = tables.loc_rib.table.get(nlri)
    adj_rib_out = AdjRibOut(group)
    context = group.export.context
    answers: dict[tuple[object, ...], list[str]] = {}
    details: dict[tuple[object, ...], tuple[Row, bool]] = {}
    for source in list(group.members):
        for path, attributes, not_advertised, detail in adj_rib_out.advertised(
            entry, nlri, source
        ):
            if not_advertised is NotAdvertised.NOT_SELECTED:
                continue
            key: tuple[object, ...] = (path, attributes, not_advertised)
            answers.setdefault(key, []).append(source.name)
            if key in details:
                continue
            row: Row = {
                "peer_type": context.peer_type.value,
                "policy": context.policy,
                "from": path.source.name,
            }
            if attributes is not None:
                row["attributes"] = describe(attributes)
            elif not_advertised is not None:
                row["reason"] = not_advertised.value + (f" {detail}" if detail else "")
            details[key] = (row, attributes is not None)
    for key, (row, is_told) in details.items():
        yield row | {"peers": answers[key], "members": len(answers[key])}, is_told


def _no_such_route(
    tables: FamilyTables,
    asked: str,
    nlri: Nlri,
    around: Mapping[Nlri, list[tuple[Peer, int, FilteredRoute]]],
) -> ControlError:
    afi = tables.family.afi
    octets = network_octets(nlri, afi)
    found = longest_match(tables.loc_rib.table, octets, _EVERY_LENGTH[afi])
    hint = () if found is None else (format_prefix(found[0], afi),)
    text = "no peer advertises it"
    if hint:
        text += f"; the most specific route to {ip_interface(asked).ip} is another"
    if around:
        longest = max(around)
        peer, _, why = around[longest][0]
        text += (
            f"; {format_prefix(longest, afi)} was filtered, from"
            f" {peer.settings.name}: {filter_reason_text(why)}"
        )
    return ControlError("no-such-route", f"no route {asked}: {text}", hint)
