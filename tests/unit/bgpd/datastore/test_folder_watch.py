"""Waiting for a change works with inotify, without it, and when it fails meanwhile."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from bgpd.datastore import folder_watch
from bgpd.datastore.folder_watch import FolderWatch
from bgpd.datastore.inotify import Inotify
from tests.support.speakers import on_both_loops, until, within

LONG = 60.0  # seconds; what only this ends is not there in time


@on_both_loops
async def test_inotify_ends_the_wait(tmp_path: Path) -> None:
    watch = FolderWatch("test", audit=LONG, poll=LONG)
    watch.watch((tmp_path,))
    assert not watch.is_polling
    (tmp_path / "a").touch()
    await within(5.0, watch.wait())
    watch.close()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "inotify_init1"),
        OSError(errno.ENOSPC, "inotify_init1"),
        MemoryError(),
        ValueError("odd"),
    ],
    ids=repr,
)
@on_both_loops
async def test_without_inotify_the_wait_is_short(
    error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refused() -> Inotify:
        raise error

    watch = FolderWatch("test", audit=LONG, poll=0.001, make=refused)
    for _ in range(3):
        watch.watch((tmp_path,))
        assert watch.is_polling
        await within(5.0, watch.wait())
    assert watch.fault == (str(error) or "MemoryError")
    assert len(caplog.records) == 1, "one line, however often it is refused"
    watch.close()


@on_both_loops
async def test_a_limit_of_watches_falls_back_to_polling_and_returns_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watch, "RETRY_INTERVAL", 0.0)
    is_full = True
    real = Inotify.watch

    def limited(self: Inotify, folders: object) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "inotify_add_watch")
        real(self, folders)  # type: ignore[arg-type]

    monkeypatch.setattr(Inotify, "watch", limited)
    watch = FolderWatch("test", audit=LONG, poll=0.001)
    watch.watch((tmp_path,))
    assert watch.is_polling
    await within(5.0, watch.wait())
    is_full = False
    watch.watch((tmp_path,))
    assert not watch.is_polling
    assert not watch.fault
    (tmp_path / "a").touch()
    await within(5.0, watch.wait())
    watch.close()


@on_both_loops
async def test_a_descriptor_that_cannot_be_read_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = FolderWatch("test", audit=LONG, poll=0.001)
    watch.watch((tmp_path,))

    def broken(_descriptor: int, _octets: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "read", broken)
    waiting = asyncio.ensure_future(watch.wait())
    (tmp_path / "a").touch()
    await within(5.0, waiting)
    monkeypatch.undo()
    assert watch.is_polling
    assert "Input/output error" in watch.fault
    await until(lambda: True)
    await within(5.0, watch.wait())
    watch.close()
