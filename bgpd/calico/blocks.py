"""Who owns which block: Calico's block affinities, as NLRI keys per node.

States: ``confirmed`` and the legacy empty one are owned; ``pending`` is as if absent;
``pendingDeletion`` is owned until the key is gone, so that pods which still hold an address
stay reachable: the block is announced as a whole until then. What cannot be understood keeps
the state that was known before.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from bgpd.calico.keys import split_affinity_key
from bgpd.calico.warnings import ObjectWarning
from bgpd.texts.json_text import load
from bgpd.texts.limits import AFFINITY, TextError
from rib.family import ADDRESS_OCTETS, IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import Nlri, format_prefix, make_nlri, network_octets, parse_address

_MAX_SHOWN: Final = 40  # characters of what was found
_MAX_MEMO: Final = 1024  # values are a handful of texts; strangers may not fill memory


class AffinityState(Enum):
    """How an own block is held."""

    CONFIRMED = "confirmed"
    IMPLICIT = "implicit"  # the legacy form: a key without a state
    PENDING_DELETION = "pendingDeletion"


_STATES: Final[Mapping[str, AffinityState | None]] = MappingProxyType(
    {
        "confirmed": AffinityState.CONFIRMED,
        "": AffinityState.IMPLICIT,
        "pendingDeletion": AffinityState.PENDING_DELETION,
        "pending": None,
    }
)


class Block(NamedTuple):
    """One block as the RIB keys it."""

    family: Family
    nlri: Nlri

    @property
    def has_blackhole(self) -> bool:
        """Whether its owner announces it, and routes it to a blackhole.

        A block of one address is left to the route of the workload that has the address,
        which may run on another node: announced from the affinity alone it would draw
        traffic to where nobody answers, or halve that of the workload.
        """
        return self.nlri[0] < ADDRESS_OCTETS[self.family.afi] * 8

    def __str__(self) -> str:
        """Return the prefix text."""
        return format_prefix(self.nlri, self.family.afi)


class AffinityError(ValueError):
    """A block affinity's key or value cannot be understood; the text says why."""


# hot: per block
def parse_block(cidr: str) -> Block:
    """Return the block of a prefix's text.

    Raises:
        AffinityError: It is no prefix.
    """
    address, _, length = cidr.partition("/")
    try:
        octets = parse_address(address)
        length_bits = int(length)
    except ValueError as error:
        raise AffinityError(f"{cidr!r} is no prefix") from error
    if not 0 <= length_bits <= len(octets) * 8:
        raise AffinityError(f"{cidr!r} is no prefix")
    family = IPV4_UNICAST if len(octets) == 4 else IPV6_UNICAST
    return Block(family, make_nlri(octets, length_bits))


def parse_state(value: bytes) -> AffinityState | None:
    """Return how an affinity's value holds the block; ``None`` where it does not.

    Raises:
        AffinityError: It is no affinity, or its state is unknown.
    """
    if not value:
        return AffinityState.IMPLICIT  # the key alone
    try:
        content = load(value, AFFINITY).value
    except TextError as error:
        raise AffinityError(str(error)) from error
    if not isinstance(content, dict):
        raise AffinityError("is no JSON object")
    state = content.get("state") or ""
    if not isinstance(state, str) or state not in _STATES:
        raise AffinityError(f"state {str(state)[:_MAX_SHOWN]!r} is unknown")
    return None if content.get("deleted") is True else _STATES[state]


