"""Wait for a change of folders: by inotify while the kernel grants it, else by polling.

Inotify is a convenience. Its limits (instances and watches of a user, descriptors of a
process) are used up by other programs, and may be at any moment: then folders are polled,
and inotify is tried again later. So waiting for a change never fails.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from bgpd.datastore.inotify import Inotify
from bgpd.texts.errors import text_of

RETRY_INTERVAL: Final = 60.0  # seconds of polling until inotify is tried again

_log = logging.getLogger(__name__)


class FolderWatch:
    """Waits for changes of folders.

    The caller compares the folders' content afterwards: a change that inotify merges
    with another, or loses, costs at most ``audit`` seconds.

    Args:
        name: What is watched, for the log.
        audit: Seconds after which ``wait`` returns although inotify says nothing; network
            file systems tell it nothing.
        poll: The same without inotify.
        make: Makes the inotify instance; ``None`` polls only.
    """

    def __init__(
        self,
        name: str,
        *,
        audit: float,
        poll: float,
        make: Callable[[], Inotify] | None = Inotify,
    ) -> None:
        self.fault = ""
        self._name = name
        self._audit = audit
        self._poll = poll
        self._make = make
        self._inotify: Inotify | None = None
        self._retry_at = 0.0  # of the loop's clock

    @property
    def is_polling(self) -> bool:
        """Whether it polls for changes because the kernel does not report them."""
        return self._inotify is None

    def clear(self) -> None:
        """Forget what changed so far; to be called before the content is read."""
        if self._inotify is not None:
            self._inotify.changed.clear()

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch ``folders`` too, not what is below them; one watched already costs nothing.

        Never raises: a folder that cannot be watched is polled with all others.
        """
        try:
            inotify = self._open()
            if inotify is not None:
                inotify.watch(folders)
        except Exception as error:  # noqa: BLE001  # polling does as well
            self._give_up(error)

    async def wait(self, at_most: float | None = None) -> None:
        """Return when something may have changed.

        Args:
            at_most: Seconds; shortens the wait.
        """
        seconds = self._poll if self._inotify is None else self._audit
        if at_most is not None:
            seconds = min(seconds, at_most)
        inotify = self._inotify
        if inotify is None:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await inotify.changed.wait()
        if inotify.fault is not None:
            self._give_up(inotify.fault)

    def close(self) -> None:
        """Release inotify's descriptor."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _open(self) -> Inotify | None:
        """Return the instance, made now if it is time to try."""
        now = asyncio.get_running_loop().time()
        if self._inotify is None and self._make is not None and now >= self._retry_at:
            self._retry_at = now + RETRY_INTERVAL
            self._inotify = self._make()
            if self.fault:
                _log.info(
                    "%(file)s: inotify works again",
                    {"event": "inotify-restored", "file": self._name},
                )
            self.fault = ""
        return self._inotify

    def _give_up(self, error: Exception) -> None:
        self.close()
        text = text_of(error)
        if not self.fault:
            _log.warning(
                "%(file)s: read every %(seconds)g s, since inotify is unavailable: "
                "%(reason)s",
                {
                    "event": "inotify-unavailable",
                    "file": self._name,
                    "seconds": self._poll,
                    "reason": text,
                },
            )
        self.fault = text
