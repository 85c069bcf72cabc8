"""Running policies: over one route, over a batch of prefixes, and with a trace.

Attributes are interned values, so what a policy does to them is remembered: equal inputs
give the same ``PathAttributes`` object, and a policy that looks at no prefix gives the
same ``Verdict``. Where prefixes matter, a batch is divided by each term that looks at
them, and what is left undivided stays one group: cost grows with terms and outcomes, and
per prefix only by the look-ups of ``PrefixMatcher``.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from rib.attributes import PathAttributes
from rib.family import AFI_IPV4, AFI_IPV6, Family
from rib.memo import OCTETS, Memo
from rib.nlri import Nlri
from rib.path import Source, SourceKind
from rib.policy.conditions import attribute_checks
from rib.policy.edits import Edits
from rib.policy.prefixes import PrefixMatcher
from rib.policy.spec import (
    NO_ACTIONS,
    Actions,
    NextHopRule,
    Outcome,
    PolicySpec,
    Term,
)

MEMO_MAX: Final = 4096  # remembered results of each kind and age
UNMATCHED: Final = "no term matched"

_GLOB: Final = {"*": ".*", "?": "."}
_ACCEPT: Final = Outcome.ACCEPT
_NEXT: Final = Outcome.NEXT


class Verdict(NamedTuple):
    """A policy's verdict on a route.

    Attributes:
        is_accepted: Whether the route goes on.
        attributes: After the policy's changes; as given where it is rejected.
        reason: Name of the deciding term, or ``UNMATCHED``.
        next_hop: The next hop the policy set, which nothing replaces afterwards; or the
            rule that says what it is.
        weight: The weight the policy set.
        device: The device a kernel policy set; empty for none.
        sets_med: The policy set MED, be it to the value that was there.
        own_ext_communities: Extended communities that the policy set or added, be they
            there already.
        prepended: AS numbers that the policy put before AS_PATH.
    """

    is_accepted: bool
    attributes: PathAttributes
    reason: str
    next_hop: bytes | NextHopRule | None = None
    weight: int | None = None
    device: str = ""
    sets_med: bool = False
    own_ext_communities: frozenset[int] = frozenset()
    prepended: int = 0


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One term's part in a decision, for display.

    Attributes:
        term: Its name.
        failed_condition: The first condition that did not hold, by its name in ``Match``;
            empty where the term matched.
        outcome: What followed; ``None`` where the term did not match.
        before: Attributes the term saw.
        after: Attributes it left; ``before`` itself where it changed nothing.
    """

    term: str
    failed_condition: str
    outcome: Outcome | None
    before: PathAttributes
    after: PathAttributes


class _Route(NamedTuple):
    """What a policy sees and changes on its way through the terms."""

    attributes: PathAttributes
    next_hop: bytes | NextHopRule | None
    weight: int | None
    device: str
    sets_med: bool = False
    own_ext_communities: frozenset[int] = frozenset()
    prepended: int = 0


# The class as a function runs Python code of its own.
_make_verdict: Final[Callable[[tuple[Any, ...]], Verdict]] = partial(
    tuple.__new__, Verdict
)
_NOTHING_SET: Final = Verdict(False, PathAttributes(b"", b""), "")[3:]


