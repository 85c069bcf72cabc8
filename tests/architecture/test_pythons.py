"""The fast tests pass on every newer Python that this machine has: images and users have them.

Their environments are made once for each version and each set of dependencies, outside the
checkout. The compiled build takes a minute of each, and is tested by ``make test-pythons`` alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.commands import FAST, run
from tests.support.compiled_build import check_compiled_build
from tests.support.generated import ROOT

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pybgpd-tests"
NEWER = [(3, minor) for minor in range(sys.version_info[1] + 1, 16)]
SUITES = ("tests/unit", "tests/property", "tests/conformance")


def interpreter(version: tuple[int, int]) -> str | None:
    """Return a Python of this version: of the path, or of pyenv."""
    name = f"python{version[0]}.{version[1]}"
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    found = sorted(pyenv.glob(f"versions/{version[0]}.{version[1]}.*/bin/{name}"))
    for candidate in (*map(str, found), shutil.which(name)):
        if candidate and subprocess.run([candidate, "-V"], check=False).returncode == 0:
            return candidate
    return None


def environment(python: str) -> str:
    """Return the interpreter of an environment with all that the tests need."""
    version = run(python, "-c", "import sys; print(sys.version)")
    wanted = version + (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    folder = CACHE / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    made = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run(python, "-m", "venv", str(folder))
        run(str(made), "-m", "pip", "install", "--quiet", "--editable", ".[dev]")
        run(str(made), "-m", "pip", "uninstall", "--quiet", "--yes", "pybgpd")
        (folder / "complete").touch()
    return str(made)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", NEWER, ids=lambda it: f"{it[0]}.{it[1]}")
def test_the_fast_tests_pass(version: tuple[int, int]) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version[0]}.{version[1]} here")
    made = environment(python)
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", FAST)
    # What another interpreter does otherwise shows in few examples.
    run(made, *command, *SUITES, HYPOTHESIS_PROFILE="quick")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", NEWER, ids=lambda it: f"{it[0]}.{it[1]}")
def test_the_tests_pass_on_the_compiled_build(
    version: tuple[int, int], tmp_path: Path
) -> None:
    if "EVERY_BUILD" not in os.environ:
        pytest.skip("compiles for a minute: make test-pythons")
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version[0]}.{version[1]} here")
    check_compiled_build(environment(python), tmp_path)


def test_the_project_names_the_pythons_that_are_tested() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    found = [version for version in NEWER if interpreter(version)]
    tested = [sys.version_info[:2], *found]
    for major, minor in tested:
        classifier = f"Programming Language :: Python :: {major}.{minor}"
        assert classifier in project["classifiers"]
    assert project["requires-python"] == ">=3.11"
