"""Run the commands of a page as its reader would, and compare what they print.

``python -m tests.support.played PAGE...`` does so with the pages in one shell, one after the
other, and writes what is printed into the page where it differs.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.command_rules import Way, rule_of
from tests.support.console import Command, agrees, commands
from tests.support.generated import ROOT
from tests.support.sandbox import Shell

PATIENCE: Final = 40.0  # seconds until a command prints what the page shows
_PAUSE: Final = 0.15
PATIENCE_OF_TOOL: Final = 8.0  # as long as a page says something else


def play(shell: Shell, command: Command, patience: float = PATIENCE) -> tuple[int, str]:
    """Run a command, again and again until it prints what the page shows.

    Returns:
        The exit code and what it printed last.
    """
    deadline = time.monotonic() + patience
    code, printed = shell.run(command.text)
    while command.is_waited_for and not agrees(command.output, printed):
        if time.monotonic() > deadline:
            break
        time.sleep(_PAUSE)
        code, printed = shell.run(command.text)
    return code, printed


def is_as_shown(command: Command, code: int, printed: str) -> bool:
    """Whether a command did what the page says: print that, or nothing worth showing."""
    if command.is_waited_for:
        return agrees(command.output, printed)
    return code == 0


def typed(page: str) -> Iterator[Command]:
    """Yield the commands of a page that can run in a sandbox.

    Args:
        page: Path within the tree; ``PAGE#HEADING`` stops in front of that heading.
    """
    name, _, heading = page.partition("#")
    end = sys.maxsize
    if heading:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        end = lines.index(f"## {heading}")
    for command in commands(ROOT / name, ROOT):
        if command.line < end and rule_of(command.text).way is not Way.ELSEWHERE:
            yield command


def play_pages(shell: Shell, pages: list[str]) -> None:
    """Run pages in one shell, each as the continuation of the one before.

    Raises:
        AssertionError: With the place of the command that did something else.
    """
    for page in pages:
        for command in typed(page):
            code, printed = play(shell, command)
            assert is_as_shown(command, code, printed), (
                f"{command.place}\nexit code {code}, printed:\n{printed}\n"
                f"see python -m tests.support.played"
            )


def _refresh(shell: Shell, page: str) -> None:
    path = ROOT / page.partition("#")[0]
    lines = path.read_text(encoding="utf-8").splitlines()
    moved = 0
    for command in typed(page):
        code, printed = play(shell, command, PATIENCE_OF_TOOL)
        if is_as_shown(command, code, printed):
            continue
        print(f"{command.place}: exit code {code}\n{printed}")  # noqa: T201 - a tool
        if not command.is_waited_for:
            continue
        first = command.line + moved + command.text.count("\n")
        shown = [line.rstrip() for line in printed.strip().splitlines()]
        lines[first : first + len(command.output)] = shown
        moved += len(shown) - len(command.output)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Refresh the outputs of the pages that are named."""
    with tempfile.TemporaryDirectory() as folder, Shell(Path(folder)) as shell:
        for page in sys.argv[1:]:
            _refresh(shell, page)


if __name__ == "__main__":
    main()
