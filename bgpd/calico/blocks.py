"""Who owns which block: Calico's block affinities, as NLRI keys per node.

States: ``confirmed`` and the legacy empty one are owned; ``pending`` is not yet;
``pendingDeletion`` is owned until the key is gone, so that pods which still hold an address
stay reachable: the block is announced as a whole until then. What several nodes claim is
one's (``bgpd.calico.claims``). What cannot be understood keeps the state that was known
before.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from bgpd.calico.addresses import parse_number
from bgpd.calico.claims import (
    AffinityState,
    Assignment,
    AssignmentError,
    owner_of,
    parse_assignment,
    strongest,
)
from bgpd.calico.keys import split_affinity_key, split_assignment_key
from bgpd.calico.slices import Slices, finish
from bgpd.calico.warnings import ObjectWarning
from bgpd.texts.json_text import load
from bgpd.texts.limits import AFFINITY, TextError
from rib.family import ADDRESS_OCTETS, IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import Nlri, format_prefix, make_nlri, network_octets, parse_address

_MAX_SHOWN: Final = 40  # characters of what was found
COMPARED: Final = 256  # blocks looked at in one slice, a millisecond
_MAX_MEMO: Final = 1024  # values are a handful of texts; strangers may not fill memory


_STATES: Final[Mapping[str, AffinityState]] = MappingProxyType(
    {
        "confirmed": AffinityState.CONFIRMED,
        "": AffinityState.IMPLICIT,
        "pendingDeletion": AffinityState.PENDING_DELETION,
        "pending": AffinityState.PENDING,
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
        traffic to a node where nothing answers, or halve that of the workload.
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
        AffinityError: It is not a prefix.
    """
    address, _, length = cidr.partition("/")
    try:
        octets = parse_address(address)
        length_bits = parse_number(length)
    except ValueError as error:
        raise AffinityError(f"{cidr!r} is not a prefix") from error
    if not 0 <= length_bits <= len(octets) * 8:
        raise AffinityError(f"{cidr!r} is not a prefix")
    family = IPV4_UNICAST if len(octets) == 4 else IPV6_UNICAST
    return Block(family, make_nlri(octets, length_bits))


def parse_state(value: bytes) -> AffinityState | None:
    """Return how an affinity's value holds the block; ``None`` where it is deleted.

    Raises:
        AffinityError: It is not an affinity, or its state is unknown.
    """
    if not value:
        return AffinityState.IMPLICIT  # the key alone
    try:
        content = load(value, AFFINITY).value
    except TextError as error:
        raise AffinityError(str(error)) from error
    if not isinstance(content, dict):
        raise AffinityError("is not a JSON object")
    state = content.get("state") or ""
    if not isinstance(state, str) or state not in _STATES:
        raise AffinityError(f"unknown state {str(state)[:_MAX_SHOWN]!r}")
    return None if content.get("deleted") is True else _STATES[state]


class _Affinity(NamedTuple):
    """An affinity, from its key and value."""

    node: str
    block: Block
    state: AffinityState


