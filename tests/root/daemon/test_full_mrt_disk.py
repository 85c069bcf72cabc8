"""A disk that is full costs MRT records, and is used again when it has room."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgpd.evidence import record_writer
from bgpd.evidence.record_writer import FileCounts, FilePlan, RecordWriter
from tests.support.routers import eventually, needs_root

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], check=True
    )
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk_costs_records_until_it_has_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_writer, "TICK", 0.01)
    monkeypatch.setattr(record_writer, "RETRY", 0.02)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    plan = FilePlan("updates", str(small_disk), "gzip", 3600, 1 << 30, 10, 1 << 30)
    writer = RecordWriter(plan, FileCounts())
    for _ in range(100):
        writer.put(os.urandom(4096))
    assert eventually(lambda: "No space left on device" in writer.fault)
    assert str(small_disk) in writer.fault
    assert eventually(lambda: writer.counts.dropped)
    for each in small_disk.iterdir():  # an operator makes room
        each.unlink()
    assert eventually(lambda: not writer.fault)
    before = writer.counts.records
    writer.put(b"a record")
    assert eventually(lambda: writer.counts.records == before + 1)
    writer.close()
    writer.wait()
    assert len([*small_disk.glob("updates.*.gz")]) == 1
    assert writer.counts.errors
