"""Console blocks of the documentation: what a reader types, and what the page says comes back.

A block has the language ``console``. A line that begins with ``$ `` or ``# `` is a command; a
backslash or an open here-document continues it. The lines below it, if any, are its output.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_HERE: Final = re.compile(r"<<-?\s*'?(\w+)'?")
_TIMESTAMP: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ][\d:]+(?:[.,]\d+)?Z?|\d\d:\d\d:\d\d\S*"
)
_DURATION: Final = re.compile(
    r"(?<![\w.])\d+(?:\.\d+)?(?:[smhd]|ms)(?:\d+[smhd])*(?!\w)"
)


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Attributes:
        page: Path of the page within the tree.
        line: Its line there.
        text: What the reader types, here-documents included.
        output: Lines that the page shows below it; none if it shows none.
    """

    page: str
    line: int
    text: str
    output: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page}:{self.line}: {self.text.splitlines()[0]}"

    @property
    def is_waited_for(self) -> bool:
        """Whether the page says what it prints."""
        return bool(self.output)


def fences(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, language and content of each fenced block."""
    for match in FENCE.finditer(text):
        indent, language, content = match.groups()
        lines = content.splitlines()
        stripped = [line.removeprefix(indent) for line in lines]
        yield (
            text.count("\n", 0, match.start()) + 2,
            language,
            "\n".join(stripped) + "\n",
        )


def commands(page: Path, root: Path) -> Iterator[Command]:
    """Yield the commands of a page, in order."""
    name = str(page.relative_to(root))
    for line, language, content in fences(page.read_text(encoding="utf-8")):
        if language == "console":
            yield from _of_block(name, line, content.splitlines())


def _of_block(page: str, first: int, lines: list[str]) -> Iterator[Command]:
    at = 0
    while at < len(lines):
        start = at
        typed = [lines[at][2:]]
        assert lines[at].startswith(("$ ", "# ")), f"{page}:{first + at}: no prompt"
        at += 1
        while typed[-1].endswith("\\") and at < len(lines):
            typed.append(lines[at])
            at += 1
        if here := _HERE.search(typed[0]):
            end = lines.index(here[1], at)
            typed += lines[at : end + 1]
            at = end + 1
        shown = []
        while at < len(lines) and not lines[at].startswith(("$ ", "# ")):
            shown.append(lines[at])
            at += 1
        yield Command(page, first + start, "\n".join(typed), tuple(shown))


def normal(line: str) -> str:
    """Return a line of output without what differs between two runs: times, widths of columns."""
    line = _TIMESTAMP.sub("TIME", line)
    return " ".join(_DURATION.sub("TIME", line).split())


def agrees(shown: tuple[str, ...], printed: str) -> bool:
    """Whether a command printed what the page shows; ``...`` stands for any text."""
    wanted = "\n".join(each for each in map(normal, shown) if each)
    got = "\n".join(each for each in map(normal, printed.splitlines()) if each)
    pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
    return re.fullmatch(pattern, got, re.DOTALL) is not None
