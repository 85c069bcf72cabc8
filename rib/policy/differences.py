"""Which routes a change of a policy concerns."""

from collections.abc import Sequence

from rib.policy.spec import PolicySpec, PrefixEntry, PrefixMatch, Term


def concerned(old: PolicySpec, new: PolicySpec) -> PrefixMatch | None:
    """Return the prefixes that ``old`` and ``new`` may judge differently.

    Where the terms that differ all look at the prefix, a route outside of theirs passes
    the same terms in both. ``None`` is every route.
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
    differing = (*_middle(old.terms, start, end), *_middle(new.terms, start, end))
    entries: dict[PrefixEntry, None] = {}
    for term in differing:
        prefixes = term.match.prefixes
        if prefixes is None or prefixes.is_negated:
            return None
        entries.update(dict.fromkeys(prefixes.entries))
    return PrefixMatch(tuple(entries))


def _middle(terms: Sequence[Term], start: int, end: int) -> Sequence[Term]:
    return terms[start : len(terms) - end]
