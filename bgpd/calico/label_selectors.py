"""Calico's selectors as label selectors of Kubernetes: what an API server can filter by. Pure."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from bgpd.calico.selectors import (
    Combination,
    Comparison,
    Negation,
    Term,
    parse_selector,
)

# Theory
# ------
# A label selector is a conjunction of comparisons of one label each. A selector of Calico's is
# any expression, so it becomes several label selectors: what it matches is in the union of
# what they match. The union may hold more, never less: the planner applies Calico's
# selector to what comes.
#
# Negations go down to the comparisons first, so that each comparison stands for itself and
# whatever replaces it by something weaker makes the whole weaker.
#
#       Calico                     without the label    Kubernetes
#       -------------------------  -------------------  -------------------------------------
#       k == 'v', k in {...}       no                   k in (...)
#       k != 'v', k not in {...}   matches              k notin (...): matches there, too
#       has(k), !has(k)                                 k, !k
#       k contains 'v' and so on   no                   k (weaker)
#       !(k contains 'v')          matches              nothing (weaker)
#
# A node of Kubernetes cannot have every name and value: 63 characters, of few kinds. What
# asks for another one can only be met by labels of Calico's, which are in an annotation, and
# no label selector sees those. What denies another one is true of all labels that are seen.

MOST_SELECTORS: Final = (
    8  # of one selector; each is followed over a connection of its own
)
MOST_CHARS: Final = 2000  # of one, which stands in the path of a request
_PART: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)"
_VALUE: Final = re.compile(rf"{_PART}?")
_DNS: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME: Final = re.compile(rf"(?:(?P<prefix>{_DNS}(?:\.{_DNS})*)/)?{_PART}")
_MAX_PREFIX: Final = 253  # characters
_NEGATED: Final = {"==": "notin", "in": "notin", "!=": "in", "notin": "in"}
_SAME: Final = {"==": "in", "in": "in", "!=": "notin", "notin": "notin"}


class Requirement(NamedTuple):
    """One condition on a label.

    Attributes:
        name: Of the label.
        operator: ``in``, ``notin``, ``exists`` or ``absent``.
        values: Of the first two; never empty.
    """

    name: str
    operator: str
    values: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Return it as Kubernetes writes it."""
        if self.operator in ("exists", "absent"):
            return f"{'!' * (self.operator == 'absent')}{self.name}"
        return f"{self.name} {self.operator} ({','.join(sorted(self.values))})"

    def is_met(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet it, as the API server says."""
        if self.operator in ("exists", "absent"):
            return (self.name in labels) is (self.operator == "exists")
        has_one = labels.get(self.name) in self.values
        return has_one is (self.operator == "in")


LabelSelector = frozenset[Requirement]
"""Requirements all of which have to be met; one without any matches everything."""


class NoLabelSelectorError(ValueError):
    """A selector asks for what no label selector can find; the text says why."""


def label_selectors(text: str) -> tuple[LabelSelector, ...]:
    """Return label selectors that match, together, what Calico's selector matches.

    They may match more. Without any, no labels match. Labels are those of Kubernetes.

    Raises:
        SelectorError: The text is not a selector.
        NoLabelSelectorError: Only reading everything finds what it matches.
    """
    found = tuple(dict.fromkeys(_alternatives(parse_selector(text), is_negated=False)))
    for each in found:
        if not each:
            raise NoLabelSelectorError("no label limits what it matches")
        if len(written(each)) > MOST_CHARS:
            raise NoLabelSelectorError(f"it is longer than {MOST_CHARS} characters")
    return found


def written(selector: LabelSelector) -> str:
    """Return a label selector as the API takes it."""
    return ",".join(sorted(map(str, selector)))


def is_matching(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Return whether labels match, as the API server says."""
    return all(each.is_met(labels) for each in selector)


def _alternatives(term: Term, *, is_negated: bool) -> list[LabelSelector]:
    match term:
        case Comparison():
            requirement = _requirement(term, is_negated=is_negated)
            if requirement is None:
                return []
            return [frozenset(requirement)]
        case Negation(inner):
            return _alternatives(inner, is_negated=not is_negated)
        case Combination():
            return _combined(term, is_negated=is_negated)


def _combined(term: Combination, *, is_negated: bool) -> list[LabelSelector]:
    parts = [_alternatives(each, is_negated=is_negated) for each in term.terms]
    if term.needs_all is is_negated:
        found = [each for part in parts for each in part]
    else:
        found = [frozenset[Requirement]()]
        for part in parts:
            found = [each | more for each in found for more in part]
            found = _limited(found)
    return _limited(found)


def _limited(found: list[LabelSelector]) -> list[LabelSelector]:
    """Return each once.

    Raises:
        NoLabelSelectorError: They are too many.
    """
    different = list(dict.fromkeys(found))
    if len(different) > MOST_SELECTORS:
        text = f"it would take more than {MOST_SELECTORS} label selectors"
        raise NoLabelSelectorError(text)
    return different


def _requirement(
    term: Comparison, *, is_negated: bool
) -> tuple[Requirement, ...] | None:
    """Return what has to be met, which may be nothing; ``None`` if nothing can meet it.

    Raises:
        NoLabelSelectorError: It asks for a label that Kubernetes cannot have.
    """
    if term.operator not in _SAME:  # has() and what looks into a value
        is_wanted = not is_negated
        if not _is_name(term.name):
            return _of_calico(term.name) if is_wanted else ()
        if is_wanted:
            return (Requirement(term.name, "exists"),)
        if term.operator == "has":
            return (Requirement(term.name, "absent"),)
        return ()
    operator = (_NEGATED if is_negated else _SAME)[term.operator]
    is_known = _is_name(term.name)
    values = frozenset(filter(_VALUE.fullmatch, term.values)) if is_known else None
    if operator == "notin":
        return (Requirement(term.name, "notin", values),) if values else ()
    if not term.values:
        return None
    if values != term.values:
        return _of_calico(term.name)
    return (Requirement(term.name, "in", values),)


def _of_calico(name: str) -> tuple[Requirement, ...]:
    text = f"Kubernetes cannot have what it asks of the label {name}"
    raise NoLabelSelectorError(text)


def _is_name(name: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and len(match["prefix"] or "") <= _MAX_PREFIX
