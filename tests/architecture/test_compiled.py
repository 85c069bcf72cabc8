"""The optional compiled build does what the pure sources do: the same tests pass on it."""

import runpy
import shutil
import sys
import sysconfig
from pathlib import Path
from unittest import mock

import pytest

from tests.support.commands import FAST, run
from tests.support.generated import ROOT

HEADER = Path(sysconfig.get_path("include"), "Python.h")
UNITS = ("rib", "reflector", "bgpd/pipeline", "bgpd/wire")


def compiled_modules() -> list[str]:
    """Return what ``setup.py`` compiles, as names to be imported."""
    with mock.patch("setuptools.setup"):
        files = runpy.run_path(str(ROOT / "setup.py"))["COMPILED"]
    return [file.removesuffix(".py").replace("/", ".") for file in files]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
@pytest.mark.skipif(not HEADER.is_file(), reason="Python's headers are not installed")
def test_the_tests_pass_on_the_compiled_build(tmp_path: Path) -> None:
    def python(*arguments: str) -> str:
        return run(sys.executable, *arguments, cwd=tmp_path)

    run(str(ROOT / ".ci/compile"), sys.executable, str(tmp_path), cwd=tmp_path)
    for module in compiled_modules():
        file = python("-c", f"import {module} as it; print(it.__file__)")
        assert file.startswith(str(tmp_path)), f"{module} is {file}"
        assert file.strip().endswith(sysconfig.get_config_var("EXT_SUFFIX")), file
    units = [f"tests/unit/{name}" for name in UNITS]
    python("-m", "pytest", "-q", "-m", FAST, "tests/property", *units)
