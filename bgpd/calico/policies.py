"""What a node's sessions let in and out, and what goes to its kernel, as policies.

Calico's confd writes these as filters of BIRD's; here they are terms of ``rib.policy``.
Equal conditions have one policy with one name, and a change of what it says, such as one
more own block, keeps the name: the daemon follows it live.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from typing import Final

from bgpd.calico.blocks import Block
from bgpd.calico.compat import ClusterRoutes
from bgpd.calico.fields import parse_any_community
from bgpd.calico.filters import (
    FROM_PEERS,
    BgpFilterSpec,
    Session,
    filter_terms,
    needs_local_as,
)
from bgpd.calico.priorities import elevated
from bgpd.calico.resources import IpPoolSpec
from fib.kernel_policy import ELEVATED_WEIGHT, KernelPolicy
from fib.tunnel import TUNNEL
from rib.family import ADDRESS_OCTETS, AFI_IPV4, AFI_IPV6, IPV4_UNICAST, Family
from rib.nlri import Nlri, parse_prefix
from rib.policy import (
    ACCEPT_ALL,
    Actions,
    LargeCommunity,
    Match,
    Outcome,
    PolicySpec,
    PrefixEntry,
    PrefixMatch,
    Term,
)

_ACCEPT, _REJECT, _NEXT = Outcome.ACCEPT, Outcome.REJECT, Outcome.NEXT
_TUNNELS: Final = ("*.cali", "*.calico")  # VXLAN's and WireGuard's devices


@dataclass(frozen=True, slots=True)
class Advertisement:
    """Communities that all exported routes inside a prefix get."""

    cidr: str
    communities: tuple[int, ...]
    large_communities: tuple[LargeCommunity, ...]


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """What the export policies of one family rest on, filters aside.

    Attributes:
        pools: Every pool of the family.
        own: The node's own blocks that are announced as a whole.
        advertisements: Communities by prefix.
        services: All inside the service prefixes that are announced.
        ranges: Ranges that a reflector passes on: load balancers' and external ones.
        normal: Normal metric; ``None`` without priorities.
        routes: Which routes are ours to program.
    """

    pools: tuple[IpPoolSpec, ...]
    own: frozenset[Block]
    advertisements: tuple[Advertisement, ...]
    services: PrefixMatch | None
    ranges: frozenset[str]
    normal: int | None
    routes: ClusterRoutes


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What the kernel policy of one family rests on.

    Attributes:
        pools: Every pool of the family.
        rejected: What never goes to the kernel.
        wireguard: Addresses of nodes that are reached by WireGuard, where we use it too.
        network: Own address with its subnet; empty without an address of the family.
        workloads: Patterns of the devices that lead to local workloads.
        normal: Normal metric; ``None`` without priorities.
        routes: Which routes are ours to program.
    """

    pools: tuple[IpPoolSpec, ...]
    rejected: PrefixMatch | None
    wireguard: frozenset[str]
    network: str
    workloads: tuple[str, ...]
    normal: int | None
    routes: ClusterRoutes


Filters = Mapping[str, BgpFilterSpec]


def import_policy(
    session: Session, names: Iterable[str], filters: Filters, normal: int | None
) -> PolicySpec:
    """Return what a session lets in: filters first, then everything.

    An elevated route goes before one that the kernel has; a filter that accepts ends the
    policy before that.
    """
    terms = [
        term
        for name in names
        for term in filter_terms(name, filters[name], session, is_export=False)
    ]
    if normal is not None and session.is_internal:  # no LOCAL_PREF crosses an AS
        terms.append(
            Term(
                "elevated priority",
                _NEXT,
                Match(local_pref=elevated(normal)),
                Actions(weight=ELEVATED_WEIGHT),
            )
        )
    if not terms:
        return ACCEPT_ALL
    return PolicySpec(
        _name("import", session, names), tuple(terms), accepts_unmatched=True
    )


