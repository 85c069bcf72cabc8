"""Each check tells what it found and what to do; none ends another or takes too long."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import yaml
from click.testing import CliRunner

from bgpd.cli.daemon import main
from bgpd.cli.doctor import datastore_checks, machine_checks, network_checks
from bgpd.cli.doctor.findings import (
    MOST_FINDINGS,
    Check,
    Finding,
    Verdict,
    fault,
    ok,
    run_checks,
)
from bgpd.cli.doctor.machine_checks import Machine
from bgpd.config.loader import load
from bgpd.config.settings import DaemonSettings

REFLECTOR = """
bgp: {as: 64512, router_id: 127.0.0.1, listen: {addresses: [127.0.0.1]}}
ranges: [{prefix: 10.0.0.0/8, as: 64512, client: true, limit: 4000}]
fib: {mode: off}
"""
NODE = """
bgp: {as: 64512, router_id: 192.0.2.77, listen: {addresses: [192.0.2.77]}}
peers: [{address: 10.0.0.1, as: 64512, local_address: 192.0.2.78}]
"""


def settings_of(tmp_path: Path, text: str) -> DaemonSettings:
    file = tmp_path / "pybgpd.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, environment={}).settings


def lines(findings: Iterator[Finding] | list[Finding]) -> list[str]:
    return [f"{each.verdict}: {each.text}" for each in findings]


def a_machine(root: Path, files: dict[str, str]) -> Machine:
    """Return a machine whose kernel says what the files have, and no more."""
    for folder in ("proc", "sys/class/net"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Machine(root)


# -- how they run ---------------------------------------------------------------------------


def test_a_check_that_fails_or_hangs_leaves_the_others_alone() -> None:
    gate = threading.Event()

    def hangs() -> list[Finding]:
        gate.wait()
        return []

    def fails() -> NoReturn:
        raise ValueError("an unheard-of kernel")

    def needs_root() -> NoReturn:
        raise PermissionError(13, "Permission denied", "/proc/1/fd")

    def many() -> list[Finding]:
        return [ok("many", str(number)) for number in range(MOST_FINDINGS + 3)]

    found = run_checks(
        [
            Check("hangs", hangs, patience=0.05),
            Check("fails", fails),
            Check("rights", needs_root),
            Check("many", many),
            Check("last", lambda: [fault("last", "is here")]),
        ]
    )
    gate.set()
    assert lines(found)[:3] == [
        "unknown: could not see: no answer within 0.05 s",
        "unknown: could not see: an unheard-of kernel",
        "unknown: could not see: needs root: /proc/1/fd",
    ]
    assert lines(found)[-2:] == [
        "unknown: could not see: 3 more findings",
        "fault: is here",
    ]


# -- the machine ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "held", "expected"),
    [
        (NODE, "0000000000001400", "ok: CAP_NET_ADMIN, CAP_NET_BIND_SERVICE"),
        (NODE, "0000000000000400", "fault: this user lacks CAP_NET_ADMIN"),
        (REFLECTOR, "0000000000000400", "ok: CAP_NET_BIND_SERVICE"),
        (REFLECTOR, "0" * 16, "fault: this user lacks CAP_NET_BIND_SERVICE"),
    ],
)
def test_privileges_are_compared_with_what_is_configured(
    tmp_path: Path, text: str, held: str, expected: str
) -> None:
    machine = a_machine(tmp_path, {"proc/self/status": f"Name:\tx\nCapEff:\t{held}\n"})
    settings = settings_of(tmp_path, text)
    assert lines(machine_checks.capabilities(machine, settings)) == [expected]


def test_a_machine_that_leaves_low_ports_to_all_needs_no_privilege(
    tmp_path: Path,
) -> None:
    files = {
        "proc/self/status": "CapEff:\t0\n",
        "proc/sys/net/ipv4/ip_unprivileged_port_start": "0\n",
    }
    machine = a_machine(tmp_path, files)
    settings = settings_of(tmp_path, REFLECTOR)
    assert lines(machine_checks.capabilities(machine, settings)) == [
        "ok: none is needed"
    ]


def test_kernel_settings_that_lose_packets_are_named(tmp_path: Path) -> None:
    files = {
        "proc/sys/net/ipv4/ip_forward": "0\n",
        "proc/sys/net/ipv6/conf/all/forwarding": "1\n",
        "proc/sys/net/ipv4/conf/all/rp_filter": "0\n",
        "proc/sys/net/ipv4/conf/eth0/rp_filter": "1\n",
        "proc/sys/net/core/rmem_max": "212992\n",
    }
    machine = a_machine(tmp_path, files)
    found = list(machine_checks.sysctls(machine, settings_of(tmp_path, NODE)))
    assert [each.advice for each in found] == [
        "sysctl -w net.ipv4.ip_forward=1",
        "sysctl -w net.ipv4.conf.INTERFACE.rp_filter=2",
        "copy configs/sysctl/90-pybgpd.conf to /etc/sysctl.d",
    ]
    assert "rp_filter is strict on eth0" in found[1].text
    # A reflector forwards nothing.
    off = settings_of(tmp_path, REFLECTOR)
    texts = lines(machine_checks.sysctls(machine, off))
    assert texts == [
        (
            "warning: net.core.rmem_max is 212992: little room for messages about routes "
            "while thousands change"
        )
    ]


def test_neighbour_tables_have_room_for_the_clients(tmp_path: Path) -> None:
    files = {"proc/sys/net/ipv4/neigh/default/gc_thresh3": "1024\n"}
    machine = a_machine(tmp_path, files)
    texts = lines(machine_checks.limits(machine, settings_of(tmp_path, REFLECTOR)))
    assert texts[-1].startswith(
        "warning: net.ipv4.neigh.default.gc_thresh3 is 1024: 4000"
    )
    assert texts[-2].endswith("inotify")


def test_too_few_open_files_are_a_fault(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, REFLECTOR)
    many = replace(settings, ranges=(replace(settings.ranges[0], limit=10_000_000),))
    (first, *_) = machine_checks.limits(a_machine(tmp_path, {}), many)
    assert first.verdict is Verdict.FAULT
    assert first.advice == "LimitNOFILE=10000064 in the unit, or ulimit -n 10000064"


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:00B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 0100007F:00B3 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
"""


