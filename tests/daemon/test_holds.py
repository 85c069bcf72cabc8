"""A folder that lost its objects ends no session of a daemon that runs."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bgpd.datastore.folder import FolderDatastore
from bgpd.datastore.guarded import GuardedDatastore
from tests.support.daemons import ROOT
from tests.support.datastores import Follower
from tests.support.manifests import node
from tests.support.meshes import OWN, Mesh
from tests.support.routers import needs_root
from tests.support.speakers import Rack, until

pytestmark = pytest.mark.slow
OTHERS = 6


def control(mesh: Mesh, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bgpd.cli.control", "--control"]
    return subprocess.run(
        [*command, mesh.daemon.control, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def fill(folder: Path, mesh: Mesh) -> None:
    """Write one file an object, as ``rm`` finds them one by one."""
    folder.mkdir(exist_ok=True)
    for number, manifest in enumerate(mesh.objects(OTHERS)):
        (folder / f"{number}.yaml").write_text(yaml.safe_dump(manifest))


def as_config_map(folder: Path) -> None:
    """Lay files out as the kubelet does: links through ``..data``."""
    version = folder / "..version-1"
    version.mkdir()
    for file in sorted(folder.glob("*.yaml")):
        file.rename(version / file.name)
        file.symlink_to(Path("..data", file.name))
    (folder / "..data").symlink_to(version.name)


def empty(folder: Path) -> None:
    for file in folder.glob("*.yaml"):
        file.unlink()


def empty_slowly(folder: Path) -> None:
    script = "for f in *.yaml; do rm $f; sleep 0.15; done"
    subprocess.run(["sh", "-c", script], cwd=folder, check=True)


def swap_for_an_empty_version(folder: Path) -> None:
    as_config_map(folder)
    (folder / "..version-2").mkdir()
    (folder / "..next").symlink_to("..version-2")
    (folder / "..next").rename(folder / "..data")
    empty(folder)


def replace_by_an_empty_folder(folder: Path) -> None:
    new = folder.with_name("new")
    new.mkdir()
    folder.rename(folder.with_name("old"))
    new.rename(folder)


WAYS: dict[str, Callable[[Path], None]] = {
    "emptied": empty,
    "file by file": empty_slowly,
    "an empty ConfigMap": swap_for_an_empty_version,
    "another folder in its place": replace_by_an_empty_folder,
}


@pytest.mark.parametrize("lose", WAYS.values(), ids=WAYS)
def test_sessions_and_blocks_stay_when_a_folder_loses_its_objects(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    folder = tmp_path / "objects"

    async def scenario() -> None:
        async with Rack() as rack:
            datastore = {"type": "folder", "path": str(folder)}
            mesh = Mesh(tmp_path, rack, datastore)
            fill(folder, mesh)
            with mesh.daemon:
                await mesh.start(OTHERS)
                await asyncio.to_thread(lose, folder)
                assert await mesh.held() == {
                    "own Node": 1,
                    "other Nodes": OTHERS,
                    "BGPConfiguration default": 1,
                    "IPPools": 1,
                    "own block affinities": 2,
                }
                assert mesh.is_whole()
                fill(folder, mesh)
                await mesh.released()
                assert mesh.is_whole()
                assert mesh.resets == 0
                log = mesh.daemon.log()
                assert log.count("implausible removal held") == 1
                assert "all objects are back" in log

    asyncio.run(scenario())


def test_a_node_is_taken_out_by_a_confirmation(tmp_path: Path) -> None:
    folder = tmp_path / "objects"

    async def scenario() -> None:
        async with Rack() as rack:
            mesh = Mesh(tmp_path, rack, {"type": "folder", "path": str(folder)})
            fill(folder, mesh)
            with mesh.daemon:
                await mesh.start(OTHERS)
                await asyncio.to_thread(ways_of_the_command, folder, mesh)
                await until(
                    lambda: not any(n.is_up(mesh.addr(OWN)) for n in mesh.nodes)
                )

    def ways_of_the_command(folder: Path, mesh: Mesh) -> None:
        refused = control(mesh, "calico", "confirm")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "no removal is held" in refused.stderr
        (folder / "2.yaml").unlink()  # the own Node
        mesh.daemon.until_logged("implausible removal held: own Node")
        (row,) = json.loads(control(mesh, "calico", "held", "-o", "json").stdout)
        assert (row["kind"], row["replaced_by"]) == ("own Node", "nothing")
        assert "held" in control(mesh, "calico", "diff").stdout
        assert control(mesh, "calico", "diff").returncode == 1
        status = control(mesh, "show", "status").stdout
        assert "1 objects that datastore no longer has" in status
        assert "pybgpctl calico confirm" in status
        confirmed = control(mesh, "calico", "confirm")
        assert (confirmed.returncode, confirmed.stdout) == (
            0,
            "datastore: own Node: applying the removal now\n",
        )

    asyncio.run(scenario())


def test_a_folder_that_is_away_makes_the_comparison_old(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "objects", tmp_path / "elsewhere"

    async def scenario() -> None:
        async with Rack() as rack:
            mesh = Mesh(tmp_path, rack, {"type": "folder", "path": str(folder)})
            fill(folder, mesh)
            with mesh.daemon:
                await mesh.start(OTHERS)
                await asyncio.to_thread(look, mesh)
                assert mesh.is_whole()
                assert mesh.resets == 0

    def look(mesh: Mesh) -> None:
        fresh = control(mesh, "calico", "diff")
        assert fresh.returncode == 0
        assert f"compared with revision 1; connected to {folder}" in fresh.stdout
        folder.rename(elsewhere)
        mesh.daemon.until_logged("keeping what was read before")
        old = control(mesh, "calico", "diff")
        assert old.returncode == 4
        assert "compared with revision 1; datastore not connected since" in old.stdout
        assert old.stderr == "nothing differs\n"
        (row,) = json.loads(control(mesh, "calico", "diff", "-o", "json").stdout)
        assert (row["part"], row["state"], row["revision"]) == ("datastore", "stale", 1)
        assert row["since"] in row["text"]
        elsewhere.rename(folder)
        mesh.daemon.until(lambda: control(mesh, "calico", "diff").returncode == 0)
        assert json.loads(control(mesh, "calico", "diff", "-o", "json").stdout) == []

    asyncio.run(scenario())


@pytest.mark.root
@needs_root
def test_an_unmounted_volume_takes_nothing_along(tmp_path: Path) -> None:
    folder, volume = tmp_path / "objects", tmp_path / "volume"
    for each in (folder, volume):
        each.mkdir()
    for number in range(4):
        manifest = node(f"n{number}", f"10.0.0.{number + 1}/24")
        (volume / f"{number}.yaml").write_text(yaml.safe_dump(manifest))

    async def scenario() -> None:
        polled = FolderDatastore(folder, uses_inotify=False)  # mounts tell it nothing
        guarded = GuardedDatastore(polled, "n0", 3600)
        async with Follower(guarded) as follower:
            await follower.until(lambda seen: len(seen.items) == 4)
            before = dict(follower.items)
            for _ in range(2):
                umount(folder)
                await follower.until(lambda _: bool(guarded.removals.holds))
                assert follower.items == before
                mount(volume, folder)
                await follower.until(lambda _: not guarded.removals.holds)
            assert follower.items == before

    mount(volume, folder)
    try:
        asyncio.run(scenario())
    finally:
        umount(folder)


def mount(volume: Path, folder: Path) -> None:
    command = ["mount", "--bind", str(volume), str(folder)]
    subprocess.run(command, check=True, timeout=20)


def umount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)