def export_policy(
    session: Session,
    names: Iterable[str],
    filters: Filters,
    facts: ExportFacts,
    *,
    is_tunnel_kept: bool,
) -> PolicySpec:
    """Return what a session lets out.

    Args:
        session: The kind of session.
        names: Its filters, in order.
        filters: By name.
        facts: What else it rests on.
        is_tunnel_kept: Routes out of tunnel devices stay here: the far end is a node, or
            of our AS.
    """
    names = tuple(names)
    terms: list[Term] = []
    for name in names:
        terms += filter_terms(name, filters[name], session, is_export=True)
    terms += _kept_here(facts, is_tunnel_kept=is_tunnel_kept)
    for item in facts.advertisements:
        terms.append(
            Term(
                f"communities of {item.cidr}",
                _NEXT,
                Match(prefixes=inside(item.cidr)),
                Actions(
                    add_communities=item.communities,
                    add_large_communities=item.large_communities,
                ),
            )
        )
    terms += _own_blocks(facts)
    exported = [pool.cidr for pool in facts.pools if not pool.is_export_disabled]
    if facts.services is not None:
        match = Match(prefixes=facts.services)
        terms.append(Term("service addresses", _ACCEPT, match))
    for title, cidrs in (
        ("service ranges of a reflector", facts.ranges),
        ("inside a pool", exported),
    ):
        if cidrs:
            terms.append(Term(title, _ACCEPT, Match(prefixes=inside(*sorted(cidrs)))))
    name = _name("export", session, names)
    if is_tunnel_kept is not session.is_internal:
        name += ":mesh"
    if not session.is_internal and any(
        needs_local_as(filters[each], session.family) for each in names
    ):
        name += f":as{session.local_as}"
    return PolicySpec(name, tuple(terms))


def _kept_here(facts: ExportFacts, *, is_tunnel_kept: bool) -> Iterator[Term]:
    disabled = sorted(pool.cidr for pool in facts.pools if pool.is_export_disabled)
    if disabled:
        match = Match(prefixes=inside(*disabled))
        yield Term("pool with disableBGPExport", _REJECT, match)
    devices = [*_TUNNELS] if is_tunnel_kept else []
    if is_tunnel_kept and not facts.routes.ipip:
        devices.append(TUNNEL)
    for device in (*devices, "bpf*.cali"):
        yield Term(f"out of {device}", _REJECT, Match(interface=device))


def _own_blocks(facts: ExportFacts) -> Iterator[Term]:
    """Announce own blocks as a whole: what lies inside one stays here."""
    if not facts.own:
        return
    blocks = sorted(facts.own)
    exact = PrefixMatch(
        tuple(_exactly(block.family.afi, block.nlri) for block in blocks)
    )
    whole = within(blocks)
    yield Term("own block", _ACCEPT, Match(prefixes=exact))
    if facts.normal is not None:
        match = Match(prefixes=whole, local_pref=elevated(facts.normal))
        yield Term("elevated priority in an own block", _ACCEPT, match)
    yield Term("inside an own block", _REJECT, Match(prefixes=whole))


def kernel_policy(family: Family, facts: KernelFacts) -> KernelPolicy:
    """Return which routes go to the kernel, and how."""
    terms: list[Term] = []
    if facts.rejected is not None:
        match = Match(prefixes=facts.rejected)
        terms.append(Term("service addresses", _REJECT, match))
    if facts.wireguard:
        match = Match(
            source_kinds=FROM_PEERS, next_hops=inside(*sorted(facts.wireguard))
        )
        terms.append(Term("next hop is reached by WireGuard", _REJECT, match))
    pools = _pools_terms(family, facts)
    if pools:
        # A router among the workloads: the program that makes the routes to other nodes, Felix or
        # the tunnel, knows nothing of what is behind it, and no tunnel leads there.
        terms += [
            Term(
                "next hop is a local workload",
                _ACCEPT,
                Match(source_kinds=FROM_PEERS, interface=pattern),
            )
            for pattern in facts.workloads
        ]
    terms += pools
    if not terms and facts.normal is None:
        return KernelPolicy()
    policy = ACCEPT_ALL
    if terms:
        name = f"calico-kernel-{_version(family)}"
        policy = PolicySpec(name, tuple(terms), accepts_unmatched=True)
    return KernelPolicy(policy, facts.normal)


def _pools_terms(family: Family, facts: KernelFacts) -> list[Term]:
    """Return the terms of all pools; of pools that overlap the first text counts."""
    if family == IPV4_UNICAST and not facts.network:
        return []  # without an address there are no nodes' routes either
    terms: list[Term] = []
    later: list[IPv4Network | IPv6Network] = []  # whose terms follow
    # From the last to the first: what is accepted anyway needs a term of its own only
    # where a pool that follows would decide otherwise.
    for pool in sorted(facts.pools, key=lambda pool: pool.cidr, reverse=True):
        network = ip_network(pool.cidr)
        found = _pool_terms(family, pool, facts)
        is_decided = bool(found) and found[-1].outcome is _REJECT
        accepts = family == IPV4_UNICAST and not is_decided
        if accepts and any(network.overlaps(each) for each in later):
            match = Match(prefixes=inside(pool.cidr))
            found.append(Term(f"pool {pool.cidr}", _ACCEPT, match))
        if found:
            later.append(network)
        terms[:0] = found
    return terms