def test_the_holder_of_the_port_is_named(tmp_path: Path) -> None:
    machine = a_machine(tmp_path, {"proc/net/tcp": TABLE, "proc/77/comm": "bird\n"})
    settings = settings_of(tmp_path, NODE)
    found = list(machine_checks.port(machine, settings))
    assert lines(found) == [
        "unknown: could not see: TCP 179 is in use, and by which program"
    ]
    folder = tmp_path / "proc" / "77" / "fd"
    folder.mkdir()
    (folder / "5").symlink_to("socket:[4711]")
    found = list(machine_checks.port(machine, settings))
    assert lines(found) == ["fault: TCP 179 is in use by bird, process 77"]
    (tmp_path / "proc" / "77" / "comm").write_text("pybgpd\n", encoding="utf-8")
    found = list(machine_checks.port(machine, settings))
    assert lines(found) == ["ok: TCP 179 is in use by pybgpd, process 77"]


def test_other_daemons_of_our_network_are_named(tmp_path: Path) -> None:
    files = {
        "proc/77/comm": "bird6\n",
        "proc/78/comm": "bgpd\n",
        "proc/79/comm": "bash\n",
        "proc/80/comm": "bird\n",
    }
    machine = a_machine(tmp_path, files)
    for process, network in (("self", 1), ("77", 1), ("80", 2)):
        folder = tmp_path / "proc" / process / "ns"
        folder.mkdir(parents=True)
        (folder / "net").symlink_to(f"net:[{network}]")
    assert lines(machine_checks.programs(machine)) == [
        "warning: BIRD runs: bird6, process 77",
        "warning: FRR or OpenBGPD runs: bgpd, process 78",
    ]
    assert lines(machine_checks.programs(a_machine(tmp_path / "other", {}))) == [
        "ok: none runs"
    ]


