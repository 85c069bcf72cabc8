"""The optional compiled build does what the pure sources do: the same tests pass on it."""

import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import setuptools
from setuptools.errors import CCompilerError

from tests.support.compiled_build import check_compiled_build, setup_script

HEADER = Path(sysconfig.get_path("include"), "Python.h")


WHEEL, EDITABLE, QUESTION = ["bdist_wheel"], ["editable_wheel"], ["egg_info"]


@pytest.mark.parametrize(
    ("setting", "commands", "obstacle", "expected"),
    [
        ("", WHEEL, "", True),
        ("", WHEEL, "there is no C compiler cc", False),
        ("", EDITABLE, "", False),
        ("", QUESTION, "", False),
        ("0", WHEEL, "", False),
        ("0", ["build_ext", "--inplace"], "", False),
        ("1", WHEEL, "", True),
        ("1", ["-q", "build_ext", "--inplace"], "", True),
        ("1", QUESTION, "there is no C compiler cc", False),
    ],
)
def test_a_wheel_is_compiled_where_that_is_possible(
    setting: str, commands: list[str], obstacle: str, expected: object
) -> None:
    assert setup_script()["is_compiled"](setting, commands, obstacle) is expected


@pytest.mark.parametrize(
    ("setting", "obstacle", "text"),
    [
        ("yes", "", "PYBGPD_COMPILE is 'yes'; expected 0 or 1"),
        ("1", "there is no Python.h", "PYBGPD_COMPILE is 1, but there is no Python.h"),
    ],
)
def test_a_setting_that_cannot_be_obeyed_is_an_error(
    setting: str, obstacle: str, text: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        setup_script()["is_compiled"](setting, WHEEL, obstacle)
    assert str(raised.value) == text


def test_the_obstacle_to_compiling_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    obstacle = setup_script()["obstacle"]
    monkeypatch.setenv("CC", "/no/such/compiler -O2")
    assert obstacle() == "there is no C compiler /no/such/compiler"


def broken_build(folder: Path) -> Any:
    """Return the command that builds what no compiler can, with a module left before."""
    source = folder / "broken.c"
    source.write_text("#error as on a machine without headers\n", encoding="utf-8")
    extension = setuptools.Extension("broken", [str(source)])
    project = setuptools.Distribution({"ext_modules": [extension]})
    command = setup_script()["BuildExtensions"](project)
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "temp")
    command.ensure_finalized()
    (folder / "lib" / "rib").mkdir(parents=True)
    left = f"former{sysconfig.get_config_var('EXT_SUFFIX')}"
    (folder / "lib" / "rib" / left).touch()
    return command


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_a_compiler_that_fails_leaves_the_pure_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PYBGPD_COMPILE", raising=False)
    command = broken_build(tmp_path)
    command.run()
    assert command.extensions == []
    assert [file for file in (tmp_path / "lib").rglob("*") if file.is_file()] == []
    assert "pure Python, not compiled: the C compiler failed" in capfd.readouterr().err


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_a_compiler_that_fails_is_an_error_if_the_compiled_build_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYBGPD_COMPILE", "1")
    with pytest.raises(CCompilerError):
        broken_build(tmp_path).run()


@pytest.mark.parametrize("setting", ["", "1"])
def test_mypyc_that_fails_leaves_the_pure_build(
    setting: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = setup_script()
    names = script["extensions"].__globals__
    monkeypatch.setitem(names, "obstacle", lambda: "")
    monkeypatch.setattr(sys, "argv", ["setup.py", *WHEEL])
    monkeypatch.setenv("PYBGPD_COMPILE", setting)
    end = mock.Mock(
        side_effect=SystemExit(1)
    )  # what mypycify does if mypy finds errors
    monkeypatch.setitem(sys.modules, "mypyc.build", mock.Mock(mypycify=end))
    if setting:
        with pytest.raises(SystemExit):
            script["extensions"]()
    else:
        assert script["extensions"]() == []
        assert "not compiled: mypyc failed" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("compiled")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
@pytest.mark.skipif(not HEADER.is_file(), reason="Python's headers are not installed")
def test_the_tests_pass_on_the_compiled_build(tmp_path: Path) -> None:
    check_compiled_build(sys.executable, tmp_path)
