import asyncio
import shutil
from pathlib import Path

import pytest

from bgpd.calico.keys import affinity_key, resource_key
from bgpd.datastore.folder import FolderDatastore, FolderWriter
from bgpd.datastore.model import DatastoreError
from tests.support.datastores import Follower
from tests.support.manifests import node

pytestmark = pytest.mark.asyncio

NODE = """\
apiVersion: projectcalico.org/v3
kind: Node
metadata: {{name: {name}}}
spec: {{bgp: {{ipv4Address: {addr}}}}}
"""
N1, N2 = resource_key("Node", "n1"), resource_key("Node", "n2")


def manifest(name: str, addr: str = "10.0.0.1/24") -> str:
    return NODE.format(name=name, addr=addr)


def source(folder: Path) -> FolderDatastore:
    return FolderDatastore(folder, debounce=0.01)


async def test_a_bad_document_blocks_nothing_and_deletes_nothing(
    tmp_path: Path,
) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text(manifest("n1") + "---\n" + manifest("n2"))
    datastore = source(tmp_path)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.items) == 2)
        file.write_text(manifest("n1", "10.0.0.9/24") + "---\nkind: [Node\n")
        await follower.until(lambda seen: b"10.0.0.9" in seen.items[N1])
        assert N2 in follower.items
        warnings = "\n".join(datastore.status.warnings)
        assert "nodes.yaml:7: not YAML" in warnings
        assert f"keeping the last valid version: {N2}" in warnings
        file.write_text(manifest("n1"))
        await follower.until(lambda seen: N2 not in seen.items)
        assert datastore.status.warnings == ()


async def test_a_bad_file_leaves_the_others_alone(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe not text")
    (tmp_path / "b.yaml").write_text(manifest("n2"))
    datastore = source(tmp_path)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: N2 in seen.items)
        assert "a.yaml:1: unreadable" in datastore.status.warnings[0]


async def test_what_cannot_be_opened_is_kept_and_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("n1"))
    datastore = source(tmp_path)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: N1 in seen.items)
        file.unlink()
        file.symlink_to("a.yaml")  # a loop: listed, but impossible to open
        await follower.until(lambda seen: bool(seen.datastore.status.warnings))
        assert "unreadable" in datastore.status.warnings[0]
        assert N1 in follower.items
        file.unlink()
        await follower.until(lambda seen: N1 not in seen.items)


async def test_the_first_of_two_files_counts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(manifest("n1", "10.0.0.1/24"))
    (tmp_path / "b.yaml").write_text("\n" + manifest("n1", "10.0.0.2/24"))
    datastore = source(tmp_path)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: N1 in seen.items)
        assert b"10.0.0.1" in follower.items[N1]
        assert datastore.describe(N1) == "a.yaml:1"
        assert datastore.status.warnings == (f"b.yaml:2: {N1} is already in a.yaml:1",)
        (tmp_path / "a.yaml").unlink()
        await follower.until(lambda seen: b"10.0.0.2" in seen.items[N1])


async def test_a_folder_that_vanishes_withdraws_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(manifest("n1"))
    datastore = source(folder)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: N1 in seen.items)
        shutil.move(folder, tmp_path / "away")
        await follower.until(lambda seen: not seen.datastore.status.is_connected)
        assert N1 in follower.items
        assert "No such file" in datastore.status.last_error
        shutil.move(tmp_path / "away", folder)
        (folder / "b.yaml").write_text(manifest("n2"))
        await follower.until(lambda seen: N2 in seen.items)
        assert datastore.status.is_connected


async def test_a_folder_may_appear_later_and_have_folders(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    datastore = source(folder)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: bool(seen.datastore.status.last_error))
        (folder / "nodes").mkdir(parents=True)
        (folder / "nodes" / "n1.yml").write_text(manifest("n1"))
        await follower.until(lambda seen: N1 in seen.items)
        deep = folder / "more" / "nodes"
        deep.mkdir(parents=True)
        (deep / "n2.json").write_text(
            '{"apiVersion": "projectcalico.org/v3", "kind": "Node",'
            ' "metadata": {"name": "n2"}}'
        )
        await follower.until(lambda seen: N2 in seen.items)
        assert datastore.describe(N2) == "more/nodes/n2.json:1"


