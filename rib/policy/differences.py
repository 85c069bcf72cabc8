"""Which routes a change of a policy affects."""

from collections.abc import Sequence
from dataclasses import replace

from rib.policy.spec import PolicySpec, PrefixEntry, PrefixMatch, Term


def concerned(old: PolicySpec, new: PolicySpec) -> PrefixMatch | None:
    """Return the prefixes that ``old`` and ``new`` may treat differently.

    Where the terms that differ all look at the prefix, a route outside their prefixes passes
    the same terms in both. Where they differ in their prefixes alone, such as by one of ten
    thousand, only those that one of the two lacks count. ``None`` is every route.
    """
    if old.accepts_unmatched != new.accepts_unmatched:
        return None
    start = 0
    shortest = min(len(old.terms), len(new.terms))
    while start < shortest and old.terms[start] == new.terms[start]:
        start += 1
    end = 0
    while end < shortest - start and old.terms[-1 - end] == new.terms[-1 - end]:
        end += 1
    before, after = _middle(old.terms, start, end), _middle(new.terms, start, end)
    entries: dict[PrefixEntry, None] = {}
    if len(before) == len(after):
        pairs = list(zip(before, after, strict=True))
        if all(_differ_in_entries_alone(*pair) for pair in pairs):
            # Whatever is inside an entry of both is judged alike by the two.
            for one, other in pairs:
                entries |= dict.fromkeys(_entries(one) ^ _entries(other))
            return PrefixMatch(tuple(entries))
    for term in (*before, *after):
        prefixes = term.match.prefixes
        if prefixes is None or prefixes.is_negated:
            return None
        entries |= dict.fromkeys(prefixes.entries)
    return PrefixMatch(tuple(entries))


def _differ_in_entries_alone(one: Term, other: Term) -> bool:
    mine, theirs = one.match.prefixes, other.match.prefixes
    if mine is None or theirs is None or mine.is_negated or theirs.is_negated:
        return False
    return other == replace(one, match=replace(one.match, prefixes=theirs))


def _entries(term: Term) -> frozenset[PrefixEntry]:
    prefixes = term.match.prefixes
    return frozenset() if prefixes is None else frozenset(prefixes.entries)


def _middle(terms: Sequence[Term], start: int, end: int) -> Sequence[Term]:
    return terms[start : len(terms) - end]
