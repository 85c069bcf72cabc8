"""The optional compiled build does what the pure sources do: the same tests pass on it."""

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = Path(sysconfig.get_path("include"), "Python.h")
UNITS = ("rib", "reflector", "bgpd/daemon", "bgpd/wire")


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
    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=800,
            env={k: v for k, v in os.environ.items() if k != "PYTEST_XDIST_WORKER"},
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        return done.stdout

    run(str(ROOT / ".ci/compile"), sys.executable, str(tmp_path))
    for module in compiled_modules():
        file = run(sys.executable, "-c", f"import {module} as it; print(it.__file__)")
        assert file.startswith(str(tmp_path)), f"{module} is {file}"
        assert file.strip().endswith(sysconfig.get_config_var("EXT_SUFFIX")), file
    options = ("-q", "-m", "not slow and not root and not interop and not etcd")
    units = [f"tests/unit/{name}" for name in UNITS]
    run(sys.executable, "-m", "pytest", *options, "tests/property", *units)
