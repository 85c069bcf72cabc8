"""Errors in a configuration, with their places.

A load reports every problem it finds at once, each with its place: people mend a file in
one go, not one error a run.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_MAX_SHOWN: Final = 1_000  # characters of one problem: a text may be a whole file


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a value was written.

    Attributes:
        source: A file's name, ``environment variable NAME`` or ``option --NAME``; empty for
            what was given nowhere.
        line: Counted from 1; 0 where the source has no lines.
        column: As ``line``.
    """

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return ``file:line:column``, as compilers write it, so that editors can jump."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One error, which says what was expected.

    Attributes:
        origin: Where.
        key: Dotted path of the key, such as ``peers[2].hold_time``; empty for the whole.
        text: What was found and what was expected.
    """

    origin: Origin
    key: str
    text: str

    def __str__(self) -> str:
        """Return the line that is shown to people."""
        text = f"{self.key}: {self.text}" if self.key else self.text
        if len(text) > _MAX_SHOWN:
            text = f"{text[:_MAX_SHOWN]}..."
        return f"{self.origin}: {text}" if self.origin.source else text


class ConfigError(Exception):
    """An invalid configuration; ``problems`` are all errors, in order."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda each: each.origin))
        super().__init__("\n".join(map(str, self.problems)))
