"""The control socket in its folder, and who may take its place."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from bgpd.api.unix_socket import SocketTakenError, UnixSocketError
from bgpd.daemon.doors import Doors

NOBODY: Any = None  # no client asks about a daemon here


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


async def opened(path: Path) -> Doors:
    doors = Doors(NOBODY, NOBODY)
    doors.open_control(str(path))
    return doors


def test_a_successor_keeps_its_socket_when_the_former_daemon_closes(path):
    async def main():
        first = await opened(path)
        with pytest.raises(SocketTakenError, match="another daemon listens there"):
            await opened(path)
        path.unlink()
        second = await opened(path)
        await first.close()
        assert path.exists()
        await second.close()
        assert not path.exists()

    asyncio.run(main())


@pytest.mark.parametrize("target", ["victim", "missing"])
def test_a_planted_link_is_left_alone_with_what_it_points_at(path, target, tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "victim").chmod(0o600)
    path.parent.mkdir()
    path.symlink_to(tmp_path / target)
    with pytest.raises(UnixSocketError, match="not a socket"):
        asyncio.run(opened(path))
    assert (tmp_path / "victim").read_text() == "precious"
    assert stat.S_IMODE((tmp_path / "victim").stat().st_mode) == 0o600
    assert not (tmp_path / "missing").exists()


def test_what_took_the_place_of_our_socket_stays_when_we_close(path, tmp_path):
    async def main():
        doors = await opened(path)
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "moved")
        await doors.close()
        assert path.is_symlink()
        assert (tmp_path / "moved").exists()

    asyncio.run(main())


def test_a_folder_that_everybody_may_write_to_is_reported(path, caplog):
    path.parent.mkdir()
    path.parent.chmod(0o777)

    async def main():
        await (await opened(path)).close()

    asyncio.run(main())
    assert (
        "is world-writable without the sticky bit; others could replace the socket"
        in caplog.text
    )


@pytest.mark.parametrize("name", ["x" * 120, "file/control.sock"])
def test_a_socket_that_cannot_be_made_says_why(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnixSocketError, match=r"octets at most|choose another path"):
        asyncio.run(opened(tmp_path / name))
