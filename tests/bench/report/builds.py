"""Our two builds: the sources as they are, and those that mypyc has compiled.

The compiled one is made where it is not there: a wheel, as users get it, in an environment of its
own whose name is the digest of the sources. It uses the other packages of this environment.
``BENCH_COMPILED`` names a pybgpd program to be taken instead.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.bench.peers import ROOT
from tests.bench.scenarios import COMPILED as VARIABLE

PACKAGES: Final = ("bgpd", "fib", "reflector", "rib")
_BUILD_FILES: Final = ("LICENSE", "README.md", "pyproject.toml", "setup.py")
_LIMIT: Final = 1200  # seconds to compile


class NoBuildError(Exception):
    """One of our builds cannot be measured; the text says why."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for what a report keeps between runs."""
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pybgpd-tests" / "report"


def digest_of(root: Path = ROOT) -> str:
    """Return a digest of what the daemon is built from, and of the Python that builds."""
    found = hashlib.sha256(sys.version.encode())
    files = [root / name for name in _BUILD_FILES if (root / name).is_file()]
    for package in PACKAGES:
        files += sorted((root / package).rglob("*.py"))
    for file in files:
        found.update(f"\0{file.relative_to(root)}\0".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def said_build(program: str) -> str:
    """Return which build a program says it is: ``compiled`` or ``pure``.

    Raises:
        NoBuildError: It cannot be started, or does not say it.
    """
    try:
        done = subprocess.run(
            [*program.split(), "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=ROOT,
            env=own_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoBuildError(f"{program} cannot be started: {error}") from None
    for build in ("compiled", "pure"):
        if f"({build}" in done.stdout:
            return build
    text = (done.stderr or done.stdout).strip()[-300:]
    raise NoBuildError(f"{program} --version does not say which build it is: {text}")


def own_environment() -> dict[str, str]:
    """Return an environment in which a program imports what it was installed with."""
    return {key: v for key, v in os.environ.items() if key != "PYTHONPATH"}


def pure_program() -> str:
    """Return what starts the sources of this checkout.

    Raises:
        NoBuildError: They have been compiled where they stand.
    """
    script = Path(sys.executable).with_name("pybgpd")
    program = (
        str(script) if script.is_file() else f"{sys.executable} -m bgpd.cli.daemon"
    )
    if said_build(program) != "pure":
        raise NoBuildError(
            f"{program} is compiled, so there is no pure build to compare it with:"
            " install the checkout with pip install --editable ."
        )
    return program


def compiled_program(environment: Mapping[str, str] = os.environ) -> str:
    """Return the program of the compiled build, which is made if it is not there.

    Raises:
        NoBuildError: It cannot be made, or what ``BENCH_COMPILED`` names is not one.
    """
    named = environment.get(VARIABLE, "")
    program = Path(named) if named else _folder(environment) / "bin" / "pybgpd"
    if named and not program.is_file():
        raise NoBuildError(f"{VARIABLE} is {named!r}, which is not a file")
    if not named and not program.is_file():
        _make(_folder(environment))
    if said_build(str(program)) != "compiled":
        raise NoBuildError(f"{program} is a pure build; expected a compiled one")
    return str(program)


def python_of(program: str) -> str:
    """Return the interpreter beside a program.

    Raises:
        NoBuildError: There is none.
    """
    found = Path(program).with_name("python")
    if not found.exists():
        raise NoBuildError(f"there is no python beside {program}")
    return str(found)


def _folder(environment: Mapping[str, str]) -> Path:
    return cache_folder(environment) / "compiled" / digest_of()


def _make(folder: Path) -> None:
    """Install the wheel that ``.ci/wheels`` keeps into an environment of its own."""
    sys.stderr.write(f"installing the compiled build into {folder}: about a minute\n")
    wheels = Path(_run([str(ROOT / ".ci" / "wheels"), sys.executable]).strip())
    (wheel,) = wheels.glob("pybgpd-*.whl")
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    python = str(folder / "bin" / "python")
    install = ["install", "-q", "--no-deps", "--no-index", "--no-compile"]
    _run([*pip, "--python", python, *install, str(wheel)])
    (packages,) = folder.glob("lib/python*/site-packages")
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "others.pth").write_text("\n".join(sorted(others)) + "\n", "utf-8")


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT,
        env=own_environment(),
    )
    if done.returncode:
        text = (done.stderr or done.stdout).strip()[-600:]
        raise NoBuildError(f"the compiled build cannot be made: {text}")
    return done.stdout
