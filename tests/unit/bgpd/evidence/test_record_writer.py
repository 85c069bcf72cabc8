"""Files of records: complete, bounded, and no harm from a disk that fails."""

import bz2
import gzip
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bgpd.evidence import record_writer
from bgpd.evidence.mrt_files import GrowingFile, prune
from bgpd.evidence.record_writer import FileCounts, FilePlan, RecordWriter

RECORD = b"0123456789abcdef" * 4
OPENED: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.decompress,
    "bzip2": bz2.decompress,
}


def plan(folder: Path, **changes: object) -> FilePlan:
    fields = {
        "kind": "updates",
        "folder": str(folder),
        "compression": "none",
        "interval": 3600,
        "file_octets": 1 << 30,
        "max_files": 10,
        "max_octets": 1 << 30,
    }
    return FilePlan(**(fields | changes))  # type: ignore[arg-type]


def eventually(predicate: Callable[[], object]) -> bool:
    until = time.monotonic() + 5
    turn = threading.Event()
    while not predicate():
        if time.monotonic() > until:
            return False
        turn.wait(0.005)
    return True


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_writer, "TICK", 0.01)
    monkeypatch.setattr(record_writer, "RETRY", 0.02)


@pytest.mark.parametrize("compression", OPENED)
def test_files_are_whole_under_their_names_and_lose_nothing(
    tmp_path: Path, compression: str
) -> None:
    writer = RecordWriter(
        plan(tmp_path, compression=compression, file_octets=10 * len(RECORD)),
        FileCounts(),
    )
    for _ in range(25):
        writer.put(RECORD)
    writer.close()
    writer.wait()
    files = sorted(tmp_path.iterdir())
    assert [f.name.startswith("updates.") for f in files] == [True] * 3
    octets = [OPENED[compression](f.read_bytes()) for f in files]
    assert sorted(map(len, octets)) == [n * len(RECORD) for n in (5, 10, 10)]
    assert set(octets) <= {RECORD * 5, RECORD * 10}
    assert writer.counts == FileCounts(files=3, records=25)


def test_what_was_written_can_be_read_before_the_file_is_complete(
    tmp_path: Path,
) -> None:
    writer = RecordWriter(plan(tmp_path, compression="gzip"), FileCounts())
    writer.put(RECORD)
    assert eventually(lambda: writer.counts.records)
    (draft,) = tmp_path.iterdir()
    assert draft.name.endswith(".partial")
    with draft.open("rb") as file, gzip.GzipFile(fileobj=file) as opened:
        assert opened.read(len(RECORD)) == RECORD
    writer.close()
    writer.wait()


def test_a_missing_folder_is_a_fault_at_once_and_is_over_when_it_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "later"
    writer = RecordWriter(plan(folder), FileCounts())
    assert eventually(lambda: writer.fault)
    assert "No such file or directory" in writer.fault
    assert str(folder) in writer.fault
    writer.put(RECORD)
    assert eventually(lambda: writer.counts.dropped == 1)
    folder.mkdir()
    assert eventually(lambda: not writer.fault)
    writer.put(RECORD)
    writer.close()
    writer.wait()
    (file,) = folder.iterdir()
    assert file.read_bytes() == RECORD
    events = [record.args["event"] for record in caplog.records]  # type: ignore[index, call-overload]
    assert events == ["mrt-files-failed"]  # recovery is below the level that is caught


def test_a_folder_that_vanishes_is_noticed_and_comes_back(tmp_path: Path) -> None:
    folder, moved = tmp_path / "one", tmp_path / "other"
    folder.mkdir()
    writer = RecordWriter(plan(folder), FileCounts())
    writer.put(RECORD)
    assert eventually(lambda: writer.counts.records == 1)
    folder.rename(moved)
    assert eventually(lambda: "is gone" in writer.fault or "No such" in writer.fault)
    folder.mkdir()
    assert eventually(lambda: not writer.fault)
    writer.put(RECORD)
    writer.close()
    writer.wait()
    (file,) = folder.iterdir()
    assert file.read_bytes() == RECORD
    (left,) = moved.iterdir()  # what there was is still there to read
    assert left.read_bytes() == RECORD


def test_a_disk_that_hangs_costs_records_and_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def write(_: GrowingFile, __: bytes) -> None:
        hangs.set()
        goes_on.wait(10)

    monkeypatch.setattr(record_writer, "QUEUE_OCTETS", 10 * len(RECORD))
    monkeypatch.setattr(GrowingFile, "write", write)
    writer = RecordWriter(plan(tmp_path), FileCounts())
    writer.put(RECORD)
    assert hangs.wait(5)
    began = time.monotonic()
    for _ in range(1000):
        writer.put(RECORD)
    assert time.monotonic() - began < 1
    assert writer.counts.dropped == 990
    goes_on.set()
    writer.close()
    writer.wait()
    assert writer.counts.records == 11


def test_only_the_newest_files_are_kept_and_unfinished_ones_count(
    tmp_path: Path,
) -> None:
    for n in range(6):
        name = f".updates.{n}.x.partial" if n == 1 else f"updates.{n}"
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (n, n))
    (tmp_path / "unrelated").touch()
    assert prune(str(tmp_path), "updates", 4, 1000) == 2
    assert {f.name for f in tmp_path.iterdir()} == {
        *(f"updates.{n}" for n in (2, 3, 4, 5)),
        "unrelated",
    }
    assert prune(str(tmp_path), "updates", 4, 250) == 2
    assert prune(str(tmp_path), "updates", 4, 1) == 1  # the newest stays
    assert (tmp_path / "updates.5").exists()