class BlockTable:
    """All affinities and the owner of each block; changed in place, read as frozen sets."""

    def __init__(self) -> None:
        self._by_key: dict[str, _Affinity] = {}
        self._keys: dict[Block, dict[str, None]] = {}
        self._owner: dict[Block, str] = {}
        self._by_node: dict[str, dict[Block, AffinityState]] = {}
        self._assigned: dict[Block, Assignment] = {}
        self._assigned_keys: dict[str, Block] = {}
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
        known = self._by_key.keys() | self._assigned_keys.keys()
        return (known | self._warnings.keys()).difference(keys)

    # hot: per block
    def update(
        self, puts: Iterable[tuple[str, bytes]], deletes: Iterable[str]
    ) -> frozenset[str]:
        """Take keys of affinities and IPAM blocks, and their values.

        Others (a host's own marker) are ignored.

        Returns:
            The nodes whose blocks changed.
        """
        touched: set[Block] = set()
        for key in deletes:
            self._warnings.pop(key, None)
            if key in self._assigned_keys:
                self._assign(key, self._assigned_keys[key], None, touched)
            self._drop(key, touched)
        memo = self._memo
        for key, value in puts:
            known = self._by_key.get(key)
            if known is None or value not in memo or key in self._warnings:
                self._put(key, value, touched)
                continue
            state = memo[value]
            if state is None:
                self._drop(key, touched)
            elif known.state is not state:
                self._put(key, value, touched)
        changed: set[str] = set()
        for block in touched:  # once, however many claim it
            self._settle(block, changed)
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
        return dict(self._by_node.get(node, {}))

    def others(self, node: str) -> Mapping[str, frozenset[Block]]:
        """Return the blocks of every node but ``node``, a copy that does not change."""
        return MappingProxyType(
            {name: self.of(name) for name in self._by_node if name != node}
        )

    def warnings(self) -> tuple[ObjectWarning, ...]:
        """Return what is wrong with affinities; overlaps are computed when changed."""
        finish(self.compare())
        return (*self._warnings.values(), *(self._overlaps or ()))

    def compare(self) -> Slices[None]:
        """Look for blocks that several claim, or that overlap, if any has changed."""
        if self._overlaps is not None:
            return
        found: list[ObjectWarning] = []
        for look in (self._find_contested(), self._find_overlaps()):
            for number, finding in enumerate(look, 1):
                if finding is not None:
                    found.append(finding)
                if number % COMPARED == 0:
                    yield
        self._overlaps = tuple(found)

    def _put(self, key: str, value: bytes, touched: set[Block]) -> None:
        cidr = split_assignment_key(key)
        parts = split_affinity_key(key) if cidr is None else None
        try:
            if cidr is not None:
                assignment = parse_assignment(value)
                self._assign(key, parse_block(cidr), assignment, touched)
            if parts is None:
                self._warnings.pop(key, None)
                return
            block = parse_block(parts.cidr)
            state = self._memo[value] if value in self._memo else parse_state(value)
        except (AffinityError, AssignmentError) as error:
            kept = " (the block keeps its owner)" if key in self._by_key else ""
            self._warnings[key] = ObjectWarning(key, "", f"{error}; ignored{kept}")
            return
        self._warnings.pop(key, None)
        if len(self._memo) < _MAX_MEMO:
            self._memo[value] = state
        if state is None:
            self._drop(key, touched)
            return
        if key not in self._by_key:
            self._keys.setdefault(block, {})[key] = None
        self._by_key[key] = _Affinity(parts.node, block, state)
        touched.add(block)

    def _drop(self, key: str, touched: set[Block]) -> None:
        known = self._by_key.pop(key, None)
        if known is None:
            return
        keys = self._keys[known.block]
        del keys[key]
        if not keys:
            del self._keys[known.block]
        touched.add(known.block)

    def _assign(
        self, key: str, block: Block, assignment: Assignment | None, touched: set[Block]
    ) -> None:
        """Set what an IPAM block says; ``None`` if the block is gone."""
        if assignment is None:
            del self._assigned_keys[key]
            self._assigned.pop(block, None)
        else:
            self._assigned_keys[key] = block
            self._assigned[block] = assignment
        if block in self._keys:
            touched.add(block)

    def _settle(self, block: Block, changed: set[str]) -> None:
        """Decide the owner of a block from all that is known now."""
        owner, state = "", AffinityState.PENDING
        keys = self._keys.get(block, {})
        if len(keys) == 1 and block not in self._assigned:
            claim = self._by_key[next(iter(keys))]
            if claim.state is not AffinityState.PENDING:
                owner, state = claim.node, claim.state
        elif keys:
            claims = self._claims(block)
            owner = owner_of(claims, self._assigned.get(block, Assignment()))
            state = claims.get(owner, state)
        if len(keys) > 1 or (keys and not owner):
            self._contested.add(block)
        else:
            self._contested.discard(block)
        self._overlaps = None
        before = self._owner.get(block, "")
        if before == owner and (not owner or self._by_node[owner].get(block) is state):
            return
        if before:
            blocks = self._by_node[before]
            del blocks[block]
            if not blocks:
                del self._by_node[before]
            del self._owner[block]
            changed.add(before)
        if owner:
            self._owner[block] = owner
            self._by_node.setdefault(owner, {})[block] = state
            changed.add(owner)

    def _claims(self, block: Block) -> dict[str, AffinityState]:
        affinities = (self._by_key[key] for key in self._keys[block])
        return strongest((each.node, each.state) for each in affinities)

    def _find_contested(self) -> Iterable[ObjectWarning | None]:
        """Warn all claimants that a block is not theirs; yields for each block."""
        for block in sorted(self._contested):
            yield None
            owner = self._owner.get(block, "")
            assignment = self._assigned.get(block, Assignment())
            claims = self._claims(block)
            if len(claims) == 1 and not assignment.is_decided:
                continue  # a claim that is about to be confirmed
            said = (
                f"; the IPAM block says {assignment}" if assignment.is_decided else ""
            )
            whose = f"belongs to node {owner}" if owner else "belongs to no node"
            for key in self._keys[block]:
                node = self._by_key[key].node
                if node != owner:
                    text = f"{block} {whose}, not to node {node}{said}"
                    yield ObjectWarning(key, "", text)

    def _find_overlaps(self) -> Iterable[ObjectWarning | None]:
        """Warn where blocks of two nodes overlap; yields for each block."""
        lengths = {(block.family, block.nlri[0]) for block in self._owner}
        if len(lengths) == len({family for family, _ in lengths}):
            return  # one length per family: nothing can contain anything
        for block, owner in self._owner.items():
            yield None
            octets = network_octets(block.nlri, block.family.afi)
            for family, length_bits in lengths:
                if family != block.family or length_bits >= block.nlri[0]:
                    continue
                outer = Block(family, make_nlri(octets, length_bits))
                above = self._owner.get(outer, owner)
                if above != owner:
                    key = next(iter(self._keys[block]))
                    text = f"{block} overlaps {outer} of node {above}"
                    yield ObjectWarning(key, "", text)