def _pool_terms(family: Family, pool: IpPoolSpec, facts: KernelFacts) -> list[Term]:
    title, match = f"pool {pool.cidr}", inside(pool.cidr)
    if is_tunnelled(pool.vxlan_mode):
        return [Term(f"{title} by VXLAN is Felix'", _REJECT, Match(prefixes=match))]
    if not is_tunnelled(pool.ipip_mode):
        if facts.routes.no_encap:
            return []
        return [Term(f"{title} is Felix'", _REJECT, Match(prefixes=match))]
    if not facts.routes.ipip:
        return [Term(f"{title} by IPIP is Felix'", _REJECT, Match(prefixes=match))]
    if family != IPV4_UNICAST:
        return []  # there is no such tunnel
    terms: list[Term] = []
    if pool.ipip_mode == "CrossSubnet":
        near = inside(str(ip_interface(facts.network).network))
        where = Match(prefixes=match, source_kinds=FROM_PEERS, next_hops=near)
        terms.append(Term(f"{title}, same subnet", _ACCEPT, where))
    where = Match(prefixes=match, source_kinds=FROM_PEERS)
    terms.append(Term(f"{title} by IPIP", _ACCEPT, where, Actions(device=TUNNEL)))
    return terms


def is_tunnelled(mode: str) -> bool:
    """Return whether a pool's mode means that there is a tunnel."""
    return mode in ("Always", "CrossSubnet")


def advertisements(
    items: Iterable[tuple[str, Iterable[str]]], names: Mapping[str, str], family: Family
) -> tuple[tuple[Advertisement, ...], tuple[str, ...]]:
    """Return the advertisements of one family, and the communities that are none.

    Args:
        items: Prefix, and communities by name or as they are.
        names: What the names stand for.
        family: Others are left out.
    """
    found: list[Advertisement] = []
    unknown: list[str] = []
    for cidr, texts in items:
        if family_of(cidr) != family.afi:
            continue
        standard: list[int] = []
        large: list[LargeCommunity] = []
        for text in texts:
            community = _community(text, names)
            if community is None:
                unknown.append(text)
                continue
            if isinstance(community, int):
                standard.append(community)
            else:
                large.append(community)
        found.append(Advertisement(cidr, tuple(standard), tuple(large)))
    return tuple(found), tuple(unknown)


def _community(text: str, names: Mapping[str, str]) -> int | LargeCommunity | None:
    """Return a community given as it is, or else by its name."""
    for each in (text, names.get(text, "")):
        try:
            return parse_any_community(each)
        except ValueError:
            continue
    return None


def family_of(cidr: str) -> int:
    """Return the AFI of a prefix or an address in canonical text."""
    return AFI_IPV6 if ":" in cidr else AFI_IPV4


def inside(*cidrs: str) -> PrefixMatch:
    """Return all that lies inside one of these prefixes, they themselves included."""
    return PrefixMatch(tuple(_within(*parse_prefix(cidr)) for cidr in cidrs))


def within(blocks: Iterable[Block]) -> PrefixMatch:
    """Return all that lies inside one of these blocks, they themselves included."""
    return PrefixMatch(tuple(_within(block.family.afi, block.nlri) for block in blocks))


def _within(afi: int, nlri: Nlri) -> PrefixEntry:
    return PrefixEntry(afi, nlri, nlri[0], ADDRESS_OCTETS[afi] * 8)


def _exactly(afi: int, nlri: Nlri) -> PrefixEntry:
    return PrefixEntry(afi, nlri, nlri[0], nlri[0])


def _version(family: Family) -> str:
    return "ipv4" if family.afi == AFI_IPV4 else "ipv6"


def _name(direction: str, session: Session, names: Iterable[str]) -> str:
    kind = "internal" if session.is_internal else "external"
    text = f"calico-{direction}-{_version(session.family)}-{kind}"
    return ":".join((text, "+".join(names))) if (names := tuple(names)) else text
