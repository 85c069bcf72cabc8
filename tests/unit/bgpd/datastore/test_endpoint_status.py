"""Felix' folder of local workloads that peer with their node."""

import asyncio
import json
from pathlib import Path

from bgpd.calico.endpoints import LocalEndpoint
from bgpd.datastore.endpoint_status import Found, follow_endpoints, read_endpoints
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


def test_files_that_cannot_be_read_are_told_and_the_others_count(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", ipv4Nets=["nonsense"])
    write(tmp_path, "c", ifaceName=7)
    write(tmp_path, "d", ipv6Nets="fd00::1/128")
    (tmp_path / "e").write_text("{")
    (tmp_path / "f").write_text("[]")
    (tmp_path / "folder").mkdir()
    endpoints, warnings = read_endpoints(tmp_path)
    assert endpoints == (ONE,)
    assert [Path(each.key).name for each in warnings] == ["b", "c", "d", "e", "f"]
    assert read_endpoints(tmp_path / "nowhere") == ((), ())


@on_both_loops
async def test_a_folder_is_followed_though_it_is_made_later(tmp_path: Path) -> None:
    folder = tmp_path / "endpoint-status"
    told: list[Found] = []
    task = asyncio.create_task(follow_endpoints(folder, told.append))
    await until(lambda: told == [((), ())])
    write(folder, "a")
    await until(lambda: told[-1][0] == (ONE,))
    write(folder, "a", bgpPeerName="")
    await until(lambda: told[-1][0] and told[-1][0][0].peer_name == "")
    (folder / "a").unlink()
    await until(lambda: told[-1] == ((), ()))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
