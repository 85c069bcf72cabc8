"""The Debian package on a machine with systemd: from its installation to its purge."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.commands import run
from tests.support.debian_machine import DebianMachine, needs_debian_root
from tests.support.generated import ROOT
from tests.support.routers import needs

BUILD: Final = ROOT / "configs" / "debian" / "build-package"
HEADERS: Final = Path("/usr/bin/python3-config")
NODE: Final = "pybgpd.service"
REFLECTOR: Final = "pybgpd-reflector@dc1.service"
SOCKET_UNIT: Final = "pybgpd-reflector@dc1.socket"
SOCKET: Final = "/run/pybgpd-reflector-dc1/pybgpd.sock"
EARLIER_VERSION: Final = "0.0.1-1"
KEPT: Final = "# an administrator's line\n"

ON_THE_MACHINE: Final = """
bgp: {as: 64512, router_id: 10.0.0.2, listen: {addresses: [10.0.0.2]}}
fib: {mode: off}
next_hops: {resolve: trust}
ranges:
  - {name: nodes, prefix: 10.0.0.0/24, as: 64512, client: true}
"""
OF_BIRD: Final = """
router id 10.0.0.3;
protocol device { }
protocol direct { ipv4; }
protocol static { ipv4; route 192.0.2.0/24 blackhole; }
protocol bgp { local 10.0.0.3 as 64512; neighbor 10.0.0.2 as 64512;
    multihop; strict bind yes;
    connect delay time 1; connect retry time 1; error wait time 1, 2;
    ipv4 { import all; export all; }; }