class BlockTable:
    """All owned blocks; changed in place, read as frozen sets."""

    def __init__(self) -> None:
        self._by_key: dict[str, tuple[str, Block, AffinityState]] = {}
        self._by_node: dict[str, dict[Block, str]] = {}
        self._owners: dict[Block, tuple[str, ...]] = {}
        self._contested: set[Block] = set()
        self._frozen: dict[str, frozenset[Block]] = {}
        self._warnings: dict[str, ObjectWarning] = {}
        self._memo: dict[bytes, AffinityState | None] = {}
        self._overlaps: tuple[ObjectWarning, ...] | None = None

    def replace(self, items: Mapping[str, bytes]) -> frozenset[str]:
        """Take the whole content; return the nodes whose blocks changed."""
        return self.update(items.items(), self.gone(items))

    def gone(self, keys: Iterable[str]) -> set[str]:
        """Return the keys that are known and not among ``keys``."""
        return (self._by_key.keys() | self._warnings.keys()).difference(keys)

    # hot: per block
    def update(
        self, puts: Iterable[tuple[str, bytes]], deletes: Iterable[str]
    ) -> frozenset[str]:
        """Take affinity keys and values; return the nodes whose blocks changed.

        Keys that are no block affinity (a host's own marker) are ignored.
        """
        changed: set[str] = set()
        for key in deletes:
            self._warnings.pop(key, None)
            self._drop(key, changed)
        memo = self._memo
        for key, value in puts:
            if value not in memo or key in self._warnings:
                self._put(key, value, changed)
                continue
            state, known = memo[value], self._by_key.get(key)
            if state is None:
                self._drop(key, changed)
            elif known is None or known[2] is not state:
                self._put(key, value, changed)
        for node in changed:
            self._frozen.pop(node, None)
        return frozenset(changed)

    def of(self, node: str) -> frozenset[Block]:
        """Return the blocks of ``node``; the same object until they change."""
        known = self._frozen.get(node)
        if known is None:
            known = self._frozen[node] = frozenset(self._by_node.get(node, ()))
        return known

    def states(self, node: str) -> Mapping[Block, AffinityState]:
        """Return how ``node`` holds each of its blocks."""
        keys = self._by_node.get(node, {})
        return {block: self._by_key[key][2] for block, key in keys.items()}

    def others(self, node: str) -> Mapping[str, frozenset[Block]]:
        """Return the blocks of every node but ``node``, a copy that does not change."""
        return MappingProxyType(
            {name: self.of(name) for name in self._by_node if name != node}
        )

    def warnings(self) -> tuple[ObjectWarning, ...]:
        """Return what is wrong with affinities; overlaps are computed when changed."""
        if self._overlaps is None:
            self._overlaps = tuple(self._find_overlaps())
        return (*self._warnings.values(), *self._overlaps)

    def _put(self, key: str, value: bytes, changed: set[str]) -> None:
        parts = split_affinity_key(key)
        if parts is None:
            return
        try:
            block = parse_block(parts.cidr)
            state = self._memo[value] if value in self._memo else parse_state(value)
        except AffinityError as error:
            kept = " (kept as owned)" if key in self._by_key else ""
            self._warnings[key] = ObjectWarning(key, "", f"{error}; ignored{kept}")
            return
        self._warnings.pop(key, None)
        if len(self._memo) < _MAX_MEMO:
            self._memo[value] = state
        known = self._by_key.get(key)
        if state is None:
            self._drop(key, changed)
        elif known is None:
            node = parts.node
            self._by_key[key] = (node, block, state)
            self._by_node.setdefault(node, {})[block] = key
            self._own(block, node)
            changed.add(node)
        elif known[2] is not state:
            self._by_key[key] = (*known[:2], state)
            changed.add(parts.node)

    def _drop(self, key: str, changed: set[str]) -> None:
        known = self._by_key.pop(key, None)
        if known is None:
            return
        node, block, _ = known
        blocks = self._by_node[node]
        blocks.pop(block, None)
        if not blocks:
            del self._by_node[node]
        rest = tuple(owner for owner in self._owners[block] if owner != node)
        if rest:
            self._owners[block] = rest
        else:
            del self._owners[block]
        if len(rest) < 2:
            self._contested.discard(block)
        self._overlaps = None
        changed.add(node)

    def _own(self, block: Block, node: str) -> None:
        owners = self._owners.get(block)
        if owners is None:
            self._owners[block] = (node,)
        elif node not in owners:
            self._owners[block] = (*owners, node)
            self._contested.add(block)
        self._overlaps = None

    def _find_overlaps(self) -> Iterable[ObjectWarning]:
        for block in sorted(self._contested):
            owners = sorted(self._owners[block])
            key = self._by_node[owners[0]][block]
            text = f"{block} belongs to several nodes: {', '.join(owners)}"
            yield ObjectWarning(key, "", text)
        lengths = {(block.family, block.nlri[0]) for block in self._owners}
        if len(lengths) == len({family for family, _ in lengths}):
            return  # one length per family: nothing can contain anything
        for block, names in self._owners.items():
            octets = network_octets(block.nlri, block.family.afi)
            for family, length_bits in lengths:
                if family != block.family or length_bits >= block.nlri[0]:
                    continue
                outer = Block(family, make_nlri(octets, length_bits))
                above = set(self._owners.get(outer, ())) - set(names)
                if above:
                    key = self._by_node[names[0]][block]
                    text = f"{block} lies inside {outer} of {', '.join(sorted(above))}"
                    yield ObjectWarning(key, "", text)
