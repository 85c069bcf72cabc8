"""Felix' folder of local workloads that peer with their node."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from bgpd.calico.endpoints import LocalEndpoint
from bgpd.datastore import endpoint_status
from bgpd.datastore.endpoint_status import EndpointFolder, Found, follow_endpoints
from bgpd.texts.files import read_octets
from tests.support.speakers import on_both_loops, until


def write(folder: Path, name: str, **fields: object) -> None:
    content = {
        "ifaceName": "cali1",
        "mac": "ee:ee:ee:ee:ee:ee",
        "ipv4Nets": ["10.244.1.5/32"],
        "ipv6Nets": [],
        "bgpPeerName": "pods",
        **fields,
    }
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))


ONE = LocalEndpoint("cali1", ("10.244.1.5/32",), (), "pods")


def test_unreadable_files_are_reported_and_the_others_count(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", ipv4Nets=["nonsense"])
    write(tmp_path, "c", ifaceName=7)
    write(tmp_path, "d", ipv6Nets="fd00::1/128")
    (tmp_path / "e").write_text("{")
    (tmp_path / "f").write_text("[]")
    (tmp_path / "folder").mkdir()
    endpoints, warnings = EndpointFolder(tmp_path).read()
    assert endpoints == (ONE,)
    assert [Path(each.key).name for each in warnings] == ["b", "c", "d", "e", "f"]
    assert EndpointFolder(tmp_path / "nowhere").read() == ((), ())
    assert EndpointFolder(tmp_path / "a").read() == ((), ())


def test_a_folder_that_cannot_be_read_leaves_all_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "endpoint-status"
    source = EndpointFolder(folder)
    write(folder, "a")
    assert source.read() == ((ONE,), ())
    (folder / "a").unlink()
    folder.rmdir()
    folder.symlink_to(folder)  # a loop: neither there nor away
    endpoints, (warning,) = source.read()
    assert endpoints == (ONE,)
    assert warning.key == str(folder)


def test_a_file_that_is_half_written_leaves_its_workload_as_it_was(
    tmp_path: Path,
) -> None:
    source = EndpointFolder(tmp_path)
    write(tmp_path, "a")
    assert source.read() == ((ONE,), ())
    whole = (tmp_path / "a").read_text()
    for length in (0, 9, len(whole) - 1):
        (tmp_path / "a").write_text(whole[:length])
        endpoints, (warning,) = source.read()
        assert endpoints == (ONE,)
        assert warning.text.endswith("keeps its previous state")
    write(tmp_path, "a", ifaceName="cali2")
    assert source.read() == ((ONE._replace(interface="cali2"),), ())
    (tmp_path / "a").unlink()
    assert source.read() == ((), ())


@on_both_loops
async def test_a_recreated_folder_is_followed_again(tmp_path: Path) -> None:
    folder = tmp_path / "endpoint-status"
    told: list[Found] = []
    write(folder, "a")
    task = asyncio.create_task(follow_endpoints(EndpointFolder(folder), told.append))
    await until(lambda: told == [((ONE,), ())])
    (folder / "a").unlink()
    folder.rmdir()
    await until(lambda: told[-1] == ((), ()))
    write(folder, "b")
    await until(lambda: told[-1][0] == (ONE,))
    write(folder, "c", ifaceName="cali2")
    await until(lambda: len(told[-1][0]) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@on_both_loops
async def test_a_folder_is_followed_though_it_is_made_later(tmp_path: Path) -> None:
    folder = tmp_path / "endpoint-status"
    told: list[Found] = []
    task = asyncio.create_task(follow_endpoints(EndpointFolder(folder), told.append))
    await until(lambda: told == [((), ())])
    write(folder, "a")
    await until(lambda: told[-1][0] == (ONE,))
    write(folder, "a", bgpPeerName="")
    await until(lambda: told[-1][0] and told[-1][0][0].peer_name == "")
    (folder / "a").unlink()
    await until(lambda: told[-1] == ((), ()))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_only_regular_files_within_a_limit_are_read(tmp_path: Path) -> None:
    write(tmp_path, "a")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 10 << 30)
    write(tmp_path, "deep", more=json.loads("[" * 40 + "]" * 40))
    endpoints, warnings = EndpointFolder(tmp_path).read()
    assert endpoints == (ONE,)
    told = {Path(each.key).name: each.text for each in warnings}
    assert told.keys() == {"deep", "fifo", "huge", "zero"}
    assert "is a FIFO" in told["fifo"]
    assert "is a device" in told["zero"]
    assert "the limit is 65536" in told["huge"]
    assert "16 levels deep" in told["deep"]


def test_a_file_that_has_not_changed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = EndpointFolder(tmp_path)
    write(tmp_path, "a")
    write(tmp_path, "b", ifaceName="cali2")
    first = source.read()
    asked: list[Path] = []

    def read(path: Path, limit: int) -> bytes:
        asked.append(path)
        return read_octets(path, limit)

    monkeypatch.setattr(endpoint_status, "read_octets", read)
    assert source.read() == first
    assert not asked
    write(tmp_path, "b", ifaceName="cali3")
    assert [each.interface for each in source.read()[0]] == ["cali1", "cali3"]
    assert asked == [tmp_path / "b"]


def test_a_folder_of_endless_files_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = EndpointFolder(tmp_path)
    write(tmp_path, "a")
    assert source.read() == ((ONE,), ())
    monkeypatch.setattr(endpoint_status, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / f"junk-{number}").touch()
    endpoints, (warning,) = source.read()
    assert endpoints == (ONE,)
    assert "has more than 3 files" in warning.text
