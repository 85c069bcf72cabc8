"""BIRD's commands cut into tokens: words, numbers, addresses, texts and signs."""

import re
from enum import Enum
from typing import Final, NamedTuple

SYNTAX_ERROR: Final = 9001


class QueryError(Exception):
    """A query that cannot be answered.

    Args:
        code: BIRD's number of the error.
        text: For people.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def unexpected(what: str = "") -> QueryError:
    """Return the error about a word that stands where it must not; empty is the end."""
    shown = repr(what) if what else "END"
    return QueryError(SYNTAX_ERROR, f"syntax error, unexpected {shown}")


class Kind(Enum):
    """The kinds of tokens."""

    ADDRESS = "address"  # or prefix
    NUMBER = "number"
    WORD = "word"
    TEXT = "text"  # in double quotation marks
    SIGN = "sign"
    END = "end"


class Token(NamedTuple):
    """A piece of a command.

    Attributes:
        kind: See ``Kind``.
        text: Without quotation marks.
    """

    kind: Kind
    text: str


_END: Final = Token(Kind.END, "")
# A quoted symbol is a word: BIRD has that for names with other signs.
_TOKEN: Final = re.compile(
    r"""\s*(?:
    "(?P<text>[^"]*)"
    | '(?P<symbol>[^']*)'
    | (?P<address>\d+\.\d+\.\d+\.\d+(?:/\d+)? | (?=[0-9A-Fa-f]*:)[0-9A-Fa-f:]+(?:\d+\.\d+\.\d+\.\d+)?(?:/\d+)?)
    | (?P<number>(?:0[xX][0-9A-Fa-f]+|\d+)(?![\w-]))
    | (?P<word>\w[\w.-]*)
    | (?P<sign>\[=|=\]|!~|!=|<=|>=|&&|\|\||\.\.|[~=<>!()\[\]{},*?+;-])
    )""",
    re.VERBOSE | re.ASCII,
)
_KINDS: Final = {kind.value: kind for kind in Kind} | {"symbol": Kind.WORD}


class Tokens:
    """The tokens of a command, taken one by one.

    Args:
        command: At most some hundred characters.

    Raises:
        QueryError: A character begins no token.
    """

    def __init__(self, command: str) -> None:
        self._tokens: list[Token] = []
        command = command.rstrip()
        at = 0
        while at < len(command):
            match = _TOKEN.match(command, at)
            if match is None or match.lastgroup is None:
                raise unexpected(command[at:].split()[0])
            kind = _KINDS[match.lastgroup]
            self._tokens.append(Token(kind, match[match.lastgroup]))
            at = match.end()
        self._at = 0

    def peek(self, ahead: int = 0) -> Token:
        """Return a token without taking it."""
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else _END

    def take(self) -> Token:
        """Take the next token."""
        token = self.peek()
        self._at += 1
        return token

    def takes(self, sign: str) -> bool:
        """Take a sign if it is next, and return whether it was."""
        is_next = self.peek() == (Kind.SIGN, sign)
        self._at += is_next
        return is_next

    def expect(self, sign: str) -> None:
        """Take a sign.

        Raises:
            QueryError: Something else is next.
        """
        if not self.takes(sign):
            raise unexpected(self.peek().text)

    def number(self, most: int) -> int:
        """Take a number.

        Raises:
            QueryError: Something else is next, or a larger number.
        """
        kind, text = self.peek()
        if kind is not Kind.NUMBER:
            raise unexpected(text)
        value = int(text, 16) if text[:2] in ("0x", "0X") else int(text)
        if value > most:
            raise QueryError(SYNTAX_ERROR, f"Number {text} out of range")
        self._at += 1
        return value

    def name(self) -> str:
        """Take a name: a word, an address, a number or a text.

        Raises:
            QueryError: Something else is next.
        """
        token = self.take()
        if token.kind in (Kind.SIGN, Kind.END):
            raise unexpected(token.text)
        return token.text
