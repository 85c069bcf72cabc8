"""What users install runs outside of the checkout: the compiled wheel, and the one file."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

import pytest

from bgpd.cli.manual_pages import COMPLETIONS, PROGRAMS
from tests.support.commands import run
from tests.support.generated import ROOT
from tests.support.installed import check_programs, clean, outside

LOCK: Final = ROOT / "configs" / "python" / "requirements.txt"
HEADER: Final = Path(sysconfig.get_path("include"), "Python.h")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("compiled"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc"),
    pytest.mark.skipif(not HEADER.is_file(), reason=f"there is no {HEADER}"),
]


@pytest.fixture(scope="module", name="wheels")
def some_wheels() -> Path:
    """Return the folder of our wheel, with those of the lock in ``dependencies``."""
    return Path(run(str(ROOT / ".ci/wheels"), sys.executable).strip())


def test_a_wheel_runs_from_an_environment_of_its_own(
    wheels: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "venv"
    run(sys.executable, "-m", "venv", str(environment))
    programs = environment / "bin"
    install = (programs / "pip", "install", "--quiet", "--no-index", "--no-deps")
    dependencies = ("--find-links", wheels / "dependencies")
    locked = ("--require-hashes", "--requirement", LOCK)
    outside(tmp_path, *install, *dependencies, *locked)
    (wheel,) = wheels.glob("pybgpd-*.whl")
    outside(tmp_path, *install, wheel)
    outside(tmp_path, programs / "pip", "check")  # the lock lacks nothing
    for name in PROGRAMS:
        page = environment / "share" / "man" / "man8" / f"{name}.8"
        assert page.read_text(encoding="utf-8").startswith(f".TH {name.upper()} 8 ")
        for place in COMPLETIONS.values():
            script = environment / "share" / place.format(name)
            assert f"_{name.upper()}_COMPLETE" in script.read_text(encoding="utf-8")
    check_programs(tmp_path, "compiled", [programs / "pybgpd"], [programs / "pybgpctl"])
    done = subprocess.run(
        [str(programs / "pybgpd"), "demo"],
        env=clean(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "pybgpd: the demo needs more than the daemon: pip install 'pybgpd[lab]'\n",
    )


@pytest.mark.usefixtures("wheels")
def test_the_one_file_holds_all_programs(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    make = str(ROOT / "configs" / "python" / "pyz")
    file = Path(run(make, sys.executable, str(tmp_path), PATH=path).strip())
    abi = sysconfig.get_config_var("SOABI")
    assert file.name.endswith(f"-{abi}.pyz")
    link = tmp_path / "pybgpctl"
    link.symlink_to(file.name)
    with_python = (sys.executable, "-I")
    check_programs(
        tmp_path,
        "compiled",
        [*with_python, file],
        [*with_python, file, "--", "pybgpctl"],
    )
    said = outside(tmp_path, *with_python, link, "--version")
    assert said.startswith("pybgpctl 0.")
    # Each Python but the one it was made by learns which it needs.
    script = tmp_path / "as-another-python"
    script.write_text(
        "import runpy, sys, sysconfig\n"
        "found = sysconfig.get_config_var\n"
        "sysconfig.get_config_var = lambda name: 'other' if name == 'SOABI' else found(name)\n"
        f"sys.argv = [{str(file)!r}, '--version']\n"
        f"runpy.run_path({str(file)!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-I", str(script)],
        env=clean(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("pybgpd: this file is for python3.")
    assert "Traceback" not in done.stderr
