import platform
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from unittest.mock import patch

import pytest
from click.testing import CliRunner

import rib.loc_rib
from bgpd import __version__
from bgpd.cli.control import main as control
from bgpd.cli.daemon import main as daemon
from bgpd.runtime.build import build, version_line


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (f"/x/rib/loc_rib{EXTENSION_SUFFIXES[0]}", "compiled"),
        ("/x/rib/loc_rib.py", "pure Python"),
        (None, "pure Python"),
    ],
)
def test_the_build_is_what_an_import_finds(origin: str | None, expected: str) -> None:
    spec = ModuleSpec("rib.loc_rib", None, origin=origin)
    with patch("bgpd.runtime.build.find_spec", return_value=spec):
        assert build.__wrapped__() == expected


def test_both_programs_say_which_build_of_them_runs() -> None:
    file = rib.loc_rib.__file__
    is_compiled = file.endswith(tuple(EXTENSION_SUFFIXES))
    build_name = "compiled" if is_compiled else "pure Python"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    expected = f"{__version__} ({build_name}, {python})"
    for program, name in ((daemon, "pybgpd"), (control, "pybgpctl")):
        assert version_line(name) == f"{name} {expected}"
        assert (
            CliRunner().invoke(program, ["--version"]).output == f"{name} {expected}\n"
        )