async def test_a_mounted_config_map_is_followed(tmp_path: Path) -> None:
    for version, name in (("..v1", "n1"), ("..v2", "n2")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "nodes.yaml").write_text(manifest(name))
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "nodes.yaml").symlink_to("..data/nodes.yaml")
    async with Follower(source(tmp_path)) as follower:
        await follower.until(lambda seen: seen.items.keys() == {N1})
        (tmp_path / "..next").symlink_to("..v2")
        (tmp_path / "..next").rename(tmp_path / "..data")
        await follower.until(lambda seen: seen.items.keys() == {N2})


async def test_links_that_lead_nowhere_keep_what_they_led_to(tmp_path: Path) -> None:
    version = tmp_path / "..v1"
    version.mkdir()
    (version / "a.yaml").write_text(manifest("n1"))
    (tmp_path / "..data").symlink_to(version)
    (tmp_path / "a.yaml").symlink_to(Path("..data", "a.yaml"))
    (tmp_path / "b.yaml").write_text(manifest("n2"))
    datastore = source(tmp_path)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.items) == 2)
        shutil.rmtree(version)  # as if the volume behind the links were away
        (tmp_path / "b.yaml").write_text(manifest("n2", "10.0.0.9/24"))
        await follower.until(lambda seen: b"10.0.0.9" in seen.items[N2])
        assert N1 in follower.items
        assert "a.yaml:1: unreadable" in datastore.status.warnings[0]
        (tmp_path / "a.yaml").unlink()
        await follower.until(lambda seen: N1 not in seen.items)


async def test_the_writer_says_what_it_cannot_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = FolderWriter(tmp_path / "file")
    with pytest.raises(DatastoreError, match="file"):
        await writer.apply([node("n1")])
    with pytest.raises(DatastoreError, match="file"):
        await writer.delete([node("n1")])


async def test_hidden_and_other_files_are_ignored(tmp_path: Path) -> None:
    (tmp_path / ".n1.yaml").write_text(manifest("n1"))
    (tmp_path / "n1.yaml~").write_text(manifest("n1"))
    (tmp_path / "n2.yaml").write_text(manifest("n2"))
    async with Follower(source(tmp_path)) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        assert follower.items.keys() == {N2}


async def test_reformatting_is_not_a_change(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("n1"))
    async with Follower(source(tmp_path)) as follower:
        await follower.until(lambda seen: N1 in seen.items)
        file.write_text("# a comment\n" + manifest("n1"))
        (tmp_path / "b.yaml").write_text(manifest("n2"))
        await follower.until(lambda seen: N2 in seen.items)
        assert len(follower.events) == 2
        assert follower.events[1].puts.keys() == {N2}  # type: ignore[union-attr]


async def test_a_folder_is_connected_only_while_its_files_can_be_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.yaml").write_text(manifest("n1"))
    datastore = source(tmp_path)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: N1 in seen.items)
        await follower.until(lambda seen: seen.datastore.status.is_connected)
        loop = tmp_path / "b.yaml"
        loop.symlink_to(loop)  # open(2) fails, for root, too
        await follower.until(lambda seen: not seen.datastore.status.is_connected)
        assert "b.yaml" in datastore.status.last_error
        assert N1 in follower.items
        loop.unlink()
        await follower.until(lambda seen: seen.datastore.status.is_connected)


@pytest.mark.slow
async def test_polling_replaces_an_inotify_that_is_not_available(
    tmp_path: Path,
) -> None:
    datastore = FolderDatastore(tmp_path, debounce=0.01, uses_inotify=False)
    async with Follower(datastore) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        (tmp_path / "a.yaml").write_text(manifest("n1"))
        await follower.until(lambda seen: N1 in seen.items)


async def test_a_change_is_reported_within_a_fraction_of_a_second(
    tmp_path: Path,
) -> None:
    loop = asyncio.get_running_loop()
    async with Follower(FolderDatastore(tmp_path)) as follower:
        await follower.until(lambda seen: len(seen.events) == 1)
        started = loop.time()
        await FolderWriter(tmp_path).apply([node("n1", "10.0.0.1/24")])
        await follower.until(lambda seen: N1 in seen.items)
        assert loop.time() - started < 1.0


async def test_affinities_take_the_keys_of_calicos_ipam(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: projectcalico.org/v3\nkind: BlockAffinity\n"
        "metadata: {name: x}\n"
        "spec: {node: n1, cidr: 'fd00:0:0::/122', state: confirmed}\n"
    )
    async with Follower(source(tmp_path)) as follower:
        await follower.until(lambda seen: len(seen.items) == 1)
        assert follower.items == {
            affinity_key("n1", "fd00::/122"): b'{"deleted":false,"state":"confirmed"}'
        }