# -- the network ----------------------------------------------------------------------------


def test_addresses_that_the_machine_lacks_are_named(tmp_path: Path) -> None:
    assert lines(network_checks.addresses(settings_of(tmp_path, NODE))) == [
        "warning: router ID 192.0.2.77 is not an address of this machine",
        "fault: bgp.listen: no interface has 192.0.2.77",
        "fault: local_address: no interface has 192.0.2.78",
    ]
    assert lines(network_checks.addresses(settings_of(tmp_path, REFLECTOR))) == [
        "ok: those of the configuration are here"
    ]


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ({"eth0": 1500, "lo": 65536}, "ok: eth0 1500"),
        ({"eth0": 1500, "tunl0": 1480, "cali1": 1480}, "ok: tunl0 1480"),
        (
            {"eth0": 1400, "eth1": 9000, "tunl0": 1480},
            (
                "warning: tunl0 has 1480, and at most 1380 fit through eth0: large packets "
                "are lost"
            ),
        ),
        (
            {"eth0": 1500, "vxlan.calico": 1500},
            (
                "warning: vxlan.calico has 1500, and at most 1450 fit through eth0: large "
                "packets are lost"
            ),
        ),
    ],
)
def test_an_overlay_must_fit_through_what_is_below(
    tmp_path: Path, devices: dict[str, int], expected: str
) -> None:
    files = {f"sys/class/net/{name}/mtu": f"{mtu}\n" for name, mtu in devices.items()}
    assert lines(network_checks.mtus(a_machine(tmp_path, files))) == [expected]


# -- the datastore --------------------------------------------------------------------------


def test_a_folder_is_read_as_the_daemon_reads_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    text = f"{NODE}\ndatastore: {{type: folder, path: {store}}}\n"
    settings = settings_of(tmp_path, text)
    (found,) = datastore_checks.datastore(settings)
    assert found.verdict is Verdict.FAULT
    assert str(store) in found.text
    store.mkdir()
    (store / "bad.yaml").write_text("\tkind: Node\n", encoding="utf-8")
    first, *others = lines(datastore_checks.datastore(settings))
    assert first == "ok: folder: 0 objects can be read"
    assert any("a tab cannot indent" in each for each in others)


# -- the command ----------------------------------------------------------------------------


def test_the_report_is_text_json_or_yaml(tmp_path: Path) -> None:
    file = tmp_path / "pybgpd.yaml"
    file.write_text(NODE, encoding="utf-8")
    result = CliRunner().invoke(main, ["doctor", "--config", str(file)])
    assert result.exit_code == 1
    assert (
        "fault    addresses: bgp.listen: no interface has 192.0.2.77\n" in result.output
    )
    assert "\n         -> correct it, or add it\n" in result.output
    told = CliRunner().invoke(main, ["doctor", "--config", str(file), "-o", "json"])
    report = json.loads(told.output)
    assert set(report) == {"version", "faults", "warnings", "unknown", "findings"}
    assert all(
        set(each) == {"check", "verdict", "text", "advice"}
        for each in report["findings"]
    )
    assert report["faults"] >= 2
    told = CliRunner().invoke(main, ["doctor", "--config", str(file), "-o", "yaml"])
    assert yaml.safe_load(told.output).keys() == report.keys()


def test_a_wrong_file_is_a_fault_and_the_machine_is_examined(tmp_path: Path) -> None:
    file = tmp_path / "pybgpd.yaml"
    file.write_text("bgp: {as: x}\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["doctor", "--config", str(file)])
    assert result.exit_code == 1
    assert f"fault    configuration: {file}:1:11: bgp.as: expected" in result.output
    assert "kernel: TCP-MD5" in result.output
