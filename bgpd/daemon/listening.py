"""Where the daemon listens; a port that is another program's is tried again and again.

A node whose BIRD is still there, or whose address has not come up yet, gets its port as
soon as it is free: sessions that peers open would be missing for ever otherwise.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Final

from bgpd.net.listener import Listener
from bgpd.net.sockets import SocketError

RETRY: Final = 2.0  # seconds

_log = logging.getLogger(__name__)


class Listening:
    """Keeps a listener where it should listen.

    Args:
        listener: Which.

    Attributes:
        faults: What keeps it from listening where it should, for the operator.
    """

    def __init__(self, listener: Listener) -> None:
        self.faults: list[str] = []
        self._listener = listener
        self._wanted: list[tuple[str, int]] = []
        self._retrying: asyncio.Task[None] | None = None

    async def follow(self, addresses: Iterable[str], port: int) -> None:
        """Listen there and nowhere else; what cannot be had now is tried again later."""
        await self.close()
        self._wanted = [(address, port) for address in addresses]
        for place in set(self._listener.addresses) - set(self._wanted):
            self._listener.ignore(*place)
        self._try()
        if self.faults:
            self._retrying = asyncio.create_task(self._try_again(), name="listen again")

    async def close(self) -> None:
        """Try no more."""
        task, self._retrying = self._retrying, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _try_again(self) -> None:
        while self.faults:
            await asyncio.sleep(RETRY)
            self._try()

    def _try(self) -> None:
        known, self.faults = self.faults, []
        for place in self._wanted:
            try:
                self._listener.listen(*place)
            except SocketError as error:
                text = str(error.strerror)
                self.faults.append(text)
                if text not in known:
                    _log.error("%s", text)  # the text says it all