class _CompiledTerm:
    """A term with its conditions as functions."""

    __slots__ = (
        "_change",
        "_checks",
        "_edited",
        "_family",
        "_interface",
        "_kinds",
        "actions",
        "name",
        "outcome",
        "prefixes",
    )

    def __init__(self, term: Term) -> None:
        match = term.match
        self.name = term.name
        self.outcome = term.outcome
        self.actions: Actions | None = (
            None if term.actions == NO_ACTIONS else term.actions
        )
        self.prefixes: dict[int, PrefixMatcher] | None = None
        if match.prefixes is not None:
            self.prefixes = {
                afi: PrefixMatcher(match.prefixes, afi) for afi in (AFI_IPV4, AFI_IPV6)
            }
        self._family = match.family
        self._kinds = match.source_kinds
        self._interface = _glob(match.interface) if match.interface else None
        self._checks = attribute_checks(match)
        self._change = Edits(term.actions)
        self._edited: Memo[_Route, _Route] = Memo(MEMO_MAX)

    @property
    def needs_interface(self) -> bool:
        return self._interface is not None

    def age(self) -> None:
        self._edited.age()

    def failed_condition(
        self,
        attributes: PathAttributes,
        kind: SourceKind,
        family: Family,
        interface: str,
    ) -> str:
        """Return the first condition that does not hold, apart from the prefix."""
        if self._family is not None and family != self._family:
            return "family"
        if self._kinds and kind not in self._kinds:
            return "source_kinds"
        if self._interface is not None and not self._interface.fullmatch(interface):
            return "interface"
        for name, check in self._checks:
            if not check(attributes):
                return name
        return ""

    def edit(self, route: _Route) -> _Route:
        """Return ``route`` after the term's actions, remembered."""
        actions = self.actions
        if actions is None:
            return route
        known = self._edited.get(route)
        if known is None:
            known = self._edited.recall(route, None)
        if known is None:
            known = _Route(
                self._change(route.attributes),
                route.next_hop if actions.next_hop is None else actions.next_hop,
                route.weight if actions.weight is None else actions.weight,
                actions.device or route.device,
                _sets_med(route, actions),
                _own_ext_communities(route, actions),
                route.prepended + len(actions.prepend),
            )
            self._edited.put(route, known, _weight(known.attributes))
        return known


class Policy:
    """A compiled policy; see ``compile_policy``.

    Attributes:
        name: The specification's.
        spec: What it was made from.
        needs_prefix: Whether any term looks at the prefix; where not, one verdict holds
            for every prefix of an attribute set.
        needs_interface: Whether any term looks at the outgoing interface.
    """

    __slots__ = (
        "_terms",
        "_verdicts",
        "name",
        "needs_interface",
        "needs_prefix",
        "spec",
    )

    def __init__(self, spec: PolicySpec) -> None:
        self.spec = spec
        self.name = spec.name
        self._terms = tuple(map(_CompiledTerm, spec.terms))
        self.needs_prefix = any(term.prefixes is not None for term in self._terms)
        self.needs_interface = any(term.needs_interface for term in self._terms)
        self._verdicts: Memo[
            tuple[PathAttributes, SourceKind, Family, str], Verdict
        ] = Memo(MEMO_MAX)

    def __repr__(self) -> str:
        return f"Policy({self.name})"

    # hot: per attribute set
    def evaluate(
        self,
        attributes: PathAttributes,
        source: Source,
        family: Family,
        nlri: Nlri | None,
        *,
        interface: str = "",
    ) -> Verdict:
        """Return what the policy does with one route.

        Args:
            attributes: As received, or as selected.
            source: Where the route came from.
            family: Of the prefix.
            nlri: The prefix; may be ``None`` where ``needs_prefix`` is false.
            interface: Name of the outgoing interface; empty for none.

        Raises:
            ValueError: ``nlri`` is ``None`` and the policy looks at prefixes.
        """
        if self.needs_prefix:
            if nlri is None:
                raise ValueError(f"policy {self.name} must know the prefix")
            return next(self._divide((nlri,), attributes, source, family, interface))[1]
        if not self._terms:  # accept-all and reject-all: cheaper than to remember
            accepts = self.spec.accepts_unmatched
            return _make_verdict((accepts, attributes, UNMATCHED, *_NOTHING_SET))
        interface = interface if self.needs_interface else ""
        key = (attributes, source.kind, family, interface)
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._verdicts.recall(key, None)
        if verdict is None:
            groups = self._divide((b"",), attributes, source, family, interface)
            verdict = next(groups)[1]
            self._verdicts.put(key, verdict, _weight(attributes))
        return verdict

    def age(self) -> None:
        """Drop results not used since the last time."""
        self._verdicts.age()
        for term in self._terms:
            term.age()

    # hot: per batch
    def apply_batch(
        self,
        nlris: Sequence[Nlri],
        attributes: PathAttributes,
        source: Source,
        family: Family,
        *,
        interface: str = "",
    ) -> list[tuple[Sequence[Nlri], Verdict]]:
        """Group prefixes that share attributes by the policy's verdict.

        Returns:
            Each outcome once with its prefixes; every prefix is in exactly one group. The
            attributes of equal outcomes are one object, from one batch to the next too
            (until a memo overflows).
        """
        if not nlris:
            return []
        if not self.needs_prefix:
            verdict = self.evaluate(
                attributes, source, family, None, interface=interface
            )
            return [(nlris, verdict)]
        groups: dict[Verdict, list[Nlri]] = {}
        for members, verdict in self._divide(
            nlris, attributes, source, family, interface
        ):
            groups.setdefault(verdict, []).extend(members)
        return [(members, verdict) for verdict, members in groups.items()]

    def _divide(
        self,
        nlris: Sequence[Nlri],
        attributes: PathAttributes,
        source: Source,
        family: Family,
        interface: str,
    ) -> Iterator[tuple[Sequence[Nlri], Verdict]]:
        """Yield groups of prefixes with their verdict; walks each term once per group."""
        terms = self._terms
        kind = source.kind
        waiting = [(0, nlris, _Route(attributes, None, None, ""))]
        while waiting:
            start, members, route = waiting.pop()
            for index in range(start, len(terms)):
                term = terms[index]
                if term.failed_condition(route.attributes, kind, family, interface):
                    continue
                matched, others = _divided(term, members, family)
                if not matched:
                    continue
                if term.outcome is not _NEXT:
                    yield matched, self._verdict(term, attributes, term.edit(route))
                elif others:
                    waiting.append((index + 1, matched, term.edit(route)))
                else:
                    others, route = matched, term.edit(route)
                members = others
                if not members:
                    break
            else:
                yield members, self._verdict(None, attributes, route)

    def _verdict(
        self, term: _CompiledTerm | None, given: PathAttributes, route: _Route
    ) -> Verdict:
        if term is None:
            is_accepted, reason = self.spec.accepts_unmatched, UNMATCHED
        else:
            is_accepted, reason = term.outcome is _ACCEPT, term.name
        if not is_accepted:
            return Verdict(False, given, reason)
        return Verdict(True, route.attributes, reason, *route[1:])

    def explain(
        self,
        attributes: PathAttributes,
        source: Source,
        family: Family,
        nlri: Nlri,
        *,
        interface: str = "",
    ) -> tuple[tuple[TraceStep, ...], Verdict]:
        """Return what each term did to one route, and the verdict ``evaluate`` gives."""
        steps = []
        route = _Route(attributes, None, None, "")
        for term in self._terms:
            before = route.attributes
            failed = term.failed_condition(before, source.kind, family, interface)
            if not failed and not _divided(term, (nlri,), family)[0]:
                failed = "prefixes"
            if failed:
                steps.append(TraceStep(term.name, failed, None, before, before))
                continue
            route = term.edit(route)
            steps.append(
                TraceStep(term.name, "", term.outcome, before, route.attributes)
            )
            if term.outcome is not _NEXT:
                return tuple(steps), self._verdict(term, attributes, route)
        return tuple(steps), self._verdict(None, attributes, route)


