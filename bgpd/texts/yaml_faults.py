"""What is wrong with a text that is not YAML, in words for its author. Pure.

The parser says what it scanned and which token it missed; a reader wants to know what to type. Each row
below names a fault of the parser by its words, those of libyaml and of PyYAML's own parser alike.
"""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as the parser has it.

    Attributes:
        context: What the parser was at, such as ``while scanning a simple key``; may be empty.
        problem: What it met.
        found: The character at the place of the problem; a zero at the end of the text.
        before: What is before it in its line.
        since: The line where what it was at begins, counted from 1; 0 where that is not known.
    """

    context: str
    problem: str
    found: str
    before: str
    since: int


@dataclass(frozen=True, slots=True)
class _Row:
    """Which faults a text is for.

    Attributes:
        text: For the reader; ``{found}`` and ``{since}`` are replaced.
        problem: Matches the parser's problem.
        context: Matches its context.
        found: Characters one of which is there; empty for any.
        within_line: Something is before it in its line.
        at_start: The place to show is where the value begins, not where its end is missed.
    """

    text: str
    problem: str = ""
    context: str = ""
    found: str = ""
    within_line: bool = False
    at_start: bool = False

    def fits(self, fault: Fault) -> bool:
        return (
            re.search(self.problem, fault.problem) is not None
            and re.search(self.context, fault.context) is not None
            and (not self.found or (fault.found != "" and fault.found in self.found))
            and (not self.within_line or fault.before.strip() != "")
        )


_TAB: Final = "a tab cannot indent; use spaces"
_QUOTE: Final = "put the text in quotes"
# The first row that fits counts.
_ROWS: Final = (
    _Row(_TAB, problem=r"cannot start any token|\btab\b", found="\t"),
    _Row(_TAB, problem=r"\btab character"),
    _Row(
        "a value cannot begin with {found!r}; " + _QUOTE,
        problem="cannot start any token",
    ),
    _Row(
        "the quote is never closed",
        problem="end of stream|document indicator|document separator",
        context="quoted scalar",
        at_start=True,
    ),
    _Row(
        "unknown escape after a backslash; single quotes take backslashes as they are",
        problem=r"escape|hexa?decimal|Unicode character",
        context="quoted scalar|double-quoted",
    ),
    _Row(
        "expected ': ' after a key",
        problem="could not find expected ':'",
        at_start=True,
    ),
    _Row(
        "a second ': ' in a line, or a line that is indented too far; a text that has "
        "': ' in it needs quotes",
        problem="mapping values are not allowed",
    ),
    _Row(
        "a list begins on a line of its own; expected a line break before '- '",
        problem="sequence entries are not allowed",
    ),
    _Row(
        "no key can be here; a text that begins with '? ' needs quotes",
        problem="mapping keys are not allowed",
    ),
    _Row(
        "expected ',' or ']' in the list that begins on line {since}",
        problem=r"',' or '\]'",
    ),
    _Row(
        "expected ',' or '}}' in the mapping that begins on line {since}",
        problem=r"',' or '\}'",
    ),
    _Row(
        "expected the end of the line after a value; " + _QUOTE,
        problem="'-' indicator|expected key|<block end>",
        within_line=True,
    ),
    _Row(
        "expected an item that begins with '-' in the column of the first one, on line "
        "{since}",
        problem="'-' indicator|<block end>",
        context="block (collection|sequence)",
    ),
    _Row(
        "expected a key in the column of the first one, on line {since}",
        problem="expected key|<block end>",
        context="block mapping",
    ),
    _Row(
        "expected a line break after '|' or '>'",
        context="block scalar",
    ),
    _Row(
        "expected a name after '&' or '*'; a text that begins with one needs quotes",
        context="anchor|alias",
    ),
    _Row(
        "unknown tag; a text that begins with '!' needs quotes",
        context=r"scanning a tag\b|parsing a tag\b|parsing a node",
        at_start=True,
    ),
    _Row(
        "a line that begins with '%' is a directive of YAML; " + _QUOTE,
        context="directive",
    ),
    _Row(
        "a line that begins with '%' is a directive of YAML; " + _QUOTE,
        problem="directive|incompatible YAML document|duplicate tag handle",
    ),
    _Row(
        "a ':' in a value between brackets; " + _QUOTE,
        problem="unexpected ':'",
        context="plain scalar",
    ),
    _Row(
        "expected a value, found the end of the text",
        problem="node content",
        found="\0",
    ),
    _Row(
        "expected a value, found {found!r}; a text that begins with it needs quotes",
        problem="node content",
    ),
    _Row("lists and mappings are nested too deep", problem="nesting"),
    _Row(
        "the text goes on after its end; one document was expected",
        problem="document start",
    ),
)
_OTHER: Final = _Row("the text breaks YAML's rules here")


def in_words(fault: Fault) -> tuple[str, bool]:
    """Return what to tell the reader, and whether the place is where the value begins."""
    row = next((each for each in _ROWS if each.fits(fault)), _OTHER)
    return row.text.format(found=fault.found, since=fault.since), row.at_start
