"""The nodes of a cluster that take part in BGP, and two indices of them.

Both indices are brought up to date by what changed since the view before: with thousands of
nodes, one of which has another label, no selector is evaluated for the others again, and no
address is compared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, Self

from bgpd.calico.keys import resource_key
from bgpd.calico.selectors import Selector
from bgpd.calico.slices import Slices
from bgpd.calico.warnings import ObjectWarning
from rib.family import Family

NODES: Final = 512  # whose addresses are compared in one slice, less than a millisecond


@dataclass(frozen=True, slots=True)
class Member:
    """One node that takes part in BGP.

    Attributes:
        name: The node.
        addrs: Address in canonical text per family.
        asn: None takes the cluster's.
        cluster_id: Non-empty on a route reflector.
        networks: Address with its subnet per family.
        labels: As on the object.
        listen_port: Its own setting, else the cluster's, else 179.
        wireguard: Families in which it is reached by WireGuard where both ends are.
        tunnel_addr: Address of its IPIP tunnel; empty without.
        pod_cidrs: What host-local address management gave it.
    """

    name: str
    addrs: Mapping[Family, str]
    asn: int | None
    cluster_id: str
    networks: Mapping[Family, str]
    labels: Mapping[str, str]
    listen_port: int
    wireguard: frozenset[Family]
    tunnel_addr: str
    pod_cidrs: tuple[str, ...]


Changes = dict[str, tuple[Member | None, Member | None]]
"""By name of the node: what it was in the view before, and what it is."""


class SelectorMatches:
    """Which nodes selectors match, as far as anything asked for them.

    Args:
        before: What was known of the view before, whose differences to this one are known.
    """

    def __init__(self, before: "SelectorMatches | None" = None) -> None:
        self._found: dict[str, dict[str, Member]] = {}
        self._before = {} if before is None else before._found

    def forget_before(self) -> None:
        """Release what was known of the view before."""
        self._before = {}

    def of(
        self,
        text: str,
        selector: Selector,
        nodes: Mapping[str, Member],
        changes: Changes,
    ) -> Iterable[Member]:
        """Return the nodes that a selector matches, by name.

        Args:
            text: The selector's, which is the key: equal texts mean the same.
            selector: What it means.
            nodes: All, by name, sorted.
            changes: How they differ from those of the view before.
        """
        found = self._found.get(text)
        if found is None:
            before = self._before.get(text)
            if before is None:
                found = {n: node for n, node in nodes.items() if selector(node.labels)}
            else:
                found = _matches_after(before, selector, changes)
            self._found[text] = found
        return found.values()


def _matches_after(
    before: dict[str, Member], selector: Selector, changes: Changes
) -> dict[str, Member]:
    found, has_new = dict(before), False
    for name, (_, node) in changes.items():
        if node is not None and selector(node.labels):
            has_new = has_new or name not in found
            found[name] = node
        else:
            found.pop(name, None)
    return dict(sorted(found.items())) if has_new else found


class AddressOwners(NamedTuple):
    """Which node an address belongs to: of several that claim it, the first by name.

    Attributes:
        by_addr: The node, by address in canonical text.
        warnings: About the others.
    """

    by_addr: Mapping[str, Member] = MappingProxyType({})
    warnings: tuple[ObjectWarning, ...] = ()

    def after(self, changes: Changes) -> Self | None:
        """Return the owners after changes; ``None`` if a node came, went or moved."""
        if not changes:
            return self
        if any(map(_has_moved, changes.values())):
            return None
        by_addr = dict(self.by_addr)
        for old, new in changes.values():
            for addr in () if new is None else new.addrs.values():
                if new is not None and by_addr.get(addr) is old:
                    by_addr[addr] = new
        return self._replace(by_addr=by_addr)


def _has_moved(change: tuple[Member | None, Member | None]) -> bool:
    old, new = change
    return old is None or new is None or old.addrs != new.addrs


def find_owners(members: Iterable[Member]) -> Slices[AddressOwners]:
    """Return who owns which address.

    Args:
        members: All nodes, by name.
    """
    by_addr: dict[str, Member] = {}
    warnings: list[ObjectWarning] = []
    for number, member in enumerate(members, 1):
        for addr in member.addrs.values():
            first = by_addr.setdefault(addr, member)
            if first is not member:
                text = f"{addr} is also the address of {first.name}"
                key = resource_key("Node", member.name)
                warnings.append(ObjectWarning(key, "spec.bgp", text))
        if number % NODES == 0:
            yield
    return AddressOwners(by_addr, tuple(warnings))
