"""``pybgpctl capture`` beside other makers' routers, read by tshark and tcpdump."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bgpd.lab.routers.pybgpd import PyBgpd
from tests.support.routers import a_lab, eventually, has_none_of, has_routes, maker

LAB = """
nodes:
  one:
    addresses: [10.0.0.2/24, "fd00::2/64"]
    router:
      kind: pybgpd
      as: 65001
      fib: false
      originate: [10.2.0.0/24, "fd00:2::/64"]
      neighbours: [{{node: two, families: [{family}]}}]
  two:
    addresses: [10.0.0.3/24, "fd00::3/64"]
    router:
      {{kind: {kind}, as: 65001, fib: false, originate: ["{prefix}"],
        neighbours: [{{node: one, families: [{family}]}}]}}
"""
ADDRESSES = {"ipv4": ("10.0.0.2", "10.0.0.3"), "ipv6": ("fd00::2", "fd00::3")}
PREFIXES = {"ipv4": "10.3.0.0/24", "ipv6": "fd00:3::/64"}

pytestmark = pytest.mark.skipif(
    shutil.which("tshark") is None or shutil.which("tcpdump") is None,
    reason="tshark and tcpdump are not installed",
)


def pybgpctl(control: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "bgpd.cli.control", "--control", control, *words]


@contextmanager
def capturing(control: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a capture."""
    with subprocess.Popen(
        pybgpctl(control, "capture", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def fields_of(file: Path, *names: str) -> list[dict[str, list[str]]]:
    """Return what tshark reads in each packet with BGP."""
    command = ["tshark", "-r", str(file), "-Y", "bgp", "-T", "json"]
    command += ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    for name in ("tcp.checksum.status", "tcp.srcport", "tcp.dstport", *names):
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return [each["_source"]["layers"] for each in json.loads(done.stdout)]


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        pytest.param(*maker(kind).values, family, marks=maker(kind).marks)
        for kind, family in (("bird", "ipv4"), ("frr", "ipv6"))
    ],
)
def test_tshark_reads_what_was_captured(kind: str, family: str, tmp_path: Path) -> None:
    prefix, file = PREFIXES[family], tmp_path / "session.pcap"
    local, remote = ADDRESSES[family]
    text = LAB.format(kind=kind, family=family, prefix=prefix)
    with a_lab(text) as lab:
        one, two = lab.routers["one"], lab.routers["two"]
        assert isinstance(one, PyBgpd)
        control = str(one.control_path)
        assert eventually(lambda: has_routes(one, prefix), 20)
        # In the midst of a session, then over its end and the next one.
        with capturing(control, remote, "--write", str(file)) as process:
            assert eventually(lambda: file.exists() and file.stat().st_size, 20)
            two.withdraw(prefix)
            assert eventually(lambda: has_none_of(one, prefix), 20)
            subprocess.run(pybgpctl(control, "reset", remote), check=True)
            assert eventually(lambda: has_none_of(one, prefix), 20)
            two.originate(prefix)
            assert eventually(lambda: has_routes(one, prefix), 20)
            before = file.read_bytes()  # whole while it grows
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=10)[1]
        assert process.returncode == 0, said
        assert "captured in" in said
        assert "none dropped" in said
        shown = one.ask("show-peers")[0]
    assert file.read_bytes().startswith(before)

    packets = fields_of(
        file,
        "ip.src" if family == "ipv4" else "ipv6.src",
        "bgp.type",
        "bgp.open.myas",
        "bgp.notify.minor_error_cease",
        "bgp.prefix_length",
        "bgp.nlri_prefix" if family == "ipv4" else "bgp.mp_reach_nlri_ipv6_prefix",
        "bgp.withdrawn_prefix"
        if family == "ipv4"
        else "bgp.mp_unreach_nlri_ipv6_prefix",
    )
    assert {status for p in packets for status in p["tcp.checksum.status"]} == {"1"}
    source = "ip.src" if family == "ipv4" else "ipv6.src"
    assert {s for p in packets for s in p[source]} == {local, remote}
    assert all("179" in p["tcp.srcport"] + p["tcp.dstport"] for p in packets)
    address = prefix.partition("/")[0]
    by_sender: dict[str, list[str]] = {local: [], remote: []}
    told: dict[str, list[Any]] = {"open": [], "announced": [], "withdrawn": []}
    for packet in packets:
        sender = packet[source][0]
        by_sender[sender] += packet.get("bgp.type", [])
        if "bgp.open.myas" in packet:
            told["open"].append((sender, packet["bgp.open.myas"][0]))
        for name, texts in packet.items():
            if address in texts and sender == remote:
                told[
                    "withdrawn" if "with" in name or "unreach" in name else "announced"
                ] += texts
    # Two connections at once have an OPEN each (RFC 4271 6.8).
    assert set(told["open"]) == {(local, "65001"), (remote, "65001")}
    assert "3" in by_sender[local]  # the reset's NOTIFICATION
    assert told["announced"]
    assert told["withdrawn"]
    assert "4" in by_sender[local]
    assert "4" in by_sender[remote]
    assert shown["state"] == "Established"

    command = ["tcpdump", "-Z", "root", "-nvvr", str(file)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    for words in ("Open Message", "Update Message", "Notification Message", prefix):
        assert words in done.stdout
    assert "incorrect" not in done.stdout  # checksums
