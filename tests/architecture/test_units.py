"""Units of systemd, the container file and kernel settings, as the tools for them see them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bgpd.cli.daemon import EXIT_CONFIG, EXIT_USAGE, main
from bgpd.config.loader import load
from tests.architecture.test_documents import check_command
from tests.support.generated import ROOT
from tests.support.installed import check_programs
from tests.support.scripts import an_installed_pybgpd

CONFIGS = ROOT / "configs"
UNITS = sorted((CONFIGS / "systemd").glob("*.service"))
SOCKETS = sorted((CONFIGS / "systemd").glob("*.socket"))
INSTALLED = "/opt/pybgpd/bin/pybgpd"
MAX_EXPOSURE = 22  # of 100, as systemd-analyze counts

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (systemd)"
)


def run(*command: str) -> None:
    outcome = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def settings_of(unit: Path) -> dict[str, str]:
    """Return the keys of a unit; the last value of a key that is set twice."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if re.match(r"\w+=", line))
    return {key: value for key, _, value in pairs}


@pytest.mark.parametrize("unit", [*UNITS, *SOCKETS], ids=lambda path: path.name)
@needs_systemd
@pytest.mark.slow
def test_units_are_understood(unit: Path, tmp_path: Path) -> None:
    if unit.suffix == ".socket":
        service = unit.with_suffix(".service")
        test_units_are_understood(service, tmp_path)
    text = unit.read_text(encoding="utf-8")
    copy = tmp_path / unit.name.replace("@.", "@dc1.")
    copy.write_text(
        text.replace(INSTALLED, str(an_installed_pybgpd(tmp_path))), encoding="utf-8"
    )
    for folder in (CONFIGS / "systemd").glob(f"{unit.name}.d"):
        shutil.copytree(folder, tmp_path / folder.name)
    run("systemd-analyze", "verify", "--man=no", str(copy))


@each_unit
@needs_systemd
@pytest.mark.slow
def test_units_are_confined(unit: Path) -> None:
    threshold = f"--threshold={MAX_EXPOSURE}"
    run("systemd-analyze", "security", "--offline=yes", threshold, str(unit))


@each_unit
def test_units_start_what_exists(unit: Path) -> None:
    settings = settings_of(unit)
    assert settings["Type"] == "notify"
    program, *words = shlex.split(settings["ExecStart"])
    assert program == INSTALLED
    words = [word for word in words if not word.startswith("$")]
    check_command(main, words)
    assert int(settings["WatchdogSec"]) >= 10
    # What is wrong in a file or in options would be wrong again a second later.
    final = {int(code) for code in settings["RestartPreventExitStatus"].split()}
    assert final == {EXIT_USAGE, EXIT_CONFIG}
    families = settings["RestrictAddressFamilies"].split()
    assert set(families) == {"AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"}


def test_the_environment_file_is_understood(tmp_path: Path) -> None:
    lines = (CONFIGS / "systemd" / "pybgpd.env").read_text(encoding="utf-8")
    found = re.findall(r"^#?([A-Z_0-9]+)=(.*)$", lines, re.MULTILINE)
    assert found
    settings = load(None, environment=dict(found)).settings
    assert settings.datastore.endpoints
    assert settings.calico.process_names == ("bird", "bird6")
    for name, value in found:
        if name == "ARGUMENTS" and value:
            check_command(main, ["run", *shlex.split(value)])


def test_kernel_settings_exist() -> None:
    text = (CONFIGS / "sysctl" / "90-pybgpd.conf").read_text(encoding="utf-8")
    settings = re.findall(r"^([a-z0-9_.]+) = (\d+)$", text, re.MULTILINE)
    assert settings
    for name, _ in settings:
        if name != "net.core.optmem_max" and not name.startswith("net.core.rmem"):
            continue  # those of TCP are absent in namespaces without a network
        assert Path("/proc/sys", *name.split(".")).exists(), name
    plain = [ln for ln in text.splitlines() if ln.strip() and not ln.startswith("#")]
    assert len(plain) == len(settings)


# -- the container -------------------------------------------------------------------------

CONTAINERFILE = CONFIGS / "container" / "Containerfile"


def test_the_container_file_has_no_flaw_that_a_linter_knows() -> None:
    run(str(Path(sys.executable).with_name("hadolint")), str(CONTAINERFILE))


def instructions() -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage: name and value."""
    text = CONTAINERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    stages: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(" ")
        if name == "FROM":
            stages.append([])
        if stages:
            stages[-1].append((name, value.strip()))
    return stages


def test_the_image_is_compiled_by_what_it_installs_for_that() -> None:
    build = instructions()[0]
    assert ("ENV", "PYBGPD_COMPILE=1") in build
    (installed,) = [value for name, value in build if value.startswith("apt-get")]
    assert installed.endswith(" gcc libc6-dev")


def test_the_image_starts_the_daemon() -> None:
    last = dict(instructions()[-1])
    assert last["ENTRYPOINT"] == '["pybgpd"]'
    check_command(main, ["run"])
    assert last["CMD"] == '["run"]'
    assert "USER" not in last  # root without root's rights: the manifests say which


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_steps_of_the_build_make_an_installation_that_runs(tmp_path: Path) -> None:
    """Carry the stage `build` out in a folder: its COPY and RUN, with its paths moved."""
    moved = {
        name: str(tmp_path / name.strip("/").replace("/", "-"))
        for name in ("/opt/pybgpd", "/wheels", "/src", "/usr/local/bin")
    }

    def move(text: str) -> str:
        for old, new in moved.items():
            text = re.sub(rf"(?<![\w.]){re.escape(old)}(?!\w)", new, text)
        return re.sub(r"(?<![\w/.-])python(?= -m)", sys.executable, text)

    source, tools = Path(moved["/src"]), Path(moved["/usr/local/bin"])
    source.mkdir()
    tools.mkdir()
    (build, _) = instructions()
    for name, value in build:
        if name == "COPY":
            *names, target = value.split()
            for each in names:
                to = Path(move(target)) if target.startswith("/") else source / target
                ignored = shutil.ignore_patterns("__pycache__")
                if (ROOT / each).is_dir():
                    shutil.copytree(ROOT / each, to, ignore=ignored)
                else:
                    shutil.copy(ROOT / each, to)
        elif name == "RUN" and not value.startswith("apt-get"):
            path = f"{tools}:{Path(sys.executable).parent}:/usr/bin:/bin"
            outcome = subprocess.run(
                ["/bin/sh", "-e", "-c", move(value)],
                cwd=source,
                env={"PATH": path, "HOME": str(tmp_path), "PYBGPD_COMPILE": "0"},
                capture_output=True,
                text=True,
                check=False,
            )
            if "No matching distribution" in outcome.stderr:
                pytest.skip("needs a registry of Python packages")
            assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    programs = Path(moved["/opt/pybgpd"]) / "bin"
    clean = {"PATH": f"{programs}:/usr/bin:/bin"}
    both = ([programs / "pybgpd"], [programs / "pybgpctl"])
    # tests/daemon/test_installation.py has the compiled wheel.
    check_programs(tmp_path, "pure Python", *both)
    share = programs.parent / "share"
    bill = json.loads((share / "doc" / "pybgpd" / "pybgpd.cdx.json").read_text("utf-8"))
    assert bill["metadata"]["component"]["name"] == "pybgpd"
    assert (share / "man" / "man8" / "pybgpctl.8").is_file()
    where = subprocess.check_output(
        [str(programs / "python"), "-c", "import bgpd; print(bgpd.__file__)"],
        env=clean,
        cwd=tmp_path,
        text=True,
    )
    assert where.startswith(str(tmp_path))
