"""Linters, types and import contracts: a gate that is not a test does not exist."""

import sys

import pytest

from tests.support import commands


def run(*arguments: str) -> None:
    commands.run(sys.executable, *arguments, timeout=300)


def test_ruff_finds_nothing() -> None:
    run("-m", "ruff", "check", "--output-format", "concise", ".")


def test_the_format_is_ruffs() -> None:
    run("-m", "ruff", "format", "--check", ".")


# Both runs share a cache, which two at a time would spoil.
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("mypy")
def test_packages_are_strictly_typed() -> None:
    run("-m", "mypy")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("mypy")
def test_tests_are_typed() -> None:
    run("-m", "mypy", "tests")


def test_import_contracts_hold() -> None:
    # Its own process: in ours it would silence every logger made so far.
    run("-c", "from importlinter import cli; raise SystemExit(cli.lint_imports())")
