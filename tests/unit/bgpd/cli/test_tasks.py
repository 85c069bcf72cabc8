"""The table of everyday tasks in docs/commands.md names commands and tests that exist."""

import re
from typing import Final

import click

from bgpd.cli.control import main
from tests.support.terminals import ROOT

PAGE: Final = ROOT / "docs/commands.md"
ROW: Final = re.compile(r"^\| (\d+) \| [^|]+ \| ([^|]+) \| ([^|]*) \|", re.MULTILINE)


def rows() -> list[tuple[str, ...]]:
    text = PAGE.read_text(encoding="utf-8").partition("## Everyday tasks")[2]
    return ROW.findall(text)


def test_there_are_25_tasks_in_order() -> None:
    assert [int(number) for number, *_ in rows()] == [*range(1, 26)]


def files_of_tests() -> dict[str, str]:
    """Return the text of each test's file."""
    return {
        name: text
        for path in (ROOT / "tests").rglob("test_*.py")
        for text in [path.read_text(encoding="utf-8")]
        for name in re.findall(r"def (test_\w+)", text)
    }


def test_each_task_names_a_test_that_runs_its_command() -> None:
    tests = files_of_tests()
    for number, command, cell in rows():
        names = re.findall(r"test_\w+", cell)
        assert set(names) <= tests.keys(), number
        assert names or command.startswith(("no", "partly")), number
        for line in re.findall(r"`pybgpctl ([^`]+)`", command) if names else ():
            words = [word for word in line.split() if re.fullmatch(r"[a-z-]+", word)]
            text = tests[names[0]]
            assert all(f'"{word}"' in text for word in words), (number, line)


def test_each_command_of_a_task_exists_with_its_options() -> None:
    found = [
        line
        for _, cell, _ in rows()
        for line in re.findall(r"`pybgpctl ([^`]+)`", cell)
    ]
    assert len(found) > 12
    for line in found:
        command: click.Command = main
        for word in line.split():
            if word.startswith("--"):
                assert word in {o for p in command.params for o in p.opts}, line
            elif isinstance(command, click.Group):
                command = command.commands[word]
