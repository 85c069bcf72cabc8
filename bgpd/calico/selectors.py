"""Calico's label selectors: parsed to terms, and compiled to predicates over labels.

``||`` binds least, then ``&&``, then ``!``; parentheses group. Terms: ``k == 'v'``,
``!=``, ``contains``, ``starts with``, ``ends with``, ``in {...}``, ``not in {...}`` (the
three of two words also as one), ``has(k)``, ``all()``, ``global()``. An empty selector
matches everything. With the label missing, ``!=`` and ``not in`` are true and every other
comparison is false. Words are operators only after a label, so a label may be called ``in``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

Labels = Mapping[str, str]
Selector = Callable[[Labels], bool]

_END: Final = r"(?![A-Za-z0-9_./-])"  # of a word
_TOKEN: Final = re.compile(
    r"""(?P<string>'[^']*'|"[^"]*")
      | (?P<call>(?:has|all|global)\()
      | (?P<op>\|\||&&|==|!=|!|\(|\)|\{|\}|,)
      | (?P<name>[A-Za-z0-9_./-]+)
    """,
    re.VERBOSE,
)
_WORDS: Final = re.compile(
    rf"(?:contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in){_END}"
)
_BLANKS: Final = re.compile(r"[ \t]*")
_SHOWN: Final = 200  # characters of a selector in a message
MAX_LEN: Final = 10_000  # characters; each node's labels are asked each of its terms
_MAX_DEPTH: Final = 100  # nesting; a selector of a person has three

# With the label there; without it each of these is false.
_COMPARE: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "==": lambda have, want: have == want,
    "contains": lambda have, want: want in have,
    "startswith": lambda have, want: have.startswith(want),
    "endswith": lambda have, want: have.endswith(want),
}


class Comparison(NamedTuple):
    """One condition on a label.

    Attributes:
        name: Of the label.
        operator: ``==``, ``!=``, ``in``, ``notin``, ``contains``, ``startswith``,
            ``endswith`` or ``has``.
        values: What it is compared with: one, but for sets; none for ``has``.
    """

    name: str
    operator: str
    values: frozenset[str] = frozenset()


class Negation(NamedTuple):
    """The contrary of a term."""

    term: "Term"


class Combination(NamedTuple):
    """Several terms.

    Attributes:
        needs_all: Whether all of them have to be true, or any one.
        terms: In order.
    """

    needs_all: bool
    terms: tuple["Term", ...]


Term = Comparison | Negation | Combination
EVERYTHING: Final = Combination(needs_all=True, terms=())


class SelectorError(ValueError):
    """The text is not a selector; a peer with it matches no node."""


def compile_selector(text: str) -> Selector:
    """Return the predicate of ``text``.

    Raises:
        SelectorError: The text does not follow the grammar.
    """
    return _compiled(parse_selector(text))


def parse_selector(text: str) -> Term:
    """Return what ``text`` says.

    Raises:
        SelectorError: The text does not follow the grammar.
    """
    if len(text) > MAX_LEN:
        found = f"a selector of {len(text)} characters"
        raise SelectorError(f"{found}; the limit is {MAX_LEN}")
    try:
        return _Parser(_tokens(text)).parse_all()
    except SelectorError as error:
        raise SelectorError(f"{_shown(text)!r}: {error}") from None


def _compiled(term: Term) -> Selector:
    match term:
        case Comparison():
            return _comparison(*term)
        case Negation(inner):
            denied = _compiled(inner)
            return lambda labels: not denied(labels)
        case Combination():
            terms = tuple(map(_compiled, term.terms))
    if term.needs_all:
        return lambda labels: all(each(labels) for each in terms)
    return lambda labels: any(each(labels) for each in terms)


def _comparison(name: str, operator: str, values: frozenset[str]) -> Selector:
    if operator == "has":
        return lambda labels: name in labels
    if operator == "in":
        return lambda labels: labels.get(name) in values
    if operator == "notin":
        return lambda labels: labels.get(name) not in values
    (value,) = values
    if operator == "!=":
        return lambda labels: labels.get(name) != value
    compare = _COMPARE[operator]
    return lambda labels: name in labels and compare(labels[name], value)


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _met(token: str) -> str:
    """Return what there was in place of what was expected."""
    return f", found {token[:_SHOWN]!r}" if token else " at the end"


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    kind, at = "", 0
    while True:
        at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]  # even none match
        if at == len(text):
            return [*tokens, ""]
        # What follows a label is an operator; has() takes one without.
        is_label = kind == "name" and tokens[-2:-1] != ["has("]
        match = is_label and _WORDS.match(text, at)
        if match:
            kind, token = "words", "".join(match.group().split())
        else:
            match = _TOKEN.match(text, at)
            if match is None:
                rest = text[at : at + _SHOWN]
                raise SelectorError(f"cannot read {rest!r}")
            kind, token = match.lastgroup or "", match.group()
        tokens.append(token)
        at = match.end()


class _Parser:
    """Recursive descent over a token list that ends in an empty token."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at]

    def take(self) -> str:
        token = self._tokens[self._at]
        if token:
            self._at += 1
        return token

    def expect(self, token: str) -> None:
        found = self.take()
        if found != token:
            raise SelectorError(f"expected {token!r}{_met(found)}")

    def parse_all(self) -> Term:
        if self.peek() == "":
            return EVERYTHING
        term = self.parse_or(0)
        if self.peek() != "":
            raise SelectorError(f"unexpected {self.peek()[:_SHOWN]!r}")
        return term

    def parse_or(self, depth: int) -> Term:
        terms = [self._parse_and(depth)]
        while self.peek() == "||":
            self.take()
            terms.append(self._parse_and(depth))
        if len(terms) == 1:
            return terms[0]
        return Combination(needs_all=False, terms=tuple(terms))

    def _parse_and(self, depth: int) -> Term:
        terms = [self._parse_not(depth)]
        while self.peek() == "&&":
            self.take()
            terms.append(self._parse_not(depth))
        if len(terms) == 1:
            return terms[0]
        return Combination(needs_all=True, terms=tuple(terms))

    def _parse_not(self, depth: int) -> Term:
        if depth > _MAX_DEPTH:
            raise SelectorError("nested too deeply")
        is_negated = False
        while self.peek() == "!":
            self.take()
            is_negated = not is_negated
        term = self._parse_operation(depth)
        return Negation(term) if is_negated else term

    def _parse_operation(self, depth: int) -> Term:
        if self.peek() == "(":
            self.take()
            term = self.parse_or(depth + 1)
            self.expect(")")
            return term
        return self._parse_term()

    def _parse_term(self) -> Term:
        if self.peek().endswith("(") and self.peek() != "(":
            return self._parse_call(self.take())
        name = self._name()
        operator = self.take()
        if operator in ("in", "notin"):
            return Comparison(name, operator, self._set())
        if operator != "!=" and operator not in _COMPARE:
            raise SelectorError(f"expected an operator after {name!r}{_met(operator)}")
        return Comparison(name, operator, frozenset((self._string(),)))

    def _parse_call(self, call: str) -> Term:
        label = self._name() if call == "has(" else ""
        self.expect(")")
        return Comparison(label, "has") if label else EVERYTHING

    def _name(self) -> str:
        token = self.take()
        if not token or not re.fullmatch(r"[A-Za-z0-9_./-]{1,512}", token):
            raise SelectorError(f"expected a label name{_met(token)}")
        return token

    def _string(self) -> str:
        token = self.take()
        if token[:1] not in {"'", '"'}:
            raise SelectorError(f"expected a quoted value{_met(token)}")
        return token[1:-1]

    def _set(self) -> frozenset[str]:
        self.expect("{")
        values = []
        while self.peek() != "}":
            values.append(self._string())
            if self.peek() != ",":
                break
            self.take()
        self.expect("}")
        return frozenset(values)
