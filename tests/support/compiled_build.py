"""The build that mypyc compiles, beside a copy of this tree, and the tests that pass on it."""

import runpy
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support.commands import FAST, run
from tests.support.generated import ROOT

UNITS = ("rib", "reflector", "bgpd/pipeline", "bgpd/wire")


def setup_script() -> dict[str, Any]:
    """Return the names of ``setup.py``, which is run without building anything."""
    with mock.patch("setuptools.setup"):
        return runpy.run_path(str(ROOT / "setup.py"))


def compiled_modules() -> list[str]:
    """Return what ``setup.py`` compiles, as names to be imported."""
    files = setup_script()["COMPILED"]
    return [file.removesuffix(".py").replace("/", ".") for file in files]


def check_compiled_build(interpreter: str, folder: Path) -> None:
    """Compile for a Python, and run the fast tests of the compiled modules on the result.

    Args:
        interpreter: Of an environment with all that the tests need.
        folder: Empty; the tree goes there.
    """

    def python(*arguments: str) -> str:
        return run(interpreter, *arguments, cwd=folder)

    run(str(ROOT / ".ci/compile"), interpreter, str(folder), cwd=folder)
    ask = "import sysconfig as it; print(it.get_config_var('EXT_SUFFIX'))"
    suffix = python("-c", ask).strip()
    for module in compiled_modules():
        file = python("-c", f"import {module} as it; print(it.__file__)")
        assert file.startswith(str(folder)), f"{module} is {file}"
        assert file.strip().endswith(suffix), file
    said = python("-c", "from bgpd.cli.daemon import main; main(['--version'])")
    assert "(compiled, " in said
    units = [f"tests/unit/{name}" for name in UNITS]
    python("-m", "pytest", "-q", "-m", FAST, "tests/property", *units)
