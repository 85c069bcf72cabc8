r"""Regular expressions of AS paths, matched in time linear in the path. Pure.

A peer chooses the path, so no path may cost more than its length. Python's own ``re`` tries
one way after another: ``(\d+ ?)+x`` takes it twice as long with each digit. Here all ways are
followed at once (Glushkov's automaton): a state is the set of those characters of the
expression that can have been matched last. States are made as they are met and remembered,
so that a character of a path costs one look-up.

What lies between two characters of a path (``^``, ``$``, ``_``, ``\b``) depends on the kind
of both. So there is one table of what can follow what for each pair of kinds.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from rib.policy.pattern_syntax import (
    ALPHABET,
    DIGITS,
    Chars,
    Either,
    Joined,
    Pattern,
    Place,
    Repeated,
    parse_pattern,
)

MAX_STATES: Final = 1_000  # remembered of one expression
_FOUND: Final = -1  # instead of a state: the rest of the path does not matter
_LOST: Final = 0  # the path is over

# Kinds of what stands before or behind a place in a path.
_EDGE: Final = 0  # nothing
_DIGIT: Final = 1
_OTHER: Final = 2

_State = tuple[
    int, int
]  # characters of the expression as bits; the kind of the last one
_Ends = tuple[bool, int, int]  # matches nothing at all; first characters; last ones


class PathPattern:
    """An expression, searched for in the texts of AS paths.

    Args:
        text: The expression (``rib.policy.pattern_syntax``).

    Raises:
        PatternError: It cannot be taken.
    """

    __slots__ = ("_masks", "_moves", "_numbers", "_places", "_states", "_tree")

    def __init__(self, text: str) -> None:
        self._tree = parse_pattern(text)
        self._masks = _masks(self._tree)
        self._places: dict[tuple[int, int], _Between] = {}
        self._states: list[_State] = []
        self._numbers: dict[_State, int] = {}
        self._moves: list[dict[str, int]] = []
        self._number((0, _EDGE))

    def search(self, text: str) -> bool:
        """Return whether the expression matches some part of ``text``."""
        moves = self._moves
        state = 0
        for char in text:
            known = moves[state].get(char)
            state = self._step(state, char) if known is None else known
            if state < 0:
                return True
        known = moves[state].get("")
        return (self._step(state, "") if known is None else known) == _FOUND

    def _step(self, state: int, char: str) -> int:
        """Find the state that follows, and remember it; no character is the end."""
        before = self._states[state]
        if len(self._states) >= MAX_STATES:
            self._forget()
            state = self._number(before)
        reached, kind = before
        next_kind = _kind(char)
        between = self._between(kind, next_kind)
        if between.is_empty or reached & between.last:
            target = _FOUND
        elif not char:
            target = _LOST
        else:
            following = between.after(reached) & self._masks.get(char, 0)
            target = self._number((following, next_kind))
        self._moves[state][char] = target
        return target

    def _number(self, state: _State) -> int:
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(self._states)
            self._states.append(state)
            self._moves.append({})
        return number

    def _forget(self) -> None:
        """Forget all states but the first."""
        self._states.clear()
        self._numbers.clear()
        self._moves.clear()
        self._number((0, _EDGE))

    def _between(self, before: int, behind: int) -> "_Between":
        place = before, behind
        known = self._places.get(place)
        if known is None:
            known = self._places[place] = _Between(self._tree, before, behind)
        return known


class _Between:
    """What can follow what where two kinds of characters meet.

    Args:
        tree: The expression.
        before: Kind of the character before.
        behind: Kind of the character behind.

    Attributes:
        is_empty: The expression matches without any character.
        last: Characters of the expression that can be the last ones, as bits.
    """

    __slots__ = ("_first", "_follow", "_leaps", "_steps", "_unions", "is_empty", "last")

    def __init__(self, tree: Pattern, before: int, behind: int) -> None:
        walk = _Walk(before, behind)
        self.is_empty, self._first, self.last = walk.ends(tree)
        self._follow = follow = walk.follow
        # Most characters are followed by the next one alone: all of them in one shift.
        self._steps = sum(1 << n for n, some in enumerate(follow) if some & 2 << n)
        self._leaps = sum(1 << n for n, some in enumerate(follow) if some & ~(2 << n))
        self._unions: list[dict[int, int]] = [{} for _ in follow[::8]]

    def after(self, reached: int) -> int:
        """Return what can follow any of some characters, or start again, as bits."""
        found = self._first | (reached & self._steps) << 1
        leaps = reached & self._leaps
        octets = leaps.to_bytes((leaps.bit_length() + 7) // 8, "little")
        for index, octet in enumerate(octets):
            if octet:
                union = self._unions[index].get(octet)
                found |= self._union(index, octet) if union is None else union
        return found

    def _union(self, index: int, octet: int) -> int:
        """Return what can follow any of up to eight characters, and remember it."""
        union = 0
        for number in _bits(octet):
            union |= self._follow[8 * index + number]
        self._unions[index][octet] = union
        return union


class _Walk:
    """One pass over an expression, for one pair of kinds; repeats are counted out.

    Attributes:
        follow: For each character of the expression, those that can follow, as bits.
    """

    def __init__(self, before: int, behind: int) -> None:
        self.follow: list[int] = []
        self._holds = {
            "^": before == _EDGE,
            "$": behind == _EDGE,
            "b": (before == _DIGIT) != (behind == _DIGIT),
            "B": (before == _DIGIT) == (behind == _DIGIT),
        }

    def ends(self, node: Pattern) -> _Ends:
        match node:
            case Chars():
                bit = 1 << len(self.follow)
                self.follow.append(0)
                return False, bit, bit
            case Place(kind):
                return self._holds[kind], 0, 0
            case Joined(parts):
                return self._join([self.ends(part) for part in parts])
            case Either(parts):
                return _either([self.ends(part) for part in parts])
            case Repeated():
                return self._repeat(node)

    def _join(self, parts: Sequence[_Ends]) -> _Ends:
        """Join parts from behind, so that each links to what can follow it at once."""
        is_empty, first, last = True, 0, 0
        for may_be_empty, firsts, lasts in reversed(parts):
            self._link(lasts, first)
            if is_empty:
                last |= lasts
            first = firsts | first if may_be_empty else firsts
            is_empty = is_empty and may_be_empty
        return is_empty, first, last

    def _repeat(self, node: Repeated) -> _Ends:
        copies = max(node.least, 1) if node.most is None else node.most
        parts: list[_Ends] = []
        for number in range(1, copies + 1):
            is_empty, first, last = self.ends(node.part)
            if node.most is None and number == copies:
                self._link(last, first)
            parts.append((is_empty or number > node.least, first, last))
        return self._join(parts)

    def _link(self, before: int, behind: int) -> None:
        if behind:
            for number in _bits(before):
                self.follow[number] |= behind


def _either(parts: Sequence[_Ends]) -> _Ends:
    is_empty, first, last = False, 0, 0
    for may_be_empty, firsts, lasts in parts:
        is_empty = is_empty or may_be_empty
        first |= firsts
        last |= lasts
    return is_empty, first, last


def _kind(char: str) -> int:
    if not char:
        return _EDGE
    return _DIGIT if char in DIGITS else _OTHER


def _bits(number: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _masks(tree: Pattern) -> dict[str, int]:
    """Return which positions of an expression match each character of a path, as bits."""
    masks = dict.fromkeys(ALPHABET, 0)
    for number, chars in enumerate(_characters(tree)):
        for char in chars:
            masks[char] |= 1 << number
    return masks


def _characters(node: Pattern) -> Iterator[frozenset[str]]:
    """Yield the characters of an expression as ``_Walk`` numbers them."""
    match node:
        case Chars(chars):
            yield chars
        case Place():
            pass
        case Joined(parts) | Either(parts):
            for part in parts:
                yield from _characters(part)
        case Repeated(part, least, most):
            for _ in range(max(least, 1) if most is None else most):
                yield from _characters(part)
