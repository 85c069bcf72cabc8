"""Calico's label selectors, compiled to predicates over a label mapping.

``||`` binds least, then ``&&``, then ``!``; parentheses group. Terms: ``k == 'v'``,
``!=``, ``contains``, ``starts with``, ``ends with``, ``in {...}``, ``not in {...}`` (the
three of two words also as one), ``has(k)``, ``all()``, ``global()``. An empty selector
matches everything. With the label missing, ``!=`` and ``not in`` are true and every other
comparison is false. Words are operators only after a label, so a label may be called ``in``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

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

_COMPARE: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "==": lambda have, want: have == want,
    "contains": lambda have, want: want in have,
    "startswith": lambda have, want: have.startswith(want),
    "endswith": lambda have, want: have.endswith(want),
}


class SelectorError(ValueError):
    """The text is not a selector; a peer with it matches no node."""


def compile_selector(text: str) -> Selector:
    """Return the predicate of ``text``.

    Raises:
        SelectorError: The text does not follow the grammar.
    """
    if len(text) > MAX_LEN:
        found = f"a selector of {len(text)} characters"
        raise SelectorError(f"{found}; the limit is {MAX_LEN}")
    parser = _Parser(_tokens(text))
    if parser.peek() == "":
        return _everything
    selector = parser.parse_or(0)
    if parser.peek() != "":
        token = parser.peek()[:_SHOWN]
        raise SelectorError(f"unexpected {token!r} in selector {_shown(text)!r}")
    return selector


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _everything(_labels: Labels) -> bool:
    return True


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
                raise SelectorError(
                    f"cannot read {rest!r} in selector {_shown(text)!r}"
                )
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
            raise SelectorError(f"expected {token!r}, found {found!r}")

    def parse_or(self, depth: int) -> Selector:
        terms = [self._parse_and(depth)]
        while self.peek() == "||":
            self.take()
            terms.append(self._parse_and(depth))
        if len(terms) == 1:
            return terms[0]
        return lambda labels: any(term(labels) for term in terms)

    def _parse_and(self, depth: int) -> Selector:
        terms = [self._parse_not(depth)]
        while self.peek() == "&&":
            self.take()
            terms.append(self._parse_not(depth))
        if len(terms) == 1:
            return terms[0]
        return lambda labels: all(term(labels) for term in terms)

    def _parse_not(self, depth: int) -> Selector:
        if depth > _MAX_DEPTH:
            raise SelectorError("nested too deeply")
        is_negated = False
        while self.peek() == "!":
            self.take()
            is_negated = not is_negated
        term = self._parse_operation(depth)
        return (lambda labels: not term(labels)) if is_negated else term

    def _parse_operation(self, depth: int) -> Selector:
        if self.peek() == "(":
            self.take()
            term = self.parse_or(depth + 1)
            self.expect(")")
            return term
        return self._parse_term()

    def _parse_term(self) -> Selector:
        if self.peek().endswith("(") and self.peek() != "(":
            return self._parse_call(self.take())
        name = self._name()
        operator = self.take()
        if operator == "!=":
            value = self._string()
            return lambda labels: labels.get(name) != value
        if operator == "notin":
            values = self._set()
            return lambda labels: labels.get(name) not in values
        if operator == "in":
            values = self._set()
            return lambda labels: labels.get(name) in values
        if operator not in _COMPARE:
            raise SelectorError(f"{operator!r} after {name!r} is not an operator")
        compare, value = _COMPARE[operator], self._string()
        return lambda labels: name in labels and compare(labels[name], value)

    def _parse_call(self, call: str) -> Selector:
        label = self._name() if call == "has(" else ""
        self.expect(")")
        return (lambda labels: label in labels) if label else _everything

    def _name(self) -> str:
        token = self.take()
        if not token or not re.fullmatch(r"[A-Za-z0-9_./-]{1,512}", token):
            raise SelectorError(f"expected a label name, found {token!r}")
        return token

    def _string(self) -> str:
        token = self.take()
        if token[:1] not in {"'", '"'}:
            raise SelectorError(f"expected a quoted value, found {token!r}")
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
