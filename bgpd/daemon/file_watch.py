"""The files of the configuration, watched for changes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from bgpd.datastore.folder_watch import FolderWatch

SETTLE: Final = 0.2  # seconds; editors write a file in several steps
AUDIT_INTERVAL: Final = 30.0  # seconds; network file systems tell inotify nothing
POLL_INTERVAL: Final = 2.0  # seconds, without inotify

Stamps = dict[Path, tuple[int, int, int] | None]


class FileWatch:
    """Calls when one of some files has changed and was left alone for a moment.

    Args:
        files: Says which they are; asked before each look.
        changed: Awaited after a change; what changes meanwhile is another change.
    """

    def __init__(
        self,
        files: Callable[[], Iterable[Path]],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._files = files
        self._changed = changed
        # Outlives ``follow``: what changes while that does not run is seen later.
        self._seen = stamps(files())

    async def follow(self) -> None:
        """Watch for ever."""
        watch = FolderWatch(
            "configuration files", audit=AUDIT_INTERVAL, poll=POLL_INTERVAL
        )
        try:
            while True:
                watch.watch({file.absolute().parent for file in self._files()})
                await watch.wait()
                if not watch.is_polling:
                    await asyncio.sleep(SETTLE)
                watch.clear()
                now = stamps(self._files())
                if now != self._seen:
                    self._seen = now
                    await self._changed()
                    self._note_new_files()
        finally:
            watch.close()

    def _note_new_files(self) -> None:
        """Do not take a file that a reload has just read first for a changed one."""
        now = stamps(self._files())
        self._seen = {file: self._seen.get(file, stamp) for file, stamp in now.items()}


def stamps(files: Iterable[Path]) -> Stamps:
    """Return what tells one version of each file from another; ``None`` if it is gone."""
    found: Stamps = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            found[file] = None
        else:
            found[file] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    return found
