"""Which node owns a block that several claim: a pure function of what they claim.

Every node decides for itself, from the same affinities and the same IPAM block, so at most
one announces a block as a whole, without a word between them. The others announce what
workloads they have of it one by one, so yielding loses no traffic, whichever node is right.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from bgpd.texts.json_text import load
from bgpd.texts.limits import VALUE, TextError

_HOST: Final = "host:"
_MAX_SHOWN: Final = 40  # characters of what was found


class AffinityState(Enum):
    """How an affinity holds its block."""

    CONFIRMED = "confirmed"
    IMPLICIT = "implicit"  # the legacy form: a key without a state
    PENDING_DELETION = "pendingDeletion"
    PENDING = "pending"  # holds nothing yet


_RANK: Final[Mapping[AffinityState, int]] = MappingProxyType(
    {state: rank for rank, state in enumerate(AffinityState)}
)
_FIRM: Final = frozenset((AffinityState.CONFIRMED, AffinityState.IMPLICIT))

Claim = tuple[str, AffinityState]


class AssignmentError(ValueError):
    """An IPAM block cannot be understood; the text says why."""


class Assignment(NamedTuple):
    """The node that an IPAM block names as its owner.

    Attributes:
        node: A node; empty for none.
        is_decided: It says so: a block that was given back has no affinity any more, and
            one of a load balancer belongs to no node.
    """

    node: str = ""
    is_decided: bool = False

    def __str__(self) -> str:
        """Return it as text, for people."""
        return f"node {self.node}" if self.node else "no node"


def parse_assignment(value: bytes) -> Assignment:
    """Return the owner that the value of an IPAM block's key names.

    Raises:
        AssignmentError: It is not an IPAM block.
    """
    try:
        content = load(value, VALUE).value
    except TextError as error:
        raise AssignmentError(str(error)) from error
    if not isinstance(content, dict):
        raise AssignmentError("is not a JSON object")
    affinity = content.get("affinity")
    legacy = content.get("hostAffinity")
    if affinity is None and legacy is not None:
        affinity = f"{_HOST}{legacy}" if isinstance(legacy, str) else legacy
    if content.get("deleted") is True or affinity in (None, ""):
        return Assignment()
    if not isinstance(affinity, str):
        raise AssignmentError(f"affinity {str(affinity)[:_MAX_SHOWN]!r} is not text")
    is_node = affinity.startswith(_HOST) and len(affinity) > len(_HOST)
    return Assignment(affinity.removeprefix(_HOST) if is_node else "", is_decided=True)


def strongest(claims: Iterable[Claim]) -> dict[str, AffinityState]:
    """Return each node's strongest claim: one may have two affinities of one block."""
    found: dict[str, AffinityState] = {}
    for node, state in claims:
        known = found.get(node)
        if known is None or _RANK[state] < _RANK[known]:
            found[node] = state
    return found


def owner_of(claims: Mapping[str, AffinityState], assignment: Assignment) -> str:
    """Return the node that announces a block as a whole; empty for none.

    A node that gives the block up yields to one that holds it. Of several that hold it, the
    one counts that the IPAM block names, and none if it names another. If it names none, the
    strongest claim counts, then the first name.

    Args:
        claims: Node to its strongest claim.
        assignment: What the IPAM block says.
    """
    holders = {n: s for n, s in claims.items() if s is not AffinityState.PENDING}
    firm = {n: s for n, s in holders.items() if s in _FIRM}
    if assignment.is_decided:
        if assignment.node in firm or (assignment.node in holders and not firm):
            return assignment.node
        if assignment.node not in holders:
            return ""
    candidates = firm or holders
    if not candidates:
        return ""
    return min(candidates, key=lambda node: (_RANK[candidates[node]], node))
