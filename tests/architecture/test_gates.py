"""Linters, types and import contracts: a gate that is not a test does not exist."""

import subprocess
import sys

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.support.generated import ROOT


def run(*arguments: str) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert outcome.returncode == 0, outcome.stdout[-8000:] + outcome.stderr[-2000:]


def test_ruff_finds_nothing() -> None:
    run("ruff", "check", "--output-format", "concise", ".")


def test_the_format_is_ruffs() -> None:
    run("ruff", "format", "--check", ".")


# Both runs share a cache, which two at a time would spoil.
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("mypy")
def test_packages_are_strictly_typed() -> None:
    run("mypy")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("mypy")
def test_tests_are_typed() -> None:
    run("mypy", "tests")


def test_import_contracts_hold() -> None:
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS
