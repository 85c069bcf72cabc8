"""The files of the configuration, watched for changes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from bgpd.datastore.folder_watch import FolderWatch
from bgpd.texts.stamps import stamps

SETTLE: Final = 0.2  # seconds; editors write a file in several steps
AUDIT_INTERVAL: Final = 30.0  # seconds; network file systems tell inotify nothing
POLL_INTERVAL: Final = 2.0  # seconds, without inotify


class FileWatch:
    """Calls when one of some files has changed and was left alone for a moment.

    Args:
        files: Says which they are; asked before each look.
        changed: Awaited after a change; what changes meanwhile is another change.
        is_wanted: Says whether changes count; what changes meanwhile is skipped.
    """

    def __init__(
        self,
        files: Callable[[], Iterable[Path]],
        changed: Callable[[], Awaitable[None]],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._is_wanted = is_wanted
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
                    if not self._is_wanted():
                        continue
                    await self._changed()
                    self._note_new_files()
        finally:
            watch.close()

    def _note_new_files(self) -> None:
        """Do not take a file that a reload has just read first for a changed one."""
        now = stamps(self._files())
        self._seen = {file: self._seen.get(file, stamp) for file, stamp in now.items()}
