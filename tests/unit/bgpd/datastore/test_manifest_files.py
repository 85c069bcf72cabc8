"""Files of a folder: not manifests, too many or too large; read by real processes."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from bgpd.calico.keys import resource_key
from bgpd.datastore import manifest_files
from bgpd.datastore.folder import FolderDatastore
from bgpd.datastore.manifest_files import (
    SMALL,
    FolderError,
    ManifestFiles,
    Merged,
    list_folder,
    read_in_pieces,
)
from bgpd.worker.turns import in_turns
from tests.support.datastores import Follower

NODE = """\
apiVersion: projectcalico.org/v3
kind: Node
metadata: {{name: {name}}}
spec: {{bgp: {{ipv4Address: 10.0.0.1/24}}}}
"""
MANY = SMALL.octets // len(NODE) + 10  # objects that no thread reads


def manifest(name: str) -> str:
    return NODE.format(name=name)


def key(name: str) -> str:
    return resource_key("Node", name)


class Reader:
    """A folder that is read when a test says so."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = ManifestFiles(str(root))
        self.fault = ""

    async def read(self) -> Merged:
        stamps = list_folder(str(self.root)).stamps
        self.fault = await self.files.refresh(stamps)
        return await in_turns(self.files.merged())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.files.close()

    @property
    def pid(self) -> int:
        return self.files._worker.pid


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.mark.asyncio
async def test_a_few_small_files_need_no_process(reader: Reader) -> None:
    async with reader:
        for number in range(20):
            (reader.root / f"{number}.yaml").write_text(manifest(f"n{number}"))
        assert len((await reader.read()).items) == 20
        assert reader.pid == 0


@pytest.mark.slow
@pytest.mark.asyncio
async def test_much_is_read_by_a_process_of_its_own(reader: Reader) -> None:
    async with reader:
        documents = "---\n".join(manifest(f"n{number}") for number in range(MANY))
        (reader.root / "many.yaml").write_text(documents)
        merged = await reader.read()
        assert merged.items.keys() == {key(f"n{number}") for number in range(MANY)}
        assert merged.places[key("n1")] == "many.yaml:6"
        assert reader.pid != 0


@pytest.mark.slow
@pytest.mark.asyncio
async def test_small_text_that_unfolds_to_much_is_left_to_a_process(
    reader: Reader,
) -> None:
    async with reader:
        aliased = manifest("n1").replace(
            "name: n1",
            "name: n1, labels: &a {x: y}, annotations: [" + "*a, " * 500 + "]",
        )
        (reader.root / "a.yaml").write_text(aliased)
        bomb = ["a: &a [x, x]"]
        bomb += [
            f"a{n}: &a{n} [{', '.join([f'*a{n - 1 or str()}'] * 10)}]"
            for n in range(1, 12)
        ]
        (reader.root / "b.yaml").write_text("\n".join(bomb))
        (reader.root / "c.yaml").write_text(manifest("n2"))
        merged = await reader.read()
        assert merged.items.keys() == {key("n1"), key("n2")}
        assert any(
            text.startswith("b.yaml:") and "the limit is 1000000" in text
            for text in merged.warnings
        )
        assert reader.pid != 0


@pytest.mark.slow
@pytest.mark.asyncio
async def test_an_unreadable_or_oversized_file_leaves_the_others_alone(
    reader: Reader,
) -> None:
    async with reader:
        root = reader.root
        (root / "sound.yaml").write_text(manifest("n1"))
        os.mkfifo(root / "fifo.yaml")
        (root / "device.yaml").symlink_to("/dev/zero")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(root / "socket.yaml"))
        (root / "huge.yaml").touch()
        os.truncate(root / "huge.yaml", 10 << 30)
        merged = await asyncio.wait_for(reader.read(), 20)
        assert merged.items.keys() == {key("n1")}
        assert merged.warnings == [
            "device.yaml:1: unreadable: is a device; expected a regular file",
            "fifo.yaml:1: unreadable: is a FIFO; expected a regular file",
            f"huge.yaml:1: unreadable: has {10 << 30} octets; the limit is {16 << 20}",
            "socket.yaml:1: unreadable: is a socket; expected a regular file",
        ]
        assert reader.fault == ""  # another attempt finds the same: it is read


