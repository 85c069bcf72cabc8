"""What ``pyproject.toml`` cannot say: the hot modules are compiled, where that is possible.

A wheel, and so an installation from source, is compiled by mypyc where there are a C compiler and
Python's headers; the build says when it is pure, and why (``pip install -v``). ``PYBGPD_COMPILE=0``
leaves the sources as they are, ``PYBGPD_COMPILE=1`` takes no excuse. An editable installation is pure.
Both builds are made of the same sources and pass the same tests; ``pybgpd --version`` says which one
runs.

Each wheel also has manual pages and completions of shells, which the commands themselves write.
"""

import os
import shlex
import shutil
import sys
import sysconfig
import time
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from setuptools import setup
from setuptools.command.build_ext import build_ext

VARIABLE: Final = "PYBGPD_COMPILE"
# Commands of setuptools that need the extension modules; others only ask about the project.
BUILDS: Final = frozenset({"bdist_wheel", "build", "build_ext", "install"})
SHARED: Final = Path("build", "share")

# Those that do work for each UPDATE. Left out: what counts references (``rib.intern``,
# ``rib.next_hops``), since compiled code holds others.
COMPILED: Final = (
    "bgpd/pipeline/update_receiver.py",
    "bgpd/wire/framing.py",
    "bgpd/wire/pack.py",
    "reflector/group.py",
    "reflector/member_fsm.py",
    "reflector/walks.py",
    "reflector/flush.py",
    "reflector/pending.py",
    "reflector/plain_reflection.py",
    "reflector/rewrite.py",
    "reflector/export.py",
    "rib/adj_rib_in.py",
    "rib/admission.py",
    "rib/attributes/decode.py",
    "rib/attributes/path_attributes.py",
    "rib/change.py",
    "rib/best_path.py",
    "rib/decision.py",
    "rib/import_checks.py",
    "rib/loc_rib.py",
    "rib/long_lived.py",
    "rib/nlri.py",
    "rib/outcome.py",
    "rib/outcome_memo.py",
    "rib/path.py",
    "rib/path_set.py",
    "rib/reimport.py",
)


def obstacle() -> str:
    """Return what keeps this machine from compiling; empty for nothing."""
    if find_spec("mypyc") is None:
        return "mypyc is not installed"
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    program = shlex.split(compiler)[0]
    if shutil.which(program) is None:
        return f"there is no C compiler {program}"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return "" if header.is_file() else f"there is no {header}"


def is_compiled(setting: str, commands: Collection[str], found: str) -> bool:
    """Return whether the hot modules are compiled.

    Args:
        setting: Of the environment variable; empty where it is not set.
        commands: Of setuptools.
        found: What ``obstacle`` returned.

    Raises:
        SystemExit: The setting means nothing, or asks for what cannot be.
    """
    if setting not in {"", "0", "1"}:
        raise SystemExit(f"{VARIABLE} is {setting!r}; expected 0 or 1")
    if setting == "0" or BUILDS.isdisjoint(commands):
        return False
    if setting == "1" and found:
        raise SystemExit(f"{VARIABLE} is 1, but {found}")
    return not found


class BuildExtensions(build_ext):
    """Compiles all hot modules or none, and leaves nothing of an earlier build between them.

    A compiler that is there can still fail: it lacks headers, or memory. An installation that did
    not ask for the compiled build then gets the pure one.
    """

    def run(self) -> None:
        """Compile."""
        self._remove_others()
        try:
            super().run()
        except Exception as error:
            if os.environ.get(VARIABLE) == "1":
                raise
            say_pure(f"the C compiler failed: {error}")
            self.extensions.clear()
            self._remove_others()

    def _remove_others(self) -> None:
        """Remove extension modules that this build does not make: they would be imported."""
        made = {Path(name).resolve() for name in self.get_outputs()}
        for file in Path(self.build_lib).rglob(
            "*" + sysconfig.get_config_var("EXT_SUFFIX")
        ):
            if file.resolve() not in made:
                file.unlink()


def say_pure(reason: str) -> None:
    """Say that the build is pure Python, and why."""
    sys.stderr.write(f"pybgpd is built as pure Python, not compiled: {reason}\n")


def extensions() -> list[object]:
    """Return the extension modules to be built."""
    setting, commands, found = os.environ.get(VARIABLE, ""), sys.argv[1:], obstacle()
    if not is_compiled(setting, commands, found):
        if not BUILDS.isdisjoint(commands):
            say_pure(found if setting != "0" else f"{VARIABLE} is 0")
        return []
    from mypyc.build import mypycify  # noqa: PLC0415  # needed by this build alone

    try:
        return list(mypycify(list(COMPILED), group_name="pybgpd"))
    except (
        Exception,
        SystemExit,
    ) as error:  # it ends the process if mypy finds an error
        if setting == "1":
            raise
        say_pure(f"mypyc failed: {error}")
        return []


def shared_files() -> list[tuple[str, list[str]]]:
    """Write manual pages and completions; return them as ``data_files``: folder and files."""
    if BUILDS.isdisjoint(sys.argv[1:]):
        return []
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    try:
        from bgpd.cli.manual_pages import write_shared  # noqa: PLC0415
    except ImportError as error:  # without isolation, click may be missing
        sys.stderr.write(f"pybgpd is built without manual pages: {error}\n")
        return []
    moment = float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    return [
        (str("share" / file.parent), [str(SHARED / file)])
        for file in write_shared(SHARED, moment)
    ]


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildExtensions},
    data_files=shared_files(),
)