def _sets_med(route: _Route, actions: Actions) -> bool:
    return (route.sets_med and not actions.removes_med) or actions.med is not None


def _own_ext_communities(route: _Route, actions: Actions) -> frozenset[int]:
    own, added = route.own_ext_communities, frozenset(actions.add_ext_communities)
    if actions.set_ext_communities is not None:
        own = frozenset(actions.set_ext_communities)
    return own | added if added else own


def _weight(attributes: PathAttributes) -> int:
    return 1 + len(attributes.octets) // OCTETS


def compile_policy(spec: PolicySpec) -> Policy:
    """Make ``spec`` executable.

    Raises:
        ValueError: An AS path expression is malformed or unsupported.
    """
    return Policy(spec)


def _divided(
    term: _CompiledTerm, members: Sequence[Nlri], family: Family
) -> tuple[Sequence[Nlri], Sequence[Nlri]]:
    if term.prefixes is None:
        return members, ()
    matcher = term.prefixes.get(family.afi)
    return ((), members) if matcher is None else matcher.divide(members)


def _glob(pattern: str) -> "re.Pattern[str]":
    """Return the expression of a glob in which only ``*`` and ``?`` are special."""
    pieces = (_GLOB.get(each) or re.escape(each) for each in pattern)
    return re.compile("".join(pieces), re.DOTALL)