def deadly(paths: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Read, but end at a file of a certain name, as a crash in a library would."""
    for path in paths:
        if "deadly" in path:
            yield "begin", path
            os.kill(os.getpid(), signal.SIGSEGV)
        yield from read_in_pieces([path])


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_file_that_ends_the_process_costs_no_other_and_deletes_nothing(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reader:
        many = "---\n".join(manifest(f"n{number}") for number in range(MANY))
        (reader.root / "a.yaml").write_text(many)
        (reader.root / "deadly.yaml").write_text(manifest("kept"))
        (reader.root / "z.yaml").write_text(manifest("before"))
        assert len((await reader.read()).items) == MANY + 2
        monkeypatch.setattr(manifest_files, "read_in_pieces", deadly)
        for name in ("a", "deadly", "z"):
            text = many if name == "a" else manifest(f"after-{name}")
            (reader.root / f"{name}.yaml").write_text(text)
        merged = await reader.read()
        assert key("after-z") in merged.items
        assert key("kept") in merged.items
        assert key("after-deadly") not in merged.items
        first, second = merged.warnings
        assert first == "deadly.yaml:1: unreadable: SIGSEGV ended the process"
        assert second == f"deadly.yaml:1: keeping the last valid version: {key('kept')}"
        # It is not read again until it changes.
        monkeypatch.setattr(manifest_files, "read_in_pieces", None)
        assert (await reader.read()).warnings == merged.warnings


@pytest.mark.slow
@pytest.mark.asyncio
async def test_without_a_process_all_stays_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datastore = FolderDatastore(tmp_path, debounce=0.01)
    (tmp_path / "a.yaml").write_text(manifest("n1"))
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: key("n1") in seen.items)
        monkeypatch.setattr("sys.executable", "/nonexistent/python")
        many = "---\n".join(manifest(f"m{number}") for number in range(MANY))
        (tmp_path / "a.yaml").write_text(many)
        await follower.until(lambda seen: not seen.datastore.status.is_connected)
        assert "cannot start a process" in datastore.status.last_error
        assert follower.items.keys() == {key("n1")}
        monkeypatch.undo()
        await follower.until(lambda seen: key("m1") in seen.items)
        await follower.until(lambda seen: seen.datastore.status.is_connected)
        assert key("n1") not in follower.items


@pytest.mark.asyncio
async def test_files_beyond_the_limit_of_all_are_not_read(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reader:
        monkeypatch.setattr(manifest_files, "MAX_OCTETS", 300)
        for name in ("a", "b", "c"):
            (reader.root / f"{name}.yaml").write_text(manifest(name))
        merged = await reader.read()
        assert merged.items.keys() == {key("a"), key("b")}
        assert merged.warnings == [
            "c.yaml:1: ignored: the files before it reach the limit of 300 octets"
        ]


@pytest.mark.parametrize(
    ("name", "most", "text"),
    [
        ("MAX_FILES", 3, "more than 3 files"),
        ("MAX_FOLDER_DEPTH", 1, "1 levels deep"),
    ],
)
def test_a_folder_beyond_its_limits_is_rejected_as_a_whole(
    name: str,
    most: int,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    for number in range(4):
        (deep / f"{number}.yaml").touch()
    assert len(list_folder(str(tmp_path)).stamps) == 4
    monkeypatch.setattr(manifest_files, name, most)
    with pytest.raises(FolderError, match=text):
        list_folder(str(tmp_path))


def test_files_are_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("a.yaml", "a/b.yaml", "a-/c.yaml", "B.yml", ".hidden/x.yaml", "d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = list(list_folder(str(tmp_path)).stamps)
    assert found == [str(each) for each in sorted(map(Path, found))]
    assert [str(Path(each).relative_to(tmp_path)) for each in found] == [
        "B.yml",
        "a/b.yaml",
        "a-/c.yaml",
        "a.yaml",
    ]


@pytest.mark.asyncio
async def test_the_number_of_warnings_is_bounded(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reader:
        monkeypatch.setattr(manifest_files, "MAX_WARNINGS", 5)
        for name in ("a", "b"):
            (reader.root / f"{name}.yaml").write_text("---\nx: 1\n" * 200)
        warnings = (await reader.read()).warnings
        assert warnings[0] == "a.yaml:2: kind and apiVersion are missing"
        assert len(warnings) == 6
        assert warnings[-1] == "and 37 more problems"
        assert "b.yaml" not in " ".join(warnings)