"""


@pytest.fixture(name="package")
def a_package(tmp_path: Path) -> Path:
    """Build the package of this tree, uncompressed; return its file."""
    output = tmp_path / "packages"
    return Path(run(str(BUILD), str(output), COMPRESSION="-Znone").strip())


def earlier(package: Path) -> Path:
    """Return a package of an earlier version, with a file that the later one lacks."""
    tree = package.parent / "earlier"
    run("dpkg-deb", "--raw-extract", str(package), str(tree))
    control = tree / "DEBIAN" / "control"
    lines = control.read_text(encoding="utf-8").splitlines(keepends=True)
    lines = [
        f"Version: {EARLIER_VERSION}\n" if line.startswith("Version: ") else line
        for line in lines
    ]
    control.write_text("".join(lines), encoding="utf-8")
    (site,) = tree.glob("usr/lib/pybgpd/lib/python*/site-packages")
    (site / "rib" / "no_longer.py").write_text("", encoding="utf-8")
    for conffile in (tree / "etc" / "pybgpd").iterdir():
        text = conffile.read_text(encoding="utf-8")
        conffile.write_text(f"# of the earlier version\n{text}", encoding="utf-8")
    file = package.parent / "earlier.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", str(tree), str(file))
    return file


@contextmanager
def a_bird(machine: DebianMachine, folder: Path) -> Iterator[None]:
    """Run BIRD on the machine's network."""
    configuration = folder / "bird.conf"
    configuration.write_text(OF_BIRD, encoding="utf-8")
    options = ("-f", "-c", str(configuration), "-s", str(folder / "bird.ctl"))
    with (folder / "bird.log").open("w") as log:
        process = subprocess.Popen(
            machine.on_its_network("/usr/sbin/bird", *options), stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.kill()
            process.wait(10)


def files(machine: DebianMachine) -> set[str]:
    """Return all files of the machine, without logs and states of other programs."""
    folders = ("/etc", "/usr", "/run", "/var")
    found = machine.run("find", *folders, "-xdev").splitlines()
    others = ("/run/systemd", "/run/log", "/var/log", "/var/lib/dpkg", "/var/cache")
    return {
        name
        for name in found
        if not name.startswith(others)
        and "systemd-" not in name
        and name != "/run/private"  # systemd's, for folders of dynamic users
    }


def asked(machine: DebianMachine, *words: str) -> Any:
    """Return what the reflector answers."""
    said = machine.run("pybgpctl", "--control", SOCKET, *words, "-o", "json")
    return json.loads(said)


def is_up(machine: DebianMachine) -> bool:
    """Return whether BIRD's route is there."""
    return bool(asked(machine, "show", "routes", "--prefix", "192.0.2.0/24"))


def check_installed(machine: DebianMachine) -> None:
    """Nothing was enabled or started, and the programs run compiled."""
    for program in ("pybgpd", "pybgpctl"):
        assert "(compiled, " in machine.run(program, "--version")
        machine.run("test", "-s", f"/usr/share/man/man8/{program}.8.gz")
        machine.run("bash", "-n", f"/usr/share/bash-completion/completions/{program}")
    for example in (
        "/etc/pybgpd/example.yaml",
        "/usr/share/doc/pybgpd/examples/*.yaml",
    ):
        check = f"for file in {example}; do pybgpd check $file || exit 1; done"
        assert machine.run("sh", "-c", check).splitlines()[-1] == "valid"
    assert machine.unit(NODE, "UnitFileState") == "disabled"
    assert machine.unit(NODE, "ActiveState") == "inactive"


def check_that_what_is_wrong_is_not_tried_again(machine: DebianMachine) -> None:
    """No file, a wrong file, wrong options: each ends the unit with its reason."""
    env, file = "/etc/pybgpd/pybgpd.env", "/etc/pybgpd/pybgpd.yaml"
    wrongs = [
        ("/etc/pybgpd/other", "", "78", "pybgpd.yaml: No such file"),
        (file, "bgp: [\n", "78", "not YAML"),
        (env, "ARGUMENTS=--nope\n", "2", "No such option"),
    ]
    for path, text, code, said in wrongs:
        machine.write(path, text)
        assert machine.fails("systemctl", "start", NODE)
        assert machine.unit(NODE, "ActiveState") == "failed"
        assert machine.unit(NODE, "ExecMainStatus") == code
        assert machine.unit(NODE, "NRestarts") == "0"
        assert said in machine.run("journalctl", "--unit", NODE, "--output", "cat")
        machine.run("systemctl", "reset-failed", NODE)


def check_reloaded(machine: DebianMachine) -> None:
    """The compiled build takes in what another process of it has read."""
    path = "/etc/pybgpd/reflector-dc1.yaml"
    machine.write(path, ON_THE_MACHINE + "log: {level: debug}\n")
    said = machine.run("pybgpctl", "--control", SOCKET, "reload")
    assert "section log (level)" in said
    assert is_up(machine)


def check_activated_by_its_socket(machine: DebianMachine) -> None:
    """With the socket unit systemd listens, and a peer that connects starts the daemon."""
    machine.write(
        f"/etc/systemd/system/{SOCKET_UNIT}.d/addresses.conf",
        "[Socket]\nListenStream=\nListenStream=10.0.0.2:179\n",
    )
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", REFLECTOR)
    machine.run("systemctl", "start", SOCKET_UNIT)
    machine.until(lambda: machine.unit(REFLECTOR, "ActiveState") == "active")
    machine.until(lambda: is_up(machine))
    said = machine.run("journalctl", "--unit", REFLECTOR, "--output", "cat")
    assert "cannot listen" not in said
    assert "nothing answers there" not in said


def check_upgraded(machine: DebianMachine, pid: str) -> None:
    """What ran was started again; what was changed by hand is kept."""
    machine.until(lambda: machine.unit(REFLECTOR, "ActiveState") == "active")
    assert machine.unit(REFLECTOR, "MainPID") != pid
    assert machine.unit(NODE, "ActiveState") == "inactive"
    machine.until(lambda: is_up(machine))
    assert machine.run("cat", "/etc/pybgpd/pybgpd.env") == KEPT.strip()
    example = machine.run("cat", "/etc/pybgpd/example.yaml")
    assert "of the earlier version" not in example
    machine.run("test", "-e", "/etc/pybgpd/reflector-dc1.yaml")
    assert machine.run("find", "/usr/lib/pybgpd", "-name", "no_longer*") == ""


@needs_debian_root
@needs("bird")
@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("compiled")
@pytest.mark.skipif(not HEADERS.exists(), reason="needs Debian's python3-dev")
@pytest.mark.skipif(shutil.which("dpkg-shlibdeps") is None, reason="needs dpkg-dev")
def test_the_package_is_installed_upgraded_removed_and_purged(
    package: Path, tmp_path: Path
) -> None:
    earlier(package)
    mount = tmp_path / "machine"
    mount.mkdir()
    with DebianMachine(mount, package.parent) as machine:
        before = files(machine)
        machine.run("dpkg", "--install", "/srv/earlier.deb")
        check_installed(machine)
        check_that_what_is_wrong_is_not_tried_again(machine)

        machine.write("/etc/pybgpd/pybgpd.env", KEPT)
        for address in ("10.0.0.2", "10.0.0.3"):
            run(*machine.on_its_network("ip", "address", "add", address, "dev", "lo"))
        machine.write("/etc/pybgpd/reflector-dc1.yaml", ON_THE_MACHINE)
        machine.run("systemctl", "enable", "--now", REFLECTOR)
        with a_bird(machine, tmp_path):
            machine.until(lambda: is_up(machine))
            assert asked(machine, "show", "status")["build"] == "compiled"
            check_reloaded(machine)
            check_activated_by_its_socket(machine)
            pid = machine.unit(REFLECTOR, "MainPID")
            upgrade = ("dpkg", "--force-confold", "--install", f"/srv/{package.name}")
            machine.run(*upgrade)
            check_upgraded(machine, pid)

        folder = f"/etc/systemd/system/{SOCKET_UNIT}.d"
        machine.run("rm", "-r", folder)  # an administrator's, which a purge leaves
        machine.run("dpkg", "--remove", "pybgpd")
        for unit in (REFLECTOR, SOCKET_UNIT):
            assert machine.unit(unit, "ActiveState") != "active"
        assert machine.fails("test", "-e", "/usr/lib/pybgpd")
        assert machine.run("cat", "/etc/pybgpd/pybgpd.env") == KEPT.strip()
        machine.run("dpkg", "--purge", "pybgpd")
        assert sorted(files(machine) ^ before) == []
        listed = machine.run("dpkg-query", "--show", "--showformat=${Package}\n")
        assert "pybgpd" not in listed.split()
